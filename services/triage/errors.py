"""Why something cannot be done to a case.

ServicesError
└── TriageError
    ├── NotFoundError      there is no such thing, or not for this person
    ├── ConflictError      somebody else was faster: look again
    ├── NotAllowedError    it cannot be done in this state, or not by this person
    └── KeyReusedError     an idempotency key came with another request before
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.errors import ServicesError

if TYPE_CHECKING:
    from services.store.cases import CaseEvent
    from services.triage.case import Case


class TriageError(ServicesError):
    """Base of these errors. The texts are for the person who asked."""


class NotFoundError(TriageError):
    """There is no such thing, or it belongs to a tenant that this person must not know of."""


class ConflictError(TriageError):
    """The case has changed since the person saw it: `current` is how it stands, `changed` what happened since."""

    def __init__(self, current: Case, changed: Sequence[CaseEvent]) -> None:
        super().__init__("somebody else has changed this case since you looked")
        self.current = current
        self.changed = changed


class NotAllowedError(TriageError):
    """The case's state, or who asks, does not allow it."""


class KeyReusedError(TriageError):
    """An idempotency key stands for one request."""
