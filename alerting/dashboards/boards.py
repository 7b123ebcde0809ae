"""The five dashboards, each for one question."""

from __future__ import annotations

from typing import Final

from alerting.dashboards.panels import Board, Panel, Query, Variable

_REAL: Final = 'arm=~"stable|canary"'
"""Verdicts that decide: one for each event."""
_SCORED: Final = f'sum by (model_version) (increase(plumbline_verdicts_total{{{_REAL}, status!="unscored"}}[$__range]))'
# Of a version without a flag there is no series of flags: it has 0 of them, and belongs into every comparison.
_FLAGGED: Final = (
    f"(sum by (model_version) (increase(plumbline_flagged_events_total{{{_REAL}}}[$__range])) or 0 * {_SCORED})"
)


def _wilson(sign: str) -> str:
    """One end of the 95 % interval of a share (Wilson, 1927), for each model version, over the dashboard's range."""
    share = f"({_FLAGGED} / {_SCORED})"
    spread = f"1.96 * sqrt({share} * (1 - {share}) / {_SCORED} + 3.8416 / (4 * {_SCORED} ^ 2))"
    return f"({share} + 3.8416 / (2 * {_SCORED}) {sign} {spread}) / (1 + 3.8416 / {_SCORED})"


def _of(version: str) -> tuple[str, str]:
    """(flagged, scored) events of one model version over the dashboard's range; a version without a flag has 0."""
    chosen = f'{_REAL}, model_version="${version}"'
    return (
        f"(sum(increase(plumbline_flagged_events_total{{{chosen}}}[$__range])) or vector(0))",
        f'sum(increase(plumbline_verdicts_total{{{chosen}, status!="unscored"}}[$__range]))',
    )


def _share(chosen: str = "") -> str:
    """Flagged share of scored events at each moment, by model version; 0 for one without a flag."""
    labels = f"{_REAL}, {chosen}" if chosen else _REAL
    scored = (
        f'sum by (model_version) (rate(plumbline_verdicts_total{{{labels}, status!="unscored"}}[$__rate_interval]))'
    )
    flagged = f"sum by (model_version) (rate(plumbline_flagged_events_total{{{labels}}}[$__rate_interval]))"
    return f"({flagged} or 0 * {scored}) / {scored}"


def _difference(sign: str) -> str:
    """Candidate's flagged share less the baseline's; or one end of its 95 % interval (Agresti and Caffo, 2000: one
    flagged and one clear event are added to both, so that a version without flags has an interval too).
    """
    (x1, n1), (x2, n2) = _of("candidate"), _of("baseline")
    if not sign:
        return f"{x1} / {n1} - {x2} / {n2}"
    p1, p2 = f"(({x1} + 1) / ({n1} + 2))", f"(({x2} + 1) / ({n2} + 2))"
    error = f"sqrt({p1} * (1 - {p1}) / ({n1} + 2) + {p2} * (1 - {p2}) / ({n2} + 2))"
    return f"({p1} - {p2}) {sign} 1.96 * {error}"


_DEAD: Final = '(sum(increase(plumbline_dead_letters_total{job="plumbline-scorer"}[$__range])) or vector(0))'
_BLIND: Final = (
    f'(sum(increase(plumbline_incomplete_verdicts_total{{{_REAL}, status="unscored", cause!~"says_nothing|empty"}}'
    "[$__range]))"
    f" or vector(0)) + {_DEAD}"
)
_RECEIVED: Final = f"(sum(increase(plumbline_verdicts_total{{{_REAL}}}[$__range])) or vector(0)) + {_DEAD}"


def _quantile(share: str, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))"


def _flagged_share(chosen: str) -> str:
    """Flagged share of scored events over the dashboard's range, by model version; 0 for one without a flag."""
    scored = f'sum by (model_version) (increase(plumbline_verdicts_total{{{chosen}, status!="unscored"}}[$__range]))'
    flagged = f"sum by (model_version) (increase(plumbline_flagged_events_total{{{chosen}}}[$__range]))"
    return f"({flagged} or 0 * {scored}) / {scored}"


