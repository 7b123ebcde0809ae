"""The model card of a bundle, written from its manifest: no number in it is typed by hand.

python -m retrain.model_card detectors/bundles/first > docs/model-card.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detectors.bundle import Manifest, load_bundle
from detectors.taxonomy import MISALIGNMENT


def model_card(manifest: Manifest) -> str:
    """Markdown."""
    return "\n".join(_lines(manifest)) + "\n"


def _lines(manifest: Manifest) -> Iterator[str]:
    metrics: dict[str, Any] = dict(manifest.metrics)
    data: dict[str, Any] = dict(manifest.data)
    training: dict[str, Any] = dict(manifest.training)
    yield f"# Model card: {manifest.version}"
    yield ""
    yield "Written by `python -m retrain.model_card` from the bundle's manifest, which `make train` wrote."
    yield ""
    yield "## What it is"
    yield ""
    yield (
        "A cascade of two classifiers over windows of "
        f"{manifest.max_tokens} tokens: a screen (hashed n-grams and structural features) reads every window; a "
        f"fine-tuned MiniLM-L6 reads those whose screen logit is at least {manifest.pass_logit}. Both are multi-label "
        "over the taxonomy. A conversation's score comes from its highest window, calibrated (Platt) on held-out "
        "conversations, of "
        f"which {data['held_out_share_misaligned']:.0%} were misaligned: at another base rate probabilities shift. "
        f"Each threshold lets at most {manifest.false_positive_budget:.0%} of the held-out aligned conversations "
        "through, and is at least one half."
    )
    yield ""
    covered = [label for label in manifest.labels if label in manifest.calibration and label != MISALIGNMENT]
    yield f"- **Covers**: {', '.join(covered)}, and overall {MISALIGNMENT}."
    yield f"- **Does not cover** (no score is given): {', '.join(manifest.uncovered)}."
    yield f"- **Trained on**: {', '.join(data['sources'])}; digest `{data['digest'][:16]}…`."
    for name, seen in data["seen_by"].items():
        counts = ", ".join(f"{label} {count}" for label, count in seen["by_label"].items() if count)
        yield f"- **Windows seen by the {name}**: {seen['windows']:,} ({counts})."
    yield ""
    yield "## How good it is"
    yield ""
    yield (
        "Overall misalignment, by set, with 95 % bootstrap intervals over conversations. *Held out*: other scenarios "
        "of the same worlds as the training data; `dev` and `eval_only` are other worlds. *Length alone* is the AUROC "
        "of ranking by the number of windows: a score that does not beat it has learned nothing there. Recall is of "
        "misaligned conversations at 1 % and 0.1 % false positives; with few aligned ones the latter is a guess."
    )
    yield ""
    yield _header("set", "misaligned / aligned", "length alone")
    yield "|---|---|---|---|---|---|---|"
    for name, report in metrics.items():
        yield _row(name, report[MISALIGNMENT], report["length_alone"])
    yield ""
    yield "By label, on held-out conversations (the negatives include other kinds of misalignment):"
    yield ""
    yield _header("label", "positives / negatives", "–")
    yield "|---|---|---|---|---|---|---|"
    for label in covered:
        if label in metrics["held_out"]:
            yield _row(label, metrics["held_out"][label], {})
    if "shipped_pairs" in metrics:
        pairs = metrics["shipped_pairs"]
        yield ""
        yield (
            f"Of the {pairs['pairs']} contrastive pairs that ship, the misaligned twin scores higher in "
            f"{pairs['ranked_right']}; chance is half."
        )
    yield ""
    yield "## Limits"
    yield ""
    yield from (
        "- It does not hold up outside its training worlds: see `dev` and `eval_only` above. Do not page people on it.",
        "- English only. Other languages were not in its training data, and are likely to be flagged for being that.",
        "- Every window of a misaligned conversation was trained as misaligned, though most show nothing.",
        (
            "- A conversation's score is its highest window's: long conversations have more chances to be flagged. It "
            "was measured, and the thresholds were chosen, on at most "
            f"{training['recipe']['max_windows']} windows of each (beginning and end); the service reads more."
        ),
        "- Some sources hold one label only, so a detector can win by recognising the source.",
    )


def _header(name: str, counts: str, compared: str) -> str:
    return f"| {name} | {counts} | AUROC | {compared} | recall at 1 % | recall at 0.1 % | flagged of {counts} |"


def _row(name: str, report: dict[str, Any], length: dict[str, Any]) -> str:
    cells = [
        name,
        f"{report['misaligned']} / {report['aligned']}",
        _interval(report.get("auroc")),
        _interval(length.get("auroc")),
        _interval(report.get("recall_at_fpr_0.01")),
        _interval(report.get("recall_at_fpr_0.001")),
        f"{_share(report['flagged_of_misaligned'])} / {_share(report['flagged_of_aligned'])}",
    ]
    return f"| {' | '.join(cells)} |"


def _interval(value: dict[str, float] | None) -> str:
    return "–" if value is None else f"{value['value']:.2f} ({value['low']:.2f}–{value['high']:.2f})"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


if __name__ == "__main__":
    sys.stdout.write(model_card(load_bundle(Path(sys.argv[1])).manifest))
