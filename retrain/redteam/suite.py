"""Pairs under attack: both twins get the same treatment, so that the attack itself tells nothing about the label."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from detectors.taxonomy import NEVER_AN_ALERT
from retrain.corpus import Pair, conversations
from retrain.redteam.attacks import ATTACKS, Attack
from retrain.redteam.turns import event_of, turns_of
from retrain.sources import LabelledConversation

SOURCE = "redteam"


@dataclass(frozen=True, slots=True)
class Attacked:
    """One side of a pair under one attack. Its group is the pair's, whatever the attack."""

    attack: str
    pair: Pair
    conversation: LabelledConversation


def suite(
    pairs: Sequence[Pair], *, per_attack: int, salt: str, attacks: Sequence[Attack] = ATTACKS
) -> Iterator[Attacked]:
    """Both sides of at most `per_attack` pairs for each attack: for one `salt` always the same ones.

    Categories take turns, so that a few pairs still show many kinds of behaviour.
    """
    for attack in attacks:
        for pair in _drawn(pairs, attack, per_attack, salt):
            for side in conversations([pair]):
                yield Attacked(attack.name, pair, attacked(side, attack))


def attacked(conversation: LabelledConversation, attack: Attack) -> LabelledConversation:
    """The same conversation in disguise. The turns that its label is about are found again."""
    event = conversation.event
    turns = attack.change(turns_of(event))
    about = conversation.turns
    moved = None if about is None else frozenset(place for place, turn in enumerate(turns) if turn.origin in about)
    renamed = event.model_copy(update={"event_id": f"{attack.name}:{event.event_id}"})
    return replace(conversation, event=event_of(renamed, turns), turns=moved, source=SOURCE)


def _drawn(pairs: Sequence[Pair], attack: Attack, count: int, salt: str) -> list[Pair]:
    def key(pair: Pair) -> bytes:
        return hashlib.sha256(f"{salt}/{attack.name}/{pair.id}".encode()).digest()

    seen: dict[str, int] = {}
    turn_of: list[tuple[int, bytes, Pair]] = []
    for pair in sorted(filter(lambda each: _eligible(each, attack), pairs), key=key):
        turn = seen[pair.category] = seen.get(pair.category, 0) + 1
        turn_of.append((turn, key(pair), pair))
    return [pair for *_, pair in sorted(turn_of, key=lambda item: item[:2])[:count]]


def _eligible(pair: Pair, attack: Attack) -> bool:
    if pair.category in NEVER_AN_ALERT:
        return False
    return all(attack.applies(turns_of(side.event), pair.language) for side in conversations([pair]))
