"""The two networks of a bundle.

Both read whole windows and judge the agent's own words: they are additive over its tokens behind their last layer,
which is what makes evidence exact.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertModel

from retrain.base import Base
from retrain.hashing import BIGRAM_FACTOR, UNIGRAM_FACTOR


class Screen(nn.Module):
    """Hashed unigrams and bigrams of token ids plus structural features, linear: cheap enough to read everything.

    The hashing happens inside the network, so that the exported model needs nothing but token ids.
    """

    def __init__(self, *, buckets: int, features: int, labels: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.table = nn.Embedding(buckets, labels)
        self.features = nn.Linear(features, labels)
        nn.init.zeros_(self.table.weight)

    def set_weights(self, table: NDArray[np.float64], features: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
        """`table` [buckets, labels], `features` [labels, features] and `bias` [labels]."""
        with torch.no_grad():
            self.table.weight.copy_(torch.from_numpy(table))
            self.features.weight.copy_(torch.from_numpy(features))
            self.features.bias.copy_(torch.from_numpy(bias))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,  # noqa: ARG002  (both networks are called alike)
        agent_mask: Tensor,
        features: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Logits [windows, labels] and contributions [windows, tokens, labels]."""
        following = torch.cat([input_ids[:, 1:], torch.zeros_like(input_ids[:, :1])], dim=1)
        unigrams = (input_ids * UNIGRAM_FACTOR) % self.buckets
        bigrams = (input_ids * BIGRAM_FACTOR + following * UNIGRAM_FACTOR + 1) % self.buckets
        mask = agent_mask.to(torch.float32).unsqueeze(-1)
        scale = mask.sum(dim=1, keepdim=True).clamp(min=1.0).sqrt()
        contributions = (self.table(unigrams) + self.table(bigrams)) * mask / scale
        return contributions.sum(dim=1) + self.features(features), contributions


class Encoder(nn.Module):
    """A BERT encoder with attention pooling per label over the logits of the agent's tokens.

    logit = bias + sum over tokens of attention(token, label) * token_logit(token, label): the contributions.
    """

    def __init__(self, bert: BertModel, *, labels: int) -> None:
        super().__init__()
        self.bert = bert
        self.attention = nn.Linear(bert.config.hidden_size, labels)
        self.token_logits = nn.Linear(bert.config.hidden_size, labels, bias=False)
        self.bias = nn.Parameter(torch.zeros(labels))
        nn.init.zeros_(self.attention.weight)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        agent_mask: Tensor,
        features: Tensor | None = None,  # noqa: ARG002  (both networks are called alike)
    ) -> tuple[Tensor, Tensor]:
        """Logits [windows, labels] and contributions [windows, tokens, labels]. It reads words alone: no `features`."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        hidden = hidden.to(torch.float32)
        of_agent = agent_mask.unsqueeze(-1) > 0
        pooling = self.attention(hidden).masked_fill(~of_agent, -1e4).softmax(dim=1)
        contributions = pooling * self.token_logits(hidden)
        return contributions.sum(dim=1) + self.bias, contributions


def bert(base: Base) -> BertModel:
    """`base` as a network. No dropout in the attention: training on CPUs is about twice as fast without."""
    base.config.attention_probs_dropout_prob = 0.0
    network = BertModel(base.config, add_pooling_layer=False)
    network.config._attn_implementation = "sdpa"
    weights = {name: torch.from_numpy(array) for name, array in base.weights.items() if "pooler" not in name}
    network.load_state_dict(weights, strict=False)
    return network


def freeze(encoder: Encoder, *, layers: int) -> None:
    """Leaves the embeddings and the lowest `layers` layers as they are: less to compute, and less to forget."""
    frozen = [encoder.bert.embeddings, *encoder.bert.encoder.layer[:layers]]
    for module in frozen:
        module.requires_grad_(requires_grad=False)
