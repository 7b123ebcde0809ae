"""What is known of the two arms since the stage began. Pure counts; whoever has the verdicts fills them in.

Rates are counted by conversation: the events of one say much the same, and counted by event they would pass for more
evidence than they are. A conversation is flagged (incomplete) where any of its events was.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from detectors.transcript import Frozen

_ROUNDING = 1e-6


class Tally(Frozen):
    """One arm. `incomplete`: unscored or partial. `confirmed` and `dismissed`: conversations that the arm flagged and
    people decided on; who was unsure has not decided. `seconds`: sum over the `timed` events, and of their squares.
    """

    events: int = Field(default=0, ge=0)
    conversations: int = Field(default=0, ge=0)
    flagged: int = Field(default=0, ge=0)
    incomplete: int = Field(default=0, ge=0)
    timed: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    seconds_squared: float = Field(default=0.0, ge=0)
    confirmed: int = Field(default=0, ge=0)
    dismissed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _adds_up(self) -> Tally:
        if max(self.flagged, self.incomplete) > self.conversations or self.conversations > self.events:
            raise ValueError("flagged and incomplete are of the conversations, and each of these has an event")
        if self.timed > self.events or (self.timed == 0 and self.seconds > 0):
            raise ValueError("timed are some of the events, and seconds are theirs")
        if self.seconds**2 * (1 - _ROUNDING) > self.seconds_squared * self.timed:
            raise ValueError("seconds_squared is less than any numbers with this sum can have")
        return self

    @property
    def flagged_share(self) -> float | None:
        return share(self.flagged, self.conversations)

    @property
    def incomplete_share(self) -> float | None:
        return share(self.incomplete, self.conversations)

    @property
    def seconds_per_event(self) -> float | None:
        return share(self.seconds, self.timed)

    @property
    def precision(self) -> float | None:
        return share(self.confirmed, self.confirmed + self.dismissed)


class Pairs(Frozen):
    """Conversations that both arms judged, by which of them says it."""

    both: int = Field(default=0, ge=0)
    only_candidate: int = Field(default=0, ge=0)
    only_stable: int = Field(default=0, ge=0)
    neither: int = Field(default=0, ge=0)

    @property
    def judged(self) -> int:
        return self.both + self.only_candidate + self.only_stable + self.neither

    @property
    def agreed(self) -> int:
        return self.both + self.neither


class Paired(Frozen):
    """The shadow stage: both arms judge the same. `missed`: of the conversations that the stable version flagged and
    people `confirmed`, those that the candidate did not flag."""

    flagged: Pairs = Pairs()
    incomplete: Pairs = Pairs()
    confirmed: int = Field(default=0, ge=0)
    missed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _adds_up(self) -> Paired:
        if self.missed > self.confirmed:
            raise ValueError("missed are some of the confirmed")
        return self


class Comparison(Frozen):
    """Both arms over the same time. `paired` in the shadow stage, None in the canary stage."""

    stable: Tally = Tally()
    candidate: Tally = Tally()
    paired: Paired | None = None


def share(part: float, whole: float) -> float | None:
    """None of nothing."""
    return part / whole if whole else None
