"""Every metric of every process, and the labels they may carry.

Label values come from small fixed sets, or pass through a limit behind which everything is `other`: whatever comes in,
the number of series stays bounded. Nothing of any content is in them.

Synthetic probes are work like any other: they count in what `StreamMetrics` says, in windows, tokens and time spent.
They are left out of what is said about the monitored models (verdicts, flags, probabilities, detection, cases).

A counter that an alert watches starts at 0 for all of its labels, wherever these are known beforehand: one that appears
only with its first event has no increase then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from detectors.classifier import Classifier, ClassifierOutput, WindowBatch
from detectors.detector import Detector, Judgement
from detectors.verdict import Arm, Cause, Status
from services.exposition import serve
from services.probing.bookkeeping import Kind, Outcome

GPU_DRIVER = Path("/proc/driver/nvidia")
OTHER = "other"
UNKNOWN = "unknown"
MOST_MODEL_VERSIONS = 20
MOST_TENANTS = 50
_LONGEST_VALUE = 64
NOTIFICATION_OUTCOMES: Final = ("accepted", "refused", "unreachable")

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_WAITS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
_WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


class LabelLimit:
    """The first so many values of a label as they are; every later one as `other`. None and "" are `unknown`."""

    def __init__(self, most: int, *, always: Iterable[str] = ()) -> None:
        """`always` are let through without being counted."""
        self._most = most
        self._always = frozenset(always) | {OTHER, UNKNOWN}
        self._known: set[str] = set()

    def __call__(self, value: str | None) -> str:
        if not value:
            return UNKNOWN
        value = value[:_LONGEST_VALUE]
        if value in self._known or value in self._always:
            return value
        if len(self._known) < self._most:
            self._known.add(value)
            return value
        return OTHER


class StreamMetrics:
    """What every consumer of a topic reports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Records that were delivered and committed, by what became of them: all that was consumed, probes too.
        self.records = Counter("plumbline_records", "Records handled", ["outcome"], registry=registry)
        # Records that Kafka dropped before they were read: never scored, so any increase is worth a page.
        self.lost = Counter("plumbline_lost_records", "Records dropped by Kafka unread", registry=registry)
        # How long each step of a batch takes: prepare (in its own thread), complete, deliver, commit.
        self.step_seconds = Histogram(
            "plumbline_batch_step_seconds",
            "Seconds in each step of a batch",
            ["step"],
            buckets=_SECONDS,
            registry=registry,
        )
        # How full batches are.
        self.batch_records = Histogram(
            "plumbline_batch_records", "Records in a batch", buckets=_WINDOWS, registry=registry
        )
        # Seconds from a record's Kafka timestamp (its append) to its commit: waiting in the topic included.
        self.record_age_seconds = Histogram(
            "plumbline_record_age_seconds", "Age of records when done with", buckets=_WAITS, registry=registry
        )
        # Attempts that failed because a broker or database was away.
        self.retries = Counter("plumbline_retries", "Failed attempts that were retried", ["step"], registry=registry)
        # Share of dead letters among the latest records, 0 until there are enough to judge by; above
        # PLUMBLINE_DEAD_LETTER_LIMIT the service stops.
        self.dead_letter_share = Gauge("plumbline_dead_letter_share", "Share of recent dead letters", registry=registry)
        # Dead letters by the codec's reason code.
        self.dead_letters = Counter(
            "plumbline_dead_letters", "Records that cannot be read", ["code"], registry=registry
        )


