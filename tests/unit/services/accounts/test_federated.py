"""Logins over a provider that really runs: what it says is believed only where all of it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc.jwk import OctKey, RSAKey

from services.accounts.accounts import Accounts
from services.accounts.errors import AccountsError, Forbidden, NotSignedIn, ProviderError
from services.accounts.federated import Answer, FederatedLogins
from services.accounts.principal import Role
from services.accounts.sessions import Opened
from services.store import Database, audit
from services.store import accounts as stored
from tests.identity import Clock
from tests.oidc_provider import LittleProvider

Lie = Callable[[dict[str, Any]], dict[str, Any]]


def answered(logins: FederatedLogins, wanted: str = "/cases") -> Answer:
    """To the provider and back, as a browser goes."""
    url, state = logins.begin(wanted)
    back = urlsplit(httpx2.get(url, verify=logins.provider.tls).headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == "https://triage.example.org/login/callback"
    told = {name: values[0] for name, values in parse_qs(back.query).items()}
    return Answer(state, told["state"], told["code"], None, told["iss"])


def signed_in(logins: FederatedLogins) -> Opened:
    return logins.finish(answered(logins))[0]


def refused(logins: FederatedLogins, answer: Answer, database: Database) -> AccountsError:
    """The refusal; there is no session then, no account, and a line in the audit log."""
    with pytest.raises(AccountsError) as refusal:
        logins.finish(answer)
    with database.read() as tx:
        assert [entry.action for entry in audit.entries(tx)][-1] == "login.failed"
        assert stored.everybody(tx) == []
    return refusal.value


def test_somebody_signs_in_and_goes_where_they_wanted(logins: FederatedLogins, accounts: Accounts) -> None:
    opened, wanted = logins.finish(answered(logins, "/cases?state=open"))
    assert wanted == "/cases?state=open"
    found = accounts.sessions.find(opened.secret)
    assert (found.account, found.role, found.tenants) == ("ada", Role.TRIAGER, frozenset({"acme"}))


def test_the_second_time_it_is_the_same_account_with_what_counts_now(
    logins: FederatedLogins, accounts: Accounts, provider: LittleProvider
) -> None:
    signed_in(logins)
    provider.person |= {"groups": ["leads"], "preferred_username": "countess"}
    assert signed_in(logins).principal.role is Role.ADMIN
    (account,) = accounts.people.everybody()
    assert (account.name, account.role, account.tenants) == ("ada", Role.ADMIN, None)


def test_nobody_becomes_another_by_being_called_the_same(
    logins: FederatedLogins, accounts: Accounts, provider: LittleProvider
) -> None:
    accounts.people.create("ada", Role.ADMIN, None, by="root")
    first = signed_in(logins).principal
    provider.person["sub"] = "p-2"
    second = signed_in(logins).principal
    assert len({"ada", first.account, second.account}) == 3
    assert first.role is second.role is Role.TRIAGER


@pytest.mark.parametrize("groups", [[], ["strangers"], None, {"soc": 1}])
def test_who_has_no_role_stays_out(
    logins: FederatedLogins, provider: LittleProvider, database: Database, groups: object
) -> None:
    provider.person["groups"] = groups
    assert isinstance(refused(logins, answered(logins), database), Forbidden)


def test_who_has_lost_their_groups_loses_sessions_and_tokens_see_nothing(
    logins: FederatedLogins, accounts: Accounts, provider: LittleProvider, clock: Clock
) -> None:
    opened = signed_in(logins)
    token = accounts.tokens.create("ada", "x", Role.TRIAGER, None, accounts.sessions.lifetime, by="ada")
    provider.person["groups"] = []
    with pytest.raises(Forbidden):
        signed_in(logins)
    with pytest.raises(NotSignedIn):
        accounts.sessions.find(opened.secret)
    left = accounts.tokens.find(token.secret)
    assert (left.role, left.tenants) == (Role.VIEWER, frozenset())
    provider.person["groups"] = ["soc"]
    assert signed_in(logins).principal.role is Role.TRIAGER


def test_a_disabled_account_stays_out_whatever_the_provider_says(logins: FederatedLogins, accounts: Accounts) -> None:
    signed_in(logins)
    accounts.people.disable("ada", by="root")
    with pytest.raises(Forbidden):
        signed_in(logins)


def test_groups_that_are_told_only_on_request_are_asked_for(logins: FederatedLogins, provider: LittleProvider) -> None:
    del provider.person["groups"]
    provider.on_request = {"groups": ["leads"]}
    assert signed_in(logins).principal.role is Role.ADMIN


def test_information_about_somebody_else_is_not_believed(
    logins: FederatedLogins, provider: LittleProvider, database: Database
) -> None:
    del provider.person["groups"]
    provider.on_request = {"groups": ["leads"], "sub": "p-2"}
    assert isinstance(refused(logins, answered(logins), database), ProviderError)


@pytest.mark.parametrize(
    "lie",
    [
        lambda claims: {**claims, "nonce": "another"},
        lambda claims: {name: value for name, value in claims.items() if name != "nonce"},
        lambda claims: {**claims, "aud": "another-client"},
        lambda claims: {**claims, "aud": "another-client", "azp": "plumbline-triage"},
        lambda claims: {**claims, "aud": ["another-client"], "azp": "plumbline-triage"},
        lambda claims: {**claims, "aud": ["another-client"]},
        lambda claims: {**claims, "aud": ["plumbline-triage", "another-client"]},
        lambda claims: {**claims, "azp": "another-client"},
        lambda claims: {name: value for name, value in claims.items() if name != "aud"},
        lambda claims: {**claims, "iss": "https://another.example.org"},
        lambda claims: {name: value for name, value in claims.items() if name != "iss"},
        lambda claims: {**claims, "exp": claims["iat"] - 31},
        lambda claims: {**claims, "exp": None},
        lambda claims: {name: value for name, value in claims.items() if name != "exp"},
        lambda claims: {**claims, "iat": claims["iat"] + 3600},
        lambda claims: {**claims, "nbf": claims["iat"] + 3600},
        lambda claims: {name: value for name, value in claims.items() if name != "sub"},
        lambda claims: {**claims, "sub": ""},
        lambda claims: {**claims, "sub": "a\x00b"},
        lambda claims: {**claims, "sub": 7},
        lambda claims: {**claims, "sub": "x" * 256},
        lambda claims: {**claims, "at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
)
def test_a_token_with_a_claim_that_does_not_hold_signs_nobody_in(
    logins: FederatedLogins, provider: LittleProvider, database: Database, lie: Lie
) -> None:
    provider.lie = lie
    assert isinstance(refused(logins, answered(logins), database), ProviderError)


def test_a_token_is_over_by_our_clock(
    logins: FederatedLogins, provider: LittleProvider, database: Database, clock: Clock
) -> None:
    answer = answered(logins)
    provider.lie = lambda claims: {**claims, "exp": claims["iat"] + 60}
    issued = clock.now
    provider.clock = lambda: issued
    clock.turn(seconds=91)
    assert isinstance(refused(logins, answer, database), ProviderError)


def test_a_token_of_another_key_signs_nobody_in(
    logins: FederatedLogins, provider: LittleProvider, database: Database
) -> None:
    provider.key = RSAKey.generate_key(2048, {"kid": "k1"})
    assert isinstance(refused(logins, answered(logins), database), ProviderError)


@pytest.mark.parametrize("kid", ["k1", None])
def test_a_token_signed_with_the_public_key_as_a_shared_secret_signs_nobody_in(
    logins: FederatedLogins, provider: LittleProvider, database: Database, kid: str | None
) -> None:
    public = provider.published[0].as_pem(private=False)
    provider.key = OctKey.import_key(public.replace(b"-----", b""))  # type: ignore[assignment]
    provider.header = {"alg": "HS256", **({"kid": kid} if kid else {})}
    assert isinstance(refused(logins, answered(logins), database), ProviderError)


def test_a_token_without_a_signature_signs_nobody_in(
    logins: FederatedLogins, provider: LittleProvider, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, body, _ = provider.id_token("n").split(".")
    none = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    for raw in (f"{head}.{body}.", f"{none}.{body}.", f"{head}.{body}", "", "a.b.c", "é"):
        monkeypatch.setattr(provider, "id_token", lambda nonce, raw=raw: raw)
        assert isinstance(refused(logins, answered(logins), database), ProviderError)


def test_a_token_that_names_no_key_is_held_against_all(logins: FederatedLogins, provider: LittleProvider) -> None:
    provider.published.insert(0, RSAKey.generate_key(2048, {"kid": "k0"}))
    provider.key = provider.published[1]
    provider.header = {"alg": "RS256"}
    assert signed_in(logins).principal.account == "ada"


def test_new_keys_of_the_provider_are_fetched_when_they_are_needed(
    logins: FederatedLogins, provider: LittleProvider, clock: Clock
) -> None:
    signed_in(logins)
    provider.published = [RSAKey.generate_key(2048, {"kid": "k2"})]
    provider.header = {"alg": "RS256", "kid": "k2"}
    clock.turn(seconds=30)
    assert signed_in(logins).principal.account == "ada"


def test_an_answer_counts_once(logins: FederatedLogins, accounts: Accounts, provider: LittleProvider) -> None:
    answer = answered(logins)
    logins.finish(answer)
    with pytest.raises(NotSignedIn, match="over"):
        logins.finish(answer)


def test_an_answer_counts_once_also_with_another_code(logins: FederatedLogins) -> None:
    answer, other = answered(logins), answered(logins)
    logins.finish(answer)
    with pytest.raises(NotSignedIn):
        logins.finish(replace(answer, code=other.code))


def test_the_code_of_another_login_signs_nobody_in(logins: FederatedLogins, database: Database) -> None:
    """Its verifier and nonce belong to that other login."""
    answer, other = answered(logins), answered(logins)
    assert isinstance(refused(logins, replace(answer, code=other.code), database), ProviderError)


@pytest.mark.parametrize("cookie", [None, "", "x" * 43, "é"])
def test_an_answer_in_a_browser_that_did_not_begin_signs_nobody_in(
    logins: FederatedLogins, database: Database, cookie: str | None
) -> None:
    assert isinstance(refused(logins, replace(answered(logins), cookie=cookie), database), NotSignedIn)


def test_a_made_up_state_signs_nobody_in(logins: FederatedLogins, database: Database) -> None:
    made_up = replace(answered(logins), state="x" * 43, cookie="x" * 43)
    assert isinstance(refused(logins, made_up, database), NotSignedIn)


def test_an_answer_that_comes_too_late_signs_nobody_in(
    logins: FederatedLogins, database: Database, clock: Clock
) -> None:
    answer = answered(logins)
    clock.turn(minutes=10)
    assert isinstance(refused(logins, answer, database), NotSignedIn)


@pytest.mark.parametrize(
    "change", [{"error": "access_denied"}, {"code": None}, {"code": "made-up"}, {"issuer": "https://other"}]
)
def test_a_refusal_or_another_providers_answer_signs_nobody_in(
    logins: FederatedLogins, database: Database, change: dict[str, Any]
) -> None:
    assert isinstance(refused(logins, replace(answered(logins), **change), database), ProviderError)


def test_a_provider_that_names_itself_in_answers_must(
    logins: FederatedLogins, provider: LittleProvider, database: Database
) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    assert isinstance(refused(logins, replace(answered(logins), issuer=None), database), ProviderError)
    signed_in(logins)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://another.example.org"},
        {"token_endpoint": "http://idp.example.org/token"},
        {"jwks_uri": "http://idp.example.org/jwks"},
        {"authorization_endpoint": None},
    ],
)
def test_a_provider_that_publishes_nonsense_is_not_asked(
    logins: FederatedLogins, provider: LittleProvider, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata
    with pytest.raises(ProviderError):
        logins.begin("/")


def test_a_provider_that_is_away_is_an_error_that_says_so(logins: FederatedLogins) -> None:
    gone = replace(logins, provider=replace(logins.provider, issuer="http://127.0.0.1:9"))
    with pytest.raises(ProviderError, match="did not answer"):
        gone.begin("/")


def test_nothing_that_was_sent_is_in_the_audit_log(
    logins: FederatedLogins, provider: LittleProvider, database: Database
) -> None:
    provider.lie = lambda claims: {**claims, "nonce": "a-secret-thing"}
    answer = answered(logins)
    refused(logins, answer, database)
    with database.read() as tx:
        told = str(audit.entries(tx))
    for secret in (answer.code, answer.state, "a-secret-thing", "p-1"):
        assert secret is not None
        assert secret not in told
        assert secret not in repr(answer)
