"""Verdicts as JSON bytes."""

from __future__ import annotations

from pydantic import ValidationError

from detectors.codec.json_bytes import parse
from detectors.errors import RecordError
from detectors.verdict import Verdict


def encode_verdict(verdict: Verdict) -> bytes:
    """One line of JSON that `decode_verdict` reads back to an equal verdict."""
    return verdict.model_dump_json().encode()


def decode_verdict(data: bytes) -> Verdict:
    """A verdict from one record's bytes. Raises `RecordError`."""
    try:
        return Verdict.model_validate(parse(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(step) for step in first["loc"] if step in Verdict.model_fields)
        raise RecordError("bad_schema", f"not a verdict: {place}: {first['msg']}") from None