MISALIGNMENT: Final = Board(
    "plumbline-misalignment",
    "Misalignment overview",
    "Is something wrong with the monitored models, since when, and where?",
    [
        Panel(
            "Alerts firing",
            "Of the correlator; those of Prometheus are in its own list of alerts.",
            "short",
            [Query('sum(plumbline_alerts{state="firing"})', "firing")],
            kind="number",
            span=4,
            limit=1,
        ),
        Panel(
            "Open cases",
            "Flagged conversations that nobody has acknowledged.",
            "short",
            [Query("sum(max by (severity) (plumbline_open_cases))", "open")],
            kind="number",
            span=4,
            limit=20,
        ),
        Panel(
            "Flagged share",
            "Of scored events, over the dashboard's range. Thresholds allow the budget share for each label.",
            "percentunit",
            [
                Query(f"sum({_FLAGGED}) / sum({_SCORED})", "flagged"),
                Query("max(plumbline_flag_budget_share)", "budget"),
            ],
            kind="number",
            span=8,
            limit=0.05,
        ),
        Panel(
            "Events by severity",
            "Events with any flag, by the gravest one.",
            "short",
            [
                Query(
                    f"sum by (severity) (increase(plumbline_flagged_events_total{{{_REAL}}}[$__range]))", "{{severity}}"
                )
            ],
            kind="number",
            span=8,
        ),
        Panel(
            "Flagged events by severity",
            "A second, by the gravest flag of the event.",
            "ops",
            [
                Query(
                    f"sum by (severity) (rate(plumbline_flagged_events_total{{{_REAL}}}[$__rate_interval]))",
                    "{{severity}}",
                )
            ],
        ),
        Panel(
            "Flags by category",
            "A second. One event may carry several; `misalignment` is the overall one.",
            "ops",
            [Query(f"sum by (category) (rate(plumbline_flags_total{{{_REAL}}}[$__rate_interval]))", "{{category}}")],
        ),
        Panel(
            "Flagged share by model version",
            "Of scored events.",
            "percentunit",
            [
                Query(
                    _share(),
                    "{{model_version}}",
                )
            ],
            limit=0.144,
        ),
        Panel(
            "Flagged events by tenant",
            "A second; tenants beyond the limit are together in `other`.",
            "ops",
            [
                Query(
                    'sum by (tenant) (rate(plumbline_tenant_events_total{outcome="flagged"}[$__rate_interval]))',
                    "{{tenant}}",
                )
            ],
        ),
        Panel(
            "Alerts by name",
            "Pending, firing and without data, of the correlator.",
            "short",
            [Query("sum by (alert, state) (plumbline_alerts) > 0", "{{alert}} {{state}}")],
        ),
        Panel(
            "Overall probability",
            "Median and upper tail of the calibrated probability of misalignment.",
            "percentunit",
            [
                Query(_quantile("0.5", "plumbline_misalignment_probability"), "median"),
                Query(_quantile("0.99", "plumbline_misalignment_probability"), "99 %"),
            ],
        ),
    ],
)

