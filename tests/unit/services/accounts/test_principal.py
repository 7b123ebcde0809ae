"""Roles and tenants: nobody gets more than they have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.errors import Forbidden
from services.accounts.principal import Principal, Role, Tenants, Via, common, lesser, within

NAMES = st.sampled_from(["acme", "other", "third"])
SOME = st.frozensets(NAMES)
TENANTS = st.none() | SOME
ROLES = st.sampled_from(Role)


def person(role: Role = Role.TRIAGER, tenants: Tenants = None) -> Principal:
    return Principal("ada", role, tenants, Via.SESSION)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.VIEWER, {Role.VIEWER}),
        (Role.TRIAGER, {Role.VIEWER, Role.TRIAGER}),
        (Role.ADMIN, {Role.VIEWER, Role.TRIAGER, Role.ADMIN}),
    ],
)
def test_each_role_may_do_what_those_before_it_may(role: Role, may: set[Role]) -> None:
    for needed in Role:
        if needed in may:
            person(role).require(needed)
        else:
            with pytest.raises(Forbidden, match=f"needs the role {needed}"):
                person(role).require(needed)


def test_all_tenants_are_seen_by_who_is_not_bound_to_any() -> None:
    assert person(tenants=None).may_see("acme")
    assert person(tenants=frozenset({"acme"})).may_see("acme")
    assert not person(tenants=frozenset({"acme"})).may_see("other")
    assert not person(tenants=frozenset()).may_see("acme")


@given(ROLES, ROLES)
def test_the_lesser_role_is_covered_by_both(one: Role, other: Role) -> None:
    both = lesser(one, other)
    assert one.covers(both)
    assert other.covers(both)
    assert both in (one, other)


@given(TENANTS, TENANTS, NAMES)
def test_common_tenants_are_those_that_both_see(one: Tenants, other: Tenants, name: str) -> None:
    seen = person(tenants=common(one, other)).may_see(name)
    assert seen == (person(tenants=one).may_see(name) and person(tenants=other).may_see(name))


@given(SOME, TENANTS)
def test_within_means_that_nothing_more_is_seen(inner: frozenset[str], outer: Tenants) -> None:
    assert within(inner, outer) == (common(inner, outer) == inner)
