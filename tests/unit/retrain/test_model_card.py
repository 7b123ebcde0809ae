"""The model card in the documentation is the one of the bundle that ships."""

from __future__ import annotations

from pathlib import Path

from detectors.detector import Detector
from retrain.model_card import model_card

CARD = Path(__file__).parents[3] / "docs" / "model-card.md"


def test_the_model_card_in_the_documentation_is_that_of_the_shipped_bundle(detector: Detector) -> None:
    assert CARD.read_text(encoding="utf-8") == model_card(detector.manifest)
