"""`plumbline accounts`: passwords and tokens go to standard output, once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner, Result

from services.accounts.accounts import Accounts
from services.accounts.errors import NotSignedIn, Refused
from services.accounts.principal import Role
from services.cli.main import app
from services.errors import ServicesError, SettingsError
from services.settings import load_settings
from services.store import Database, audit, open_engine


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", database_url)
    return Database(open_engine(database_url))


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts.configured(load_settings(), database, lambda: datetime.now(UTC))


def run(*arguments: str, **more: str) -> Result:
    result = CliRunner().invoke(app, ["accounts", *arguments], catch_exceptions=False, **more)
    assert result.exit_code == 0, result.output
    return result


def test_the_password_of_a_new_account_is_all_that_is_printed(accounts: Accounts, database: Database) -> None:
    result = run("create", "ada", "--role", "triager", "--tenant", "acme", "--tenant", "other")
    password = result.stdout.strip()
    principal = accounts.sessions.log_in("ada", password).principal
    assert (principal.role, principal.tenants) == (Role.TRIAGER, frozenset({"acme", "other"}))
    assert result.stderr == ""
    with database.read() as tx:
        assert next((entry.actor, entry.action) for entry in audit.entries(tx)) == ("command line", "account.created")


@pytest.mark.parametrize("tenants", [[], ["--tenant", "acme", "--all-tenants"]])
def test_tenants_are_said_one_way(accounts: Accounts, tenants: list[str]) -> None:
    with pytest.raises(SettingsError, match="--all-tenants"):
        run("create", "ada", "--role", "viewer", *tenants)
    assert accounts.people.everybody() == []


def test_the_life_of_an_account(accounts: Accounts) -> None:
    first = run("create", "ada", "--role", "admin", "--all-tenants").stdout.strip()
    assert "ada" in run("list").stdout
    second = run("password", "ada").stdout.strip()
    with pytest.raises(NotSignedIn):
        accounts.sessions.log_in("ada", first)
    session = accounts.sessions.log_in("ada", second)
    run("access", "ada", "--role", "viewer", "--tenant", "acme")
    assert accounts.sessions.find(session.secret).role is Role.VIEWER
    run("disable", "ada")
    assert not accounts.exists("ada")
    run("enable", "ada")
    assert accounts.exists("ada")
    asked = run("password", "ada", "--ask", input="correct horse battery\ncorrect horse battery\n")
    assert "correct" not in asked.output
    accounts.sessions.log_in("ada", "correct horse battery")
    with pytest.raises(Refused, match="12 to 1024"):
        run("password", "ada", "--ask", input="short\nshort\n")


def test_the_life_of_a_token(accounts: Accounts) -> None:
    run("create", "ada", "--role", "triager", "--tenant", "acme")
    made = run("token", "create", "ada", "--name", "alertmanager", "--role", "triager", "--days", "365")
    secret = made.stdout.strip()
    found = accounts.tokens.find(secret)
    assert (found.role, found.tenants) == (Role.TRIAGER, frozenset({"acme"}))
    token_id = str(accounts.tokens.everyones()[0].token_id)
    assert token_id in made.stderr
    listed = run("token", "list", "--account", "ada").stdout
    assert "alertmanager" in listed
    assert secret not in listed
    run("token", "revoke", token_id)
    assert "revoked" in run("token", "list").stdout
    with pytest.raises(NotSignedIn):
        accounts.tokens.find(secret)


def test_a_database_without_schema_says_what_to_do(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", f"sqlite:///{tmp_path}/new.db")
    with pytest.raises(ServicesError, match=r"no \(current\) schema"):
        run("list")
