"""Which conversations are audited and which labels get a second look: by chance, yet the same however often one asks.

Draws are keyed: without the salt nobody can tell what belongs to the sample, or make a conversation that does not.
"""

from __future__ import annotations

import hashlib
from typing import Final

SHORTEST_SALT: Final = 16


def audited(tenant_id: str, conversation_id: str, share: float, salt: bytes) -> bool:
    """Whether a conversation belongs to the random sample that people see unannounced.

    The sample of a smaller share is part of that of a larger one. Raises `ValueError` for a share that is none and a
    salt of less than 16 or more than 64 bytes.
    """
    return _drawn(b"audit", (tenant_id, conversation_id), share, salt)


def second_review(label_id: str, share: float, salt: bytes) -> bool:
    """Whether somebody else is to decide as well, blindly. Independent of `audited`; raises as that does."""
    return _drawn(b"second review", (label_id,), share, salt)


def _drawn(purpose: bytes, parts: tuple[str, ...], share: float, salt: bytes) -> bool:
    if not 0 <= share <= 1:
        raise ValueError("a share lies between 0 and 1")
    if not SHORTEST_SALT <= len(salt) <= hashlib.blake2b.MAX_KEY_SIZE:
        raise ValueError("a salt has 16 to 64 bytes")
    written = "".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(written, digest_size=8, key=salt, person=purpose).digest()
    return int.from_bytes(digest, "big") < share * 2**64
