"""The random sample: of the stated size, stable, and nobody's to guess."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.triage.sampling import audited, second_review

SALT, OTHER_SALT = b"s" * 16, b"t" * 16
MANY = range(4000)
shares = st.floats(0, 1)
salts = st.binary(min_size=16, max_size=64)


@given(shares, salts)
def test_the_sample_is_of_the_stated_share(share: float, salt: bytes) -> None:
    for count in (
        sum(audited("default", f"c{number}", share, salt) for number in MANY),
        sum(second_review(f"l{number}", share, salt) for number in MANY),
    ):
        # Six standard deviations: a false alarm in a thousand million.
        assert abs(count - share * len(MANY)) <= 6 * math.sqrt(len(MANY) * share * (1 - share)) + 1


@given(st.text(), st.text(), shares, shares, salts)
def test_it_is_stable_and_grows_with_the_share(
    tenant: str, conversation: str, one: float, other: float, salt: bytes
) -> None:
    small, large = sorted((one, other))
    assert audited(tenant, conversation, small, salt) == audited(tenant, conversation, small, salt)
    assert audited(tenant, conversation, small, salt) <= audited(tenant, conversation, large, salt)
    assert not audited(tenant, conversation, 0, salt)
    assert audited(tenant, conversation, 1, salt)


def _independent(first: list[bool], second: list[bool]) -> bool:
    """Whether both happen together as often as chance has it, at half each."""
    both = sum(a and b for a, b in zip(first, second, strict=True))
    return abs(both - len(first) / 4) < 6 * math.sqrt(len(first) * 3 / 16)


def test_the_two_draws_and_two_salts_know_nothing_of_each_other() -> None:
    mine = [audited("", f"{number}", 0.5, SALT) for number in MANY]
    assert _independent(mine, [second_review(f"{number}", 0.5, SALT) for number in MANY])
    assert _independent(mine, [audited("", f"{number}", 0.5, OTHER_SALT) for number in MANY])
    assert _independent(mine, [audited("t", f"{number}", 0.5, SALT) for number in MANY])


def test_tenant_and_conversation_cannot_be_shifted() -> None:
    shifted = [audited(f"a{n}", "b", 0.5, SALT) == audited("a", f"{n}b", 0.5, SALT) for n in range(64)]
    assert not all(shifted)


@pytest.mark.parametrize(("share", "salt"), [(-0.1, SALT), (1.1, SALT), (math.nan, SALT), (0.5, b""), (0.5, b"x" * 65)])
def test_what_would_not_be_a_sample_is_refused(share: float, salt: bytes) -> None:
    with pytest.raises(ValueError, match=r"share|salt"):
        audited("default", "c1", share, salt)
    with pytest.raises(ValueError, match=r"share|salt"):
        second_review("l1", share, salt)
