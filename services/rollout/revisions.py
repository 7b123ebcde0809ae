"""The rollout as the registry keeps it, with errors that say when trying again makes sense."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from deploy.registry.errors import ConflictError, RegistryError, UnreachableError
from deploy.rollout.state import Rollout
from services.rollout.errors import MovedMeanwhile as MovedMeanwhile
from services.rollout.errors import RegistryAway, RegistryUnusable


class Registry(Protocol):
    """What of `deploy.registry` is needed here."""

    def rollout(self) -> Rollout | None: ...
    def rollout_history(self, limit: int) -> Sequence[Rollout]: ...
    def move(self, rollout: Rollout) -> None: ...


@contextmanager
def registry_errors() -> Iterator[None]:
    """Raises `RegistryAway`, `MovedMeanwhile` where somebody was faster, and `RegistryUnusable` for anything else."""
    try:
        yield
    except UnreachableError as error:
        raise RegistryAway(f"registry: {error}") from error
    except ConflictError as error:
        raise MovedMeanwhile(f"registry: {error}") from error
    except RegistryError as error:
        raise RegistryUnusable(f"registry: {error}") from error


class Revisions:
    """Every method raises what `registry_errors` says."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def newest(self) -> Rollout | None:
        """None where nothing was ever rolled out."""
        with registry_errors():
            return self._registry.rollout()

    def latest(self, limit: int) -> list[Rollout]:
        """The last revisions, newest first."""
        with registry_errors():
            found = self._registry.rollout_history(limit)
        return sorted(found, key=lambda rollout: rollout.revision, reverse=True)

    def move(self, rollout: Rollout) -> None:
        """Makes it the newest, if it follows the one that is. Raises `MovedMeanwhile`."""
        with registry_errors():
            self._registry.move(rollout)
