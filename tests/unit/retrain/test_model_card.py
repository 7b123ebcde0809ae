"""The model card in the documentation is the one of the bundle that ships."""

from __future__ import annotations

import json
from pathlib import Path

from detectors.bundle import load_bundle
from detectors.loading import DEFAULT_BUNDLE
from retrain.model_card import model_card

DOCS = Path(__file__).parents[3] / "docs"


def test_the_model_card_in_the_documentation_is_that_of_the_shipped_bundle() -> None:
    evaluation = json.loads((DOCS / "evaluation.json").read_text(encoding="utf-8"))
    card = (DOCS / "model-card.md").read_text(encoding="utf-8")
    peers = json.loads((DOCS / "peers.json").read_text(encoding="utf-8"))
    assert card == model_card(load_bundle(DEFAULT_BUNDLE).manifest, evaluation, peers)
