"""Why a rollout was not moved, or could not be seen.

ServicesError
├── TransientError
│   └── RegistryAway       the registry does not answer: try again
├── RegistryUnusable       what it answers cannot be trusted, or makes no sense: people have to look
└── SteeringError          for the person who asked; nothing was changed
    ├── NoRolloutError     nothing was ever rolled out, or no registry is configured
    ├── MovedMeanwhile     somebody else has moved the rollout: look again
    └── NotNowError        it cannot take this step from where it is
"""

from __future__ import annotations

from services.errors import ServicesError, TransientError


class RegistryAway(TransientError):
    """It does not answer. What was asked for may have happened: asking again is safe."""


class RegistryUnusable(ServicesError):
    """The text of `deploy.registry` says why."""


class SteeringError(ServicesError):
    """Base of these errors."""


class NoRolloutError(SteeringError):
    """There is nothing to be moved."""


class MovedMeanwhile(SteeringError):
    """The rollout is not where the person, or program, saw it."""


class NotNowError(SteeringError):
    """The text of `deploy.rollout` says why."""
