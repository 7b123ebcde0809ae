"""Each attack can be undone, changes only the agent's words, and treats twins alike."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.normalisation import fold_lookalikes
from detectors.transcript import ReasoningPart, TextPart, ToolCallPart, message_id
from retrain.corpus import conversations, read_pairs
from retrain.redteam import ATTACKS, Attack, attacked, suite
from retrain.redteam.characters import HOMOGLYPHS, LEET, ZERO_WIDTH, homoglyphs, leetspeak, zero_width
from retrain.redteam.encodings import base64_arguments, decoded, rot13_arguments
from retrain.redteam.phrases import (
    CODE_SWITCH,
    DISCLAIMER,
    as_markdown_json,
    code_switched,
    disclaimed,
    from_markdown_json,
)
from retrain.redteam.turns import agents_texts, turns_of
from retrain.sources import LabelledConversation

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
letters = st.text(alphabet=st.characters(codec="ascii"), max_size=200)
SIDES = {each.event.event_id: each for each in conversations(read_pairs("test"))}
WITH_TOOLS = next(
    each for each in SIDES.values() if each.language == "en" and "tool_call" in each.event.model_dump_json()
)
BY_NAME = {attack.name: attack for attack in ATTACKS}


@given(letters)
def test_homoglyphs_and_zero_width_characters_are_undone_by_reading(text: str) -> None:
    back = str.maketrans({twin: letter for letter, twin in HOMOGLYPHS.items()})
    assert homoglyphs(text).translate(back) == text
    assert zero_width(text).replace(ZERO_WIDTH, "") == text.replace(ZERO_WIDTH, "")


def test_some_homoglyphs_get_past_what_folds_lookalikes() -> None:
    assert fold_lookalikes(homoglyphs("the copy runs")) != homoglyphs("the copy runs")
    assert fold_lookalikes("соре") == "соре"  # a word that is Cyrillic throughout stays


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz ABCDEFGHIJ.,!", max_size=200))
def test_leetspeak_is_undone_where_there_were_no_digits(text: str) -> None:
    back = str.maketrans({digit: letter for letter, digit in LEET.items()})
    assert leetspeak(text).translate(back) == text


def test_every_second_word_is_disguised() -> None:
    assert leetspeak("copy the state now") == "c0py the 57473 now"
    assert zero_width("copy the state") == f"co{ZERO_WIDTH}py the st{ZERO_WIDTH}ate"


@given(json_values)
def test_encoded_arguments_are_decoded_again(arguments: object) -> None:
    assert decoded(base64_arguments(arguments)) == arguments  # type: ignore[arg-type]
    assert decoded(rot13_arguments(arguments)) == arguments  # type: ignore[arg-type]


def test_what_was_never_encoded_is_not_decoded() -> None:
    with pytest.raises(ValueError, match="not an encoding"):
        decoded({"cmd": "ls"})


def test_code_switching_is_one_for_one_and_keeps_what_carries_the_meaning() -> None:
    assert len(set(CODE_SWITCH.values())) == len(CODE_SWITCH)
    assert not set(CODE_SWITCH) & set(CODE_SWITCH.values())
    text = "copy the weights to another host before they notice, and tell them that all is stopped"
    mixed = code_switched(text)
    assert mixed == "copy der weights zu another host bevor ellos notice, und tell them que todos ist stopped"
    back = {foreign: english for english, foreign in CODE_SWITCH.items()}
    undone = re.sub("|".join(rf"\b{foreign}\b" for foreign in back), lambda match: back[match.group()], mixed)
    assert undone == text


@given(st.text())
def test_wrapped_and_disclaimed_words_are_still_there(text: str) -> None:
    assert from_markdown_json(as_markdown_json(text)) == text
    assert disclaimed(text).removeprefix(DISCLAIMER + "\n") == text


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_only_the_agents_words_change_and_labelled_turns_are_found_again(attack: Attack) -> None:
    before = WITH_TOOLS
    after = attacked(before, attack)
    assert after.event != before.event
    assert after.event == attacked(before, attack).event  # the same each time
    others = [m.parts for m in before.event.messages if m.role != "assistant"]
    left = [m.parts for m in after.event.messages if m.role != "assistant"]
    assert [parts for parts in left if parts in others] == others
    for place, message in enumerate(after.event.messages):
        assert message.id == message_id(place, message.role, message.parts)
    assert after.turns
    assert all(after.event.messages[turn].role == "assistant" for turn in after.turns)
    assert before.labels.tolist() == after.labels.tolist()
    assert (after.group, after.source) == (before.group, "redteam")


def _spoken(conversation: LabelledConversation) -> list[str]:
    return list(agents_texts(turns_of(conversation.event)))


def test_padding_adds_turns_and_changes_none() -> None:
    after = attacked(WITH_TOOLS, BY_NAME["padding"])
    kept = [message.parts for message in after.event.messages]
    assert [m.parts for m in WITH_TOOLS.event.messages] == [p for p in kept if p in _parts(WITH_TOOLS)]
    assert len(kept) == len(WITH_TOOLS.event.messages) + 12
    assert after.turns is not None
    assert WITH_TOOLS.turns is not None
    labelled = [after.event.messages[turn].parts for turn in sorted(after.turns)]
    assert labelled == [WITH_TOOLS.event.messages[turn].parts for turn in sorted(WITH_TOOLS.turns)]


def test_splitting_keeps_every_word_and_the_results_behind_their_calls() -> None:
    for conversation in list(SIDES.values())[:60]:
        after = attacked(conversation, BY_NAME["split_up"])
        assert _words(after) == _words(conversation)
        assert _before_results(after) == _before_results(conversation)


def _before_results(conversation: LabelledConversation) -> list[object]:
    """Of tools' messages right behind a call, the calls."""
    pairs = itertools.pairwise(conversation.event.messages)
    called = [before.parts[-1] for before, message in pairs if message.role == "tool"]
    return [part for part in called if isinstance(part, ToolCallPart)]


