"""From what a provider says of somebody to a role, tenants and a name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.account import is_account_name
from services.accounts.mapping import Access, AccessRules, name_from, other_name
from services.accounts.principal import Role

RULES = AccessRules(
    "groups",
    {"soc": Role.TRIAGER, "leads": Role.ADMIN, "staff": Role.VIEWER},
    {"soc": ["acme"], "leads": ["*"], "eu": ["other", "third"]},
)


@pytest.mark.parametrize(
    ("claims", "access"),
    [
        ({"groups": ["soc"]}, Access(Role.TRIAGER, frozenset({"acme"}))),
        ({"groups": "soc"}, Access(Role.TRIAGER, frozenset({"acme"}))),
        ({"groups": ["staff", "soc", "eu"]}, Access(Role.TRIAGER, frozenset({"acme", "other", "third"}))),
        ({"groups": ["leads", "soc"]}, Access(Role.ADMIN, None)),
        ({"groups": ["staff"]}, Access(Role.VIEWER, frozenset())),
        ({"groups": ["eu"]}, None),
        ({"groups": ["SOC", "soc "]}, None),
        ({"groups": [{"soc": 1}, 7, None]}, None),
        ({"groups": {"soc": True}}, None),
        ({"groups": None}, None),
        ({"roles": ["leads"]}, None),
        ({}, None),
    ],
)
def test_groups_give_the_highest_role_and_all_their_tenants(claims: dict[str, Any], access: Access | None) -> None:
    assert RULES.access(claims) == access


def test_without_rules_for_tenants_everybody_is_for_all() -> None:
    assert AccessRules("groups", {"soc": Role.VIEWER}, {}).access({"groups": ["soc"]}) == Access(Role.VIEWER, None)


def test_who_is_unknown_gets_the_default_role_where_there_is_one() -> None:
    rules = AccessRules("groups", {"leads": Role.ADMIN}, {}, default_role=Role.VIEWER)
    assert rules.access({}) == Access(Role.VIEWER, None)
    assert rules.access({"groups": ["leads"]}) == Access(Role.ADMIN, None)


@pytest.mark.parametrize(
    ("told", "name"),
    [("Ada", "ada"), ("ada@example.org", "ada@example.org"), ("Ada Lovelace", "ada-lovelace"), ("@ada", "ada")],
)
def test_accounts_are_called_as_the_provider_calls_them(told: str, name: str) -> None:
    assert name_from({"preferred_username": told}, "preferred_username", "i", "s") == name


@given(st.text() | st.none() | st.integers(), st.text(), st.text())
def test_every_name_is_one_for_accounts(told: object, issuer: str, subject: str) -> None:
    name = name_from({"n": told}, "n", issuer, subject)
    assert is_account_name(name)
    assert is_account_name(other_name(name, issuer, subject))


def test_two_of_one_name_are_two() -> None:
    assert other_name("ada", "i", "1") != other_name("ada", "i", "2") != "ada"
    assert other_name("ada", "i1", "") != other_name("ada", "i", "1")
