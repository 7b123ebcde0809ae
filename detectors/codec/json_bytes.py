"""JSON from untrusted bytes: strict UTF-8, finite numbers, bounded nesting, no lone surrogates."""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn

from pydantic import JsonValue

from detectors.errors import RecordError

MAX_DEPTH: Final = 100
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def parse(data: bytes) -> JsonValue:
    """The JSON value in `data`. Raises `RecordError` (`not_utf8`, `not_json`, `not_finite`, `too_deep`)."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError("not_utf8", f"byte {error.start} is not valid UTF-8") from None
    return parse_text(text.removeprefix("\ufeff"))


def parse_text(text: str) -> JsonValue:
    """As `parse`, from text. A lone surrogate becomes U+FFFD, so that character offsets stay as they were."""
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise RecordError("not_json", f"not JSON: {error.msg} at character {error.pos}") from None
    except ValueError:  # the interpreter's limit on the digits of an integer
        raise RecordError("not_json", "not JSON that can be read: a number has too many digits") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        check_depth(value, MAX_DEPTH)
    return _without_lone_surrogates(value) if "\\u" in text else value


def check_depth(value: JsonValue, limit: int) -> None:
    """Raises `RecordError("too_deep")` where something in `value` is more than `limit` levels down."""
    if _depth_exceeds(value, limit):
        raise _too_deep()


def _too_deep() -> RecordError:
    return RecordError("too_deep", f"nested deeper than {MAX_DEPTH} levels")


def _refuse_constant(name: str) -> NoReturn:
    raise RecordError("not_finite", f"{name} is not a JSON number")


def _finite(literal: str) -> float:
    number = float(literal)
    if number in (float("inf"), float("-inf")):
        raise RecordError("not_finite", "a number is too large to be represented")
    return number


def _depth_exceeds(value: JsonValue, limit: int) -> bool:
    level: list[JsonValue] = [value]
    for _ in range(limit + 1):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _without_lone_surrogates(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_LONE_SURROGATE.sub("\ufffd", key): _without_lone_surrogates(item) for key, item in value.items()}
    return value
