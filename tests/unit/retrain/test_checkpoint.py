"""A network read back out of its model file is the network that was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.bundle import ENCODER, SCREEN, load_bundle
from detectors.loading import DEFAULT_BUNDLE
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.taxonomy import LABELS

if TYPE_CHECKING:
    from transformers import BertModel

    from retrain.model import Encoder

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("retrain_extra")]


@pytest.fixture
def encoder(tiny_bert: BertModel) -> Encoder:
    import torch

    from retrain.model import Encoder

    torch.manual_seed(2)
    encoder = Encoder(tiny_bert, labels=len(LABELS)).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return encoder


def test_training_can_go_on_from_a_float32_file_as_if_it_had_not_stopped(encoder: Encoder) -> None:
    from retrain.checkpoint import is_quantised, read_encoder
    from retrain.export import export_encoder

    written = export_encoder(encoder)
    assert not is_quantised(written)
    assert export_encoder(read_encoder(written)) == written


def test_int8_weights_come_back_as_the_numbers_that_they_stand_for(encoder: Encoder) -> None:
    from retrain.checkpoint import is_quantised, read_encoder
    from retrain.export import export_encoder, quantise

    small = quantise(export_encoder(encoder))
    assert is_quantised(small)
    again = read_encoder(small)
    for (name, before), after in zip(encoder.named_parameters(), again.parameters(), strict=True):
        if "position_embeddings" in name or "token_type" in name:
            continue  # kept as their sum
        step = float(before.detach().abs().max()) / 63  # seven bits
        assert float((before - after).detach().abs().max()) <= step, name


def test_the_network_in_the_bundle_that_ships_says_what_the_bundle_says() -> None:
    import torch

    from retrain.checkpoint import read_encoder

    model = load_bundle(DEFAULT_BUNDLE).files[ENCODER]
    rng = np.random.default_rng(1)
    ids = rng.integers(10, 9000, (2, 24))
    mask = (np.arange(24) < np.asarray([[24], [11]])).astype(np.int64)
    with torch.no_grad():
        mine = read_encoder(model)(*map(torch.from_numpy, (ids, mask, mask)))[0].numpy()
    session = OnnxClassifier("it", "1", model, provider=Provider.CPU, threads=1)._session
    served = session.run(["logits"], {"input_ids": ids, "attention_mask": mask, "agent_mask": mask})[0]
    assert np.corrcoef(mine.ravel(), served.ravel())[0, 1] > 0.98


def test_a_file_that_is_no_encoder_of_ours_is_refused() -> None:
    from retrain.checkpoint import read_encoder

    with pytest.raises(ValueError, match="not an encoder of ours"):
        read_encoder(load_bundle(DEFAULT_BUNDLE).files[SCREEN])
