"""The revisions of the rollout: numbered from 1 without a gap, each created exclusively and never changed."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final

from pydantic import ValidationError

from deploy.registry.errors import ConflictError, RegistryError, UntrustedError
from deploy.registry.store import Store
from deploy.rollout.state import Rollout
from detectors.transcript import Frozen

HINT: Final = "rollout/newest"
_MOST: Final = 10**12 - 1
_MAX_BYTES: Final = 64 * 1024


def revision_name(revision: int) -> str:
    """Of its file."""
    return f"rollout/{revision:012d}.json"


class _Written(Frozen):
    """`writer` tells one's own revision from another's that says the same, when a store answered too late."""

    writer: str
    rollout: Rollout


class Revisions:
    """Since there is no gap, the newest revision is found by looking ahead in ever larger steps, and then back: with
    the hint, or from what this reader knows, in a constant number of reads; without, in the logarithm of their number.

    A reader never goes back: what it has seen as the newest is the least that it answers.
    """

    def __init__(self, store: Store, writer: str) -> None:
        self._store = store
        self._writer = writer
        self._known: Rollout | None = None

    def newest(self) -> Rollout | None:
        """None where there is no revision yet."""
        newest = self._known or self._at_hint()
        number, step = newest.revision if newest else 0, 1
        while found := self._at(number + step):
            newest, number, step = found, found.revision, step * 2
        beyond = number + step
        while beyond - number > 1:
            between = (number + beyond) // 2
            if found := self._at(between):
                newest, number = found, between
            else:
                beyond = between
        self._remember(newest)
        return newest

    def latest(self, limit: int) -> list[Rollout]:
        """Up to `limit` revisions, newest first."""
        newest = self.newest()
        if newest is None or limit < 1:
            return []
        older = range(newest.revision - 1, max(0, newest.revision - limit), -1)
        return [newest, *filter(None, map(self._at, older))]

    def move(self, rollout: Rollout) -> None:
        """Adds the next revision. Raises `ConflictError` where it is there already, or the one before is not."""
        before = rollout.revision - 1
        if before and (self._known is None or self._known.revision < before) and self._at(before) is None:
            raise ConflictError(f"revision {rollout.revision} does not follow the newest one")
        data = _Written(writer=self._writer, rollout=rollout).model_dump_json().encode()
        name = revision_name(rollout.revision)
        if not self._store.create(name, data) and self._store.read(name, _MAX_BYTES) != data:
            raise ConflictError(f"revision {rollout.revision} is there already: somebody else was faster")
        self._remember(rollout)
        with suppress(RegistryError):  # it is a hint: the next move writes another one
            self._store.replace(HINT, json.dumps(rollout.revision).encode())

    def _at_hint(self) -> Rollout | None:
        """None where there is no hint, or it is wrong."""
        hint = self._store.read(HINT, 32) or b""
        return self._at(int(hint)) if hint.isdigit() else None

    def _at(self, revision: int) -> Rollout | None:
        if not 0 < revision <= _MOST:
            return None
        data = self._store.read(revision_name(revision), _MAX_BYTES)
        if data is None:
            return None
        try:
            rollout = _Written.model_validate_json(data).rollout
        except ValidationError:
            raise UntrustedError(f"revision {revision} of the rollout cannot be read") from None
        if rollout.revision != revision:
            raise UntrustedError(f"revision {revision} of the rollout is of another number")
        return rollout

    def _remember(self, rollout: Rollout | None) -> None:
        if rollout is not None and (self._known is None or rollout.revision > self._known.revision):
            self._known = rollout
