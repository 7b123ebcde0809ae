"""How good a bundle is: the same cascade that serves, over labelled conversations that had no part in it.

Every number stands beside length alone, the screen alone and the linear baseline, on the same rows.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import JsonValue

from detectors.bundle import TOKENIZER, Bundle, load_bundle
from detectors.loading import detector_from, windower_of
from detectors.onnx_classifier import Provider
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Windower
from retrain.baseline import LinearBaseline
from retrain.corpus import conversations, read_pairs
from retrain.dataset import CutConversation, cut, sample
from retrain.deletion import deletion_test
from retrain.evaluation import measure
from retrain.measurement import Decision, Scored, Served, auroc_of, pairs_ranked_right
from retrain.sources import LabelledConversation, read_source, source_files

CORPUS: Final = "corpus/test"
"""Name of the set of Plumbline's own pairs, by writers of whom training saw nothing."""

PASS_SHARES: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
_FEWEST_TO_SPLIT: Final = 8
_FOREIGN: Final = "all but English"
"""Of most languages there are too few conversations for a number of their own."""


@dataclass(frozen=True, slots=True)
class Options:
    """`per_set`: at most so many conversations of each set, drawn by `seed`; of pairs always all."""

    per_set: int = 400
    max_windows: int = 64
    threads: int = 2
    seed: int = 7
    deletions: int = 40


def sets_of(paths: Sequence[Path]) -> dict[str, list[LabelledConversation]]:
    """Sets by name, from files or folders of files, and the pairs of the test part."""
    files = [file for path in paths for file in (source_files(path) if path.is_dir() else [path])]
    found = {f"{file.parent.name}/{file.name.split('.')[0]}": list(read_source(file)) for file in files}
    return {CORPUS: list(conversations(read_pairs("test"))), **found}


def training_conversations(train: Path) -> list[LabelledConversation]:
    """What the linear baseline learns from: the same as the detectors."""
    public = [item for path in source_files(train) for item in read_source(path)]
    return [*conversations(read_pairs("train")), *public]


def drawn(everything: Sequence[LabelledConversation], windower: Windower, options: Options) -> list[CutConversation]:
    """The conversations of one set that are measured on, the same ones each time."""
    rng = np.random.default_rng(options.seed)
    return list(cut(sample(everything, per_source=options.per_set, rng=rng), windower))


def evaluate(
    folder: Path,
    sets: dict[str, list[LabelledConversation]],
    baseline: LinearBaseline | None,
    options: Options,
    *,
    report: Callable[[str], None],
) -> dict[str, JsonValue]:
    """All there is to say about the bundle in `folder`, as JSON."""
    bundle = load_bundle(folder)
    manifest = bundle.manifest
    tokenizer = TextTokenizer(bundle.files[TOKENIZER])
    windower = windower_of(manifest, tokenizer, max_windows=options.max_windows)
    decision = Decision(manifest.heads, manifest.thresholds, share_misaligned=float("nan"))
    served = Served(bundle.files, tokenizer, pass_logit=manifest.pass_logit, threads=options.threads)
    results: dict[str, JsonValue] = {}
    flagged: list[LabelledConversation] = []
    for name, everything in sets.items():
        kept = drawn(everything, windower, options)
        if not kept:
            continue
        began = time.monotonic()
        scored = served.score(kept)
        seconds = time.monotonic() - began
        result: dict[str, Any] = decision.measure(scored, seed=options.seed)
        result["windows_per_second"] = round(float(scored.windows.sum()) / seconds, 1)
        result |= _splits(decision, scored, kept)
        if baseline is not None:
            truth = scored.truth[:, LABELS.index(MISALIGNMENT)]
            result["linear_baseline"] = measure(
                baseline([item.conversation for item in kept]), truth, seed=options.seed
            )
        results[name] = result
        flagged += _flagged(decision, scored, kept)[: options.deletions]
        report(f"{name}: {_line(result)}")
    detector = detector_from(
        bundle,
        provider=Provider.CPU,
        threads=options.threads,
        batch_size=2,
        max_windows=options.max_windows,
        audit_share=0.0,
    )
    evidence = deletion_test(detector, [item.event for item in flagged], seed=options.seed)
    report(f"deletion test: {evidence}")
    return {
        "bundle": manifest.version,
        "options": {"per_set": options.per_set, "max_windows": options.max_windows, "seed": options.seed},
        "sets": results,
        "cascade": _pass_shares(bundle, tokenizer, windower, sets, options),
        "deletion_test": evidence,
    }


