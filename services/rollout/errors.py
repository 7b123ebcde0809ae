"""Why a rollout was not moved.

ServicesError
└── SteeringError          for the person who asked; nothing was changed
    ├── NoRolloutError     nothing was ever rolled out, or no registry is configured
    ├── MovedMeanwhile     somebody else has moved the rollout: look again
    └── NotNowError        it cannot take this step from where it is
"""

from __future__ import annotations

from services.errors import ServicesError


class SteeringError(ServicesError):
    """Base of these errors."""


class NoRolloutError(SteeringError):
    """There is nothing to be moved."""


class MovedMeanwhile(SteeringError):
    """The rollout is not where the person, or program, saw it."""


class NotNowError(SteeringError):
    """The text of `deploy.rollout` says why."""
