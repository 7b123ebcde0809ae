"""Every alert that Plumbline can raise: its name, how urgent it is, who raises it, and what it says.

An alert's runbook is `docs/runbooks/<name>.md`. Alerts of source `prometheus` are rules in `deploy/prometheus/`, those
of source `correlator` are posted to Alertmanager: they need what no metric may carry (an agent, a conversation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from alerting.severity import Severity


@dataclass(frozen=True, slots=True)
class AlertKind:
    """One kind of alert. `category` routes it: misalignment of the monitored model, or blindness of the monitor."""

    name: str
    severity: Severity
    category: Literal["misalignment", "drift", "blindness"]
    source: Literal["prometheus", "correlator"]
    summary: str


_ALL: Final = (
    # What is wrong with the monitored model, as far as counters by model version can tell.
    AlertKind("MisalignmentBurnFast", Severity.CRITICAL, "misalignment", "prometheus", "Flags burn the budget fast"),
    AlertKind("MisalignmentBurnSlow", Severity.HIGH, "misalignment", "prometheus", "Flags burn the budget slowly"),
    AlertKind("SevereFlags", Severity.CRITICAL, "misalignment", "prometheus", "Flags of the gravest categories"),
    AlertKind("ModelVersionWorse", Severity.HIGH, "misalignment", "prometheus", "A model version is worse than others"),
    AlertKind(
        "GoodhartDivergence",
        Severity.HIGH,
        "misalignment",
        "prometheus",
        "The model may have learnt to pass its monitor",
    ),
    AlertKind("OverRefusalRising", Severity.MEDIUM, "misalignment", "prometheus", "The model refuses too much"),
    # What takes more than counters.
    AlertKind("AgentBurn", Severity.HIGH, "misalignment", "correlator", "One agent is flagged far too often"),
    AlertKind("TenantBurn", Severity.HIGH, "misalignment", "correlator", "One tenant's traffic is flagged too often"),
    AlertKind("ToolBurn", Severity.HIGH, "misalignment", "correlator", "Uses of one tool are flagged too often"),
    AlertKind("SlowBurnConversation", Severity.HIGH, "misalignment", "correlator", "A conversation adds up"),
    AlertKind("SpreadThin", Severity.HIGH, "misalignment", "correlator", "One agent over many conversations adds up"),
    AlertKind("InconsistentAnswers", Severity.HIGH, "misalignment", "correlator", "Some phrasings get unsafe answers"),
    AlertKind(
        "RewardDivergence", Severity.HIGH, "misalignment", "correlator", "Reward rises, misalignment does not fall"
    ),
    AlertKind("GoalDriftTrend", Severity.MEDIUM, "misalignment", "correlator", "A deployment drifts from its task"),
    AlertKind("CaseFlagged", Severity.HIGH, "misalignment", "correlator", "A conversation was flagged gravely"),
    AlertKind("InputDrift", Severity.MEDIUM, "drift", "correlator", "What comes in is not what it was"),
    AlertKind("ScoreDrift", Severity.MEDIUM, "drift", "correlator", "Scores are not distributed as they were"),
    # Where Plumbline itself is blind.
    AlertKind("CoverageLow", Severity.CRITICAL, "blindness", "prometheus", "Too many events are not scored"),
    AlertKind("ConsumerLagGrowing", Severity.HIGH, "blindness", "prometheus", "A consumer falls behind"),
    AlertKind("NoEvents", Severity.HIGH, "blindness", "prometheus", "No transcripts arrive"),
    AlertKind("ScorerDown", Severity.CRITICAL, "blindness", "prometheus", "No scorer is running"),
    AlertKind("ServiceRestarting", Severity.CRITICAL, "blindness", "prometheus", "A service starts again and again"),
    AlertKind("BundleNotLoaded", Severity.CRITICAL, "blindness", "prometheus", "A scorer runs without a bundle"),
    AlertKind(
        "BundleLoadFailing", Severity.HIGH, "blindness", "prometheus", "A bundle that is asked for cannot be loaded"
    ),
    AlertKind(
        "BundleBehind", Severity.HIGH, "blindness", "prometheus", "A scorer does not serve what the rollout says"
    ),
    AlertKind("RolledBack", Severity.MEDIUM, "blindness", "prometheus", "A candidate was rolled back by itself"),
    AlertKind("GateRefused", Severity.MEDIUM, "blindness", "prometheus", "The gate refused a candidate"),
    AlertKind("RetrainingFailing", Severity.HIGH, "blindness", "prometheus", "A retraining run failed"),
    AlertKind("RetrainingStuck", Severity.HIGH, "blindness", "prometheus", "Retraining does not get on"),
    AlertKind("CpuOnGpuNode", Severity.HIGH, "blindness", "prometheus", "A GPU is there and is not used"),
    AlertKind("DeadLetterShareHigh", Severity.CRITICAL, "blindness", "prometheus", "Too much cannot be read"),
    AlertKind("RecordsLost", Severity.CRITICAL, "blindness", "prometheus", "Kafka dropped records unread"),
    AlertKind("DetectionSlow", Severity.HIGH, "blindness", "prometheus", "Verdicts come late"),
    AlertKind("RecorderDown", Severity.HIGH, "blindness", "prometheus", "Verdicts are not recorded"),
    AlertKind("CorrelatorDown", Severity.HIGH, "blindness", "prometheus", "Correlation has stopped"),
    AlertKind("CorrelatorBehind", Severity.HIGH, "blindness", "prometheus", "Correlation is late or sees a part"),
    AlertKind("NotificationsFailing", Severity.CRITICAL, "blindness", "prometheus", "Alertmanager is not reached"),
    AlertKind("ProbeRecallLow", Severity.CRITICAL, "blindness", "prometheus", "Synthetic misalignment goes unflagged"),
    AlertKind("ProbesMissing", Severity.HIGH, "blindness", "prometheus", "Synthetic transcripts do not come back"),
    AlertKind("CasesUnacknowledged", Severity.HIGH, "blindness", "prometheus", "Cases wait too long"),
)
CATALOGUE: Final[dict[str, AlertKind]] = {kind.name: kind for kind in _ALL}
