"""What people do to cases, each inside a transaction that somebody else opens and ends.

Whoever changes a case says which `version` of it they saw: another one is a `ConflictError`. Nothing here looks at
roles: see `services.accounts`.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.triage.deciding import Decided, Deciding
from services.triage.handling import Handling
from services.triage.regrouping import Regrouping
from services.triage.rules import Actor, visible

__all__ = ["Actions", "Actor", "Decided", "visible"]


@dataclass(frozen=True)
class Actions(Handling, Deciding, Regrouping):
    """All of them."""
