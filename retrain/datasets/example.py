"""One example of a dataset version: a conversation, and what people decided about it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import AfterValidator, AwareDatetime, ConfigDict

from detectors.codec import event_from
from detectors.codec.json_bytes import parse_text
from detectors.taxonomy import LABELS, MISALIGNMENT, NEVER_AN_ALERT
from detectors.transcript import Frozen, TranscriptEvent
from retrain.queued import CONFIRMED
from retrain.sources import LabelledConversation

SOURCE: Final = "deployment"
"""What a training run calls the source of these examples."""

Key = tuple[str, str]
"""Tenant and conversation."""


def conversation_digest(key: Key) -> str:
    """16 hex digits that stand for a conversation."""
    written = "".join(f"{len(part)}:{part}" for part in key)
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


class Part(StrEnum):
    TRAIN = "train"
    CALIBRATION = "calibration"
    HELD_OUT = "held_out"


class Example(Frozen):
    """A row of a part, its columns in this order.

    `label_ids` agree on `disposition` and `category`; `source`, `verdict_id` and what follows it are those of the
    latest of them. `messages` (OpenTelemetry's form) and `spans` are JSON text. `cluster` is the same for twins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    label_ids: tuple[str, ...]
    tenant_id: str
    conversation_id: str
    category: str
    disposition: Literal["confirmed", "dismissed"]
    language: str
    cluster: str
    messages: str
    spans: str
    corrected_answer: str | None
    source: str
    origin: str
    reviewers: tuple[str, ...]
    labelled_at: Annotated[AwareDatetime, AfterValidator(_utc)]
    case_ids: tuple[str, ...]
    fingerprint: str | None
    event_id: str
    verdict_id: str
    bundle_version: str
    agent: str | None
    agent_version: str | None
    model_provider: str | None
    model: str | None
    model_version: str | None

    @property
    def key(self) -> Key:
        return self.tenant_id, self.conversation_id

    @property
    def confirmed(self) -> bool:
        return self.disposition == CONFIRMED

    @property
    def digest(self) -> str:
        """SHA-256 over every column."""
        return hashlib.sha256(self.model_dump_json().encode("utf-8", "surrogatepass")).hexdigest()

    def event(self) -> TranscriptEvent:
        """The conversation. Raises `detectors.errors.RecordError` where it cannot be read."""
        return event_from(
            {
                "event_id": self.label_ids[0],
                "tenant_id": self.tenant_id,
                "conversation_id": self.conversation_id,
                "occurred_at": self.labelled_at.isoformat(),
                "final": True,
                "messages": parse_text(self.messages),
                "agent": {"name": self.agent, "version": self.agent_version},
                "model": {"provider": self.model_provider, "name": self.model, "version": self.model_version},
            }
        )

    def labelled(self) -> LabelledConversation:
        """As training sees it: a dismissed one shows nothing; `turns` are those that people marked, where they did."""
        labels = np.zeros(len(LABELS), dtype=np.float32)
        if self.confirmed:
            labels[LABELS.index(self.category)] = 1
            labels[LABELS.index(MISALIGNMENT)] = self.category not in NEVER_AN_ALERT
        event = self.event()
        marked = frozenset(int(span["message_index"]) for span in json.loads(self.spans))
        turns = frozenset(turn for turn in marked if turn < len(event.messages))
        return LabelledConversation(
            event,
            labels,
            SOURCE,
            self.cluster,
            turns=turns if self.confirmed and turns else None,
            language=self.language,
        )
