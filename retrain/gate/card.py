"""The model card of a candidate, from its manifest and the gate's report: no number in it is typed by hand.

python -m retrain.gate.card BUNDLE report.json > card.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detectors.bundle import Manifest, load_bundle
from detectors.taxonomy import MISALIGNMENT
from retrain.gate.report import GateReport, Measured, SliceReport, TargetReport

NEAR_CHANCE = 0.6
"""An AUROC under this ranks little better than chance."""


def card(manifest: Manifest, report: GateReport) -> str:
    """Markdown. Raises `ValueError` where the report is of another bundle."""
    if report.candidate != manifest.version:
        raise ValueError(f"the report is of {report.candidate}, not of {manifest.version}")
    parts = (_what(manifest, report), _slices(report), _targets(report), _costs(report), _limits(manifest, report))
    return "\n".join(line for part in parts for line in part)


def _what(manifest: Manifest, report: GateReport) -> Iterator[str]:
    yield f"# Model card: {manifest.version}"
    yield ""
    yield "Written by `retrain.gate.card` from the bundle's manifest and the gate's report."
    yield ""
    verdict = "passed" if report.passed else f"**refused**, for {len(report.refusals)} reasons"
    yield f"- **Gate**: {verdict}, against {report.champion} on {report.rows} conversations of {report.dataset}."
    covered = ", ".join(label for label in manifest.labels if label in manifest.heads and label != MISALIGNMENT)
    yield f"- **Covers**: {covered}, and overall {MISALIGNMENT}."
    yield f"- **Does not cover** (no score is given): {', '.join(manifest.uncovered) or 'nothing: all are covered'}."
    yield from _trained_on(manifest.data, manifest.training)
    yield (
        f"- **Thresholds**: at most {manifest.false_positive_budget:.0%} of the aligned conversations that they were "
        "chosen on lie above."
    )
    yield ""


def _trained_on(data: Mapping[str, Any], training: Mapping[str, Any]) -> Iterator[str]:
    labels = data.get("dataset")
    if isinstance(labels, dict):
        by_label = labels.get("by_label") or {}
        counts = ", ".join(f"{label} {count}" for label, count in by_label.items() if count)
        yield (
            f"- **Trained on**: {labels.get('train')} labelled conversations of {labels.get('name')}, calibrated on "
            f"{labels.get('calibration')} more ({counts or 'all aligned'}); child of {data.get('parent')}."
        )
    if sources := data.get("sources"):
        yield f"- **Its ancestor was trained on**: {', '.join(map(str, sources))}."
    if teachers := data.get("teachers"):
        yield f"- **Some labels are by models**: {', '.join(map(str, teachers))}."
    recipe = training.get("recipe")
    if isinstance(recipe, dict):
        kind = recipe.get("kind") or recipe.get("name")
        yield f"- **Recipe**: {kind}, seed {recipe.get('seed')}."


def _slices(report: GateReport) -> Iterator[str]:
    confidence = f"{report.policy.confidence:.0%}"
    yield "## How good it is, slice by slice"
    yield ""
    yield (
        "Champion → candidate at each one's own thresholds, on the same conversations; in brackets the candidate's "
        f"gain or loss, from lower to upper bound (each {confidence}, paired bootstrap over groups of twins). "
        "*Flagged of aligned* is the false-positive rate. A loss beyond the margin stands in bold."
    )
    yield ""
    yield "| slice | misaligned / aligned | recall | flagged of aligned | AUROC | AUROC of its own label |"
    yield "|---|---|---|---|---|---|"
    for each in report.slices:
        if each.status == "measured":
            yield _row(each)
    yield ""
    for status, said in (("merged", "Merged into `other`"), ("too_small", "Too small to say anything")):
        names = [f"{each.slice} ({each.groups})" for each in report.slices if each.status == status]
        if names:
            yield f"{said} (groups): {', '.join(names)}."
            yield ""


def _row(each: SliceReport) -> str:
    found = {measured.metric: measured for measured in each.metrics}
    metrics = (_cell(found.get(name)) for name in ("recall", "false_positive_rate", "auroc", "category_auroc"))
    return f"| {each.slice} | {each.misaligned} / {each.aligned} | {' | '.join(metrics)} |"


def _cell(measured: Measured | None) -> str:
    if measured is None:
        return "–"
    text = f"{measured.champion:.2f} → {measured.candidate:.2f} ({measured.low:+.2f} to {measured.high:+.2f})"
    return text if measured.passed else f"**{text}**"


def _targets(report: GateReport) -> Iterator[str]:
    if not report.targets:
        return
    yield "## What it was trained to be better at"
    yield ""
    yield "| target | groups | recall less false positives | probability of improvement | verdict |"
    yield "|---|---|---|---|---|"
    for each in report.targets:
        yield f"| {each.slice} | {each.groups} | {_change(each)} | {each.status.replace('_', ' ')} |"
    yield ""


def _change(each: TargetReport) -> str:
    if each.champion is None or each.candidate is None or each.improvement is None:
        return "– | –"
    return f"{each.champion:.2f} → {each.candidate:.2f} | {each.improvement:.2f}"


def _costs(report: GateReport) -> Iterator[str]:
    timed, size, canaries = report.latency, report.size, report.canaries
    yield "## What it costs, and whether its numbers can be believed"
    yield ""
    yield (
        f"- **Latency**: {timed.ratio:.2f} times the champion's, each at its fastest in {timed.timings} "
        f"timings of either, in turns; at most {timed.limit:.2f}."
    )
    yield f"- **Size**: {size.candidate_bytes / 1e6:.1f} MB after {size.champion_bytes / 1e6:.1f} MB."
    for each in report.calibration:
        yield (
            f"- **Calibration error** on {each.slice}: {each.candidate:.3f} after {each.champion:.3f} "
            f"(change {each.low:+.3f} to {each.high:+.3f})."
        )
    missed = len(canaries.missed) + len(canaries.missed_by_both)
    yield (
        f"- **Canaries**: {canaries.caught} of {canaries.caught + missed} misaligned ones caught; of those missed the "
        f"champion misses {len(canaries.missed_by_both)} too. Aligned ones flagged: "
        f"{len(canaries.wrongly_flagged) + len(canaries.flagged_by_both)}."
    )
    yield ""


def _limits(manifest: Manifest, report: GateReport) -> Iterator[str]:
    yield "## Where it is not to be trusted"
    yield ""
    measured = [each for each in report.slices if each.status == "measured"]
    if weak := [each.slice for each in measured if _value(each, "auroc", 1.0) < NEAR_CHANCE]:
        yield f"- It ranks little better than chance (AUROC under {NEAR_CHANCE}) on {', '.join(weak)}."
    if deaf := [each.slice for each in measured if _value(each, "recall", 1.0) < 1 / 2]:
        yield f"- It misses more than half of what is misaligned on {', '.join(deaf)}."
    budget = manifest.false_positive_budget
    if loud := [each.slice for each in measured if _value(each, "false_positive_rate", 0.0) > max(0.05, 5 * budget)]:
        yield f"- It flags far more than its budget of aligned conversations on {', '.join(loud)}."
    if unknown := [each.slice for each in report.slices if each.status == "too_small"]:
        yield f"- Too little is known of {', '.join(unknown)}."
    if manifest.uncovered:
        yield f"- It says nothing about {', '.join(manifest.uncovered)}."
    yield "- Held-out conversations of the deployment are those that people looked at, mostly because a detector had"
    yield "  flagged them: what no detector ever flagged is hardly among them."
    yield ""


def _value(each: SliceReport, metric: str, otherwise: float) -> float:
    return next((found.candidate for found in each.metrics if found.metric == metric), otherwise)


if __name__ == "__main__":
    bundle, path = map(Path, sys.argv[1:])
    found = GateReport.model_validate_json(path.read_text(encoding="utf-8"))
    sys.stdout.write(card(load_bundle(bundle).manifest, found))
