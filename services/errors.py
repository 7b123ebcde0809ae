"""Every error that `services` raises, and what to do about each.

ServicesError
├── SettingsError     settings make no sense: exit 2, naming the field
├── TransientError    something beyond us is down: retry for a while, then exit without committing
├── UnstorableError   a text that databases do not take: the sender is told
├── TooLargeError     a record is over the limit: it was not sent, the sender is told
└── DeadLetterFlood   too much of the input cannot be read: stop, without committing
"""

from __future__ import annotations


class ServicesError(Exception):
    """Base of all errors raised by `services`."""


class SettingsError(ServicesError):
    """Settings make no sense; the text names each field as its environment variable."""


class TransientError(ServicesError):
    """A broker or database did not answer, or refused for now. Trying again is safe."""


class UnstorableError(ServicesError):
    """A text that not every database takes (a NUL character), or a number out of its range."""


class TooLargeError(ServicesError):
    """A record is larger than the limit of topic or producer."""


class DeadLetterFlood(ServicesError):
    """The share of dead letters passed the limit: a fault of ours or a wrong topic, more likely than bad records."""
