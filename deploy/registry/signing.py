"""Ed25519 signatures over the records of versions. Keys are 32 bytes in base64, as settings hold them."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from deploy.registry.errors import RegistryError

_PURPOSE: Final = b"plumbline registry record 1\n"
"""Signed with every record: a signature of something else, by the same key, is none of a record."""


def make_key() -> str:
    """A new private key, for PLUMBLINE_REGISTRY_SIGNING_KEY."""
    return base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def public_key_of(signing_key: str) -> str:
    """What goes with it, for PLUMBLINE_REGISTRY_PUBLIC_KEY. Raises `RegistryError` where it is no key."""
    return base64.b64encode(_private(signing_key).public_key().public_bytes_raw()).decode()


def sign(signing_key: str, record: bytes) -> str:
    """The signature in base64."""
    return base64.b64encode(_private(signing_key).sign(_PURPOSE + record)).decode()


def is_signed(public_key: str, record: bytes, signature: str) -> bool:
    """Whether the record is signed by the key. A signature that is none at all is a wrong one."""
    try:
        _public(public_key).verify(base64.b64decode(signature, validate=True), _PURPOSE + record)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_keys(text: str) -> tuple[str, ...]:
    """Several, comma-separated, while keys are changed. Raises `RegistryError` where one is no key."""
    keys = tuple(each.strip() for each in text.split(","))
    for each in keys:
        _public(each)
    return keys


def _private(key: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_raw(key, "signing"))


def _public(key: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(_raw(key, "public"))


def _raw(key: str, kind: str) -> bytes:
    try:
        raw = base64.b64decode(key.strip(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise RegistryError(f"the {kind} key is not 32 bytes in base64")
    return raw
