"""The version that is left of one when conversations are erased: the same split, and nothing of what is gone.

A version cannot change, and must not stay. What stays held out, and what has been trained on, is known from the version
before alone: removing it without a successor would draw all of that anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from retrain.datasets.example import Example, Part, conversation_digest
from retrain.datasets.manifest import Dataset
from retrain.datasets.policy import Reason
from retrain.datasets.reporting import Findings, version


def without(dataset: Dataset, label_ids: Collection[str]) -> Dataset:
    """`dataset` less every example that one of these labels is about; itself where there is none.

    Other labels of such an example go with it: the conversation is what is erased.
    """
    wanted = set(label_ids)
    gone = {each.key for examples in dataset.parts.values() for each in examples if wanted & set(each.label_ids)}
    parts: Mapping[Part, tuple[Example, ...]] = {
        part: tuple(each for each in examples if each.key not in gone) for part, examples in dataset.parts.items()
    }
    held_back: dict[str, Reason] = {
        label: reason
        for reason, labels in dataset.manifest.held_back.items()
        for label in labels
        if label not in wanted
    }
    digests = {conversation_digest(key) for key in gone}
    return version(
        parts,
        held_back,
        seen=[each for each in dataset.manifest.seen if each not in digests],
        policy=dataset.manifest.policy,
        previous=dataset,
        findings=Findings((), (), contested=0, clusters=_clusters(parts), new=0),
    )


def _clusters(parts: Mapping[Part, tuple[Example, ...]]) -> int:
    return len({each.cluster for examples in parts.values() for each in examples})