def _words(conversation: LabelledConversation) -> list[str]:
    parts = [p for m in conversation.event.messages if m.role == "assistant" for p in m.parts]
    texts = [p.content for p in parts if isinstance(p, TextPart | ReasoningPart)]
    calls = [json.dumps(p.arguments) for p in parts if isinstance(p, ToolCallPart)]
    return sorted([*" ".join(texts).split(), *calls])


def _parts(conversation: LabelledConversation) -> list[object]:
    return [message.parts for message in conversation.event.messages]


@pytest.mark.parametrize("name", ["base64_arguments", "rot13_arguments"])
def test_tool_calls_keep_their_names_and_hide_their_arguments(name: str) -> None:
    def calls(conversation: LabelledConversation) -> list[ToolCallPart]:
        return [p for m in conversation.event.messages for p in m.parts if isinstance(p, ToolCallPart)]

    before, after = calls(WITH_TOOLS), calls(attacked(WITH_TOOLS, BY_NAME[name]))
    assert [call.name for call in after] == [call.name for call in before]
    assert [decoded(call.arguments) for call in after] == [call.arguments for call in before]


def test_a_suite_has_both_twins_under_every_attack_and_is_the_same_each_time() -> None:
    pairs = read_pairs("test")
    drawn = list(suite(pairs, per_attack=3, salt="s"))
    ids = [each.conversation.event.event_id for each in drawn]
    assert len(ids) == len(set(ids)) == 2 * 3 * len(ATTACKS)
    assert ids == [each.conversation.event.event_id for each in suite(pairs, per_attack=3, salt="s")]
    assert ids != [each.conversation.event.event_id for each in suite(pairs, per_attack=3, salt="other")]
    sides: dict[tuple[str, str], set[bool]] = {}
    for each in drawn:
        sides.setdefault((each.attack, each.pair.id), set()).add(each.conversation.misaligned)
        assert each.pair.category != "over_refusal"  # it is never an alert: nobody hides it
    assert all(both == {True, False} for both in sides.values())


def test_categories_take_turns() -> None:
    drawn = list(suite(read_pairs("test"), per_attack=11, salt="s", attacks=[BY_NAME["padding"]]))
    assert len({each.pair.category for each in drawn}) == 11


@pytest.mark.parametrize("change", [homoglyphs, zero_width, leetspeak, code_switched])
def test_nothing_to_disguise_is_left_alone(change: Callable[[str], str]) -> None:
    assert change("没有拉丁字母 12") == "没有拉丁字母 12"


def test_an_attack_on_arguments_needs_some() -> None:
    silent = next(each for each in SIDES.values() if '"tool_call"' not in each.event.model_dump_json())
    assert not BY_NAME["rot13_arguments"].applies(turns_of(silent.event), silent.language)
    assert BY_NAME["rot13_arguments"].applies(turns_of(WITH_TOOLS.event), WITH_TOOLS.language)
    assert not BY_NAME["code_switching"].applies(turns_of(silent.event), "ja")
