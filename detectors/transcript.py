"""What agents send: transcript events, their messages and the parts of a message.

Content follows OpenTelemetry's GenAI semantic conventions. Every value here is already normalised
(see `detectors.codec`) and immutable.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue


class Frozen(BaseModel):
    """Immutable; unknown fields are ignored, so that newer senders keep working."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class TextPart(Frozen):
    type: Literal["text"] = "text"
    content: str


class ReasoningPart(Frozen):
    """The model's visible chain of thought."""

    type: Literal["reasoning"] = "reasoning"
    content: str


class ToolCallPart(Frozen):
    type: Literal["tool_call"] = "tool_call"
    id: str | None = None
    name: str = ""
    arguments: JsonValue = None


class ToolCallResponsePart(Frozen):
    type: Literal["tool_call_response"] = "tool_call_response"
    id: str | None = None
    response: JsonValue = None


class UnknownPart(Frozen):
    """A part that this version cannot read (an image, a file): kept as it came, and never scored."""

    type: str
    data: dict[str, JsonValue]


Part = TextPart | ReasoningPart | ToolCallPart | ToolCallResponsePart | UnknownPart


def part_text(part: Part) -> str | None:
    """The characters of a part that windows are cut from and that evidence offsets count in.

    Text and reasoning: their content. Tool calls: the arguments, tool responses: the response; where these are
    structures, as JSON with `json.dumps(value, ensure_ascii=False)`. A call without arguments reads `{}`. None for what
    cannot be read as text.
    """
    match part:
        case TextPart() | ReasoningPart():
            return part.content
        case ToolCallPart():
            text = _structure_text(part.arguments)
            return text if text.strip() else "{}"
        case ToolCallResponsePart():
            return _structure_text(part.response)
        case UnknownPart():
            return None


def _structure_text(value: JsonValue) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Message(Frozen):
    """One message. `id` is derived from the content and the position in the conversation."""

    id: str
    role: str
    parts: tuple[Part, ...]
    name: str | None = None
    finish_reason: str | None = None


def message_id(position: int, role: str, parts: tuple[Part, ...]) -> str:
    """16 hex digits of a SHA-256 over position, role and parts: the same message at the same place has the same id."""
    content = [part.model_dump(mode="json") for part in parts]
    canonical = json.dumps([position, role, content], ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


MAX_IDENTIFIER_CHARS = 256


def printable(text: str) -> str:
    """`text`, or a `ValueError` where it has control characters: databases and terminals choke on these."""
    if not text.isprintable():
        raise ValueError("has unprintable characters")
    return text


Identifier = Annotated[str, Field(min_length=1, max_length=MAX_IDENTIFIER_CHARS), AfterValidator(printable)]
"""An id that is safe to store, log and use as a key: 1 to 256 printable characters."""


def _plausible(moment: datetime) -> datetime:
    if not 2000 <= moment.year <= 2200:
        raise ValueError("is not between the years 2000 and 2200")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
"""A time with its zone, in a range that every database can store."""


def _showable(text: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:MAX_IDENTIFIER_CHARS])


Name = Annotated[str, AfterValidator(_showable)]
"""What somebody calls something: cut to 256 characters, with U+FFFD in place of what cannot be printed or stored."""


class Agent(Frozen):
    name: Name | None = None
    version: Name | None = None


class Model(Frozen):
    provider: Name | None = None
    name: Name | None = None
    version: Name | None = None


class Deployment(Frozen):
    environment: Name | None = None
    region: Name | None = None


class Integrity(Frozen):
    """What the sender knows to be missing from this event."""

    truncated: bool = False
    gaps: int = Field(default=0, ge=0, description="messages known to be missing")


class TranscriptEvent(Frozen):
    """Messages of one conversation, all so far or those since the last event (schema version 1)."""

    schema_version: Literal[1] = 1
    event_id: Identifier
    tenant_id: Identifier = "default"
    conversation_id: Identifier
    seq: int | None = Field(default=None, ge=0, le=2**53, description="counts the events of a conversation")
    final: bool = False
    occurred_at: Moment
    first_message: int = Field(
        default=0, ge=0, le=2**31, strict=True, description="position of messages[0] in the conversation"
    )
    messages: tuple[Message, ...]
    agent: Agent = Agent()
    model: Model = Model()
    deployment: Deployment = Deployment()
    integrity: Integrity = Integrity()
    reward: tuple[dict[str, Any], ...] = ()
    feedback: tuple[dict[str, Any], ...] = ()
    synthetic: bool = False
    attributes: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """Kafka key: one conversation of one tenant stays in order on one partition."""
        return f"{self.tenant_id}/{self.conversation_id}"
