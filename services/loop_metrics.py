"""Metrics of the loop back into the detectors: retraining runs, gates, bundles that come and go, rollouts.

The rules of `services.metrics` hold here, too.
"""

from __future__ import annotations

from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

RUN_STAGES: Final = ("assembling", "training", "gating", "publishing")
RUN_OUTCOMES: Final = ("published", "refused", "nothing_new", "failed", "superseded")
TRIGGERS: Final = ("labels", "drift", "false_positives", "schedule", "manual")
ROLLOUT_STAGES: Final = ("steady", "shadow", "canary")
ROLLOUT_STEPS: Final = ("started", "advanced", "promoted", "rolled_back", "paused", "resumed")
LABEL_STATES: Final = ("standing", "withdrawn", "erased")
_MINUTES: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 14400)


class RetrainerMetrics:
    """What the retrainer reports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Labels from the queue, by what became of them: taken, known, withdrawn, erased.
        self.labels = Counter("plumbline_queued_labels", "Records of the queue", ["outcome"], registry=registry)
        # Labels that no run has counted yet, by disposition.
        self.new_labels = Gauge("plumbline_new_labels", "Labels for the next run", ["disposition"], registry=registry)
        # Examples of the latest dataset version by part (train, calibration, held_out), and what was held back, by why.
        self.examples = Gauge("plumbline_dataset_examples", "Examples in the dataset", ["part"], registry=registry)
        self.held_back = Gauge("plumbline_dataset_held_back", "Labels held back", ["reason"], registry=registry)
        # 1 for the stage that a run is in, 0 for the others; and how far it is, 0 to 1.
        self.stage = Gauge("plumbline_retraining_stage", "Stage of the run", ["stage"], registry=registry)
        self.progress = Gauge("plumbline_retraining_progress", "Progress of the stage", registry=registry)
        # Runs by trigger and outcome.
        self.runs = Counter("plumbline_retraining_runs", "Runs that ended", ["trigger", "outcome"], registry=registry)
        for trigger, outcome in product(TRIGGERS, RUN_OUTCOMES):
            self.runs.labels(trigger, outcome)
        # Seconds that a stage took, failed attempts included.
        self.stage_seconds = Histogram(
            "plumbline_retraining_stage_seconds", "Seconds of a stage", ["stage"], buckets=_MINUTES, registry=registry
        )
        # Slices of the latest gate by outcome: passed, failed, too_small.
        self.slices = Gauge("plumbline_gate_slices", "Slices of the latest gate", ["outcome"], registry=registry)
        for stage in RUN_STAGES:
            self.stage.labels(stage).set(0)


class BundleMetrics:
    """What a scorer reports of the bundles that it holds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Bundles that were loaded and taken into service, by arm; and those that could not be, by why
        # (bundle, provider, registry, signature, other). The one before goes on serving.
        self.swaps = Counter("plumbline_bundle_swaps", "Bundles taken into service", ["arm"], registry=registry)
        self.failures = Counter("plumbline_bundle_load_failures", "Failed loads", ["reason"], registry=registry)
        for reason in ("bundle", "provider", "registry", "signature", "other"):
            self.failures.labels(reason)
        # 1 while what the rollout asks for is not what is served, and while the registry does not say what that is.
        self.behind = Gauge("plumbline_bundle_behind", "Whether another bundle is asked for", registry=registry)
        # Seconds from reading of a new rollout to serving it: loading and warming, while the old one serves.
        self.swap_seconds = Histogram("plumbline_bundle_swap_seconds", "Seconds to swap", registry=registry)
        # The revision of the rollout that is served.
        self.revision = Gauge("plumbline_rollout_served_revision", "Revision that is served", registry=registry)


class RolloutMetrics:
    """What whoever decides about rollouts reports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # 1 for the stage of the rollout, 0 for the others; versions as labels of a constant 1.
        self.stage = Gauge("plumbline_rollout_stage", "Stage of the rollout", ["stage"], registry=registry)
        self.version = Gauge(
            "plumbline_rollout_version", "Versions of the rollout", ["role", "version"], registry=registry
        )
        # Steps that were taken, by step and who took it (plumbline, person).
        self.steps = Counter("plumbline_rollout_steps", "Steps of rollouts", ["step", "by"], registry=registry)
        for step, by in product(ROLLOUT_STEPS, ("plumbline", "person")):
            self.steps.labels(step, by)
        self.revision = Gauge("plumbline_rollout_revision", "Revision of the rollout", registry=registry)
        # Of the arms since the stage began: events, and the shares that are compared
        # (flagged, incomplete, agreed, confirmed, seconds).
        self.events = Gauge("plumbline_rollout_events", "Events of an arm", ["arm"], registry=registry)
        self.compared = Gauge("plumbline_rollout_compared", "What is compared", ["arm", "what"], registry=registry)
        # The sequential tests: evidence that the candidate is worse, as p-values that hold at any time.
        self.p_value = Gauge("plumbline_rollout_p_value", "Any-time p-value of harm", ["what"], registry=registry)
        for stage in ROLLOUT_STAGES:
            self.stage.labels(stage).set(0)
