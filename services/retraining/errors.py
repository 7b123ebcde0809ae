"""Why a stage came to no end. Text is for people, and quotes nothing of what was learnt from.

StageError
├── StageFailed   this attempt failed: another one, as long as there may be one
├── NotYet        something outside has to happen first: looked at again later, as often as it takes
└── Interrupted   this process is to stop, or another one has the run by now: leave everything as it is
"""

from __future__ import annotations


class StageError(Exception):
    """Base of the reasons why a stage came to no end."""


class StageFailed(StageError):
    """This attempt failed. The text says how."""


class NotYet(StageError):
    """The stage waits. The text says for what."""


class Interrupted(StageError):
    """Not the stage's fault: it will be done again, and the attempt does not count."""
