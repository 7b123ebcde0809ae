"""The correlator process: a thin adapter around Faust.

Faust joins the group, fetches and commits; everything else is in `services.correlation` and `alerting`. One record at a
time, its whole work guarded, alerts delivered before the record counts as done. Nothing is kept in Faust's tables:
after a restart the state is made anew from the topics.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any, Final, TypeVar

import faust
from prometheus_client import CollectorRegistry

from alerting.alertmanager import Links, posted
from services.alertmanager import Alertmanager
from services.correlation import Correlation, default_correlator
from services.dead_letters import to_record
from services.errors import ServicesError, TransientError
from services.kafka import KafkaSink, read_before, read_topic, starting_offsets
from services.logs import get_logger
from services.metrics import CorrelatorMetrics
from services.records import Outgoing, Record
from services.settings import Settings

GROUP: Final = "correlator"
Result = TypeVar("Result")
_TICK: Final = 0.5
_POST_EVERY: Final = timedelta(seconds=30)


def correlate(settings: Settings, registry: CollectorRegistry, budget_share: float, stop: Event) -> None:
    """Correlates verdicts until `stop`. Raises `ServicesError` and `TransientError`."""
    metrics = CorrelatorMetrics(registry)
    horizon = timedelta(hours=settings.correlation_hours)
    correlator = default_correlator(
        budget_share, step=timedelta(seconds=settings.correlation_step_seconds), horizon=horizon
    )
    correlation = Correlation(correlator, alert_topic=settings.topic("alerts"), metrics=metrics)
    topic = settings.topic("verdicts")
    log = get_logger(GROUP)
    with KafkaSink(settings) as sink:
        # 1. What has been said, and what it was said about.
        correlation.restore(read_topic(settings, settings.topic("alerts")))
        starts = _patiently(lambda: starting_offsets(settings, topic, settings.topic(GROUP)), settings.retry_seconds)
        until = _last_append(settings, topic, starts)
        if until is not None:
            records = read_before(settings, topic, starts, until - horizon)
            sink.deliver(correlation.rebuild(records, until))
        log.info("ready", rebuilt=until is not None, tracked=dict(correlator.tracked()))
        # 2. What is new.
        asyncio.run(_Adapter(settings, correlation, sink, metrics, starts).run(stop))
    log.info("stopped")


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


def _last_append(settings: Settings, topic: str, ends: dict[int, int]) -> datetime | None:
    """When the last record before `ends` was appended; None where there is none."""
    latest = {partition: end - 1 for partition, end in ends.items() if end > 0}
    found = [
        record.timestamp
        for partition, offset in latest.items()
        for record in read_before(settings, topic, {partition: offset + 1}, datetime.fromtimestamp(0, UTC))
        if record.offset == offset
    ]
    return max(found, default=None)


class _Adapter:
    """Faust on one side, a `Correlation` on the other."""

    def __init__(
        self,
        settings: Settings,
        correlation: Correlation,
        sink: KafkaSink,
        metrics: CorrelatorMetrics,
        starts: dict[int, int],
    ) -> None:
        self._settings = settings
        self._correlation = correlation
        self._sink = sink
        self._metrics = metrics
        self._topic = settings.topic("verdicts")
        self._next = dict(starts)
        self._links = Links(settings.runbooks_url, settings.case_url)
        self._alertmanager = _alertmanager(settings)
        self._posted_at: datetime | None = None
        self._failure: Exception | None = None
        self._log = get_logger(GROUP)

    async def run(self, stop: Event) -> None:
        with TemporaryDirectory(prefix="plumbline-correlator-") as folder:  # Faust makes one, for tables that we lack
            await self._run(_app(self._settings, folder), stop)

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
            await app.stop()
            if self._alertmanager:
                await self._alertmanager.close()
        if self._failure is not None:
            raise self._failure

    async def _agent(self, stream: Any) -> None:
        async for event in stream.events():
            if not await self._guarded(self._take, event.message):
                # Never to be acknowledged: the process ends, and the next one reads it again.
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
        record = _record(message)
        # Time first: what lies before this record is judged before it is known.
        await self._advance()
        letter = self._correlation.take(record)
        if letter is not None:
            await self._deliver([to_record(letter, self._settings.record_max_bytes)])
        self._next[record.partition] = record.offset + 1
        self._correlation.watermark.read(record.partition, record.timestamp, last=False)

    async def _tick(self, app: Any) -> None:
        for partition in [each for each in app.consumer.assignment() if each.topic == self._topic]:
            end = app.consumer.highwater(partition)
            if end is not None and self._next.get(partition.partition, 0) >= end:
                self._correlation.watermark.ended(partition.partition)
        changed = await self._advance()
        self._correlation.report()
        await self._post(at_once=changed)

    async def _advance(self) -> bool:
        """Whether anything changed."""
        to = self._correlation.due()
        outgoing = self._correlation.advance(to) if to is not None else []
        await self._deliver(outgoing)
        return bool(outgoing)

    async def _deliver(self, outgoing: Sequence[Outgoing]) -> None:
        if not outgoing:
            return None
        until = asyncio.get_running_loop().time() + self._settings.retry_seconds
        while True:
            try:
                return await asyncio.to_thread(self._sink.deliver, outgoing)
            except TransientError:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(0.5)

    async def _post(self, *, at_once: bool) -> None:
        """Everything that is active, again and again: Alertmanager forgets what nobody repeats."""
        now = datetime.now(UTC)
        due = self._posted_at is None or now - self._posted_at >= _POST_EVERY
        if self._alertmanager is None or not (due or at_once):
            return
        silenced = await self._alertmanager.silenced()
        if silenced is not None:
            self._correlation.silenced = silenced
        items = [posted(alert, now, self._links) for alert in self._correlation.to_post()]
        fired = [item for item in items if item is not None]
        outcome = await self._alertmanager.post(fired) if fired else "accepted"
        if fired:
            self._metrics.notifications.labels(outcome).inc()
        if outcome == "unreachable":
            self._log.warning("Alertmanager does not answer", alerts=len(fired))
            return  # tried again at the next tick
        if outcome == "refused":
            self._log.error("Alertmanager refuses alerts", alerts=len(fired))
        self._posted_at = now

    async def _assigned(self, _app: Any, assigned: Any, **_: Any) -> None:
        mine = [each.partition for each in assigned if each.topic == self._topic]
        self._correlation.watermark.assign(mine)
        self._metrics.partitions.labels("assigned").set(len(mine))
        self._metrics.partitions.labels("all").set(len(self._next))


def _record(message: Any) -> Record:
    timestamp = datetime.fromtimestamp(min(max(0.0, message.timestamp or 0.0), 4_102_444_800.0), UTC)
    return Record(message.topic, message.partition, message.offset, message.key, message.value, timestamp)


def _alertmanager(settings: Settings) -> Alertmanager | None:
    if settings.alertmanager_url is None:
        return None
    token = settings.alertmanager_token
    return Alertmanager(settings.alertmanager_url, token.get_secret_value() if token else None)


def _app(settings: Settings, folder: str) -> Any:
    for name in ("faust", "mode", "aiokafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
    servers = [f"kafka://{server.strip()}" for server in settings.kafka_bootstrap_servers.split(",")]
    session = settings.kafka_session_timeout_seconds
    return faust.App(
        settings.topic(GROUP),
        broker=servers,
        broker_credentials=_credentials(settings),
        broker_session_timeout=session,
        broker_heartbeat_interval=max(0.1, session / 4),
        broker_request_timeout=max(60.0, 2 * session),
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=True,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        store="memory://",
        datadir=folder,
    )


def _credentials(settings: Settings) -> Any:
    protocol, password = settings.kafka_security_protocol, settings.kafka_sasl_password
    if protocol == "PLAINTEXT":
        return None
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
        context.check_hostname = settings.kafka_ssl_check_hostname
        if settings.kafka_ssl_certfile:
            key_password = settings.kafka_ssl_password
            context.load_cert_chain(
                settings.kafka_ssl_certfile,
                settings.kafka_ssl_keyfile,
                key_password.get_secret_value() if key_password else None,
            )
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    if settings.kafka_sasl_mechanism == "GSSAPI":
        raise ServicesError("the correlator does not speak GSSAPI: use PLAIN or SCRAM")
    return faust.SASLCredentials(
        username=settings.kafka_sasl_username,
        password=password.get_secret_value() if password else None,
        ssl_context=context,
        mechanism=settings.kafka_sasl_mechanism,
    )
