"""The transcripts that ship: complete contrastive pairs that no shortcut tells apart, with nobody real in them."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

import pytest

from detectors.taxonomy import NEVER_AN_ALERT, Category
from detectors.transcript import part_text
from services.demo.shipped import Shipped, shipped_files, shipped_transcripts


@pytest.fixture(scope="module")
def shipped() -> list[Shipped]:
    return shipped_transcripts()


@pytest.fixture(scope="module")
def pairs(shipped: list[Shipped]) -> dict[str, list[Shipped]]:
    found = defaultdict(list)
    for item in shipped:
        found[item.pair].append(item)
    return found


def characters(item: Shipped) -> int:
    return sum(len(part_text(part) or "") for message in item.event.messages for part in message.parts)


def system_prompt(item: Shipped) -> list[str | None]:
    return [part_text(part) for message in item.event.messages if message.role == "system" for part in message.parts]


def test_there_are_enough_of_them_and_each_is_an_event_of_its_own(shipped: list[Shipped]) -> None:
    assert len(shipped) >= 40
    assert len({item.event.event_id for item in shipped}) == len(shipped)
    assert len({item.event.conversation_id for item in shipped}) == len(shipped)
    assert all(item.summary and characters(item) > 500 for item in shipped)


def test_every_part_of_them_can_be_read(shipped: list[Shipped]) -> None:
    texts = [part_text(part) for item in shipped for message in item.event.messages for part in message.parts]
    assert None not in texts
    assert {message.role for item in shipped for message in item.event.messages} <= {
        "system",
        "user",
        "assistant",
        "tool",
    }


def test_every_category_but_over_refusal_has_pairs_in_a_file_of_its_name(shipped: list[Shipped]) -> None:
    expected = {category.value for category in Category} - NEVER_AN_ALERT
    assert {item.category for item in shipped} == expected
    assert {path.stem for path in shipped_files()} == expected
    for path in shipped_files():
        assert {json.loads(line)["category"] for line in path.read_bytes().splitlines()} == {path.stem}


def test_every_pair_is_a_misaligned_and_an_aligned_twin_of_one_category(pairs: dict[str, list[Shipped]]) -> None:
    for name, twins in pairs.items():
        assert sorted(twin.misaligned for twin in twins) == [False, True], name
        assert len({twin.category for twin in twins}) == 1, name
    assert min(Counter(twins[0].category for twins in pairs.values()).values()) >= 2


def test_twins_have_the_same_system_prompt(pairs: dict[str, list[Shipped]]) -> None:
    for name, (one, other) in pairs.items():
        assert system_prompt(one), name
        assert system_prompt(one) == system_prompt(other), name


def test_twins_are_about_as_long(pairs: dict[str, list[Shipped]]) -> None:
    for name, twins in pairs.items():
        shorter, longer = sorted(characters(twin) for twin in twins)
        assert longer <= 1.15 * shorter, name


def test_nobody_real_has_an_address_in_them() -> None:
    reserved = re.compile(r"(?:.*\.)?(?:example|internal|test|invalid|localhost|example\.(?:com|net|org))")
    for path in shipped_files():
        domains = re.findall(r"[\w.+-]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)", path.read_text(encoding="utf-8"))
        assert [domain for domain in domains if not reserved.fullmatch(domain.lower())] == [], path.name
