"""What the registry knows of a version: one line of JSON, and a second one with the signature over the first."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, ValidationError, field_validator

from deploy.registry.errors import NotThereError, RegistryError, UntrustedError
from deploy.registry.signing import is_signed, public_key_of, sign
from detectors.bundle import MANIFEST, FileDigest
from detectors.transcript import Frozen, Moment

MAX_RECORD_BYTES: Final = 4 * 2**20
MAX_FILE_BYTES: Final = 16 * 2**30
VERSION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}-[0-9a-f]{12}")
"""As `detectors.bundle` makes them. Nothing else is looked for: a version becomes part of names of files."""

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
"""In one folder, on any file system."""


class Record(Frozen):
    """One version. `facts`: whatever its publisher tells of it, like parent, dataset and gate. `signed_by`: the public
    key whose signature was verified; None where there is none."""

    format: Literal[1] = 1
    version: str = Field(pattern=f"^{VERSION.pattern}$")
    files: dict[FileName, FileDigest]
    facts: dict[str, JsonValue]
    published_at: Moment
    signed_by: str | None = Field(default=None, exclude=True)

    @field_validator("files")
    @classmethod
    def _can_be_fetched(cls, files: dict[str, FileDigest]) -> dict[str, FileDigest]:
        if MANIFEST not in files or any(digest.bytes > MAX_FILE_BYTES for digest in files.values()):
            raise ValueError("a manifest, and no file beyond all measure")
        return files


class _Signature(Frozen):
    """Both None: not signed."""

    key: str | None = None
    signature: str | None = None


def known_version(version: str) -> str:
    """The version, or `NotThereError` where no bundle can have it."""
    if not VERSION.fullmatch(version):
        raise NotThereError("this is no version of a bundle")
    return version


def written(record: Record, signing_key: str | None) -> bytes:
    """As it is stored. Raises `RegistryError` where it is too long."""
    line = record.model_dump_json().encode()
    signature = _Signature()
    if signing_key is not None:
        signature = _Signature(key=public_key_of(signing_key), signature=sign(signing_key, line))
    data = line + b"\n" + signature.model_dump_json().encode() + b"\n"
    if len(data) > MAX_RECORD_BYTES:
        raise RegistryError(f"{record.version}: its facts are more than {MAX_RECORD_BYTES} bytes")
    return data


def record_from(data: bytes, version: str, trusted: tuple[str, ...]) -> Record:
    """The record of this very version. Raises `UntrustedError` unless it is signed by one of the `trusted` keys; if
    these are none, where it is signed wrongly.
    """
    line, _, rest = data.partition(b"\n")
    try:
        signature = _Signature.model_validate_json(rest)
        if trusted or signature.key is not None:
            _verify(line, signature, version, trusted)
        record = Record.model_validate_json(line)
    except ValidationError:
        raise UntrustedError(f"{version}: its record cannot be read") from None
    if record.version != version:
        raise UntrustedError(f"{version}: its record is of another version")
    return record.model_copy(update={"signed_by": signature.key})


def _verify(line: bytes, signature: _Signature, version: str, trusted: tuple[str, ...]) -> None:
    if signature.key is None or signature.signature is None:
        raise UntrustedError(f"{version}: its record is not signed")
    if trusted and signature.key not in trusted:
        raise UntrustedError(f"{version}: its record is signed by another key than the registry's")
    try:
        is_right = is_signed(signature.key, line, signature.signature)
    except RegistryError:
        is_right = False
    if not is_right:
        raise UntrustedError(f"{version}: the signature of its record is wrong")
