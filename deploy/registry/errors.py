"""Errors of `deploy.registry`.

RegistryError           the registry cannot do this, and trying again does not help
├── NotThereError       no such version or revision
├── ConflictError       it is there already, and is another: look again before the next try
├── UnreachableError    the store did not answer: worth another try
└── UntrustedError      signature or digest is wrong, or missing: do not use it, tell people
"""

from __future__ import annotations


class RegistryError(Exception):
    """Base of all errors raised by `deploy.registry`. Texts name versions and files, never contents."""


class NotThereError(RegistryError):
    """No such version."""


class ConflictError(RegistryError):
    """Somebody else was faster, or wrote another thing under the same name. Nothing was changed."""


class UnreachableError(RegistryError):
    """The store did not answer, or not in time. What was asked for may have happened: asking again is safe."""


class UntrustedError(RegistryError):
    """What the store has is not what was published, or not by whom it must be."""
