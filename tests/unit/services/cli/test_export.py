"""`plumbline export`, and what `plumbline erase` says about exports, as people call them."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")

from detectors.bundle import Bundle
from detectors.loading import DEFAULT_BUNDLE
from services.cli.main import app
from services.errors import ServicesError, SettingsError
from services.settings import load_settings
from services.store import Store, cases, outbox
from services.triage.actions import Actor
from services.triage.case import Disposition
from services.triage.configured import actions_of, archivist_of, salt_of
from services.triage.label import Decision
from tests.triage_data import NOW, event, verdict


@pytest.fixture
def place(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the installation's exports go."""
    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("PLUMBLINE_RETRAINING_FOLDER", str(tmp_path / "retraining"))
    return tmp_path / "exports"


def judge(
    store: Store,
    conversation: str,
    disposition: Disposition = Disposition.CONFIRMED,
    *,
    bundle: str = "b1",
    tenant: str = "acme",
) -> None:
    settings, salt = load_settings(), salt_of(store.database)
    of = event(conversation, tenant=tenant, agent={"name": f"agent-of-{conversation}"})
    store.record([verdict(of, bundle=bundle)], [], [archivist_of(settings, salt).redacted(of)], now=NOW)
    with store.database.write() as tx:
        member = cases.member(tx, tenant, conversation)
        assert member is not None
        case = cases.get(tx, member.case_id)
        assert case is not None
        told = {"disposition": disposition, "corrected_answer": "Two of them are open."}
        decision = Decision(conversation_id=conversation, **told)
        actions_of(settings, salt).decide(tx, Actor("ada", None), case.case_id, case.version, decision, NOW)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_an_export_is_written_and_says_what_is_in_it(place: Path, store: Store) -> None:
    judge(store, "c1")
    judge(store, "c2", tenant="other")
    result = run("export", "--output", str(place), "--formats", "sft, preferences")
    assert result.exit_code == 0, result.output
    (folder,) = place.iterdir()
    assert "sft: 2 rows" in result.stdout
    assert f"wrote {folder}: 2 labels of 2 conversations" in result.stdout
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["rows"] == {"sft": 2, "preferences": 2}
    assert (manifest["dataset"], manifest["filters"]["tenants"]) == (None, None)
    (one,) = {run("export", "--output", str(place / "one"), "--tenant", "acme", "--since", "2026-03-01").exit_code}
    assert one == 0
    (of_acme,) = (place / "one").iterdir()
    told = json.loads((of_acme / "manifest.json").read_text())
    assert told["filters"] == {"tenants": ["acme"], "since": "2026-03-01"}
    assert told["conversations"] == 1


def test_with_k_neither_rows_nor_manifest_name_a_tenant(place: Path, store: Store) -> None:
    for number in range(3):
        judge(store, f"c{number}", tenant=f"tenant-{number}")
    asked = ("--k", "3", "--tenant", "tenant-0", "--tenant", "tenant-1", "--tenant", "tenant-2")
    assert run("export", "--output", str(place), *asked).exit_code == 0
    texts = [path.read_text() for path in place.rglob("*.*") if path.suffix in (".jsonl", ".json", ".md", ".csv")]
    assert "tenant-" not in "".join(texts)
    assert '"tenants": 3' in "".join(texts)


def test_coverage_alone_writes_nothing(place: Path, store: Store) -> None:
    judge(store, "c1")
    result = run("export", "--coverage")
    assert result.exit_code == 0
    assert "missing categories: self_preservation" in result.stdout
    assert not place.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--output"),
        (["--coverage", "--formats", "sft,kto"], "--formats: kto"),
        (["--coverage", "--formats", ""], "--formats: nothing"),
        (["--coverage", "--category", "rudeness"], "--category: rudeness"),
        (["--coverage", "--dataset", "../../etc"], "--dataset: expected the name"),
        (["--coverage", "--dataset", "ds-0123456789ab"], "--dataset: .* not a plain file"),
    ],
)
def test_what_makes_no_sense_is_refused(place: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        run("export", *arguments)


def test_labels_that_a_dataset_version_held_back_as_suspicious_are_held_back_here(
    place: Path, store: Store, tmp_path: Path
) -> None:
    from retrain.datasets.assembly import assemble
    from retrain.datasets.policy import Policy
    from retrain.datasets.store import write
    from retrain.queued import QueuedLabel, parse

    judge(store, "c1")
    judge(store, "c2", Disposition.DISMISSED)  # the same words
    with store.database.read() as tx:
        sent = [each.value for each in outbox.due(tx, NOW + timedelta(days=1), limit=10) if "label_id" in each.value]
    given = [label for value in sent if isinstance(label := parse(value), QueuedLabel)]
    assert len(given) == 2
    folder = write(tmp_path / "retraining" / "datasets", assemble(given, None, Policy(), salt="s"))
    plain = run("export", "--output", str(place / "plain"))
    assert "sft: 1 rows" in plain.stdout
    result = run("export", "--output", str(place / "checked"), "--dataset", folder.name)
    assert "sft: 0 rows\n" in result.stdout
    assert "all: 2 held back: label_flip" in result.stdout
    (exported,) = (place / "checked").iterdir()
    assert json.loads((exported / "manifest.json").read_text())["dataset"] == folder.name


def test_what_the_held_out_bundle_flagged_is_never_exported(
    place: Path, store: Store, shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(store, "c1")
    judge(store, "c2", bundle=shipped_bundle.manifest.version)
    monkeypatch.setenv("PLUMBLINE_HELD_OUT_BUNDLE", str(DEFAULT_BUNDLE))
    with pytest.raises(ServicesError, match=r"nothing was exported: label .*: its bundle version is of a held-out"):
        run("export", "--output", str(place))
    assert not place.exists()
    monkeypatch.setenv("PLUMBLINE_HELD_OUT_BUNDLE", str(place / "none"))
    with pytest.raises(SettingsError, match="PLUMBLINE_HELD_OUT_BUNDLE"):
        run("export", "--output", str(place))


def test_erase_names_the_exports_that_it_reached_and_fails_for_those_it_could_not(place: Path, store: Store) -> None:
    judge(store, "c1")
    judge(store, "c2")
    run("export", "--output", str(place))
    (folder,) = place.iterdir()
    erase = ("erase", "--tenant", "acme", "--reason", "asked", "--conversation")
    first = run(*erase, "c1")
    assert first.exit_code == 0
    assert f"taken out of the exports {folder.name}" in first.stdout
    shutil.rmtree(folder)
    second = run(*erase, "c2")
    assert second.exit_code == 1
    assert f"STILL IN the exports {folder.name}" in second.stderr