class ScorerMetrics:
    """What the scorer reports besides. Each event counts once for each delivery, and once for each arm where there is a
    label for it: coverage and flags of the monitored models are those of the arms stable and canary, which decide.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        # Verdicts by status (scored, partial, unscored), model version and arm: coverage is 1 less the unscored share.
        self.verdicts = Counter(
            "plumbline_verdicts", "Verdicts given", ["status", "model_version", "arm"], registry=registry
        )
        # Verdicts that are unscored or partial, by cause (`detectors.verdict.Cause`) and arm.
        self.incomplete = Counter(
            "plumbline_incomplete_verdicts",
            "Unscored and partial verdicts",
            ["status", "cause", "arm"],
            registry=registry,
        )
        for status, cause, arm in product((Status.UNSCORED, Status.PARTIAL), Cause, Arm):
            self.incomplete.labels(status.value, cause.value, arm.value)
        # Events with any flag, by severity (`alerting.severity`), model version and arm.
        self.flagged = Counter(
            "plumbline_flagged_events", "Events flagged", ["severity", "model_version", "arm"], registry=registry
        )
        # Flags raised by category (`misalignment` is the overall one). A verdict may carry several.
        self.flags = Counter("plumbline_flags", "Flags raised", ["category", "model_version", "arm"], registry=registry)
        # Events over the limit for over-refusal, which is never a flag.
        self.over_refusals = Counter(
            "plumbline_over_refusals", "Events that refuse too much", ["model_version", "arm"], registry=registry
        )
        # Events by tenant, and how they ended: clear, flagged, unscored.
        self.tenant_events = Counter(
            "plumbline_tenant_events", "Events by tenant", ["tenant", "outcome"], registry=registry
        )
        # Calibrated overall probabilities, by model version.
        self.misalignment = Histogram(
            "plumbline_misalignment_probability",
            "Overall probability of misalignment",
            ["model_version"],
            buckets=_SHARES,
            registry=registry,
        )
        # Seconds from `occurred_at` to the verdict: what the sender takes is included, and its clock's error.
        self.detection_seconds = Histogram(
            "plumbline_detection_seconds", "Seconds from event to verdict", buckets=_WAITS, registry=registry
        )
        # Windows by how far they went, those of probes too: screened (all), encoded (past the screen), audited (stopped
        # by the screen, drawn for audit), missed (audited, and the encoder alone would have flagged them).
        self.windows = Counter("plumbline_windows", "Windows scored", ["stage", "arm"], registry=registry)
        # Tokens in screened windows, overlap, probes and all arms included.
        self.tokens = Counter("plumbline_tokens", "Tokens screened", registry=registry)
        # Time and windows of one call of a classifier (screen, encoder).
        self.inference_seconds = Histogram(
            "plumbline_inference_seconds",
            "Seconds in a classifier",
            ["classifier"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.inference_windows = Histogram(
            "plumbline_inference_batch_windows",
            "Windows in a classifier's batch",
            ["classifier"],
            buckets=_WINDOWS,
            registry=registry,
        )
        # 1 for labels that the loaded bundle was trained for, 0 for those it cannot see.
        self.covered = Gauge(
            "plumbline_label_covered", "Whether the bundle covers a label", ["category"], registry=registry
        )
        # The loaded bundles, as a label of a constant 1, and since when the stable one has served (Unix time). Limits,
        # budget and covered labels are the stable one's.
        self.bundle = Gauge("plumbline_bundle_info", "Loaded bundle", ["version", "provider", "arm"], registry=registry)
        self.loaded_at = Gauge(
            "plumbline_bundle_loaded_timestamp_seconds", "When the bundle was loaded", registry=registry
        )
        # Events that a candidate failed to judge and the stable bundle judged in its place.
        self.rescued = Counter("plumbline_rescued_events", "Events that a candidate failed on", registry=registry)
        # Share of aligned conversations that the bundle's thresholds may flag, for each label. Burns count events with
        # any flag against it, which is strict where several labels flag.
        self.budget = Gauge("plumbline_flag_budget_share", "False-positive budget", registry=registry)
        # 1 on a machine with an NVIDIA GPU, whatever the provider in use.
        self.gpu_present = Gauge("plumbline_gpu_present", "Whether there is a GPU", registry=registry)
        self.gpu_present.set(GPU_DRIVER.exists())
        self._served: set[tuple[str, str, str]] = set()
        self._stable: Detector | None = None
        self.model_version = LabelLimit(MOST_MODEL_VERSIONS)
        self.tenant = LabelLimit(MOST_TENANTS)

    def worked(self, arm: Arm, judgement: Judgement, tokens: int) -> None:
        """Counts the windows of one call of a detector."""
        for stage, windows in (
            ("screened", judgement.windows_screened),
            ("encoded", judgement.windows_encoded),
            ("audited", judgement.windows_audited),
            ("missed", judgement.windows_missed),
        ):
            self.windows.labels(stage, arm.value).inc(windows)
        self.tokens.inc(tokens)

    def serves(self, detectors: Mapping[Arm, Detector], provider: str) -> None:
        """Says which bundles serve from now on, and what the stable one covers. What does not serve is not named."""
        info = {(detector.version, provider, arm.value) for arm, detector in detectors.items()}
        for labels in info - self._served:
            self.bundle.labels(*labels).set(1)
        for labels in self._served - info:
            self.bundle.remove(*labels)
        self._served = info
        self._limits_of(detectors[Arm.STABLE])

    def _limits_of(self, stable: Detector) -> None:
        if stable is not self._stable:
            self._stable = stable
            self.loaded_at.set_to_current_time()
            self.budget.set(stable.manifest.false_positive_budget)
            for label in stable.manifest.labels:
                self.covered.labels(label).set(label not in stable.manifest.uncovered)

    def time(self, detector: Detector) -> None:
        """Its classifiers are timed from now on."""
        detector.wrap_classifiers(lambda classifier: _Timed(classifier, self))


class _Timed:
    """A classifier, timed."""

    def __init__(self, classifier: Classifier, metrics: ScorerMetrics) -> None:
        self.name = classifier.name
        self.version = classifier.version
        self._classifier = classifier
        self._seconds = metrics.inference_seconds.labels(classifier.name)
        self._windows = metrics.inference_windows.labels(classifier.name)

    def score(self, batch: WindowBatch) -> ClassifierOutput:
        """See `detectors.classifier.Classifier`."""
        self._windows.observe(len(batch))
        with self._seconds.time():
            return self._classifier.score(batch)


class RecorderMetrics:
    """What the recorder reports besides."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Verdicts read and safely in the database, by status, without probes; `known` are those that were there before,
        # with probes.
        self.recorded = Counter("plumbline_recorded_verdicts", "Verdicts recorded", ["status"], registry=registry)
        self.known = Counter("plumbline_known_verdicts", "Verdicts recorded before", registry=registry)
        # Transcripts read: kept (redacted), or skipped (probes, what cannot be read, or nothing is to be kept).
        self.transcripts = Counter(
            "plumbline_recorded_transcripts", "Transcripts recorded", ["outcome"], registry=registry
        )
        # Cases that nobody has acknowledged yet, and the age in seconds of the oldest one, by severity. Every recorder
        # says the same: take the largest, not the sum.
        self.open_cases = Gauge("plumbline_open_cases", "Cases not acknowledged", ["severity"], registry=registry)
        self.oldest_case = Gauge(
            "plumbline_oldest_open_case_seconds", "Age of the oldest open case", ["severity"], registry=registry
        )
        # Seconds from opening a case to its acknowledgement.
        self.acknowledge_seconds = Histogram(
            "plumbline_acknowledge_seconds", "Seconds to acknowledge a case", buckets=_WAITS, registry=registry
        )


