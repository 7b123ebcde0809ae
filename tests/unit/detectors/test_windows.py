from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.codec.messages import normalise
from detectors.tokens import TextTokenizer
from detectors.transcript import Message, UnknownPart, part_text
from detectors.windows import MAX_TAG_TOKENS, Speaker, Windower, Windows, max_overlap

LEGIBLE = st.characters(codec="utf-8", exclude_categories=("C", "M"), exclude_characters="\ufffd")
texts = st.text(LEGIBLE, max_size=30) | st.lists(
    st.sampled_from(["stop", "ünder", "x1.5", "zzzzqqqq", "日本"]), max_size=80
).map(" ".join)
parts = st.one_of(
    st.builds(lambda text: {"type": "text", "content": text}, texts),
    st.builds(lambda text: {"type": "reasoning", "content": text}, texts),
    st.builds(lambda name, text: {"type": "tool_call", "name": name, "arguments": {"a": text}}, texts, texts),
    st.builds(lambda text: {"type": "tool_call_response", "response": text}, texts),
    st.just({"type": "image", "data": "x"}),
)
conversations = st.lists(
    st.builds(
        lambda role, listed: {"role": role, "parts": listed},
        st.sampled_from(["system", "user", "assistant", "tool", "narrator"]),
        st.lists(parts, max_size=3),
    ),
    max_size=4,
).map(normalise)
sizes = st.integers(32, 64).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, max_overlap(size))))


def windower(tokenizer: TextTokenizer, max_tokens: int = 32, overlap: int = 4, max_windows: int = 1_000) -> Windower:
    return Windower(tokenizer, max_tokens=max_tokens, overlap=overlap, max_windows=max_windows, context_chars=100_000)


def selected(cut: Windows) -> dict[tuple[int, int], set[int]]:
    """Characters that are in a window, by message and part."""
    found: dict[tuple[int, int], set[int]] = {}
    for window in cut.windows:
        for number, start, end in zip(window.piece.tolist(), window.start.tolist(), window.end.tolist(), strict=True):
            if number >= 0:
                piece = window.pieces[number]
                found.setdefault((piece.message_index, piece.part_index), set()).update(range(start, end))
    return found


def readable(messages: Sequence[Message]) -> dict[tuple[int, int], str]:
    return {
        (message_index, part_index): text
        for message_index, message in enumerate(messages)
        for part_index, part in enumerate(message.parts)
        if (text := part_text(part)) is not None
    }


def of_agent(message: Message, part_index: int) -> bool:
    called_or_thought = message.parts[part_index].type in ("tool_call", "reasoning")
    answered = message.parts[part_index].type == "tool_call_response"
    return called_or_thought or (message.role in ("assistant", "narrator") and not answered)


def words(tokenizer: TextTokenizer, window: Any) -> list[str]:
    return [tokenizer.vocabulary[token] for token in window.input_ids]


@given(conversations, sizes)
def test_every_legible_character_of_the_agents_readable_parts_is_in_a_window(
    tokenizer: TextTokenizer, messages: tuple[Message, ...], size: tuple[int, int]
) -> None:
    cut = windower(tokenizer, *size).cut(messages)
    assert not cut.truncated
    found = selected(cut)
    for place, text in readable(messages).items():
        if not of_agent(messages[place[0]], place[1]):
            continue
        legible = {index for index, character in enumerate(text) if not character.isspace()}
        assert found.get(place, set()) >= legible


@given(conversations, sizes, st.integers(1, 3))
def test_windows_keep_to_their_size_and_offsets_to_their_part(
    tokenizer: TextTokenizer, messages: tuple[Message, ...], size: tuple[int, int], max_windows: int
) -> None:
    cut = windower(tokenizer, *size, max_windows).cut(messages)
    whole = readable(messages)
    assert len(cut.windows) <= max_windows
    for window in cut.windows:
        assert 2 < len(window) <= size[0]
        assert len(window) == len(window.piece) == len(window.start) == len(window.end)
        assert window.input_ids[0] == tokenizer.cls_id
        assert window.input_ids[-1] == tokenizer.sep_id
        assert window.piece[0] == window.piece[-1] == -1
        assert window.piece.max() == len(window.pieces) - 1
        for piece in window.pieces:
            assert piece.message_id == messages[piece.message_index].id
    for place, characters in selected(cut).items():
        assert characters <= set(range(len(whole[place])))


@given(conversations, sizes, st.integers(1, 3))
def test_cutting_twice_gives_the_same_windows(
    tokenizer: TextTokenizer, messages: tuple[Message, ...], size: tuple[int, int], max_windows: int
) -> None:
    used, fresh = (windower(tokenizer, *size, max_windows) for _ in range(2))
    used.cut(messages)
    for one, other in zip(used.cut(messages).windows, fresh.cut(messages).windows, strict=True):
        assert one.pieces == other.pieces
        for column in ("input_ids", "piece", "start", "end"):
            np.testing.assert_array_equal(getattr(one, column), getattr(other, column))


@given(conversations)
def test_parts_that_cannot_be_read_are_counted(tokenizer: TextTokenizer, messages: tuple[Message, ...]) -> None:
    unknown = [part for message in messages for part in message.parts if isinstance(part, UnknownPart)]
    assert windower(tokenizer).cut(messages).unreadable_parts == len(unknown)


def test_an_empty_conversation_has_no_windows(tokenizer: TextTokenizer) -> None:
    assert windower(tokenizer).cut([]) == Windows((), truncated=False, unreadable_parts=0)


