"""An example that may come into a version."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from retrain.datasets.example import Example, Key
from retrain.datasets.reading import Reading
from retrain.datasets.twins import Signature


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """`said`, `whole`: what the agent says and all that is said, for resemblance.

    `frozen`: it is held out, and stays so as it is. `new`: the version before has it in no part. `waited`: there,
    too, it was held back because there was too much of one reviewer or tenant.
    """

    example: Example
    reading: Reading
    said: Signature | None
    whole: Signature | None
    frozen: bool
    new: bool
    waited: bool = False

    @property
    def key(self) -> Key:
        return self.example.key


def drawn(salt: str, *parts: str) -> int:
    """A number that looks drawn, and is always the same for the same words: 0 to 2**64."""
    written = "".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(written, key=_key(salt), digest_size=8).digest(), "big")


def named(salt: str, *parts: str) -> str:
    """16 hex digits of the same number."""
    return f"{drawn(salt, *parts):016x}"


def _key(salt: str) -> bytes:
    return hashlib.sha256(salt.encode()).digest()
