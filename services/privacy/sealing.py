"""What was masked, kept encrypted, for those who may see it for a reason.

A key is made with `python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"`. The
first of them seals, all of them open: a new key goes to the front, the last can go when nothing old enough is left.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import Field, ValidationError

from detectors.transcript import Frozen, Message, part_text
from services.errors import SettingsError
from services.privacy.errors import SealError
from services.privacy.stored import StoredMessage, StoredPart
from services.settings import Settings


class Original(Frozen):
    """The characters `start` to `end` of a part's text, as they came."""

    part: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    text: str


class Originals(Frozen):
    """All that was masked in one message."""

    message_id: str
    items: tuple[Original, ...]


def originals(message: Message, stored: StoredMessage) -> Originals:
    """What `stored` masks of `message`. Names of tools and call ids are not among it: masked, they are gone."""
    return Originals(
        message_id=stored.id,
        items=tuple(
            Original(part=index, start=span.start, end=span.end, text=(part_text(part) or "")[span.start : span.end])
            for index, (part, kept) in enumerate(zip(message.parts, stored.parts, strict=True))
            for span in kept.redactions
        ),
    )


class Sealer:
    """Seals with the first of `keys`, opens with any (Fernet: AES-128-CBC with HMAC-SHA-256)."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises `SettingsError` with the place of a key that is none."""
        self._fernet = MultiFernet([_fernet(key, number) for number, key in enumerate(keys, start=1)])

    @classmethod
    def configured(cls, settings: Settings) -> Sealer | None:
        """None where no key is set: originals are not kept."""
        keys = [key.strip() for key in settings.sealing_keys.get_secret_value().split(",")]
        keys = [key for key in keys if key]
        return cls(keys) if keys else None

    def sealed(self, message: Message, stored: StoredMessage) -> bytes | None:
        """What `stored` masks of `message`; None where it masks nothing."""
        found = originals(message, stored)
        return self.seal(found) if found.items else None

    def seal(self, found: Originals) -> bytes:
        return self._fernet.encrypt(found.model_dump_json().encode())

    def unseal(self, blob: bytes) -> Originals:
        """Raises `SealError`: another key, or a blob that was changed."""
        try:
            return Originals.model_validate_json(self._fernet.decrypt(blob))
        except (InvalidToken, ValidationError):
            raise SealError("cannot be unsealed: none of the keys fits, or it was changed") from None

    def unsealed(self, stored: StoredMessage, blob: bytes) -> StoredMessage:
        """`stored` with the originals in place; `redactions` still tell where. Raises `SealError`, also for the blob of
        another message."""
        found = self.unseal(blob)
        masked = {(index, span.start, span.end) for index, part in enumerate(stored.parts) for span in part.redactions}
        places = {(item.part, item.start, item.end) for item in found.items if item.end - item.start == len(item.text)}
        if found.message_id != stored.id or places != masked:
            raise SealError("cannot be unsealed: it belongs to another message")
        parts = tuple(_restored(part, index, found) for index, part in enumerate(stored.parts))
        return stored.model_copy(update={"parts": parts})

    def resealed(self, blob: bytes) -> bytes:
        """The same, sealed with the first key. Raises `SealError`."""
        try:
            return self._fernet.rotate(blob)
        except InvalidToken:
            raise SealError("cannot be unsealed: none of the keys fits, or it was changed") from None


def _fernet(key: str, number: int) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise SettingsError(f"PLUMBLINE_SEALING_KEYS: key {number} is not 32 bytes in URL-safe Base64") from None


def _restored(part: StoredPart, index: int, found: Originals) -> StoredPart:
    text = part.text
    for item in found.items:
        if item.part == index and text is not None:
            text = text[: item.start] + item.text + text[item.end :]
    return part.model_copy(update={"text": text})