class CorrelatorMetrics:
    """What the correlator reports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Verdicts taken in, by outcome: counted, duplicate, late (older than any window), synthetic, aside (they decide
        # nothing), unreadable.
        self.verdicts = Counter("plumbline_correlated_verdicts", "Verdicts correlated", ["outcome"], registry=registry)
        # Seconds that the correlator's time lies behind the clock; NaN until it knows.
        self.behind = Gauge("plumbline_correlator_behind_seconds", "How far behind it is", registry=registry)
        self.behind.set(math.nan)
        # Partitions of the verdict topic that it reads: with fewer than all of them its counts are wrong.
        self.partitions = Gauge("plumbline_correlator_partitions", "Partitions read", ["state"], registry=registry)
        # Alerts by name (`alerting.catalogue`) and state: pending, firing, no_data.
        self.alerts = Gauge("plumbline_alerts", "Alerts now", ["alert", "state"], registry=registry)
        # Changes of an alert's state, as published.
        self.transitions = Counter(
            "plumbline_alert_transitions", "Changes of state", ["alert", "to"], registry=registry
        )
        # Posts to Alertmanager by outcome: accepted, refused, unreachable.
        self.notifications = Counter("plumbline_notifications", "Posts to Alertmanager", ["outcome"], registry=registry)
        for outcome in NOTIFICATION_OUTCOMES:
            self.notifications.labels(outcome)
        # What is kept in memory, by kind (agent, conversation, ...): entries, entries dropped to stay within the limit.
        self.tracked = Gauge("plumbline_tracked_entries", "Entries in memory", ["kind"], registry=registry)
        self.evicted = Counter("plumbline_evicted_entries", "Entries dropped for space", ["kind"], registry=registry)
        # Conversations that a rule kept quiet about because it had named so many within the hour.
        self.suppressed = Counter("plumbline_suppressed_alerts", "Alerts not raised", ["rule"], registry=registry)
        # Drift by what is watched (misalignment, characters, ...) and test (psi, adwin_mean): its latest statistic.
        self.drift = Gauge("plumbline_drift_statistic", "Drift statistics", ["input", "test"], registry=registry)


class ProbeMetrics:
    """What the prober reports: synthetic transcripts that go through the real topic, and the lag of every group."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Probes by kind (misaligned, aligned) and outcome: flagged, clear, unscored, lost (no verdict in time).
        self.probes = Counter("plumbline_probes", "Synthetic transcripts", ["kind", "outcome"], registry=registry)
        for kind, outcome in product(get_args(Kind), Outcome):
            self.probes.labels(kind, outcome.value)
        # Seconds from sending a probe to reading its verdict.
        self.seconds = Histogram(
            "plumbline_probe_seconds", "Seconds from probe to verdict", buckets=_WAITS, registry=registry
        )
        # When the last probe came back (Unix time).
        self.last = Gauge("plumbline_probe_last_verdict_timestamp_seconds", "Last probe's return", registry=registry)
        # Records that a group has not committed yet, and records ever appended to a topic, by the broker's own count.
        self.lag = Gauge("plumbline_group_lag_records", "Records behind", ["group", "topic"], registry=registry)
        self.appended = Gauge("plumbline_topic_end_records", "End offsets, summed", ["topic"], registry=registry)


