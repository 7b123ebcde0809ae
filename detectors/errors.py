"""Every error that `detectors` raises, and what to do about each.

DetectorsError
├── RecordError    this one record is bad: dead-letter it and go on
├── BundleError    the bundle on disk cannot be trusted or used: do not start
└── ProviderError  the model would run on other hardware than asked: do not start
"""

from __future__ import annotations


class DetectorsError(Exception):
    """Base of all errors raised by `detectors`."""


class RecordError(DetectorsError):
    """One record cannot be read. `reason` is for people and never quotes the record's content."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class BundleError(DetectorsError):
    """A bundle is incomplete, tampered with, or made for another version of Plumbline."""


class ProviderError(DetectorsError):
    """ONNX Runtime did not give the execution provider that was asked for."""
