"""Errors of `deploy.rollout`.

RolloutError
└── NotAllowedStep    not from where the rollout is: tell whoever asked, nothing was changed
"""

from __future__ import annotations


class RolloutError(Exception):
    """Base of all errors raised by `deploy.rollout`."""


class NotAllowedStep(RolloutError):
    """A rollout cannot take this step from where it is. The text is for people."""
