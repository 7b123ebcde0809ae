"""Figures with their targets, what bounds each, and the absolute numbers beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from detection import PASS_SHARE, Detection
from latency import Latency
from memory import Memory
from rich.console import Console
from rich.table import Table
from rounds import Throughput

from services.settings import Settings

AFTERNOON: Final = "events/s, of the afternoon's consumer"

_QUIET_PERCENT: Final = 10.0
"""Above this the ratios move: what waits for all of its threads at once suffers most from sharing cores."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `met` None: the target is not a number, or it was not measured."""

    part: str
    what: str
    value: str
    target: str
    met: bool | None
    numbers: str
    bound: str


def against_ceiling(found: Throughput) -> Finding:
    pairs = [(each, each.ceiling) for each in found.rounds if each.ceiling]
    ratios = [top.seconds / each.seconds for each, top in pairs]
    ratio = median(ratios)
    ours = median(top.windows / each.seconds for each, top in pairs)
    alone = median(top.windows / top.seconds for _, top in pairs)
    event = median(1000 * each.seconds / each.events for each, _ in pairs)
    sessions = median(1000 * top.seconds / each.events for each, top in pairs)
    step = {name: median(each.milliseconds[name] for each, _ in pairs) for name in found.rounds[0].milliseconds}
    kafka = step["deliver"] + step["commit"]
    return Finding(
        part="a",
        what="end to end through Kafka, of the sessions alone",
        value=f"{ratio:.3f}",
        target=">= 0.80",
        met=ratio >= 0.80,
        numbers=(
            f"{ours:.1f} windows/s end to end, {alone:.1f} by the sessions alone; "
            f"ratios {', '.join(f'{one:.3f}' for one in sorted(ratios))}; "
            f"{sum(each.events for each, _ in pairs) / sum(each.batches for each, _ in pairs):.1f} events a batch"
        ),
        bound=(
            f"The ONNX sessions: alone they take {sessions:.0f} of an event's {event:.0f} ms. Judging takes "
            f"{step['complete']:.0f} ms, that is the sessions, padding, top tokens and evidence, on cores shared with "
            f"the {step['prepare']:.0f} ms of preparing the next batch; delivering and committing take {kafka:.0f} ms."
        ),
    )


def against_afternoon(found: Throughput) -> Finding:
    pairs = [(each, each.afternoon) for each in found.rounds if each.afternoon]
    ratio = median(each.events_per_second * other.seconds / other.events for each, other in pairs)
    theirs = median(other.events / other.seconds for _, other in pairs)
    chunks = sum(other.chunks for _, other in pairs) / sum(other.events for _, other in pairs)
    screened = median(each.windows["screened"] for each, _ in pairs)
    encoded = median(each.windows["encoded"] for each, _ in pairs)
    return Finding(
        part="b",
        what=AFTERNOON,
        value=f"{ratio:.2f}",
        target=">= 5",
        met=ratio >= 5,
        numbers=f"{found.events_per_second:.2f} events/s, the afternoon's consumer {theirs:.2f}",
        bound=(
            f"The encoder, on both sides. The afternoon's consumer encodes all {chunks:.1f} chunks of an event in fp32,"
            f" {1000 / theirs / chunks:.0f} ms each. Our screen sends {encoded:.1f} of {screened:.1f} windows "
            f"({encoded / screened:.0%}) to an int8 encoder, {1000 / found.events_per_second / max(encoded, 0.01):.0f} "
            "ms each with all else. These transcripts are hard to screen: half are misaligned, the others their twins. "
            "The comparison has the base model's weights and an untrained head: values do not change the speed."
        ),
    )


def latency_finding(found: Latency, settings: Settings) -> Finding:
    return Finding(
        part="c",
        what="p95 seconds from produce to readable row, at half the sustained rate",
        value=f"{found.p95:.3f}",
        target="< 1",
        met=found.p95 < 1,
        numbers=(
            f"p50 {found.p50:.3f}, p95 {found.p95:.3f}, p99 {found.p99:.3f}, largest {found.largest:.3f}; "
            f"{found.events} events at {found.events_per_second:.2f} a second"
        ),
        bound=(
            "The encoder: an event's own windows, and before them those of the batch that was being judged when it "
            f"came. Filling batches adds up to {settings.batch_max_age_ms} ms in the scorer and in the recorder each."
        ),
    )


def memory_finding(found: Memory) -> Finding:
    return Finding(
        part="d",
        what=f"peak memory after {found.events_in_all} events, of that after {found.events}",
        value=f"{found.ratio:.3f}",
        target="near 1",
        met=None,
        numbers=(
            f"{found.peak_mib:.0f} MiB after {found.events} events, "
            f"{found.peak_in_all_mib:.0f} MiB after {found.events_in_all}"
        ),
        bound=(
            "The models, ONNX Runtime's arena for the largest batch, and the Kafka client's fetch buffers: "
            "none depends on how many events have passed."
        ),
    )


