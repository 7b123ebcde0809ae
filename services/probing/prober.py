"""The prober process: one synthetic transcript after the other, and a look at everybody's lag."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Final

from detectors.codec import decode_verdict, encode_event
from detectors.errors import RecordError
from services.errors import TransientError
from services.kafka import KafkaSink, KafkaTail, measure_lag
from services.logs import get_logger
from services.metrics import ProbeMetrics
from services.probing.bookkeeping import Ended, Probes
from services.probing.transcripts import probes, sent_now
from services.records import Outgoing
from services.settings import Settings

GROUPS: Final = {
    "scorer": ("transcripts",),
    "recorder": ("verdicts", "transcripts.dead", "verdicts.dead", "retraining.queue.dead"),
    "correlator": ("verdicts",),
    "retrainer": ("retraining.queue",),
}
"""Who reads what, by names without the prefix."""
_LOOK: Final = timedelta(milliseconds=200)


class Prober:
    """Sends a probe every interval, in the thread that calls `run`."""

    def __init__(
        self,
        settings: Settings,
        sink: KafkaSink,
        tail: KafkaTail,
        metrics: ProbeMetrics,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._tail = tail
        self._metrics = metrics
        self._clock = clock
        self._probes = Probes(timedelta(seconds=settings.probe_timeout_seconds))
        self._transcripts = probes(random.Random(), settings.probe_tenant)  # noqa: S311  (variety, not secrecy)
        self._log = get_logger("prober")

    def run(self, stop: Event) -> None:
        """Until `stop`. A broker that is away is no reason to end: its probes are lost, which is what must be seen."""
        every = timedelta(seconds=self._settings.probe_interval_seconds)
        due = self._clock()
        while not stop.is_set():
            if self._clock() >= due:
                due = self._clock() + every
                self._send()
                self._look_at_lag()
            self._collect()

    def _send(self) -> None:
        kind, event = next(self._transcripts)
        event = sent_now(event, self._clock())
        self._probes.send(event.event_id, kind, self._clock())
        try:
            self._sink.deliver([Outgoing(self._settings.topic("transcripts"), event.key.encode(), encode_event(event))])
        except TransientError:
            self._log.warning("a probe could not be sent")

    def _collect(self) -> None:
        for record in self._tail.poll(_LOOK):
            try:
                verdict = decode_verdict(record.value or b"")
            except RecordError:
                continue
            if verdict.synthetic and (ended := self._probes.take(verdict, self._clock())):
                self._count(ended)
        for ended in self._probes.expire(self._clock()):
            self._count(ended)

    def _count(self, ended: Ended) -> None:
        self._metrics.probes.labels(ended.kind, ended.outcome.value).inc()
        if ended.seconds is not None:
            self._metrics.seconds.observe(ended.seconds)
            self._metrics.last.set(self._clock().timestamp())

    def _look_at_lag(self) -> None:
        topic = self._settings.topic
        groups = {topic(group): [topic(name) for name in topics] for group, topics in GROUPS.items()}
        try:
            lag = measure_lag(self._settings, groups)
        except TransientError:
            self._log.warning("the lag could not be read")
            return
        for group, topics in GROUPS.items():
            for name in topics:
                self._metrics.lag.labels(group, name).set(lag.behind[topic(group), topic(name)])
                self._metrics.appended.labels(name).set(lag.appended[topic(name)])
