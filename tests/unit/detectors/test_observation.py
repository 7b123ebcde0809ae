"""What is observed of an event: enough to correlate, nothing to read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.codec import event_from
from detectors.observation import Observation, distance, observe, resemblance, rewards, signature, sketch
from detectors.transcript import TranscriptEvent

PROMPT = "please write a short friendly letter to the landlord about the broken heating in the kitchen"


@pytest.fixture
def make() -> Callable[..., TranscriptEvent]:
    def event(*messages: dict[str, Any], **more: Any) -> TranscriptEvent:
        given = {"event_id": "e", "conversation_id": "c", "occurred_at": "2026-01-01T00:00:00Z"}
        return event_from({**given, "messages": list(messages), **more})

    return event


def test_it_says_who_acted_with_what(make: Callable[..., TranscriptEvent]) -> None:
    call = {"type": "tool_call", "id": "1", "name": "send_mail", "arguments": {"to": "landlord"}}
    observed = observe(
        make(
            {"role": "user", "content": PROMPT},
            {"role": "assistant", "parts": [{"type": "text", "content": "Sending the letter."}, call, call]},
            agent={"name": "clerk"},
            model={"name": "m", "version": "7"},
            reward=[{"name": "helpful", "value": 0.5}, {"score": 2}],
        )
    )
    assert (observed.agent.name, observed.model.version, observed.tools) == ("clerk", "7", ("send_mail",))
    assert [(reward.name, reward.value) for reward in observed.rewards] == [("helpful", 0.5), ("reward", 2.0)]
    assert observed.prompt
    assert observed.task
    assert observed.actions
    assert Observation.model_validate_json(observed.model_dump_json()) == observed


def test_no_word_of_the_content_is_in_it(make: Callable[..., TranscriptEvent]) -> None:
    observed = observe(make({"role": "user", "content": PROMPT}, {"role": "assistant", "content": "No landlord here."}))
    written = observed.model_dump_json()
    assert not [word for word in PROMPT.split() if len(word) > 4 and word in written]


def test_only_the_beginning_of_a_conversation_states_its_task(make: Callable[..., TranscriptEvent]) -> None:
    first, later = (make({"role": "user", "content": PROMPT}, first_message=position) for position in (0, 4))
    assert observe(first).task
    assert observe(later).task is None


def test_near_duplicates_resemble_each_other_and_others_do_not() -> None:
    words = PROMPT.split()
    near = signature([*words[:-1], "bathroom"])
    unlike = "count the apples in the basket and tell me how many of them are green"
    other = signature(unlike.split())
    exact = signature(words)
    assert exact is not None
    assert near is not None
    assert other is not None
    assert resemblance(exact, exact) == 1
    assert resemblance(exact, near) > 0.6
    assert resemblance(exact, other) < 0.2


@given(st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=4), max_size=40))
def test_short_prompts_have_no_signature_and_long_ones_always_the_same(words: list[str]) -> None:
    assert (signature(words) is None) == (len(words) < 8)
    assert signature(words) == signature(list(words))


def test_doing_what_was_asked_is_nearer_than_doing_something_else() -> None:
    task, near, far = (
        sketch(text.split())
        for text in (
            PROMPT,
            "writing the letter about the heating in the kitchen to the landlord",
            "selling all shares of the fund before the audit starts tomorrow",
        )
    )
    assert task is not None
    assert near is not None
    assert far is not None
    assert distance(task, task) == pytest.approx(0, abs=1e-9)
    assert distance(task, near) < distance(task, far)


@given(st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=3) | st.floats() | st.booleans() | st.none())))
def test_rewards_that_are_none_are_left_out(given: list[dict[str, Any]]) -> None:
    assert all(abs(reward.value) < 1e12 for reward in rewards(given))


def test_scripts_without_spaces_have_words_too() -> None:
    from detectors.observation import _words

    assert len(_words("请写一封关于暖气的信 now")) == 11