def detection_findings(found: Detection) -> list[Finding]:
    findings = [_screen_finding(found), _cascade_finding(found)]
    return [*findings, _int8_finding(found)] if found.agreement else findings


def _screen_finding(found: Detection) -> Finding:
    rate = median(each.tokens / each.overlapped for each in found.rounds)
    alone = median(each.overlapped / each.from_windows for each in found.rounds)
    gain = median(each.from_text / each.overlapped for each in found.rounds)
    shares = {
        step: median(each.steps[step] / each.from_text for each in found.rounds) for step in found.rounds[0].steps
    }
    return Finding(
        part="e",
        what="screen, tokens/s from text, two threads",
        value=f"{rate:,.0f}",
        target=">= 500,000",
        met=rate >= 500_000,
        numbers=(
            f"windows that are cut already: {alone:.1f} times as many; cutting beside screening: {gain:.2f} times one "
            f"after the other; rounds {', '.join(f'{each.tokens / each.overlapped:,.0f}' for each in found.rounds)}"
        ),
        bound="Of one token's time, one after the other: "
        + ", ".join(f"{step} {share:.0%}" for step, share in shares.items())
        + ".",
    )


def _cascade_finding(found: Detection) -> Finding:
    ratio = median(each.cascade_speedup for each in found.rounds)
    share = sum(each.encoded for each in found.rounds) / sum(each.windows for each in found.rounds)
    encoder = median(1000 * each.encoder / each.encoder_windows for each in found.rounds)
    screened = median(1000 * each.from_text / each.windows for each in found.rounds)
    return Finding(
        part="e",
        what=f"windows/s of the cascade, of the encoder over every window; {PASS_SHARE:.0%} pass",
        value=f"{ratio:.1f}",
        target=">= 15",
        met=ratio >= 15,
        numbers=(
            f"rounds {', '.join(f'{each.cascade_speedup:.1f}' for each in found.rounds)}; {share:.1%} of "
            f"{found.rounds[0].windows} windows went to the encoder"
        ),
        bound=(
            f"The encoder: {encoder:.1f} ms a window, where cutting and screening one takes {screened:.2f} ms. "
            "The pass logit is set to this share for the measurement; the bundle's own lets more through."
        ),
    )


def _int8_finding(found: Detection) -> Finding:
    ratios = [each.exact / each.encoder for each in found.rounds if each.exact]
    ratio, agreement = median(ratios), found.agreement
    assert agreement is not None
    auroc = "no labelled windows were given (--data)"
    if agreement.auroc is not None and agreement.exact_auroc is not None:
        auroc = (
            f"AUROC over {agreement.labelled_windows} labelled windows {agreement.auroc:.4f}, "
            f"in float32 {agreement.exact_auroc:.4f} ({agreement.auroc - agreement.exact_auroc:+.4f})"
        )
    return Finding(
        part="e",
        what="windows/s of the int8 encoder, of float32 with the same weights",
        value=f"{ratio:.2f}",
        target=">= 1.5",
        met=ratio >= 1.5,
        numbers=(
            f"rounds {', '.join(f'{each:.2f}' for each in ratios)}; largest difference of a logit in "
            f"{agreement.windows} windows {agreement.largest_difference:.2f}; {auroc}"
        ),
        bound="Matrix products: int8 is as fast as the CPU's int8 instructions (VNNI, AMX). Attention's softmax, "
        "normalisation and GELU are float32 in both.",
    )


def afternoon_skipped(missing: Sequence[str]) -> Finding:
    why = f"needs the extra 'retrain': {', '.join(missing)} missing"
    return Finding("b", AFTERNOON, "skipped", ">= 5", None, why, "")


def show(console: Console, machine: dict[str, object], findings: Sequence[Finding]) -> None:
    table = Table("", "figure", "value", "target", "", "numbers", "what bounds it", show_lines=True)
    for each in findings:
        verdict = {True: "met", False: "missed", None: ""}[each.met]
        table.add_row(each.part, each.what, each.value, each.target, verdict, each.numbers, each.bound)
    console.print(table)
    console.print(f"{machine['cores']} cores of {machine['cpu']}, bundle {machine['bundle']}", soft_wrap=True)
    busy = machine["busy_before_percent"]
    if isinstance(busy, float) and busy > _QUIET_PERCENT:
        console.print(f"Not to be quoted: others kept the machine {busy:.0f} % busy before the start.", soft_wrap=True)


def write(
    path: Path,
    machine: dict[str, object],
    findings: Sequence[Finding],
    throughput: Throughput | None,
    *more: Latency | Memory | Detection,
) -> None:
    """Everything, for machines to read."""
    content = {
        "machine": machine,
        "findings": [asdict(each) for each in findings],
        "rounds": [asdict(each) for each in throughput.rounds] if throughput else [],
        **{type(each).__name__.lower(): asdict(each) for each in more},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
