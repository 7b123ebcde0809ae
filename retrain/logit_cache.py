"""What a frozen encoder says of the same windows does not change: it is computed once and kept.

Meant for Plumbline's own pairs, which every refresh replays. Conversations of a deployment do not belong here: what is
erased elsewhere would live on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.taxonomy import LABELS
from detectors.windows import Window

Logits = NDArray[np.float32]


class LogitCache:
    """Logits [windows, labels] in files of `folder`, by encoder and windows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def logits(self, encoder: str, windows: Sequence[Window], compute: Callable[[], Logits]) -> Logits:
        """What was kept for these very windows, in this order, or what `compute` gives, which is kept then."""
        path = self._folder / f"{_key(encoder, windows)}.npy"
        kept = _read(path)
        if kept is not None and kept.shape == (len(windows), len(LABELS)) and np.isfinite(kept).all():
            return kept
        found = compute()
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.stem}.{os.getpid()}.npy")
        np.save(unfinished, found)
        unfinished.replace(path)
        return found


def _read(path: Path) -> Logits | None:
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    except (OSError, ValueError, EOFError):
        return None


def _key(encoder: str, windows: Sequence[Window]) -> str:
    digest = hashlib.sha256(encoder.encode())
    for window in windows:
        digest.update(len(window).to_bytes(4, "big") + window.input_ids.tobytes() + window.of_agent.tobytes())
    return digest.hexdigest()[:32]
