"""Columns of the parquet files. Messages are JSON (Arrow's own extension type): arguments of tools share no structure.

`datasets` reads these back as lists of dicts, exactly as they were; anything else sees JSON texts.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from detectors.taxonomy import LABELS
from retrain.safety_data.assembling import PREFERENCES, REFUSALS, REWARDS, SFT
from retrain.safety_data.rewards import HEADS

CONTENT: Final = {
    SFT: ("prompt", "completion"),
    PREFERENCES: ("prompt", "chosen", "rejected"),
    REWARDS: ("messages",),
    REFUSALS: ("prompt", "completion"),
}
"""Which columns of each format hold messages."""

_TEXT: Final = pa.string()
_TEXTS: Final = pa.list_(_TEXT)
_LISTS: Final = (
    "label_ids", "dispositions", "reviewers", "label_sources", "case_origins", "bundle_versions", "arms", "detectors",
    "flagged",
)  # fmt: skip
_PROVENANCE: Final = pa.struct(
    [(name, _TEXTS) for name in _LISTS] + [(name, _TEXT) for name in ("attribution", "dataset", "plumbline", "licence")]
)
_COMMON: Final = (
    "id", "conversation", "category", "attack_vector", "tenant", "agent", "model", "model_version", "language",
    "domain", "day", "labelled_at",
)  # fmt: skip
_PENALTIES: Final = pa.struct([(label, pa.float64()) for label in LABELS])
_HEADS: Final = [(head, pa.float64()) for head in HEADS]
_TURN: Final = pa.struct(
    [
        ("message_index", pa.int64()),
        ("message_id", _TEXT),
        ("chat_index", pa.int64()),
        ("penalties", _PENALTIES),
        *_HEADS,
    ]
)
_WHOLE: Final = pa.struct(
    [
        ("misaligned", pa.bool_()),
        ("penalties", _PENALTIES),
        *_HEADS,
        ("agent_messages", pa.int64()),
        ("messages_to_blame", pa.int64()),
        ("first_to_blame", pa.int64()),
        ("onset", pa.float64()),
        ("slow", pa.bool_()),
    ]
)
_OWN: Final[dict[str, list[tuple[str, Any]]]] = {
    REWARDS: [("turns", pa.list_(_TURN)), ("conversation_label", _WHOLE)],
    REFUSALS: [("kind", _TEXT), ("refuses", pa.bool_())],
}


def schema_of(name: str) -> Any:
    """The schema of a format's file."""
    messages = [(column, pa.list_(pa.json_())) for column in CONTENT[name]]
    about = [(column, _TEXT) for column in _COMMON]
    return pa.schema([*messages, *_OWN.get(name, []), *about, ("provenance", _PROVENANCE)])
