"""`plumbline rollout` and `plumbline registry`, by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.registry import Registry, open_registry
from deploy.rollout.state import first
from detectors.loading import DEFAULT_BUNDLE
from services.cli.main import _run, app
from services.errors import ServicesError, SettingsError
from services.rollout.errors import NoRolloutError, NotNowError
from services.store import Database, audit, open_engine
from tests.rollout_data import CANDIDATE, STABLE


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", database_url)
    return Database(open_engine(database_url))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("PLUMBLINE_REGISTRY", str(tmp_path / "registry"))
    return open_registry(str(tmp_path / "registry"))


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def shipped(registry: Registry) -> str:
    """The version of the bundle that ships, published and stable."""
    version = run("registry", "publish", str(DEFAULT_BUNDLE), "--fact", "parent=none").stdout.strip()
    registry.move(first(version, datetime.now(UTC)))
    return version


def test_a_bundle_is_published_looked_at_and_checked(registry: Registry, shipped: str) -> None:
    assert run("registry", "list").stdout.split() == [shipped, "stable"]
    shown = json.loads(run("registry", "show", shipped).stdout)
    assert (shown["version"], shown["facts"], shown["signed_by"]) == (shipped, {"parent": "none"}, None)
    assert "as published; not signed" in run("registry", "verify", shipped).stdout
    assert run("registry", "publish", str(DEFAULT_BUNDLE)).stdout.strip() == shipped


def test_what_was_tampered_with_does_not_pass(shipped: str, tmp_path: Path) -> None:
    largest = max((tmp_path / "registry" / "files").rglob("*"), key=lambda path: path.stat().st_size)
    largest.chmod(0o644)
    largest.write_bytes(b"something else")
    with pytest.raises(ServicesError, match="registry:"):
        run("registry", "verify", shipped)


def test_keys_sign_and_only_what_they_signed_is_taken(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    keys = dict(line.split("=", 1) for line in run("registry", "make-key").stdout.split())
    assert keys.keys() == {"PLUMBLINE_REGISTRY_SIGNING_KEY", "PLUMBLINE_REGISTRY_PUBLIC_KEY"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    version = run("registry", "publish", str(DEFAULT_BUNDLE)).stdout.strip()
    assert keys["PLUMBLINE_REGISTRY_PUBLIC_KEY"] in run("registry", "verify", version).stdout
    other = run("registry", "make-key").stdout.split()[1]
    monkeypatch.delenv("PLUMBLINE_REGISTRY_SIGNING_KEY")
    monkeypatch.setenv("PLUMBLINE_REGISTRY_PUBLIC_KEY", other.split("=", 1)[1])
    with pytest.raises(ServicesError, match="registry:"):
        run("registry", "verify", version)


def test_without_a_registry_it_says_which_variable_to_set(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMBLINE_REGISTRY", raising=False)
    for arguments in (["registry", "list"], ["rollout", "status"], ["rollout", "promote", "--reason", "x"]):
        with pytest.raises(SettingsError, match="PLUMBLINE_REGISTRY"):
            run(*arguments)


def test_a_rollout_by_hand(database: Database, registry: Registry, shipped: str) -> None:
    with pytest.raises(ServicesError, match="not in the registry"):
        run("rollout", "start", CANDIDATE, "--reason", "x")
    assert f"steady; stable {shipped}" in run("rollout", "status").stdout
    with pytest.raises(NotNowError):
        run("rollout", "start", shipped, "--reason", "x")
    registry.move(registry.rollout().model_copy(update={"revision": 2, "stable": STABLE}))  # type: ignore[union-attr]
    assert "shadow" in run("rollout", "start", shipped, "--reason", "made by hand").stdout
    shown = run("rollout", "status").stdout
    assert "flags_more" in shown
    assert "at least 500 more events" in shown
    told = json.loads(run("rollout", "status", "--json").stdout)
    assert told["rollout"]["candidate"] == shipped
    assert {each["what"] for each in told["compared"]["findings"]} >= {"flags_more", "incomplete"}
    run("rollout", "pause", "--reason", "lunch", "--actor", "ada")
    run("rollout", "resume", "--reason", "back")
    run("rollout", "promote", "--reason", "urgent")
    run("rollout", "roll-back", "--reason", "[bold]it was \x1b[31mbad".replace("\x1b", ""))
    with database.read() as tx:
        entries = [(each.actor, each.action) for each in audit.entries(tx)]
    me = f"cli:{getuser()}"
    steps = [("ada", "paused"), (me, "resumed"), (me, "promoted"), (me, "rolled_back")]
    assert entries[-4:] == [(who, f"rollout.{step}") for who, step in steps]
    listed = run("rollout", "history").stdout
    assert "[bold]it was" in listed
    lines = [json.loads(line) for line in run("rollout", "history", "--json", "--limit", "2").stdout.splitlines()]
    assert [line["step"] for line in lines] == ["rolled_back", "promoted"]


def test_a_reason_is_required(database: Database, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("promote", "roll-back", "pause", "resume"):
        monkeypatch.setattr("sys.argv", ["plumbline", "rollout", command])
        assert _run() == 2
        with pytest.raises(NoRolloutError):
            run("rollout", command, "--reason", "x")
