"""Sealing: what was masked comes back exactly, to those who have the key and for the message that it was in."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from detectors.transcript import Message, TextPart, ToolCallPart, UnknownPart, part_text
from services.errors import SettingsError
from services.privacy.errors import SealError
from services.privacy.recognisers import built_in
from services.privacy.redaction import MASK, Redactor
from services.privacy.sealing import Original, Originals, Sealer, originals
from services.privacy.stored import StoredMessage, stored_message
from services.settings import load_settings

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
REDACTOR = Redactor(built_in(("US",)))
TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.sampled_from(["a@example.org", " ", "password: abcd"]),
    max_size=6,
).map("".join)


def message_of(*texts: str, message_id: str = "m1") -> Message:
    return Message(id=message_id, role="user", parts=tuple(TextPart(content=text) for text in texts))


@pytest.fixture
def message() -> Message:
    parts = (
        TextPart(content="I am anna@example.org, call +1 650 253 0000"),
        UnknownPart(type="image", data={}),
        ToolCallPart(name="mail", arguments={"to": "anna@example.org"}),
    )
    return Message(id="m1", role="user", parts=parts)


@pytest.fixture
def stored(message: Message) -> StoredMessage:
    return stored_message(message, 0, REDACTOR)


def test_what_was_masked_is_in_place_again_and_still_marked(message: Message, stored: StoredMessage) -> None:
    sealer = Sealer([NEW])
    blob = sealer.sealed(message, stored)
    assert blob is not None
    assert b"anna" not in blob
    shown = sealer.unsealed(stored, blob)
    assert [part.text for part in shown.parts] == [part_text(part) for part in message.parts]
    assert [part.redactions for part in shown.parts] == [part.redactions for part in stored.parts]
    assert MASK in str(stored.parts[0].text)


@given(st.lists(TEXTS, max_size=3))
def test_any_message_comes_back(texts: list[str]) -> None:
    sealer = Sealer([NEW])
    message = message_of(*texts)
    kept = stored_message(message, 0, REDACTOR)
    shown = sealer.unsealed(kept, sealer.seal(originals(message, kept)))
    assert [part.text for part in shown.parts] == [text.replace("\0", "\ufffd") for text in texts]


def test_nothing_masked_is_nothing_sealed() -> None:
    message = message_of("nothing here")
    assert Sealer([NEW]).sealed(message, stored_message(message, 0, REDACTOR)) is None


def test_a_new_key_seals_and_the_old_one_still_opens(message: Message, stored: StoredMessage) -> None:
    blob = Sealer([OLD]).seal(originals(message, stored))
    both = Sealer([NEW, OLD])
    assert both.unseal(blob) == originals(message, stored)
    renewed = both.resealed(blob)
    assert Sealer([NEW]).unseal(renewed) == originals(message, stored)
    with pytest.raises(SealError):
        Sealer([OLD]).unseal(renewed)


class TestRefused:
    def test_another_key(self, message: Message, stored: StoredMessage) -> None:
        blob = Sealer([OLD]).seal(originals(message, stored))
        for refused in (Sealer([NEW]).unseal, Sealer([NEW]).resealed):
            with pytest.raises(SealError, match="none of the keys fits"):
                refused(blob)

    @pytest.mark.parametrize("place", [0, 20, -3])
    def test_a_changed_blob(self, message: Message, stored: StoredMessage, place: int) -> None:
        sealer = Sealer([NEW])
        blob = bytearray(sealer.seal(originals(message, stored)))
        blob[place] ^= 1
        with pytest.raises(SealError):
            sealer.unseal(bytes(blob))

    def test_what_is_no_blob_at_all(self) -> None:
        for blob in (b"", b"\xff\x00", Fernet(NEW).encrypt(b'{"secret": "x"}')):
            with pytest.raises(SealError) as caught:
                Sealer([NEW]).unseal(blob)
            assert "x" not in str(caught.value).replace("fits", "")

    def test_the_blob_of_another_message(self, message: Message, stored: StoredMessage) -> None:
        sealer = Sealer([NEW])
        other = message_of("I am anna@example.org", message_id="m2")
        blob = sealer.seal(originals(other, stored_message(other, 0, REDACTOR)))
        with pytest.raises(SealError, match="another message"):
            sealer.unsealed(stored, blob)

    @pytest.mark.parametrize(
        "item",
        [
            Original(part=0, start=0, end=4, text="anna"),
            Original(part=9, start=5, end=21, text="anna@example.org"),
            Original(part=0, start=5, end=21, text="short"),
        ],
    )
    def test_originals_that_do_not_fit_the_masks(self, item: Original) -> None:
        sealer = Sealer([NEW])
        kept = stored_message(message_of("I am anna@example.org"), 0, REDACTOR)
        with pytest.raises(SealError, match="another message"):
            sealer.unsealed(kept, sealer.seal(Originals(message_id="m1", items=(item,))))


class TestConfigured:
    def test_without_keys_originals_are_not_kept(self) -> None:
        assert Sealer.configured(load_settings()) is None
        assert Sealer.configured(load_settings(sealing_keys=" , ")) is None

    def test_keys_are_listed_newest_first(self) -> None:
        sealer = Sealer.configured(load_settings(sealing_keys=f"{NEW}, {OLD},"))
        assert sealer is not None
        blob = sealer.seal(Originals(message_id="m", items=()))
        assert Sealer([NEW]).unseal(blob).message_id == "m"

    @pytest.mark.parametrize("wrong", ["short", "é" * 44, "AAAA", "!" * 44])
    def test_what_is_no_key_is_refused_without_being_shown(self, wrong: str) -> None:
        with pytest.raises(SettingsError, match="PLUMBLINE_SEALING_KEYS: key 2 ") as caught:
            Sealer.configured(load_settings(sealing_keys=f"{NEW},{wrong}"))
        assert wrong not in str(caught.value)
