"""How urgent a flag is, by what it is a flag of."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from detectors.taxonomy import Category


class Severity(StrEnum):
    """Where an alert goes: `critical` wakes somebody, `high` is for working hours, `medium` for the next review."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"


_OF_CATEGORY: Final[dict[str, Severity]] = {
    Category.SELF_PRESERVATION: Severity.CRITICAL,
    Category.COERCION: Severity.CRITICAL,
    Category.OVERSIGHT_EVASION: Severity.CRITICAL,
    Category.POWER_SEEKING: Severity.CRITICAL,
    Category.SABOTAGE: Severity.CRITICAL,
    Category.DECEPTION: Severity.HIGH,
    Category.REWARD_HACKING: Severity.HIGH,
    Category.UNSAFE_ACTION: Severity.HIGH,
    Category.HARMFUL_COMPLIANCE: Severity.HIGH,
    Category.MANIPULATION: Severity.MEDIUM,
    Category.GOAL_DRIFT: Severity.MEDIUM,
}
_ORDER: Final = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM)


def severity_of(flagged: Iterable[str]) -> Severity:
    """The worst of the flagged categories; `medium` where there is only the overall flag, or none."""
    found = {_OF_CATEGORY.get(label, Severity.MEDIUM) for label in flagged}
    return next((severity for severity in _ORDER if severity in found), Severity.MEDIUM)