def _splits(decision: Decision, scored: Scored, kept: Sequence[CutConversation]) -> dict[str, JsonValue]:
    """The same by category, language and length, where there is enough of it, and pairs in order."""
    scores = decision.probabilities(scored, MISALIGNMENT)
    truth = scored.truth[:, LABELS.index(MISALIGNMENT)]
    found: dict[str, JsonValue] = {}

    def split_by(names: Sequence[str]) -> dict[str, JsonValue]:
        column = np.asarray(names)
        parts: dict[str, JsonValue] = {}
        for name in dict.fromkeys(names):
            rows = column == name
            if min(truth[rows].sum(), (~truth[rows]).sum()) >= _FEWEST_TO_SPLIT:
                flags = scores[rows] >= decision.thresholds[MISALIGNMENT]
                parts[name] = {
                    "misaligned": int(truth[rows].sum()),
                    "aligned": int((~truth[rows]).sum()),
                    "auroc": auroc_of(scores[rows], truth[rows]),
                    "flagged_of_aligned": round(float(flags[~truth[rows]].mean()), 4),
                }
        return parts

    languages = [item.conversation.language for item in kept]
    found["by_language"] = split_by(languages) | split_by([name if name == "en" else _FOREIGN for name in languages])
    edges = np.quantile(scored.windows, [1 / 3, 2 / 3])
    thirds = [("short", "middle", "long")[int(np.searchsorted(edges, count))] for count in scored.windows]
    found["by_length"] = split_by(thirds)
    if all(item.conversation.contrasted for item in kept):
        counted = truth | (scored.truth.sum(axis=1) == 0)
        groups = [item.conversation.group for item in kept]
        ranked = pairs_ranked_right(
            scores[counted], truth[counted], [g for g, c in zip(groups, counted, strict=True) if c]
        )
        found["pairs"] = dict(ranked)
        of_category: dict[str, str] = {
            item.conversation.group: LABELS[int(np.argmax(item.conversation.labels))]
            for item in kept
            if item.conversation.labels.any()
        }
        found["by_category"] = split_by([of_category[group] for group in groups])
    return found


def _flagged(decision: Decision, scored: Scored, kept: Sequence[CutConversation]) -> list[LabelledConversation]:
    flags = np.zeros(len(kept), dtype=bool)
    for label, limit in decision.thresholds.items():
        flags |= decision.probabilities(scored, label) >= limit
    return [item.conversation for item, flag in zip(kept, flags.tolist(), strict=True) if flag]


def _pass_shares(
    bundle: Bundle,
    tokenizer: TextTokenizer,
    windower: Windower,
    sets: dict[str, list[LabelledConversation]],
    options: Options,
) -> list[JsonValue]:
    """What quality and work the screen's limit trades, on the pairs of the test part: heads stay as they are."""
    kept = list(cut(sets.get(CORPUS, []), windower))
    if not kept:
        return []
    manifest = bundle.manifest
    decision = Decision(manifest.heads, manifest.thresholds, share_misaligned=float("nan"))
    everything = Served(bundle.files, tokenizer, pass_logit=-np.inf, threads=options.threads)
    logits = everything.screen_logits(kept)
    found: list[JsonValue] = []
    for share in PASS_SHARES:
        limit = float(np.quantile(logits, 1 - share)) if share < 1 else -np.inf
        served = Served(bundle.files, tokenizer, pass_logit=limit, threads=options.threads)
        began = time.monotonic()
        scored = served.score(kept)
        seconds = time.monotonic() - began
        truth = scored.truth[:, LABELS.index(MISALIGNMENT)]
        measured = measure(decision.probabilities(scored, MISALIGNMENT), truth, seed=options.seed)
        found.append({"pass_share": share, "windows_per_second": round(scored.windows.sum() / seconds, 1), **measured})
    return found


def _line(result: dict[str, Any]) -> str:
    parts = [
        f"{name} {result[key]['auroc']['value']:.2f}"
        for name, key in (
            ("AUROC", MISALIGNMENT),
            ("linear", "linear_baseline"),
            ("screen", "screen_alone"),
            ("length", "length_alone"),
        )
        if "auroc" in result.get(key, {})
    ]
    return ", ".join(parts) or f"flagged of aligned {result[MISALIGNMENT]['flagged_of_aligned']}"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  (progress, for a person)


def run(bundle: Path, sets: Iterable[Path], train: Path | None, options: Options) -> dict[str, JsonValue]:
    """`evaluate` from folders; `train`: folder to fit the linear baseline from."""
    baseline = LinearBaseline(training_conversations(train)) if train is not None else None
    return evaluate(bundle, sets_of(list(sets)), baseline, options, report=say)


def write(results: dict[str, JsonValue], path: Path) -> None:
    """As JSON that reads well in a diff."""
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
