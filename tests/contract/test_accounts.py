"""Accounts, sessions, API tokens and waiting logins: the same on SQLite and PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from services.accounts import credentials
from services.accounts.account import PendingLogin
from services.accounts.accounts import Accounts
from services.accounts.errors import NotSignedIn, Refused
from services.accounts.passwords import Passwords
from services.accounts.principal import Role, Via
from services.store import Database, accounts, audit, sessions
from tests.identity import Clock, accounts_of

ACME = frozenset({"acme"})
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(database: Database, clock: Clock) -> Accounts:
    return accounts_of(database, clock)


@pytest.fixture
def password(made: Accounts) -> str:
    return made.people.create("ada", Role.TRIAGER, ACME, by="root")


def told(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as tx:
        assert audit.verify(tx).broken_at is None
        return [(entry.actor, entry.action, entry.object) for entry in audit.entries(tx)]


def everything(database: Database) -> str:
    """All that is in the tables of this package, and in the audit log."""
    with database.read() as tx:
        tables = ("accounts", "sessions", "api_tokens", "pending_logins", "audit_log")
        return str([list(tx.execute(text(f"SELECT * FROM {table}"))) for table in tables])


def test_somebody_signs_in_works_and_signs_out(made: Accounts, password: str, database: Database) -> None:
    opened = made.sessions.log_in("Ada", password)
    assert made.sessions.find(opened.secret) == opened.principal
    assert (opened.principal.account, opened.principal.role, opened.principal.tenants) == ("ada", Role.TRIAGER, ACME)
    assert opened.principal.via is Via.SESSION
    made.sessions.end(opened.secret)
    with pytest.raises(NotSignedIn):
        made.sessions.find(opened.secret)
    made.sessions.end(opened.secret)
    actions = [("root", "account.created", "ada"), ("ada", "login.succeeded", "ada"), ("ada", "logout", "ada")]
    assert told(database) == actions


def test_no_secret_is_in_the_database(made: Accounts, password: str, database: Database) -> None:
    opened = made.sessions.log_in("ada", password)
    token = made.tokens.create("ada", "ci", Role.VIEWER, None, DAY, by="ada")
    kept = everything(database)
    assert credentials.digest(opened.secret) in kept
    assert credentials.digest(token.secret) in kept
    for secret in (password, opened.secret, token.secret):
        assert secret not in kept
        assert secret not in repr((opened, token))


@pytest.mark.parametrize(
    ("name", "guess"), [("ada", "wrong-password"), ("nobody", "x"), ("a\x00b", "x"), ("x" * 99_999, "x"), ("", "")]
)
def test_whoever_does_not_know_the_password_stays_out_and_learns_nothing(
    made: Accounts, password: str, database: Database, name: str, guess: str
) -> None:
    with pytest.raises(NotSignedIn, match=r"^name or password is not right$"):
        made.sessions.log_in(name, guess)
    assert told(database)[-1] == ("-", "login.failed", "ada" if name == "ada" else "-")


def test_a_password_is_verified_whether_or_not_there_is_an_account(database: Database, clock: Clock) -> None:
    class Counted(PasswordHasher):
        verified = 0

        def verify(self, hash: Any, password: Any) -> Any:  # noqa: A002  (their name)
            Counted.verified += 1
            return super().verify(hash, password)

    made = accounts_of(database, clock)
    people = replace(made.sessions, passwords=Passwords(Counted(time_cost=1, memory_cost=8, parallelism=1)))
    made.people.create("ada", Role.VIEWER, None, by="root")
    made.people.create("bob", Role.VIEWER, None, by="root")
    made.people.disable("bob", by="root")
    for number, name in enumerate(("ada", "bob", "nobody"), 1):
        with pytest.raises(NotSignedIn):
            people.log_in(name, "wrong")
        assert Counted.verified == number


def test_a_session_ends_when_nobody_has_been_there_for_a_while(made: Accounts, password: str, clock: Clock) -> None:
    opened = made.sessions.log_in("ada", password)
    for _ in range(5):
        clock.turn(minutes=59)
        made.sessions.find(opened.secret)
    clock.turn(minutes=60)
    with pytest.raises(NotSignedIn):
        made.sessions.find(opened.secret)


def test_a_session_ends_however_busy_it_is(made: Accounts, password: str, clock: Clock) -> None:
    opened = made.sessions.log_in("ada", password)
    for _ in range(23):
        clock.turn(minutes=30)
        made.sessions.find(opened.secret)
    clock.turn(minutes=30)
    with pytest.raises(NotSignedIn):
        made.sessions.find(opened.secret)


def test_sessions_that_are_over_are_forgotten_with_the_next_login(
    made: Accounts, password: str, clock: Clock, database: Database
) -> None:
    made.sessions.log_in("ada", password)
    clock.turn(hours=13)
    made.sessions.log_in("ada", password)
    with database.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM sessions")).scalar() == 1


def test_every_login_has_a_secret_of_its_own(made: Accounts, password: str) -> None:
    one, two = (made.sessions.log_in("ada", password) for _ in range(2))
    assert one.secret != two.secret
    made.sessions.end(one.secret)
    assert made.sessions.find(two.secret).account == "ada"


@pytest.mark.parametrize("secret", ["", "x", "x" * 43, "x" * 44, "\x00" * 43, "é" * 43])
def test_what_is_no_secret_of_ours_opens_nothing(made: Accounts, password: str, secret: str) -> None:
    for find in (made.sessions.find, made.tokens.find):
        with pytest.raises(NotSignedIn):
            find(secret)
    with pytest.raises(NotSignedIn):
        made.tokens.find(credentials.TOKEN_PREFIX + secret)
    made.sessions.end(secret)


def test_a_disabled_account_is_out_at_once(made: Accounts, password: str, database: Database) -> None:
    opened = made.sessions.log_in("ada", password)
    token = made.tokens.create("ada", "ci", Role.VIEWER, None, DAY, by="ada")
    assert made.exists("ada")
    made.people.disable("ada", by="root")
    assert not made.exists("ada")
    with pytest.raises(NotSignedIn):
        made.sessions.find(opened.secret)
    with pytest.raises(NotSignedIn):
        made.tokens.find(token.secret)
    with pytest.raises(NotSignedIn):
        made.sessions.log_in("ada", password)
    made.people.enable("ada", by="root")
    with pytest.raises(NotSignedIn):
        made.sessions.find(opened.secret)
    assert made.sessions.log_in("ada", password).principal.account == "ada"
    assert ("root", "account.disabled", "ada") in told(database)


def test_a_new_password_ends_the_sessions_and_the_old_one(made: Accounts, password: str) -> None:
    opened = made.sessions.log_in("ada", password)
    new = made.people.new_password("ada", by="root")
    with pytest.raises(NotSignedIn):
        made.sessions.find(opened.secret)
    with pytest.raises(NotSignedIn):
        made.sessions.log_in("ada", password)
    made.sessions.log_in("ada", new)
    made.people.set_password("ada", "correct horse battery", by="ada")
    made.sessions.log_in("ada", "correct horse battery")


def test_what_an_account_may_do_counts_from_the_next_request(made: Accounts, password: str) -> None:
    opened = made.sessions.log_in("ada", password)
    made.people.set_access("ada", Role.VIEWER, frozenset(), by="root")
    found = made.sessions.find(opened.secret)
    assert (found.role, found.tenants) == (Role.VIEWER, frozenset())


def test_a_hash_with_old_parameters_is_made_anew_at_the_next_login(
    made: Accounts, password: str, database: Database
) -> None:
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    later = replace(made.sessions, passwords=Passwords(stronger))
    later.log_in("ada", password)
    with database.read() as tx:
        account = accounts.get(tx, "ada")
    assert account is not None
    assert account.password_hash is not None
    assert not stronger.check_needs_rehash(account.password_hash)
    later.log_in("ada", password)


def test_names_are_taken_once_and_have_a_form(made: Accounts, password: str) -> None:
    with pytest.raises(Refused, match="already"):
        made.people.create("ADA", Role.VIEWER, None, by="root")
    for name in ("", "-ada", "a b", "<b>", "a\x00", "ä", "x" * 101, "a\n"):
        with pytest.raises(Refused):
            made.people.create(name, Role.VIEWER, None, by="root")
    for tenants in (frozenset({""}), frozenset({"a\nb"}), frozenset({"x" * 257})):
        with pytest.raises(Refused):
            made.people.create("bob", Role.VIEWER, tenants, by="root")
    for name in ("nobody", "a\x00"):
        with pytest.raises(Refused, match="no such account"):
            made.people.disable(name, by="root")
        assert not made.exists(name)
    assert [account.name for account in made.people.everybody()] == ["ada"]


def test_the_first_admin_is_made_once_and_only_where_there_is_nobody(database: Database, clock: Clock) -> None:
    made = accounts_of(database, clock)
    with ThreadPoolExecutor(4) as threads:
        passwords = list(threads.map(lambda _: made.people.ensure_first_admin(), range(4)))
    (password,) = [password for password in passwords if password is not None]
    principal = made.sessions.log_in("admin", password).principal
    assert (principal.role, principal.tenants) == (Role.ADMIN, None)
    assert made.people.ensure_first_admin() is None
    assert told(database)[0] == ("system", "account.created", "admin")


def test_no_first_admin_where_there_is_anybody(made: Accounts, password: str) -> None:
    assert made.people.ensure_first_admin() is None
    assert not made.exists("admin")


def test_a_token_opens_what_it_says_until_it_is_over(made: Accounts, password: str, clock: Clock) -> None:
    token = made.tokens.create("ada", "webhook", Role.VIEWER, ACME, DAY, by="ada")
    assert credentials.is_api_token(token.secret)
    found = made.tokens.find(token.secret)
    assert (found.account, found.role, found.tenants, found.via) == ("ada", Role.VIEWER, ACME, Via.TOKEN)
    (listed,) = made.tokens.everyones("ada")
    assert listed.last_used_at == clock.now
    used_at = clock.now
    clock.turn(minutes=1)
    made.tokens.find(token.secret)
    assert made.tokens.everyones()[0].last_used_at == used_at
    clock.turn(hours=23, minutes=58)
    made.tokens.find(token.secret)
    clock.turn(minutes=1)
    with pytest.raises(NotSignedIn):
        made.tokens.find(token.secret)


@pytest.mark.parametrize(
    ("role", "tenants"), [(Role.ADMIN, ACME), (Role.VIEWER, frozenset({"other"})), (Role.VIEWER, ACME | {"other"})]
)
def test_a_token_opens_no_more_than_its_owner_may(
    made: Accounts, password: str, role: Role, tenants: frozenset[str]
) -> None:
    with pytest.raises(Refused, match="no more than its owner"):
        made.tokens.create("ada", "x", role, tenants, DAY, by="ada")


def test_a_token_shrinks_with_its_owner(made: Accounts) -> None:
    made.people.create("root", Role.ADMIN, None, by="x")
    token = made.tokens.create("root", "x", Role.ADMIN, None, DAY, by="root")
    made.people.set_access("root", Role.TRIAGER, ACME, by="x")
    found = made.tokens.find(token.secret)
    assert (found.role, found.tenants) == (Role.TRIAGER, ACME)


def test_tokens_are_refused_for_nobody_without_a_name_and_for_ever(made: Accounts, password: str) -> None:
    for owner, name, life in (("nobody", "x", DAY), ("ada", "", DAY), ("ada", "x", DAY * 4000), ("ada", "x", DAY * 0)):
        with pytest.raises(Refused):
            made.tokens.create(owner, name, Role.VIEWER, None, life, by="ada")


def test_a_revoked_token_opens_nothing_and_nobody_revokes_anothers(
    made: Accounts, password: str, database: Database
) -> None:
    token = made.tokens.create("ada", "x", Role.VIEWER, None, DAY, by="ada")
    with pytest.raises(Refused, match="no such token"):
        made.tokens.revoke(token.token.token_id, by="bob", only_of="bob")
    with pytest.raises(Refused, match="no such token"):
        made.tokens.revoke(UUID(int=1), by="root")
    made.tokens.find(token.secret)
    for _ in range(2):
        made.tokens.revoke(token.token.token_id, by="ada", only_of="ada")
    with pytest.raises(NotSignedIn):
        made.tokens.find(token.secret)
    assert [action for _, action, _ in told(database)].count("token.revoked") == 1


def test_of_many_who_take_a_waiting_login_one_gets_it(database: Database, clock: Clock) -> None:
    waiting = PendingLogin("d" * 64, "nonce", "verifier", "/", clock.now + timedelta(minutes=10))
    with database.write() as tx:
        sessions.add_pending(tx, waiting)

    def take(_: int) -> PendingLogin | None:
        with database.write() as tx:
            return sessions.take_pending(tx, waiting.digest)

    with ThreadPoolExecutor(4) as threads:
        assert [taken for taken in threads.map(take, range(4)) if taken] == [waiting]


def test_logins_whose_answer_never_came_are_forgotten(database: Database, clock: Clock) -> None:
    with database.write() as tx:
        for number in range(3):
            ends_at = clock.now + timedelta(minutes=number)
            sessions.add_pending(tx, PendingLogin(str(number), "n", "v", "/", ends_at))
        assert sessions.forget_pending(tx, clock.now + timedelta(minutes=1)) == 2
        assert sessions.take_pending(tx, "2") is not None


def test_one_subject_of_a_provider_is_one_account(made: Accounts, password: str, database: Database) -> None:
    with database.write() as tx:
        local = accounts.get(tx, "ada")
        assert local is not None
        one = replace(local, name="bob", password_hash=None, issuer="https://idp", subject="s")
        assert accounts.add(tx, one)
        assert not accounts.add(tx, replace(one, name="carol"))
        assert accounts.of_subject(tx, "https://idp", "s") == one
        assert accounts.of_subject(tx, "https://other", "s") is None
    with pytest.raises(Refused, match="OIDC"):
        made.people.new_password("bob", by="root")


def test_a_login_says_when_it_was(made: Accounts, password: str, clock: Clock) -> None:
    made.sessions.log_in("ada", password)
    (ada,) = made.people.everybody()
    assert (ada.created_at, ada.last_login_at) == (clock.now, clock.now)


@pytest.mark.parametrize("change", ["password", "disabled"])
def test_what_changes_while_a_password_is_verified_counts(
    made: Accounts, password: str, database: Database, change: str
) -> None:
    class Meanwhile(PasswordHasher):
        def verify(self, hash: Any, password: Any) -> Any:  # noqa: A002  (their name)
            if change == "password":
                made.people.new_password("ada", by="root")
            else:
                made.people.disable("ada", by="root")
            return super().verify(hash, password)

    slow = replace(made.sessions, passwords=Passwords(Meanwhile(time_cost=1, memory_cost=8, parallelism=1)))
    with pytest.raises(NotSignedIn):
        slow.log_in("ada", password)
    with database.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM sessions")).scalar() == 0


def test_a_session_that_was_left_over_opens_no_disabled_account(
    made: Accounts, password: str, database: Database, clock: Clock
) -> None:
    opened = made.sessions.log_in("ada", password)
    with database.write() as tx:
        accounts.set_disabled(tx, "ada", clock.now)
    with pytest.raises(NotSignedIn):
        made.sessions.find(opened.secret)


def test_who_takes_an_account_away_ends_a_login_that_was_under_way(
    made: Accounts, password: str, database: Database
) -> None:
    under_way, disabling = Event(), Event()

    def disable() -> None:
        under_way.wait(timeout=30)
        disabling.set()
        made.people.disable("ada", by="root")

    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(disable)
        with database.write() as tx:
            account = accounts.get(tx, "ada", lock=True)
            assert account is not None
            under_way.set()
            disabling.wait(timeout=30)
            made.sessions.open(tx, account, "password")
        other.result(timeout=30)
    with database.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM sessions")).scalar() == 0