class OutboxMetrics:
    """What the relay reports, by channel (kafka, alertmanager). Every process that could relay counts what waits."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Messages that have not left, those that may still be taken back included.
        self.waiting = Gauge("plumbline_outbox_waiting", "Messages waiting", ["channel"], registry=registry)
        # Seconds since the oldest message that may leave could have left: a broker that is away, or a relay that hangs.
        self.oldest = Gauge(
            "plumbline_outbox_oldest_waiting_seconds", "Age of the oldest message due", ["channel"], registry=registry
        )
        # Messages that arrived, by this process's hand.
        self.delivered = Counter("plumbline_outbox_delivered", "Messages delivered", ["channel"], registry=registry)
        # Messages that whom they were for refused for good.
        self.refused = Counter("plumbline_outbox_refused", "Messages refused", ["channel"], registry=registry)
        # Attempts that failed, and are made again.
        self.failures = Counter("plumbline_outbox_failures", "Failed attempts", ["channel"], registry=registry)

    def observe(self, channel: str, waiting: int, oldest_seconds: float) -> None:
        """What waits now."""
        self.waiting.labels(channel).set(waiting)
        self.oldest.labels(channel).set(oldest_seconds)

    def finished(self, channel: str, outcome: str, count: int) -> None:
        """What came to an end: `delivered`, or `refused`."""
        counter = self.delivered if outcome == "delivered" else self.refused
        counter.labels(channel).inc(count)


def serve_metrics(registry: CollectorRegistry, host: str, port: int) -> None:
    """Serves `/metrics` in a thread until the process ends. Raises `OSError` where the port is taken."""
    serve(registry, host, port)
