"""The correlator process: what was before it is read in the order of time, then Faust brings what is new.

Everything of substance is in `services.correlation` and `alerting`. One record at a time, its whole work guarded,
alerts delivered before the record counts as done. Nothing is kept in Faust's tables: the state is made anew from the
topics.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry

from alerting.alertmanager import Links
from services.alert_records import closing_of
from services.alertmanager import Alertmanager
from services.correlation import Correlation, default_correlator
from services.dead_letters import to_record
from services.errors import ServicesError, TransientError
from services.faust_app import abandon, ends, make_app, never_acknowledge, record_of
from services.kafka import History, KafkaSink, KafkaTail, read_written, starting_offsets
from services.logs import get_logger
from services.metrics import CorrelatorMetrics
from services.notifications import Notifications
from services.records import Outgoing
from services.settings import Settings

GROUP: Final = "correlator"
Result = TypeVar("Result")
_TICK: Final = 0.5
_AT_ONCE: Final = timedelta(milliseconds=1)


def correlate(settings: Settings, registry: CollectorRegistry, budget_share: float, stop: Event) -> None:
    """Correlates verdicts until `stop`. Raises `ServicesError` and `TransientError`."""
    metrics = CorrelatorMetrics(registry)
    correlator = default_correlator(
        budget_share,
        step=timedelta(seconds=settings.correlation_step_seconds),
        horizon=timedelta(hours=settings.correlation_hours),
    )
    correlation = Correlation(correlator, alert_topic=settings.topic("alerts"), metrics=metrics)
    links = Links(settings.runbooks_url, settings.case_url)
    log = get_logger(GROUP)
    with (
        KafkaSink(settings) as sink,
        KafkaTail(settings, settings.topic("alerts")) as tail,  # before the topic is read: no closing falls in between
        Notifications(_alertmanager(settings), links, metrics) as notifications,
    ):
        # 1. What has been said. It is posted from now on, however long the next step takes.
        sink.deliver(correlation.restore(read_written(settings, settings.topic("alerts"))))
        notifications.show(correlation.to_post())
        # 2. What it was said about, and what has come since.
        starts = _patiently(
            lambda: starting_offsets(settings, settings.topic("verdicts"), settings.topic(GROUP)),
            settings.retry_seconds,
        )
        _catch_up(settings, correlation, sink, notifications, stop)
        correlation.committed(starts)
        metrics.partitions.labels("all").set(len(starts))
        log.info("ready", tracked=dict(correlator.tracked()))
        # 3. What is new.
        asyncio.run(_Adapter(settings, correlation, sink, tail, notifications, metrics).run(stop))
    log.info("stopped")


def _catch_up(
    settings: Settings, correlation: Correlation, sink: KafkaSink, notifications: Notifications, stop: Event
) -> None:
    since, until = correlation.needed_since(), datetime.now(UTC)
    with History(settings, settings.topic("verdicts")) as history:
        records = takewhile(lambda _: not stop.is_set(), history.between(since, until))
        for outgoing in correlation.catch_up(records):
            if outgoing:
                _patiently(partial(sink.deliver, outgoing), settings.retry_seconds)
                notifications.show(correlation.to_post())


def _patiently(work: Callable[[], Result], seconds: float) -> Result:
    """`work`, tried again for so long: a broker that has just started has no coordinator for a group yet."""
    until = time.monotonic() + seconds
    while True:
        try:
            return work()
        except TransientError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


class _Adapter:
    """Faust on one side, a `Correlation` on the other."""

    def __init__(
        self,
        settings: Settings,
        correlation: Correlation,
        sink: KafkaSink,
        tail: KafkaTail,
        notifications: Notifications,
        metrics: CorrelatorMetrics,
    ) -> None:
        self._settings = settings
        self._correlation = correlation
        self._sink = sink
        self._tail = tail
        self._notifications = notifications
        self._metrics = metrics
        self._topic = settings.topic("verdicts")
        self._failure: Exception | None = None

    async def run(self, stop: Event) -> None:
        with TemporaryDirectory(prefix="plumbline-correlator-") as folder:  # Faust makes one, for tables that we lack
            await self._run(make_app(self._settings, GROUP, folder), stop)

    async def _run(self, app: Any, stop: Event) -> None:
        self._lock = asyncio.Lock()
        topic = app.topic(self._topic, key_serializer="raw", value_serializer="raw")
        app.agent(topic, concurrency=1)(self._agent)
        app.on_partitions_assigned.connect(self._assigned, weak=False)
        await app.start()
        try:
            while not stop.is_set() and self._failure is None:
                await asyncio.sleep(_TICK)
                await self._guarded(self._tick, app)
        finally:
            if self._failure is not None:
                abandon(app)
            await app.stop()
        if self._failure is not None:
            raise self._failure

    async def _agent(self, stream: Any) -> None:
        async for event in stream.events():
            if not await self._guarded(self._take, event.message):
                never_acknowledge(event.message)  # the process ends, and the next one reads it again
                await asyncio.Event().wait()

    async def _guarded(self, work: Callable[[Any], Any], what: Any) -> bool:
        """Whether it went well; where it did not, the process ends with the reason."""
        if self._failure is not None:
            return False
        try:
            async with self._lock:
                await work(what)
        except (ServicesError, TransientError) as error:
            self._failure = error
        except Exception as error:
            self._failure = ServicesError(f"correlation: {type(error).__name__}")
            self._failure.__cause__ = error
        return self._failure is None

    async def _take(self, message: Any) -> None:
        # Time first: what lies before this record is judged before it is known.
        await self._advance()
        letter = self._correlation.take(record_of(message))
        if letter is not None:
            await self._deliver([to_record(letter, self._settings.record_max_bytes)])

    async def _tick(self, app: Any) -> None:
        for partition, (end, at) in ends(app, self._topic).items():
            self._correlation.reached_end(partition, end, at)
        for record in await asyncio.to_thread(self._tail.poll, _AT_ONCE):
            if (closing := closing_of(record)) is not None:
                await self._deliver(self._correlation.close(closing))
        if self._notifications.silenced is not None:
            self._correlation.silenced = self._notifications.silenced
        await self._advance()
        self._correlation.report()
        self._notifications.show(self._correlation.to_post())

    async def _advance(self) -> None:
        to = self._correlation.due()
        if to is None:
            return
        for outgoing in self._correlation.advance(to):
            await self._deliver(outgoing)
            await asyncio.sleep(0)  # many steps may be due: commits and heartbeats go on meanwhile

    async def _deliver(self, outgoing: Sequence[Outgoing]) -> None:
        if outgoing:
            await asyncio.to_thread(_patiently, partial(self._sink.deliver, outgoing), self._settings.retry_seconds)

    async def _assigned(self, _app: Any, assigned: Any, **_: Any) -> None:
        mine = [each.partition for each in assigned if each.topic == self._topic]
        self._correlation.watermark.assign(mine)
        self._metrics.partitions.labels("assigned").set(len(mine))


def _alertmanager(settings: Settings) -> Alertmanager | None:
    if settings.alertmanager_url is None:
        return None
    token = settings.alertmanager_token
    return Alertmanager(settings.alertmanager_url, token.get_secret_value() if token else None)