def test_each_part_stands_behind_a_tag_that_says_who_speaks(tokenizer: TextTokenizer) -> None:
    messages = normalise(
        [
            {"role": "developer", "content": "rule"},
            {"role": "human", "content": "ask"},
            {
                "role": "model",
                "reasoning": "think",
                "content": "say",
                "tool_calls": [{"name": "mail", "arguments": "go"}],
            },
            {"role": "tool", "content": "done"},
            {"role": "narrator", "content": "end"},
        ]
    )
    (window,) = windower(tokenizer, 256).cut(messages).windows
    assert " ".join(words(tokenizer, window)) == (
        "[CLS] system : rule user : ask reasoning : think assistant : say "
        "tool call mail : go tool result : done other : end [SEP]"
    )
    assert [piece.speaker for piece in window.pieces] == [
        Speaker.SYSTEM,
        Speaker.USER,
        Speaker.REASONING,
        Speaker.ASSISTANT,
        Speaker.TOOL_CALL,
        Speaker.TOOL_RESPONSE,
        Speaker.OTHER,
    ]


@pytest.mark.parametrize("arguments", [None, "", "  ", {}])
def test_a_tool_call_without_arguments_still_appears(tokenizer: TextTokenizer, arguments: Any) -> None:
    messages = normalise([{"role": "assistant", "tool_calls": [{"name": "shutdown", "arguments": arguments}]}])
    (window,) = windower(tokenizer).cut(messages).windows
    assert words(tokenizer, window)[1:4] == ["tool", "call", "shut"]


def test_an_endless_tool_name_leaves_room_for_the_arguments(tokenizer: TextTokenizer) -> None:
    messages = normalise([{"role": "assistant", "tool_calls": [{"name": "q!" * 500, "arguments": "stop"}]}])
    (window,) = windower(tokenizer).cut(messages).windows
    assert (window.piece[1:-1] == -1).sum() <= MAX_TAG_TOKENS
    assert "stop" in words(tokenizer, window)


def test_a_part_that_is_split_goes_on_behind_its_tag_with_the_overlap(tokenizer: TextTokenizer) -> None:
    numbers = " ".join(str(number) for number in range(100, 150))
    messages = normalise([{"role": "assistant", "content": numbers}])
    first, second, *_ = windower(tokenizer, 32, 5).cut(messages).windows
    assert words(tokenizer, second)[1:3] == ["assistant", ":"]
    assert words(tokenizer, second)[3:8] == words(tokenizer, first)[-6:-1]


def test_a_truncated_conversation_keeps_its_beginning_and_its_end(tokenizer: TextTokenizer) -> None:
    contents = ["alpha", *(["middle " * 50] * 20), "omega"]
    messages = normalise([{"role": "assistant", "content": content} for content in contents])
    cut = windower(tokenizer, max_windows=3).cut(messages)
    assert cut.truncated
    assert len(cut.windows) == 3
    assert "alpha" in words(tokenizer, cut.windows[0])
    assert "omega" in words(tokenizer, cut.windows[-1])
    assert selected(cut).keys() >= {(0, 0), (21, 0)}


def test_one_endless_part_keeps_its_beginning_and_its_end(tokenizer: TextTokenizer) -> None:
    text = "alpha " + "middle " * 100_000 + "omega"
    cut = windower(tokenizer, 256, 32, max_windows=4).cut(normalise([{"role": "assistant", "content": text}]))
    assert cut.truncated
    assert len(cut.windows) <= 4
    characters = selected(cut)[0, 0]
    assert {0, len(text) - 1} <= characters
    last = cut.windows[-1]
    assert text[last.start[-2] : last.end[-2]] == "omega"


def test_what_just_fits_is_not_truncated(tokenizer: TextTokenizer) -> None:
    messages = normalise([{"role": "assistant", "content": "stop " * 28}])
    assert not windower(tokenizer, 32, 0, max_windows=1).cut(messages).truncated
    messages = normalise([{"role": "assistant", "content": "stop " * 29}])
    assert windower(tokenizer, 32, 0, max_windows=1).cut(messages).truncated


@pytest.mark.parametrize(("max_tokens", "overlap", "max_windows"), [(32, 8, 1), (32, -1, 1), (64, 24, 1), (32, 4, 0)])
def test_sizes_that_cannot_work_are_refused(
    tokenizer: TextTokenizer, max_tokens: int, overlap: int, max_windows: int
) -> None:
    with pytest.raises(ValueError, match=r"overlap|max_windows"):
        windower(tokenizer, max_tokens, overlap, max_windows)


def test_of_others_long_parts_only_the_beginning_and_the_end_are_kept(tokenizer: TextTokenizer) -> None:
    long = "alpha " + "middle " * 500 + "omega"
    messages = normalise([{"role": "tool", "content": long}, {"role": "assistant", "content": long}])
    cutter = Windower(tokenizer, max_tokens=64, overlap=4, max_windows=1_000, context_chars=90)
    cut = cutter.cut(messages)
    assert not cut.truncated
    found = selected(cut)
    assert found[0, 0] <= {*range(60), *range(len(long) - 30, len(long))}
    assert {0, len(long) - 1} <= found[0, 0]
    assert len(found[1, 0]) == sum(not character.isspace() for character in long)


def test_windows_without_a_word_of_the_agent_are_left_out(tokenizer: TextTokenizer) -> None:
    asked = {"role": "user", "content": "stop " * 200}
    assert windower(tokenizer).cut(normalise([asked])).windows == ()
    windows = windower(tokenizer).cut(normalise([asked, {"role": "assistant", "content": "done"}])).windows
    (window,) = windows
    assert [words(tokenizer, window)[at] for at in np.flatnonzero(window.of_agent)] == ["done"]
