"""Estimates for people who are no statisticians."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_RELIABLE: Final = 0.8
_TENTATIVE: Final = 0.667
"""Krippendorff (2004): below, nothing should be concluded."""

Estimated = Mapping[str, Any]


def percent(share: float) -> str:
    """`83 %`; what is not quite all or nothing does not read as such."""
    rounded = round(100 * share)
    if rounded == 0 and share > 0:
        return "under 1\u00a0%"
    if rounded == 100 and share < 1:
        return "over 99\u00a0%"
    return f"{rounded}\u00a0%"


def range_of(estimate: Estimated) -> str:
    """`between 75 % and 89 %`."""
    return f"between {percent(estimate['low'])} and {percent(estimate['high'])}"


def points(estimate: Estimated) -> str:
    """`12 points more often`, of a difference."""
    size = round(100 * abs(estimate["value"]))
    if size == 0:
        return "as often"
    return f"{size} {'point' if size == 1 else 'points'} {'more' if estimate['value'] > 0 else 'less'} often"


def is_apart(estimate: Estimated) -> bool:
    """Whether a difference is more than chance may have made."""
    return bool(estimate["low"] > 0 or estimate["high"] < 0)


def agreement(alpha: float) -> str:
    """What an alpha means."""
    if alpha >= _RELIABLE:
        return "good: labels mean the same to everybody"
    if alpha >= _TENTATIVE:
        return "fair: fit for tentative conclusions"
    return "poor: talk about what the categories mean before you trust these labels"
