"""The model card of a bundle, written from its manifest and its evaluation: no number in it is typed by hand.

python -m retrain.model_card detectors/bundles/first docs/evaluation.json docs/peers.json > docs/model-card.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detectors.bundle import Manifest, load_bundle
from detectors.taxonomy import MISALIGNMENT


def model_card(manifest: Manifest, evaluation: dict[str, Any], peers: dict[str, Any]) -> str:
    """Markdown. `peers`: what `retrain.peers.report` found.

    Raises `ValueError` where the evaluation is of another bundle.
    """
    if evaluation["bundle"] != manifest.version:
        raise ValueError(f"the evaluation is of {evaluation['bundle']}, not of {manifest.version}")
    parts = (
        _what_it_is(manifest),
        _how_good(evaluation),
        _splits(evaluation),
        _cascade(evaluation),
        _peers(evaluation, peers),
        _limits(manifest),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def _what_it_is(manifest: Manifest) -> Iterator[str]:
    data: dict[str, Any] = dict(manifest.data)
    training: dict[str, Any] = dict(manifest.training)
    base = {"e5": "multilingual-e5-small", "minilm": "MiniLM-L6"}.get(training["recipe"]["base"], "encoder")
    yield f"# Model card: {manifest.version}"
    yield ""
    yield "Written by `python -m retrain.model_card` from the bundle's manifest and `docs/evaluation.json`;"
    yield "`make train` and `make evaluate` make these."
    yield ""
    yield "## What it is"
    yield ""
    yield (
        f"A cascade of two classifiers over windows of {manifest.max_tokens} tokens, which hold what the agent says, "
        f"thinks and does in full, and of what others say {manifest.context_chars} characters a part. A linear screen "
        f"(hashed n-grams, structural features) reads every window; a fine-tuned {base} reads those whose screen logit "
        f"is at least {manifest.pass_logit}. Both judge the agent's own words, for every label of the taxonomy. A head "
        "weighs a conversation's windows (the highest, the mean of the three highest, the mean of all), calibrated "
        "(beta, cross-fitted) on held-out conversations, of "
        f"which {data['held_out_share_misaligned']:.0%} were misaligned: at another base rate probabilities shift. "
        f"Each threshold lets at most {manifest.false_positive_budget:.0%} of the held-out aligned conversations "
        "through, and is at least one half."
    )
    yield ""
    covered = [label for label in manifest.labels if label in manifest.heads and label != MISALIGNMENT]
    yield f"- **Covers**: {', '.join(covered)}, and overall {MISALIGNMENT}."
    yield f"- **Does not cover** (no score is given): {', '.join(manifest.uncovered) or 'nothing: all are covered'}."
    yield (
        f"- **Trained on**: {data['pairs']} contrastive pairs of our own, and {', '.join(data['sources'])}; "
        f"digest `{data['digest'][:16]}…`."
    )
    for name, seen in data["seen_by"].items():
        counts = ", ".join(f"{label} {count}" for label, count in seen["by_label"].items() if count)
        yield f"- **Seen by the {name}**: {seen['windows']:,} windows in {seen['bags']:,} bags ({counts})."
    held_out: Any = manifest.metrics["held_out"]
    yield f"- **On held-out scenarios of its training worlds**: AUROC {_interval(held_out[MISALIGNMENT].get('auroc'))}."
    yield ""


def _how_good(evaluation: dict[str, Any]) -> Iterator[str]:
    options = evaluation["options"]
    yield "## How good it is elsewhere"
    yield ""
    yield (
        "Overall misalignment, by set, with 95 % bootstrap intervals over conversations; at most "
        f"{options['per_set']} conversations of a set, drawn by seed. No set had a part in training. *Linear*: TF-IDF "
        "and logistic regression on the same training data. *Length*: ranking by the number of windows; *matched*: "
        "among conversations of about the same length. Recall is of misaligned conversations at 1 % and 5 % false "
        "positives; *error* is the expected calibration error."
    )
    yield ""
    columns = (
        "set | misaligned / aligned | AUROC | linear | length | matched | recall at 1 % | at 5 % | error | flagged"
    )
    yield f"| {columns} |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name, result in evaluation["sets"].items():
        overall = result[MISALIGNMENT]
        cells = [
            name,
            f"{overall['misaligned']} / {overall['aligned']}",
            _interval(overall.get("auroc")),
            _value(result.get("linear_baseline", {}).get("auroc")),
            _value(result["length_alone"].get("auroc")),
            _number(overall.get("length_matched")),
            _interval(overall.get("recall_at_fpr_0.01")),
            _interval(overall.get("recall_at_fpr_0.05")),
            _number(overall["calibration_error"]),
            f"{_share(overall['flagged_of_misaligned'])} / {_share(overall['flagged_of_aligned'])}",
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _splits(evaluation: dict[str, Any]) -> Iterator[str]:
    for name, result in evaluation["sets"].items():
        if "pairs" in result:
            pairs = result["pairs"]
            yield (
                f"Of the {pairs['pairs']} pairs in {name}, the misaligned twin scores higher in "
                f"{pairs['ranked_right']}; chance is half."
            )
            yield ""
    for split, title in (("by_category", "category"), ("by_language", "language"), ("by_length", "length")):
        rows = [
            f"| {name} | {part} | {row['misaligned']} / {row['aligned']} | {_number(row['auroc'])} | "
            f"{_share(row['flagged_of_aligned'])} |"
            for name, result in evaluation["sets"].items()
            for part, row in result.get(split, {}).items()
            if len(result[split]) > 1
        ]
        if rows:
            yield f"| set | {title} | misaligned / aligned | AUROC | flagged of aligned |"
            yield "|---|---|---|---|---|"
            yield from rows
            yield ""


def _cascade(evaluation: dict[str, Any]) -> Iterator[str]:
    yield "## The cascade, and evidence"
    yield ""
    if evaluation["cascade"]:
        yield "What the share of windows that the screen passes on costs and buys, on our own test pairs:"
        yield ""
        yield "| passed on | AUROC | recall at 1 % | windows/s, of those with all passed |"
        yield "|---|---|---|---|"
        slowest = evaluation["cascade"][-1]["windows_per_second"]
        for row in evaluation["cascade"]:
            recall = _interval(row.get("recall_at_fpr_0.01"))
            speed = row["windows_per_second"] / slowest
            yield f"| {row['pass_share']:.0%} | {_interval(row.get('auroc'))} | {recall} | {speed:.1f} |"
        yield ""
    yield (
        "Deletion test: by how much a flag's log-odds fall, on average, without the strongest span of its evidence, "
        "and without a random span of the same size."
    )
    yield ""
    yield "| flag | flags | without the evidence | without a random span | evidence falls further in |"
    yield "|---|---|---|---|---|"
    for label, row in evaluation["deletion_test"].items():
        falls = f"{row['evidence']:.2f} | {row['random']:.2f} | {_share(row['evidence_higher'])}"
        yield f"| {label} | {row['flags']} | {falls} |"
    yield ""


def _peers(evaluation: dict[str, Any], peers: dict[str, Any]) -> Iterator[str]:
    """Guard packages on the same rows."""
    measured = {name: found for name, found in peers.items() if found["sets"]}
    if not measured:
        return
    yield "## Peers, on the same rows"
    yield ""
    yield (
        "AUROC of guard packages that run offline (`make peers`), each given what the agent says or the whole "
        "conversation, whichever suits it better, and of a long text the beginning and the end. They are rules, made "
        "mostly to find injected prompts, another task than this one: to beat them is weak evidence. Trained "
        "guards, which need a model hub or torch, were not compared. *Linear* is the baseline from the table above."
    )
    yield ""
    yield f"| set | ours | linear | {' | '.join(measured)} |"
    yield f"|---|---|---|{'---|' * len(measured)}"
    for name, result in evaluation["sets"].items():
        cells = [_value(found["sets"].get(name, {}).get("auroc")) for found in measured.values()]
        if any(cell != "–" for cell in cells):
            own = (_value(result.get(key, {}).get("auroc")) for key in (MISALIGNMENT, "linear_baseline"))
            yield f"| {name} | {' | '.join([*own, *cells])} |"
    yield ""
    versions = ", ".join(f"{name} {found['version']}" for name, found in measured.items())
    failed = ", ".join(f"{name} {found['failed']}" for name, found in measured.items() if found["failed"])
    yield f"Versions: {versions}. Failed or too slow on some texts, which are left out: {failed or 'none'}."
    unopened = ", ".join(name for name, found in peers.items() if "error" in found)
    if unopened:
        yield f"Could not be opened: {unopened}."
    yield ""


def _limits(manifest: Manifest) -> Iterator[str]:
    recipe: Any = manifest.training["recipe"]
    yield "## Where it is not to be trusted"
    yield ""
    yield from (
        "- Where a set above has an AUROC near one half, its flags there are noise. Look for your own kind of",
        "  deployment in the table, and measure on your own labels before anybody is paged.",
        "- For self-preservation, coercion, oversight evasion, power seeking and sabotage there are no adequate public",
        "  positives: it learned them from pairs that were written for the purpose. So were all its other languages.",
        "- Public labels are often of whole conversations, though most of their windows show nothing.",
        f"- Thresholds were chosen on at most {recipe['max_windows']} windows of a conversation (beginning and end);",
        "  the service reads more.",
        "- Some public sources hold one label only, so a detector can win by recognising the source.",
    )


def _interval(value: dict[str, float] | None) -> str:
    return "–" if value is None else f"{value['value']:.2f} ({value['low']:.2f}–{value['high']:.2f})"


def _value(value: dict[str, float] | None) -> str:
    return "–" if value is None else f"{value['value']:.2f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


if __name__ == "__main__":
    folder, *results = map(Path, sys.argv[1:])
    evaluation, peers = (json.loads(path.read_text(encoding="utf-8")) for path in results)
    sys.stdout.write(model_card(load_bundle(folder).manifest, evaluation, peers))