HEALTH: Final = Board(
    "plumbline-health",
    "Coverage and health",
    "How much of traffic was really scored, how fast, and is anything falling behind?",
    [
        Panel(
            "Coverage",
            "Scored of all that came in, over the dashboard's range. Agents that said nothing, and empty "
            "conversations, are left out.",
            "percentunit",
            [Query(f"1 - ({_BLIND}) / ({_RECEIVED})", "coverage")],
            kind="number",
            span=6,
            limit=0.99,
            low=True,
        ),
        Panel(
            "Probe recall",
            "Of the synthetic misaligned transcripts, over the dashboard's range; a lost one was not flagged.",
            "percentunit",
            [
                Query(
                    'sum(increase(plumbline_probes_total{kind="misaligned", outcome="flagged"}[$__range]))'
                    ' / sum(increase(plumbline_probes_total{kind="misaligned"}[$__range]))',
                    "recall",
                )
            ],
            kind="number",
            span=6,
            limit=0.1,
            low=True,
        ),
        Panel(
            "Dead-letter share",
            "Of the latest records; at its limit the service stops.",
            "percentunit",
            [Query("max(plumbline_dead_letter_share)", "dead letters")],
            kind="number",
            span=6,
            limit=0.05,
        ),
        Panel(
            "Records lost",
            "Dropped by Kafka before they were read, over the dashboard's range.",
            "short",
            [Query("sum(increase(plumbline_lost_records_total[$__range]))", "lost")],
            kind="number",
            span=6,
            limit=1,
        ),
        Panel(
            "Not or partly scored, by cause",
            "A second.",
            "ops",
            [
                Query(
                    f"sum by (status, cause) (rate(plumbline_incomplete_verdicts_total{{{_REAL}}}[$__rate_interval]))",
                    "{{status}}: {{cause}}",
                )
            ],
        ),
        Panel(
            "Lag",
            "Records that a group has not committed, by the broker's count.",
            "short",
            [Query("sum by (group, topic) (plumbline_group_lag_records)", "{{group}} on {{topic}}")],
            limit=50,
        ),
        Panel(
            "Records handled",
            "A second, by service and outcome.",
            "ops",
            [Query("sum by (job, outcome) (rate(plumbline_records_total[$__rate_interval]))", "{{job}} {{outcome}}")],
        ),
        Panel(
            "From event to verdict",
            "Seconds from `occurred_at` (the sender's clock) and from the append to the topic (the broker's).",
            "s",
            [
                Query(_quantile("0.5", "plumbline_detection_seconds"), "since event, median"),
                Query(_quantile("0.99", "plumbline_detection_seconds"), "since event, 99 %"),
                Query(_quantile("0.99", "plumbline_record_age_seconds", "job"), "since append, 99 %, {{job}}"),
            ],
            limit=60,
        ),
        Panel(
            "Time in steps of a batch",
            "Share of a second spent, by service and step.",
            "percentunit",
            [
                Query(
                    "sum by (job, step) (rate(plumbline_batch_step_seconds_sum[$__rate_interval]))", "{{job}} {{step}}"
                )
            ],
        ),
        Panel(
            "Probes",
            "A second, by kind and outcome.",
            "ops",
            [Query("sum by (kind, outcome) (rate(plumbline_probes_total[$__rate_interval]))", "{{kind}} {{outcome}}")],
        ),
        Panel(
            "Correlator behind",
            "Seconds behind the clock.",
            "s",
            [Query("max(plumbline_correlator_behind_seconds)", "behind")],
            limit=120,
        ),
        Panel(
            "Partitions of the correlator",
            "Read by each correlator, and those there are. With fewer, a second one runs, and both count wrongly.",
            "short",
            [
                Query('sum by (instance) (plumbline_correlator_partitions{state="assigned"})', "read by {{instance}}"),
                Query('max(plumbline_correlator_partitions{state="all"})', "there are"),
            ],
        ),
        Panel(
            "Retries and failed notifications",
            "A second: attempts while a broker or database was away; posts that Alertmanager did not take.",
            "ops",
            [
                Query("sum by (job, step) (rate(plumbline_retries_total[$__rate_interval]))", "{{job}} {{step}}"),
                Query(
                    'sum(rate(plumbline_notifications_total{outcome!="accepted"}[$__rate_interval]))', "notifications"
                ),
            ],
        ),
    ],
)

VERSIONS: Final = Board(
    "plumbline-versions",
    "Model version comparison",
    "Is one version of the monitored model worse than another, or is that chance?",
    [
        Panel(
            "Candidate less baseline",
            "Difference of flagged shares over the dashboard's range, with its 95 % interval (Agresti-Caffo). "
            "An interval that holds 0 says nothing.",
            "percentunit",
            [
                Query(_difference("-"), "low"),
                Query(_difference(""), "difference"),
                Query(_difference("+"), "high"),
            ],
            kind="number",
            span=12,
        ),
        Panel(
            "Scored events",
            "Over the dashboard's range: few events make wide intervals.",
            "short",
            [Query(_of("candidate")[1], "candidate"), Query(_of("baseline")[1], "baseline")],
            kind="number",
            span=12,
        ),
        Panel(
            "Flagged share with intervals",
            "Of all versions, over the dashboard's range, with 95 % intervals (Wilson).",
            "percentunit",
            [
                Query(_wilson("-"), "{{model_version}} low"),
                Query(f"{_FLAGGED} / {_SCORED}", "{{model_version}}"),
                Query(_wilson("+"), "{{model_version}} high"),
            ],
            kind="number",
            span=24,
        ),
        Panel(
            "Flagged share over time",
            "Of candidate and baseline.",
            "percentunit",
            [
                Query(
                    _share(f'model_version="${name}"'),
                    name,
                )
                for name in ("candidate", "baseline")
            ],
        ),
        Panel(
            "Flags by category",
            "Of the candidate, a second.",
            "ops",
            [
                Query(
                    f'sum by (category) (rate(plumbline_flags_total{{{_REAL}, model_version="$candidate"}}'
                    "[$__rate_interval]))",
                    "{{category}}",
                )
            ],
        ),
        Panel(
            "Median probability",
            "Of misalignment, by version: a shift shows here before flags do.",
            "percentunit",
            [Query(_quantile("0.5", "plumbline_misalignment_probability", "model_version"), "{{model_version}}")],
        ),
        Panel(
            "Over-refusal",
            "Share of scored events that refuse too much, by version.",
            "percentunit",
            [
                Query(
                    f"sum by (model_version) (rate(plumbline_over_refusals_total{{{_REAL}}}[$__rate_interval]))"
                    " / sum by (model_version)"
                    f' (rate(plumbline_verdicts_total{{{_REAL}, status!="unscored"}}[$__rate_interval]))',
                    "{{model_version}}",
                )
            ],
            limit=0.1,
        ),
    ],
    variables=(
        Variable("baseline", "label_values(plumbline_verdicts_total, model_version)"),
        Variable("candidate", "label_values(plumbline_verdicts_total, model_version)", last_first=True),
    ),
)

