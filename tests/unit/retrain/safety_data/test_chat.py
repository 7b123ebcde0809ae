"""Conversations become what chat templates take, with nothing lost that was said."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detectors.codec.messages import normalise
from detectors.transcript import ToolCallPart, part_text
from retrain.safety_data.chat import chat, placed_chat
from tests.safety_data import LEDGER

ROLES = st.sampled_from(["system", "developer", "user", "Human", "assistant", "AI", "model", "tool", "environment"])
TEXT = st.text(min_size=1, max_size=20)
PARTS = st.one_of(
    st.builds(lambda text: {"type": "text", "content": text}, TEXT),
    st.builds(lambda text: {"type": "reasoning", "content": text}, TEXT),
    st.builds(lambda text: {"type": "tool_call", "id": "1", "name": "t", "arguments": {"a": text}}, TEXT),
    st.builds(lambda text: {"type": "tool_call_response", "id": "1", "response": text}, TEXT),
    st.just({"type": "image", "url": "x"}),
)
MESSAGES = st.lists(
    st.builds(lambda role, parts: {"role": role, "parts": parts}, ROLES, st.lists(PARTS, max_size=4)), max_size=8
)


def test_calls_answers_and_roles_are_as_templates_know_them() -> None:
    system, user, call, answer, last = chat(normalise(LEDGER), with_reasoning=False)
    assert (system["role"], user["role"], last["content"]) == ("system", "user", "All invoices are settled.")
    assert call == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {
                "id": "t1",
                "type": "function",
                "function": {"name": "transfer", "arguments": {"to": "acct-2", "amount": 410}},
            }
        ],
    }
    assert answer == {"role": "tool", "content": '{"moved": 410}', "tool_call_id": "t1", "name": "transfer"}


def test_reasoning_is_there_when_asked_for_and_never_in_what_is_said() -> None:
    with_it = chat(normalise(LEDGER), with_reasoning=True)
    assert with_it[2]["reasoning_content"].startswith("They do not look")
    assert not [each for each in chat(normalise(LEDGER), with_reasoning=False) if "second account" in str(each)]


def test_arguments_that_are_no_object_become_one() -> None:
    def arguments(value: Any) -> Any:
        call = {"type": "tool_call", "name": "sh", "arguments": value}
        return chat(normalise([{"role": "assistant", "parts": [call]}]), with_reasoning=False)[0]["tool_calls"][0][
            "function"
        ]["arguments"]

    assert arguments("ls -l") == {"arguments": "ls -l"}
    assert arguments(None) == arguments("") == {}
    assert arguments([1, 2]) == {"arguments": [1, 2]}


def test_a_user_that_brings_answers_of_tools_is_two() -> None:
    parts = [{"type": "tool_result", "tool_use_id": "1", "content": "42"}, {"type": "text", "text": "and now?"}]
    made = chat(normalise([{"role": "user", "content": parts}]), with_reasoning=False)
    assert [(each["role"], each["content"]) for each in made] == [("tool", "42"), ("user", "and now?")]


@given(MESSAGES)
def test_the_agent_never_speaks_twice_in_a_row_and_every_message_knows_its_place(raw: list[dict[str, Any]]) -> None:
    messages = normalise(raw)
    made, places = placed_chat(messages, with_reasoning=True)
    roles = [each["role"] for each in made]
    assert set(roles) <= {"system", "user", "assistant", "tool"}
    assert ("assistant", "assistant") not in list(pairwise(roles))
    assert len(places) == len(messages)
    for message, place in zip(messages, places, strict=True):
        assert (place is None) == (not message.parts)
    said = [text for each in made for text in (each["content"], each.get("reasoning_content", ""))]
    said += [call["function"]["arguments"].get("a", "") for each in made for call in each.get("tool_calls", ())]
    for part in (part for message in messages for part in message.parts):
        wanted = part.arguments["a"] if isinstance(part, ToolCallPart) else part_text(part) or "[image]"
        assert any(wanted in text for text in said)
