"""Whole bundles before the gate: the same one passes, spoiled ones are refused by the names of slices."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")
pytest.importorskip("scipy", reason="scipy is missing: install the extra 'retrain'")

from detectors.bundle import ENCODER, Manifest, load_bundle, rethresholded, rewritten
from detectors.calibration import LabelHeads
from detectors.codec import encode_event
from detectors.loading import DEFAULT_BUNDLE
from retrain.corpus import Pair, conversations, read_pairs
from retrain.gate.card import card
from retrain.gate.report import GateReport
from tests.quick_bundle import write_quick_bundle
from tests.retraining_data import queued

pytestmark = [pytest.mark.long, pytest.mark.retrain, pytest.mark.timeout(900)]

PROBES = Path(__file__).parents[4] / "services" / "probing" / "transcripts.jsonl"
NO_TARGETS = {"fewest_new": 10_000}
QUICK = {"red_team_pairs": 7, "resamples": 500, "latency_conversations": 4, "latency_ratio": 10.0, "max_windows": 4}


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that ships, with its screen for an encoder, which is quick, and thresholds at which it catches much of
    what it was trained on.
    """
    return write_quick_bundle(tmp_path_factory.mktemp("bundles") / "champion", threshold=0.5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs that the bundle knows, as a deployment's labels; most are held out."""
    from retrain.datasets import Policy, write
    from retrain.datasets.assembly import assemble
    from retrain.queued import QueuedLabel, parse

    pairs = [pair for pair in read_pairs("train") if pair.language == "en" and pair.category != "over_refusal"]
    records = [_label(pair, number) for number, pair in enumerate(pairs[::8])]
    labels = [label for both in records for label in map(parse, both) if isinstance(label, QueuedLabel)]
    policy = Policy(held_out=0.9, calibration=0.05, fewest_calibration=0)
    made = assemble(labels, None, policy, salt="gate", say=lambda share, said: None)
    return write(tmp_path_factory.mktemp("datasets"), made)


def _label(pair: Pair, number: int) -> list[dict[str, Any]]:
    return [
        queued(
            side.event.event_id,
            disposition="confirmed" if side.misaligned else "dismissed",
            category=pair.category,
            messages=json.loads(encode_event(side.event))["messages"],
            reviewer=f"{number % 3:016x}",
        )
        for side in conversations([pair])
    ]


@pytest.fixture
def some_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole test part takes minutes on a busy machine."""
    from retrain.gate import __main__ as program

    pairs = [pair for pair in read_pairs("test") if pair.language == "en"]
    monkeypatch.setattr(program, "read_pairs", lambda part: pairs[::5])


Gate = Callable[..., tuple[int, GateReport]]


@pytest.fixture
def gate(champion: Path, dataset: Path, tmp_path: Path, some_pairs: None) -> Gate:
    """The gate as it is called from the command line; status and report."""
    from retrain.gate.__main__ import main

    def run(candidate: Path, policy: Mapping[str, Any] = NO_TARGETS) -> tuple[int, GateReport]:
        out = tmp_path / "report.json"
        folders = ["--champion", str(champion), "--candidate", str(candidate), "--dataset", str(dataset)]
        told = ["--canaries", str(PROBES), "--out", str(out), "--policy", json.dumps({**QUICK, **policy})]
        status = main([*folders, *told])
        return status, GateReport.model_validate_json(out.read_text())

    return run


def test_the_same_bundle_passes_and_leaves_a_report_and_a_card(
    gate: Gate, champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, report = gate(champion)
    assert (status, report.passed, report.refusals) == (0, True, ())
    assert report.encoder_shared
    assert {each.difference for part in report.slices for each in part.metrics} == {0.0}
    kinds = {each.slice.split(":")[0] for each in report.slices if each.status == "measured"}
    assert kinds == {"all", "category", "language", "length", "source", "red_team"}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    progress = [line["progress"] for line in lines]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    written = (tmp_path / "card.md").read_text()
    assert f"# Model card: {report.candidate}" in written
    assert "| all:all |" in written
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "card.md"}
    with pytest.raises(ValueError, match="the report is of"):
        card(load_bundle(DEFAULT_BUNDLE).manifest, report)


def test_an_encoder_of_its_own_is_read_by_itself(gate: Gate, champion: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is missing: install the extra 'retrain'")
    model = onnx.load_from_string(load_bundle(champion).files[ENCODER])
    model.doc_string = "another file that says the same"
    rewritten(champion, tmp_path / "other", files={ENCODER: model.SerializeToString()})
    status, report = gate(tmp_path / "other")
    assert not report.encoder_shared
    assert (status, report.refusals) == (0, ())


def test_one_that_was_to_be_better_and_is_the_same_is_refused(gate: Gate, champion: Path) -> None:
    status, report = gate(champion, {"targets": ["source:acme"], "ceiling": 1.0})
    assert status == 3
    assert {each.metric for each in report.refusals} == {"informedness_improved"}


def test_raised_thresholds_are_refused_with_slices_and_ids(gate: Gate, champion: Path, tmp_path: Path) -> None:
    thresholds = dict.fromkeys(load_bundle(champion).manifest.thresholds, 1.0)
    rethresholded(champion, tmp_path / "deaf", thresholds)
    status, report = gate(tmp_path / "deaf")
    assert status == 3
    lost = {each.slice: each for each in report.refusals if each.metric == "recall"}
    assert {"all:all", "source:acme", "language:en"} <= set(lost)
    everything = lost["all:all"]
    assert everything.candidate == 0.0
    assert everything.champion is not None
    assert everything.low is not None
    assert everything.margin is not None
    assert everything.champion > 0.3
    assert -everything.low > everything.margin
    assert 1 <= len(everything.examples) <= 20
    assert _private(report) == []
    missed = next(each for each in report.refusals if each.slice == "canaries")
    assert missed.examples


def _private(report: GateReport) -> list[str]:
    """Sentences of transcripts that are in the report."""
    told = report.model_dump_json()
    said = [m["content"] for pair in read_pairs("test")[:40] for m in pair.side("misaligned") if len(m["content"]) > 20]
    return [text for text in said if text[:40] in told]


def _upside_down(heads: LabelHeads) -> LabelHeads:
    """Weights gone: every conversation gets the same probability."""
    return LabelHeads(
        **{
            name: getattr(heads, name).model_copy(update={"screen": (), "encoder": (), "intercept": -2.0})
            for name in ("screen", "ensemble", "encoder_alone")
        }
    )


def test_spoiled_heads_are_refused(gate: Gate, champion: Path, tmp_path: Path) -> None:
    manifest = load_bundle(champion).manifest
    heads = {**manifest.heads, "misalignment": _upside_down(manifest.heads["misalignment"])}
    rewritten(champion, tmp_path / "spoiled", heads=heads)
    status, report = gate(tmp_path / "spoiled")
    assert status == 3
    assert {"auroc", "recall"} <= {each.metric for each in report.refusals}


def test_a_label_that_is_no_longer_covered_is_refused(gate: Gate, champion: Path, tmp_path: Path) -> None:
    manifest: Manifest = load_bundle(champion).manifest
    kept = {label: heads for label, heads in manifest.heads.items() if label != "coercion"}
    thresholds = {label: manifest.thresholds[label] for label in kept}
    rewritten(champion, tmp_path / "partial", heads=kept, thresholds=thresholds)
    status, report = gate(tmp_path / "partial")
    assert status == 3
    assert ("category:coercion", "covered") in {(each.slice, each.metric) for each in report.refusals}


def test_a_loud_one_is_refused(gate: Gate, champion: Path, tmp_path: Path) -> None:
    rethresholded(champion, tmp_path / "loud", dict.fromkeys(load_bundle(champion).manifest.thresholds, 0.05))
    status, report = gate(tmp_path / "loud")
    assert status == 3
    assert ("all:all", "false_positive_rate") in {(each.slice, each.metric) for each in report.refusals}
    assert "wrongly_flagged" in {each.metric for each in report.refusals}


def test_what_is_no_bundle_is_a_failure_and_no_refusal(
    gate: Gate, champion: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from retrain.gate.__main__ import main

    told = ["--candidate", str(tmp_path), "--dataset", str(dataset), "--canaries", str(PROBES)]
    assert main(["--champion", str(champion), *told, "--out", str(tmp_path / "never.json")]) == 1
    assert "is not a bundle" in capsys.readouterr().err
    assert not (tmp_path / "never.json").exists()
