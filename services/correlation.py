"""Records of the verdict topic in, records of the alert topic out: the correlator without its stream library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ValidationError

from alerting.alert import ACTIVE, Alert, State
from alerting.burn_rate import BurnRate
from alerting.case_alerts import CaseFlagged
from alerting.catalogue import CATALOGUE
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
from services.dead_letters import DeadLetter, dead_letter
from services.metrics import CorrelatorMetrics
from services.records import Outgoing, Record

PENDING_FOR: Final = dict.fromkeys(("AgentBurn", "TenantBurn", "ToolBurn"), timedelta(minutes=1))
GONE_THROUGH_AGAIN: Final = timedelta(minutes=2)
"""Before what was committed: conditions that held then may not have been looked at before the process died."""
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
    return Correlator(default_rules(budget_share), Lifecycle(pending_for=PENDING_FOR), step=step, horizon=horizon)


class Correlation:
    """What the process knows: the correlator, how far time has got, and what has been said."""

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
        self._resolved: dict[str, Alert] = {}
        self._evicted: Counter[str] = Counter()

    def restore(self, records: Iterable[Record]) -> None:
        """Takes up alerts from the records of the alert topic, the latest of each counting."""
        latest: dict[str, Alert] = {}
        for record in records:
            alert = alert_of(record)
            if alert is not None:
                latest[alert.fingerprint] = alert
        self._correlator.lifecycle.restore(latest.values())
        now = self._clock()
        self._resolved = {
            alert.fingerprint: alert
            for alert in latest.values()
            if alert.state is State.RESOLVED and now - alert.changed_at < _LATELY_RESOLVED
        }

    def rebuild(self, records: Iterable[Record], until: datetime) -> list[Outgoing]:
        """Takes in again what was committed before a restart, and what only now turns out to be an alert.

        `until`: append time of the last of them, roughly. Only the last minutes are judged, the rest is remembered.
        """
        judged_from = until - GONE_THROUGH_AGAIN
        self._correlator.begin(judged_from)
        judged = []  # partitions do not come in the order of time: the few that are judged are put in order
        for record in records:
            if record.timestamp <= judged_from:
                self.take(record)
            else:
                judged.append(record)
        outgoing: list[Outgoing] = []
        for record in sorted(judged, key=lambda each: each.timestamp):
            outgoing += self.advance(record.timestamp)
            self.take(record)
        return outgoing

    def take(self, record: Record) -> DeadLetter | None:
        """Takes in one record; its dead letter where it is no verdict."""
        try:
            verdict = decode_verdict(record.value or b"")
        except RecordError as error:
            self._metrics.verdicts.labels("unreadable").inc()
            return dead_letter(record, error.code, error.reason, self._clock())
        self._metrics.verdicts.labels(self._correlator.take(verdict, record.timestamp).value).inc()
        return None

    def due(self) -> datetime | None:
        """The time that rules should be asked up to; None where nothing is known yet."""
        now = self._clock()
        time = self.watermark.time(now)
        if time is not None:
            self._metrics.behind.set(max(0.0, (now - time).total_seconds()))
        return time

    def advance(self, to: datetime) -> list[Outgoing]:
        """Asks the rules up to `to`; what changed, as records to be delivered before anything is committed."""
        outgoing = []
        for transition in self._correlator.advance(to, self.silenced.__contains__):
            alert = transition.alert
            self._metrics.transitions.labels(alert.alert, alert.state.value).inc()
            if alert.state is State.RESOLVED:
                self._resolved[alert.fingerprint] = alert
            else:
                self._resolved.pop(alert.fingerprint, None)
            outgoing.append(Outgoing(self._alert_topic, alert.fingerprint.encode(), alert.model_dump_json().encode()))
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
        for rule in self._correlator.rules:
            for (watched, test), value in getattr(rule, "statistics", dict)().items():
                self._metrics.drift.labels(watched, test).set(value)


def alert_of(record: Record) -> Alert | None:
    """The alert in a record of the alert topic; None for one that cannot be read."""
    try:
        return Alert.model_validate_json(record.value or b"")
    except ValidationError:
        return None
