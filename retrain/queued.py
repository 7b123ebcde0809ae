"""Records of the topic `plumbline.retraining.queue`, parsed: labels, and what takes them back.

What a record says beyond the fields here is left alone, so that a newer triage can say more.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from detectors.taxonomy import LABELS
from detectors.transcript import Agent, Frozen, Identifier, Model, Moment

CONFIRMED: Final = "confirmed"
DISMISSED: Final = "dismissed"
BULK: Final = "bulk"
"""The source of labels that were given to several cases at once: nobody read each of them."""

_Word = Annotated[str, Field(pattern="^[a-z_]{1,64}$")]


def _known(category: str) -> str:
    if category not in LABELS:
        raise ValueError("is no category of this version")
    return category


def _text(messages: Any) -> Any:
    """JSON text takes a fifth of the memory of what it says."""
    return json.dumps(messages, ensure_ascii=False, separators=(",", ":")) if isinstance(messages, list) else messages


def _storable(text: str) -> str:
    return _LONE_SURROGATE.sub("\ufffd", text)


_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_Text = Annotated[str, AfterValidator(_storable)]


class Span(Frozen):
    """Characters `start` to `end` of a part's text (`detectors.transcript.part_text`), chosen by a person."""

    message_id: Identifier
    message_index: int = Field(ge=0)
    part_index: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int = Field(ge=0)

    @model_validator(mode="after")
    def _not_empty(self) -> Span:
        if self.end <= self.start:
            raise ValueError("end must lie behind start")
        return self


class QueuedLabel(Frozen):
    """What one person decided about one conversation.

    `category`: what it is, or was flagged as where it was dismissed. `messages` is JSON text in OpenTelemetry's form,
    redacted; None where they were not recorded. `reviewer` is a digest: it tells people apart, and names nobody.
    """

    label_id: UUID
    supersedes: UUID | None = None
    case_id: UUID
    fingerprint: Annotated[str, Field(max_length=64)] | None = None
    tenant_id: Identifier
    conversation_id: Identifier
    event_id: Identifier
    verdict_id: UUID
    disposition: Literal["confirmed", "dismissed"]
    category: Annotated[str, AfterValidator(_known)]
    spans: tuple[Span, ...] = ()
    corrected_answer: _Text | None = None
    messages: Annotated[_Text | None, BeforeValidator(_text)] = None
    agent: Agent = Agent()
    model: Model = Model()
    bundle_version: str = ""
    origin: _Word = "flag"
    source: _Word
    blind: bool = False
    reviewer: Identifier
    labelled_at: Moment

    @property
    def key(self) -> tuple[str, str]:
        """The conversation that it is about."""
        return self.tenant_id, self.conversation_id


class Withdrawn(Frozen):
    """A label was a mistake: nothing may be learnt from it any more."""

    label_id: UUID
    tenant_id: Identifier
    conversation_id: Identifier
    at: Moment

    @property
    def key(self) -> tuple[str, str]:
        return self.tenant_id, self.conversation_id


class Erased(Frozen):
    """A conversation is to be forgotten, with everything that was made of it."""

    tenant_id: Identifier
    conversation_id: Identifier
    label_ids: tuple[UUID, ...] = ()
    at: Moment

    @property
    def key(self) -> tuple[str, str]:
        return self.tenant_id, self.conversation_id


Record = QueuedLabel | Withdrawn | Erased
_KINDS: Final[dict[str, TypeAdapter[Any]]] = {
    "label": TypeAdapter(QueuedLabel),
    "withdrawn": TypeAdapter(Withdrawn),
    "erased": TypeAdapter(Erased),
}


def parse(record: Any) -> Record:
    """The record of one label, or of what takes labels back. Raises `ValueError`, whose text quotes no content."""
    if not isinstance(record, dict):
        raise ValueError("a record of the queue is a JSON object")
    if record.get("schema_version") != 1:
        raise ValueError("schema_version: only version 1 can be read")
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError("kind: expected label, withdrawn or erased")
    try:
        found: Record = _KINDS[kind].validate_python(record)
    except ValidationError as error:
        raise ValueError(_explained(error)) from None
    return found


_FIELDS: Final = frozenset(
    {*QueuedLabel.model_fields, *Withdrawn.model_fields, *Erased.model_fields, *Span.model_fields}
)


def _explained(error: ValidationError) -> str:
    """Where the first problem is and what it is, without the value: that may be somebody's conversation."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(step) for step in first["loc"] if isinstance(step, int) or step in _FIELDS)
    return f"{place or 'record'}: {first['msg'].removeprefix('Value error, ')}"