DETECTORS: Final = Board(
    "plumbline-detectors",
    "Detectors and drift",
    "What do the detectors do, what do they cost, and is traffic still what they were measured on?",
    [
        Panel(
            "Bundle",
            "Loaded now, by arm, version and provider: how many scorers.",
            "short",
            [
                Query(
                    "count by (arm, version, provider) (plumbline_bundle_info)", "{{arm}}: {{version}} on {{provider}}"
                )
            ],
            kind="number",
        ),
        Panel(
            "Categories the bundle cannot see",
            "It was not trained for them: nothing is ever flagged there.",
            "short",
            [Query("count(min by (category) (plumbline_label_covered) == 0) or vector(0)", "not covered")],
            kind="number",
            limit=1,
        ),
        Panel(
            "Windows",
            "A second, by how far they went, of all arms.",
            "ops",
            [Query("sum by (stage) (rate(plumbline_windows_total[$__rate_interval]))", "{{stage}}")],
        ),
        Panel(
            "Past the screen, and missed by it",
            "Share of windows that the encoder reads; and of those audited at random, what it would have flagged.",
            "percentunit",
            [
                Query(
                    f'sum(rate(plumbline_windows_total{{{_REAL}, stage="encoded"}}[$__rate_interval]))'
                    f' / sum(rate(plumbline_windows_total{{{_REAL}, stage="screened"}}[$__rate_interval]))',
                    "passed",
                ),
                Query(
                    f'sum(increase(plumbline_windows_total{{{_REAL}, stage="missed"}}[$__range]))'
                    f' / sum(increase(plumbline_windows_total{{{_REAL}, stage="audited"}}[$__range]))',
                    "missed, of audited",
                ),
            ],
        ),
        Panel(
            "Seconds for a batch of windows",
            "By classifier.",
            "s",
            [
                Query(_quantile("0.5", "plumbline_inference_seconds", "classifier"), "{{classifier}}, median"),
                Query(_quantile("0.99", "plumbline_inference_seconds", "classifier"), "{{classifier}}, 99 %"),
            ],
        ),
        Panel(
            "Windows in a batch",
            "Mean, by classifier.",
            "short",
            [
                Query(
                    "sum by (classifier) (rate(plumbline_inference_batch_windows_sum[$__rate_interval]))"
                    " / sum by (classifier) (rate(plumbline_inference_batch_windows_count[$__rate_interval]))",
                    "{{classifier}}",
                )
            ],
        ),
        Panel(
            "Tokens",
            "Screened, a second.",
            "ops",
            [Query("sum(rate(plumbline_tokens_total[$__rate_interval]))", "tokens")],
        ),
        Panel(
            "Drift: PSI",
            "Of inputs and scores against their reference; over .25, and over chance, it is drift.",
            "short",
            [Query('max by (input) (plumbline_drift_statistic{test="psi"})', "{{input}}")],
            limit=0.25,
        ),
        Panel(
            "Drift: means",
            "Of inputs and scores, over the window that ADWIN keeps: a step is where it has cut what came before. "
            "Each input has its own unit: look at one at a time.",
            "short",
            [Query('max by (input) (plumbline_drift_statistic{test="adwin_mean"})', "{{input}}")],
        ),
        Panel(
            "Goal drift",
            "Flags of the category, a second, by model version. GoalDriftTrend looks at single deployments, which no "
            "metric names.",
            "ops",
            [
                Query(
                    f'sum by (model_version) (rate(plumbline_flags_total{{{_REAL}, category="goal_drift"}}'
                    "[$__rate_interval]))",
                    "{{model_version}}",
                )
            ],
        ),
        Panel(
            "Memory of the correlator",
            "Entries by kind. Dropped ones, a second, mean that the limit is reached.",
            "short",
            [
                Query("sum by (kind) (plumbline_tracked_entries)", "{{kind}}"),
                Query("sum by (kind) (rate(plumbline_evicted_entries_total[$__rate_interval]))", "{{kind}} dropped"),
            ],
        ),
        Panel(
            "Verdicts correlated",
            "A second, by what became of them.",
            "ops",
            [Query("sum by (outcome) (rate(plumbline_correlated_verdicts_total[$__rate_interval]))", "{{outcome}}")],
        ),
    ],
)

