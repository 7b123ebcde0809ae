"""What can be wrong with a dataset version."""

from __future__ import annotations


class DatasetError(ValueError):
    """A version is not whole, or not what its manifest says: do not use it."""
