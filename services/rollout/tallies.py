"""What the arms have done since the stage began, counted on from the last look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from deploy.rollout.comparison import Comparison, Paired, Pairs, Tally
from deploy.rollout.state import Rollout, RolloutStage
from detectors.verdict import Arm
from services.store import Database, Transaction, rollout
from services.store.rollout import ArmCounts, Said, Side, Stretch

_LATE: Final = timedelta(minutes=2)
"""How much later than it was recorded at, by whoever's clock, a verdict may show: what is younger is counted again."""
_ANEW: Final = timedelta(hours=1)
"""Then everything is counted again: conversations may have been erased, and verdicts have come later than that."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """Counts of what was recorded before `until`, in the stage of `of`. Counting began at `began_at`."""

    of: Rollout
    began_at: datetime
    until: datetime
    stable: ArmCounts = ArmCounts()
    candidate: ArmCounts = ArmCounts()
    pairs: rollout.Pairs = rollout.Pairs()

    def serves(self, of: Rollout, now: datetime) -> bool:
        """Whether it can be counted on from here."""
        names = ("stage", "stable", "candidate", "stage_began_at")
        return now - self.began_at < _ANEW and all(getattr(self.of, name) == getattr(of, name) for name in names)


class Tallies:
    """Remembers what it has counted; a new one counts the stage from its beginning."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: _Counted | None = None

    def compare(self, of: Rollout, now: datetime) -> Comparison:
        """The arms of a rollout that has a candidate on its way. Raises `TransientError` where the database is away."""
        if self._kept is not None and self._kept.serves(of, now):
            try:
                return self._counted_on(of, self._kept, now)
            except ValueError:  # it does not add up: something was erased meanwhile
                self._kept = None
        return self._counted_on(of, _Counted(of, began_at=now, until=of.stage_began_at), now)

    def _counted_on(self, of: Rollout, before: _Counted, now: datetime) -> Comparison:
        with self._database.read() as tx:
            kept = _on(tx, before, max(before.until, now - _LATE))
            whole = _on(tx, kept, None)
            said = rollout.said(tx, *sides(of), of.stage_began_at)
        found = _comparison(whole, said)
        self._kept = kept
        return found


def sides(of: Rollout) -> tuple[Side, Side]:
    """(stable, candidate) of a rollout that has one on its way."""
    if of.candidate is None:
        raise ValueError("no candidate is on its way")
    arm = Arm.CANARY if of.stage is RolloutStage.CANARY else Arm.SHADOW
    return Side(Arm.STABLE, of.stable), Side(arm, of.candidate)


def _on(tx: Transaction, before: _Counted, until: datetime | None) -> _Counted:
    if until is not None and until <= before.until:
        return before
    stable, candidate = sides(before.of)
    stretch = Stretch(before.of.stage_began_at, before.until, until)
    pairs = before.pairs
    if before.of.stage is RolloutStage.SHADOW:
        pairs += rollout.pair_counts(tx, stable, candidate, stretch)
    return replace(
        before,
        until=until or before.until,
        stable=before.stable + rollout.arm_counts(tx, stable, stretch),
        candidate=before.candidate + rollout.arm_counts(tx, candidate, stretch),
        pairs=pairs,
    )


def _comparison(counted: _Counted, said: Sequence[Said]) -> Comparison:
    """Raises `ValueError` where counts do not fit together."""
    by_stable, by_candidate = [each for each in said if each.by_stable], [each for each in said if each.by_candidate]
    paired = None
    if counted.of.stage is RolloutStage.SHADOW:
        both = [each for each in by_stable if each.confirmed and each.candidate_judged]
        paired = Paired(
            flagged=Pairs(**asdict(counted.pairs.flagged)),
            incomplete=Pairs(**asdict(counted.pairs.incomplete)),
            confirmed=len(both),
            missed=sum(not each.by_candidate for each in both),
        )
    return Comparison(
        stable=_tally(counted.stable, by_stable), candidate=_tally(counted.candidate, by_candidate), paired=paired
    )


def _tally(counts: ArmCounts, said: Sequence[Said]) -> Tally:
    confirmed = sum(each.confirmed for each in said)
    return Tally(**asdict(counts), confirmed=confirmed, dismissed=len(said) - confirmed)
