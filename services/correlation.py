"""Records of the verdict topic in, records of the alert topic out: the correlator without its stream library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from alerting.alert import ACTIVE, Alert, State, Transition
from alerting.burn_rate import BurnRate
from alerting.case_alerts import CaseFlagged
from alerting.catalogue import CATALOGUE
from alerting.closing import Closing
from alerting.correlator import Correlator
from alerting.drift import Drift
from alerting.finding import Rule
from alerting.goal_drift import GoalDriftTrend
from alerting.inconsistency import InconsistentAnswers
from alerting.lifecycle import Lifecycle
from alerting.reward_divergence import RewardDivergence
from alerting.slow_burn import SlowBurnConversation, SpreadThin
from alerting.watermark import Watermark
from detectors.codec import decode_verdict
from detectors.errors import RecordError
from services.alert_records import alert_record, judged_record, published
from services.dead_letters import DeadLetter, dead_letter
from services.logs import get_logger
from services.metrics import CorrelatorMetrics
from services.records import Outgoing, Record

PENDING_FOR: Final = dict.fromkeys(("AgentBurn", "TenantBurn", "ToolBurn"), timedelta(minutes=1))
KEPT_LONGER: Final = dict.fromkeys(("RewardDivergence", "InputDrift", "ScoreDrift"), timedelta(hours=24))
"""Their rules compare with what may lie further back than is read after a restart: what they no longer find then is no
sign that it is over.
"""
GONE_THROUGH_AGAIN: Final = timedelta(minutes=6)
"""Before what has been judged: a calm of five minutes that was under way is not published, and so is seen again."""
MARK_EVERY: Final = timedelta(seconds=5)
_LATELY_RESOLVED: Final = timedelta(minutes=10)


def default_rules(budget_share: float) -> list[Rule]:
    """Every rule there is. `budget_share`: of events that may be flagged."""
    return [
        BurnRate(budget_share=budget_share),
        SlowBurnConversation(),
        SpreadThin(),
        CaseFlagged(),
        InconsistentAnswers(),
        RewardDivergence(),
        GoalDriftTrend(),
        Drift(),
    ]


def default_correlator(budget_share: float, *, step: timedelta, horizon: timedelta) -> Correlator:
    """A correlator as it runs in production."""
    lifecycle = Lifecycle(pending_for=PENDING_FOR, kept_longer=KEPT_LONGER)
    return Correlator(default_rules(budget_share), lifecycle, step=step, horizon=horizon)


class Correlation:
    """What the process knows: the correlator, how far time has got, and what has been said.

    What it gives out is to be delivered, each list before the next is asked for.
    """

    def __init__(
        self,
        correlator: Correlator,
        *,
        alert_topic: str,
        metrics: CorrelatorMetrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.silenced: frozenset[str] = frozenset()
        self.watermark = Watermark()
        self._correlator = correlator
        self._alert_topic = alert_topic
        self._metrics = metrics
        self._clock = clock
        self._known = self._marked_at = clock()
        self._judged_until: datetime | None = None
        self._first_read: datetime | None = None
        self._next: dict[int, int] = {}
        self._resolved: dict[str, Alert] = {}
        self._evicted: Counter[str] = Counter()
        self._suppressed: Counter[str] = Counter()
        self._log = get_logger("correlator")

    def restore(self, records: Iterable[Record]) -> list[Outgoing]:
        """Takes up from the records of the alert topic. What people closed meanwhile is resolved."""
        said, now = published(records), self._clock()
        self._correlator.lifecycle.restore(said.alerts.values())
        self._judged_until = None if said.judged_until is None else min(said.judged_until, now)
        self.silenced = frozenset(key for key, alert in said.alerts.items() if alert.silenced)
        self._resolved = {
            key: alert
            for key, alert in said.alerts.items()
            if alert.state is State.RESOLVED and now - alert.changed_at < _LATELY_RESOLVED
        }
        return [record for closing in said.closings.values() for record in self.close(closing)]

    def needed_since(self) -> datetime:
        """When what must be known to go on was appended first."""
        judged = self._judged_until
        begins = self._clock() if judged is None else judged - GONE_THROUGH_AGAIN
        self._first_read = begins - self._correlator.horizon
        return self._first_read

    def catch_up(self, records: Iterable[Record]) -> Iterator[list[Outgoing]]:
        """Takes in what was appended before this process began, in the order of time.

        What had been judged before is only remembered, up to the last few minutes. The rest is judged as if it came
        now: at each step all is known that was appended before, and nothing of what was appended later. Where nothing
        is known to have been judged, everything is.
        """
        begun = self._clock()
        if self._judged_until is not None:
            self._correlator.begin(self._judged_until - GONE_THROUGH_AGAIN)
        for record in records:
            appended_at = min(record.timestamp, self._clock())
            yield from self.advance(appended_at)
            self.take(record)
            self._behind(appended_at)
        if self._judged_until is None:
            self._correlator.begin(begun)

    def committed(self, offsets: Mapping[int, int]) -> None:
        """What lies before these offsets (by partition) does not come again."""
        for partition, offset in offsets.items():
            self._next[partition] = max(offset, self._next.get(partition, 0))

    def take(self, record: Record) -> DeadLetter | None:
        """Takes in one record, once; its dead letter where it is no verdict, as often as it comes."""
        now = self._clock()
        appended_at = min(record.timestamp, now)
        self.watermark.reached(record.partition, appended_at)
        known = record.offset < self._next.get(record.partition, 0) or appended_at < (self._first_read or appended_at)
        self.committed({record.partition: record.offset + 1})
        try:
            verdict = decode_verdict(record.value or b"")
        except RecordError as error:
            self._metrics.verdicts.labels("unreadable").inc()
            return dead_letter(record, error.code, error.reason, now)
        if not known:
            self._metrics.verdicts.labels(self._correlator.take(verdict, appended_at).value).inc()
        return None

    def reached_end(self, partition: int, end: int, at: datetime) -> None:
        """The partition ended before the offset `end` at that time."""
        if self._next.get(partition, 0) >= end:
            self.watermark.reached(partition, at)

    def close(self, closing: Closing) -> list[Outgoing]:
        """People have closed an alert."""
        at = min(closing.at, self._clock())
        return self._outgoing(self._correlator.lifecycle.close(closing.model_copy(update={"at": at})))

    def due(self) -> datetime | None:
        """The time that rules should be asked up to; None where nothing is known yet."""
        time = self.watermark.time(self._clock())
        self._behind(time or self._known)
        return time

    def advance(self, to: datetime) -> Iterator[list[Outgoing]]:
        """Asks the rules up to `to`, step by step; what changed, as records to be delivered before anything is
        committed. Every few seconds, also how far all has been judged and delivered.
        """
        for at, transitions in self._correlator.steps(to, self.silenced.__contains__):
            yield self._outgoing(transitions)
            self._judged_until = max(at, self._judged_until or at)
            if self._clock() - self._marked_at >= MARK_EVERY:
                yield self.mark()

    def mark(self) -> list[Outgoing]:
        """How far everything has been judged: where the next process goes on."""
        self._marked_at = self._clock()
        return [] if self._judged_until is None else [judged_record(self._alert_topic, self._judged_until)]

    def _behind(self, time: datetime) -> None:
        self._known = time
        self._metrics.behind.set(max(0.0, (self._clock() - time).total_seconds()))

    def _outgoing(self, transitions: Iterable[Transition]) -> list[Outgoing]:
        outgoing = []
        for transition in transitions:
            alert = transition.alert
            self._metrics.transitions.labels(alert.alert, alert.state.value).inc()
            if alert.state is State.RESOLVED:
                self._resolved[alert.fingerprint] = alert
            else:
                self._resolved.pop(alert.fingerprint, None)
            if transition.notify:  # where there is no Alertmanager, the log is what people have
                self._log.info("alert", alert=alert.alert, state=alert.state.value, fingerprint=alert.fingerprint)
            outgoing.append(alert_record(self._alert_topic, alert))
        return outgoing

    def to_post(self) -> Sequence[Alert]:
        """What Alertmanager should know of now: all that is active, and what was resolved a short time ago."""
        now = self._clock()
        old = [key for key, alert in self._resolved.items() if now - alert.changed_at >= _LATELY_RESOLVED]
        for key in old:
            del self._resolved[key]
        return [*(a for a in self._correlator.lifecycle.alerts() if a.state in ACTIVE), *self._resolved.values()]

    def report(self) -> None:
        """Brings the gauges up to date."""
        counts = Counter((alert.alert, alert.state.value) for alert in self._correlator.lifecycle.alerts())
        for name, kind in CATALOGUE.items():
            if kind.source == "correlator":
                for state in (State.PENDING, State.FIRING, State.NO_DATA):
                    self._metrics.alerts.labels(name, state.value).set(counts[name, state.value])
        for what, entries in self._correlator.tracked().items():
            self._metrics.tracked.labels(what).set(entries)
        evicted = Counter(self._correlator.evicted())
        for what, more in (evicted - self._evicted).items():
            self._metrics.evicted.labels(what).inc(more)
        self._evicted = evicted
        suppressed = Counter({type(each).__name__: getattr(each, "suppressed", 0) for each in self._correlator.rules})
        for name, more in (suppressed - self._suppressed).items():
            self._metrics.suppressed.labels(name).inc(more)
        self._suppressed = suppressed
        for rule in self._correlator.rules:
            for (watched, test), value in getattr(rule, "statistics", dict)().items():
                self._metrics.drift.labels(watched, test).set(value)