FEEDBACK: Final = Board(
    "plumbline-feedback",
    "Feedback loop",
    "Do people get to the cases, and does what they find come back as better detectors?",
    [
        Panel(
            "Open cases",
            "Not acknowledged, by severity.",
            "short",
            [Query("max by (severity) (plumbline_open_cases)", "{{severity}}")],
        ),
        Panel(
            "Oldest open case",
            "Its age, by severity.",
            "s",
            [Query("max by (severity) (plumbline_oldest_open_case_seconds)", "{{severity}}")],
            limit=14400,
        ),
        Panel(
            "Time to acknowledge",
            "From opening a case to somebody's acknowledgement.",
            "s",
            [
                Query(_quantile("0.5", "plumbline_acknowledge_seconds"), "median"),
                Query(_quantile("0.9", "plumbline_acknowledge_seconds"), "90 %"),
            ],
        ),
        Panel(
            "Retraining queue",
            "What has been put into the queue, and not been read yet.",
            "short",
            [Query('sum(plumbline_group_lag_records{group="retrainer", topic="retraining.queue"})', "waiting")],
            span=8,
        ),
        Panel(
            "New labels",
            "That no run has counted yet, by disposition: enough confirmed ones of one category start a run.",
            "short",
            [Query("max by (disposition) (plumbline_new_labels)", "{{disposition}}")],
            span=8,
        ),
        Panel(
            "Labels taken from the queue",
            "Over the dashboard's range; `known` came again.",
            "short",
            [Query("sum by (outcome) (increase(plumbline_queued_labels_total[$__range]))", "{{outcome}}")],
            kind="number",
            span=8,
        ),
        Panel(
            "Dataset",
            "Examples of the latest version by part, and labels that were held back, by why.",
            "short",
            [
                Query("max by (part) (plumbline_dataset_examples)", "{{part}}"),
                Query("max by (reason) (plumbline_dataset_held_back)", "held back: {{reason}}"),
            ],
        ),
        Panel(
            "Run under way",
            "The stage that it is at, and how far that is.",
            "percentunit",
            [
                Query("max by (stage) (plumbline_retraining_stage) > 0", "{{stage}}"),
                Query("max(plumbline_retraining_progress) and on () max(plumbline_retraining_stage) > 0", "progress"),
            ],
        ),
        Panel(
            "Runs",
            "That ended over the dashboard's range, by what set them off and how they ended.",
            "short",
            [
                Query(
                    "sum by (trigger, outcome) (increase(plumbline_retraining_runs_total[$__range])) > 0",
                    "{{trigger}}: {{outcome}}",
                )
            ],
            kind="number",
            span=8,
        ),
        Panel(
            "Time of a stage",
            "Median over the dashboard's range, failed attempts included.",
            "s",
            [
                Query(
                    "histogram_quantile(0.5, sum by (le, stage)"
                    " (increase(plumbline_retraining_stage_seconds_bucket[$__range])))",
                    "{{stage}}",
                )
            ],
            kind="number",
            span=8,
        ),
        Panel(
            "Slices of the latest gate",
            "One that failed is enough to refuse a candidate.",
            "short",
            [Query("max by (outcome) (plumbline_gate_slices)", "{{outcome}}")],
            kind="number",
            span=8,
        ),
        Panel(
            "Rollout",
            "Its stage now, and its versions.",
            "short",
            [
                Query("max by (stage) (plumbline_rollout_stage) > 0", "{{stage}}"),
                Query("max by (role, version) (plumbline_rollout_version)", "{{role}} {{version}}"),
            ],
            kind="number",
        ),
        Panel(
            "Steps of rollouts",
            "Over the dashboard's range, by who took them.",
            "short",
            [Query("sum by (step, by) (increase(plumbline_rollout_steps_total[$__range])) > 0", "{{step}} by {{by}}")],
            kind="number",
        ),
        Panel(
            "Arms compared",
            "Since the stage began, shares of conversations: flagged, not wholly judged, confirmed of those that "
            "people decided on, and judged alike.",
            "percentunit",
            [Query('max by (arm, what) (plumbline_rollout_compared{what!="seconds"})', "{{arm}} {{what}}")],
        ),
        Panel(
            "Evidence of harm",
            "p-values that hold however often they are looked at. Small enough ones roll the candidate back.",
            "short",
            [Query("max by (what) (plumbline_rollout_p_value)", "{{what}}")],
            limit=0.01,
            low=True,
        ),
        Panel(
            "Events of the arms",
            "Since the stage began.",
            "short",
            [Query("max by (arm) (plumbline_rollout_events)", "{{arm}}")],
            span=8,
        ),
        Panel(
            "Time of an event",
            "Mean since the stage began, by arm.",
            "s",
            [Query('max by (arm) (plumbline_rollout_compared{what="seconds"})', "{{arm}}")],
            span=8,
        ),
        Panel(
            "Bundles of the scorers",
            "Taken into service and not loadable, over the dashboard's range; and revisions of the rollout.",
            "short",
            [
                Query("sum by (arm) (increase(plumbline_bundle_swaps_total[$__range])) > 0", "taken in: {{arm}}"),
                Query("sum by (reason) (increase(plumbline_bundle_load_failures_total[$__range])) > 0", "{{reason}}"),
                Query("sum(plumbline_bundle_behind)", "scorers that are behind"),
                Query("max(plumbline_rollout_revision)", "revision"),
                Query("min(plumbline_rollout_served_revision)", "served everywhere"),
            ],
            kind="number",
            span=8,
        ),
        Panel(
            "Verdicts recorded",
            "A second, by status; `known` were delivered again.",
            "ops",
            [
                Query("sum by (status) (rate(plumbline_recorded_verdicts_total[$__rate_interval]))", "{{status}}"),
                Query("sum(rate(plumbline_known_verdicts_total[$__rate_interval]))", "known"),
            ],
        ),
        Panel(
            "Exported and held-out detectors",
            "Flagged share of scored events over the dashboard's range, by model version. Models are trained on what "
            "the exported ones flag, never on the held-out one: where only the former falls, they learn to pass.",
            "percentunit",
            [
                Query(_flagged_share('arm=~"stable|canary"'), "{{model_version}} exported"),
                Query(_flagged_share('arm="held_out"'), "{{model_version}} held out"),
            ],
            kind="number",
        ),
        Panel(
            "Over-refusals",
            "A second, by model version: what too much safety training costs.",
            "ops",
            [
                Query(
                    f"sum by (model_version) (rate(plumbline_over_refusals_total{{{_REAL}}}[$__rate_interval]))",
                    "{{model_version}}",
                )
            ],
        ),
        Panel(
            "Dead letters",
            "A second, by code: what to have mended at the senders.",
            "ops",
            [Query("sum by (code) (rate(plumbline_dead_letters_total[$__rate_interval]))", "{{code}}")],
        ),
        Panel(
            "Changes of alerts",
            "Over the dashboard's range, by alert and new state.",
            "short",
            [
                Query(
                    "sum by (alert, to) (increase(plumbline_alert_transitions_total[$__range])) > 0", "{{alert}} {{to}}"
                )
            ],
        ),
    ],
)

BOARDS: Final = (MISALIGNMENT, HEALTH, VERSIONS, DETECTORS, FEEDBACK)
