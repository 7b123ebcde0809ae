"""What goes wrong around private data. No text here ever holds any of it.

ServicesError
├── RecogniserError  a recogniser failed or pointed outside its text: a bug in it, nothing is stored
└── SealError        what was sealed cannot be opened with the keys at hand, or belongs elsewhere
"""

from __future__ import annotations

from services.errors import ServicesError


class RecogniserError(ServicesError):
    """A recogniser broke its promise; the text names its kind."""


class SealError(ServicesError):
    """Originals cannot be had back: another key, a changed blob, or one of another message."""
