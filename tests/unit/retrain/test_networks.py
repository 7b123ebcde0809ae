"""The networks and their ONNX graphs: both compute the same, and contributions add up to logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.classifier import Batcher, ClassifierOutput, WindowBatch
from detectors.features import FEATURE_NAMES, StructuralFeatures
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Windower
from retrain.dataset import CutConversation
from retrain.sources import LabelledConversation

if TYPE_CHECKING:
    from torch import nn
    from transformers import BertModel

    from retrain.model import Encoder, Screen

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("retrain_extra")]

VOCABULARY = 30_522


@pytest.fixture
def encoder(tiny_bert: BertModel) -> Encoder:
    """With a head that says something: training starts from a head that weighs all tokens alike."""
    import torch

    from retrain.model import Encoder

    torch.manual_seed(2)
    encoder = Encoder(tiny_bert, labels=len(LABELS)).eval()
    torch.nn.init.normal_(encoder.attention.weight, std=0.5)
    torch.nn.init.normal_(encoder.bias)
    return encoder


@pytest.fixture
def screen(retrain_extra: None) -> Screen:
    import torch

    from retrain.model import Screen

    torch.manual_seed(3)
    screen = Screen(buckets=512, features=len(FEATURE_NAMES), labels=len(LABELS)).eval()
    torch.nn.init.normal_(screen.table.weight, std=0.3)
    return screen


def batch(*lengths: int, longest: int | None = None) -> WindowBatch:
    rng = np.random.default_rng(4)
    longest = longest or max(lengths)
    mask = (np.arange(longest) < np.array(lengths)[:, None]).astype(np.int64)
    ids = rng.integers(0, VOCABULARY, (len(lengths), 64))[:, :longest] * mask
    features = rng.random((len(lengths), len(FEATURE_NAMES)), dtype=np.float32)
    agents = mask * (np.arange(longest) % 3 > 0)
    agents[:, 0] = 1
    return WindowBatch(ids, mask, agents, features)


def computed(network: nn.Module, windows: WindowBatch) -> tuple[np.ndarray, np.ndarray]:
    import torch

    arrays = (windows.input_ids, windows.attention_mask, windows.agent_mask, windows.features)
    with torch.no_grad():
        logits, contributions = network(*map(torch.from_numpy, arrays))
    return logits.numpy(), contributions.numpy()


def served(model: bytes, windows: WindowBatch) -> ClassifierOutput:
    return OnnxClassifier("it", "1", model, provider=Provider.CPU, threads=1).score(windows)


BATCHES = [batch(64, 17, 3), batch(1), batch(2, 2, longest=30)]


@pytest.mark.parametrize("windows", BATCHES, ids=["mixed", "one token", "much padding"])
def test_graphs_compute_what_the_networks_compute(encoder: Encoder, screen: Screen, windows: WindowBatch) -> None:
    from retrain.export import export_encoder, export_screen

    for network, model in ((encoder, export_encoder(encoder)), (screen, export_screen(screen, len(FEATURE_NAMES)))):
        output = served(model, windows)
        logits, contributions = computed(network, windows)
        np.testing.assert_allclose(output.logits, logits, atol=2e-3)
        np.testing.assert_allclose(output.contributions, contributions, atol=2e-3)
        assert np.abs(contributions).max() > 0.02  # not equal for want of anything to differ in


def test_contributions_add_up_to_logits_less_what_is_constant(encoder: Encoder, screen: Screen) -> None:
    import torch

    windows = BATCHES[0]
    logits, contributions = computed(encoder, windows)
    np.testing.assert_allclose(contributions.sum(axis=1), logits - encoder.bias.detach().numpy(), atol=1e-5)
    logits, contributions = computed(screen, windows)
    with torch.no_grad():
        structure = screen.features(torch.from_numpy(windows.features)).numpy()
    np.testing.assert_allclose(contributions.sum(axis=1), logits - structure, atol=1e-5)


def test_padding_changes_nothing_and_only_the_agents_words_contribute(encoder: Encoder, screen: Screen) -> None:
    narrow, wide = batch(9, 5), batch(9, 5, longest=40)
    for network in (encoder, screen):
        logits, contributions = computed(network, wide)
        np.testing.assert_allclose(logits, computed(network, narrow)[0], atol=1e-5)
        assert not contributions[wide.agent_mask == 0].any()


def test_quantising_keeps_outputs_close_and_halves_the_file(encoder: Encoder) -> None:
    from retrain.export import export_encoder, quantise

    exact = export_encoder(encoder)
    small = quantise(exact)
    assert len(small) < len(exact) / 2
    one, other = served(exact, BATCHES[0]), served(small, BATCHES[0])
    for before, after in ((one.logits, other.logits), (one.contributions, other.contributions)):
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.99
        assert np.abs(before - after).mean() < 0.1 * before.std()


def test_a_graph_that_computes_something_else_is_refused(encoder: Encoder) -> None:
    import torch

    from retrain.export import export_encoder
    from retrain.model import Encoder

    class Shifted(Encoder):
        def forward(
            self,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            agent_mask: torch.Tensor,
            features: torch.Tensor | None = None,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            logits, contributions = super().forward(input_ids, attention_mask, agent_mask, features)
            return logits + 0.01, contributions

    shifted = Shifted(encoder.bert, labels=len(LABELS))
    with pytest.raises(ValueError, match="logits: the ONNX graph and the network differ"):
        export_encoder(shifted)


def test_the_fitted_screen_is_the_regression_on_what_conversations_say_on_average(
    make_labelled: Callable[..., LabelledConversation], tokenizer: TextTokenizer, windower: Windower
) -> None:
    import torch

    from retrain.dataset import cut
    from retrain.lexical import FEWEST, fit_screen
    from retrain.model import Screen

    screen = Screen(buckets=2**12, features=len(FEATURE_NAMES), labels=len(LABELS)).eval()
    features = StructuralFeatures(tokenizer)

    def some(count: int) -> list[CutConversation]:
        said = {True: "I take the keys and hide the log", False: "I give the keys and show the log"}
        return list(
            cut([make_labelled(f"{n}", "go", said[n % 2 == 0], misaligned=n % 2 == 0) for n in range(count)], windower)
        )

    def overall(item: CutConversation) -> float:
        batch = Batcher(features, pad_id=0, size=8).pad(item.windows)
        inputs = {name: torch.from_numpy(getattr(batch, name)) for name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            logits, _ = screen(
                **inputs,
                agent_mask=torch.from_numpy(batch.agent_mask),
                features=torch.from_numpy(batch.features),
            )
        return float(logits[:, LABELS.index(MISALIGNMENT)].mean())

    fit_screen(screen, some(2 * FEWEST - 2), features)
    assert not screen.table.weight.any()  # too few to learn from: it says nothing, and calmly
    fit_screen(screen, some(60), features)
    assert [overall(item) > 0 for item in some(4)] == [True, False, True, False]
    assert not screen.table.weight[:, LABELS.index("coercion")].any()


def test_the_screen_makes_less_of_what_recognises_a_source(
    make_labelled: Callable[..., LabelledConversation], tokenizer: TextTokenizer, windower: Windower
) -> None:
    from retrain.dataset import cut
    from retrain.lexical import fit_screen
    from retrain.model import Screen

    features = StructuralFeatures(tokenizer)

    def apart(*sources: str) -> float:
        """By how much the words of one source weigh more than those of another with the other label."""
        said = (("harbour", True), ("meadow", False))
        conversations = [
            make_labelled(f"{word} {n}", "go", word, source=source, misaligned=misaligned)
            for n in range(30)
            for (word, misaligned), source in zip(said, sources, strict=True)
        ]
        screen = Screen(buckets=2**12, features=len(FEATURE_NAMES), labels=len(LABELS))
        fit_screen(screen, list(cut(conversations, windower)), features, sources_known=True)
        return float(screen.table.weight[:, LABELS.index(MISALIGNMENT)].detach().abs().sum())

    assert 0 < apart("dark", "bright") < apart("one", "one")


def test_the_screen_knows_the_order_of_words(screen: Screen) -> None:
    there = batch(12)
    reverse = np.ascontiguousarray(there.input_ids[:, ::-1])
    back = WindowBatch(reverse, there.attention_mask, there.agent_mask, there.features)
    assert np.abs(computed(screen, there)[0] - computed(screen, back)[0]).max() > 0.01
