"""Answers as they come over the wire, read strictly: what is not a whole answer is an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, Field, ValidationError

from services.judge.errors import Malformed, Refused, Usage


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of an answer. `usage` is None where the endpoint does not say what it took."""

    text: str
    usage: Usage | None


_Tokens = Annotated[int, Field(ge=0, le=10**9, strict=True)]


class _ChatUsage(BaseModel):
    prompt_tokens: _Tokens
    completion_tokens: _Tokens


class _ChatMessage(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    finish_reason: str | None = None
    message: _ChatMessage


class _Completion(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: Any = None


class _MessageUsage(BaseModel):
    input_tokens: _Tokens
    output_tokens: _Tokens
    cache_creation_input_tokens: _Tokens | None = None
    cache_read_input_tokens: _Tokens | None = None


class _Block(BaseModel):
    type: str
    text: str = ""


class _Message(BaseModel):
    content: list[_Block]
    stop_reason: str | None = None
    usage: Any = None


_CUT_SHORT: Final = frozenset({"length", "max_tokens", "model_context_window_exceeded"})


def read_completion(body: bytes) -> Answer:
    """The answer in a chat completion. Raises `Malformed` and `Refused`."""
    completion = _read(_Completion, body)
    counted = _optional(_ChatUsage, completion.usage)
    usage = Usage(counted.prompt_tokens, counted.completion_tokens) if counted else None
    choice = completion.choices[0]
    if choice.message.refusal or choice.finish_reason == "content_filter":
        raise Refused("the model refused", usage=usage)
    return _whole(choice.message.content or "", choice.finish_reason, usage)


def read_message(body: bytes) -> Answer:
    """The answer in a message. Raises `Malformed` and `Refused`."""
    message = _read(_Message, body)
    usage = None
    if counted := _optional(_MessageUsage, message.usage):
        cached = (counted.cache_creation_input_tokens or 0) + (counted.cache_read_input_tokens or 0)
        usage = Usage(counted.input_tokens + cached, counted.output_tokens)
    if message.stop_reason == "refusal":
        raise Refused("the model refused", usage=usage)
    text = "".join(block.text for block in message.content if block.type == "text")
    return _whole(text, message.stop_reason, usage)


def _whole(text: str, stopped_by: str | None, usage: Usage | None) -> Answer:
    if stopped_by in _CUT_SHORT:
        raise Malformed("the answer was cut short: more output tokens are needed", usage=usage)
    if not text.strip():
        raise Malformed("the answer has no text", usage=usage)
    return Answer(text, usage)


_Body = TypeVar("_Body", bound=BaseModel)


def _read(kind: type[_Body], body: bytes) -> _Body:
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        raise Malformed("the response is not one of this API") from None


def _optional(kind: type[_Body], value: Any) -> _Body | None:
    try:
        return kind.model_validate(value)
    except ValidationError:
        return None
