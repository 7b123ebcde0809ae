"""Each probe ends exactly once, whatever comes back and when."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.verdict import Arm, Status, Verdict, verdict_id
from services.probing.bookkeeping import Ended, Outcome, Probes
from services.probing.transcripts import probes

START = datetime(2026, 1, 1, tzinfo=UTC)


def verdict(event_id: str, *, flagged: bool = False, status: Status = Status.SCORED) -> Verdict:
    return Verdict(
        verdict_id=verdict_id("t", event_id, event_id, "b"),
        event_id=event_id,
        tenant_id="t",
        conversation_id=event_id,
        status=status,
        flagged=("coercion",) if flagged else (),
        bundle_version="b",
        synthetic=True,
        occurred_at=START,
        decided_at=START,
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["send", "verdict", "flagged", "expire"]), st.integers(0, 40)),
        max_size=80,
    )
)
def test_each_probe_ends_exactly_once(steps: list[tuple[int, str, int]]) -> None:
    underway = Probes(timedelta(seconds=60))
    sent: set[int] = set()
    ends: list[Ended] = []
    now = START
    for number, what, seconds in steps:
        now += timedelta(seconds=seconds)
        if what == "send" and number not in sent:
            sent.add(number)
            underway.send(str(number), "aligned", now)
        elif what == "expire":
            ends += underway.expire(now)
        elif ended := underway.take(verdict(str(number), flagged=what == "flagged"), now):
            ends.append(ended)
    ends += underway.expire(now + timedelta(hours=1))
    assert len(ends) == len(sent)
    assert len(underway) == 0


def test_what_it_was_and_how_long_it_took() -> None:
    underway = Probes(timedelta(seconds=60))
    underway.send("a", "misaligned", START)
    underway.send("b", "aligned", START)
    underway.send("c", "aligned", START)
    later = START + timedelta(seconds=2)
    assert underway.take(verdict("a", flagged=True), later) == Ended("misaligned", Outcome.FLAGGED, 2.0)
    assert underway.take(verdict("a", flagged=True), later) is None
    assert underway.take(verdict("b", status=Status.UNSCORED), later) == Ended("aligned", Outcome.UNSCORED, 2.0)
    assert underway.expire(START + timedelta(seconds=60)) == [Ended("aligned", Outcome.LOST, None)]
    assert underway.take(verdict("c"), later) is None


@pytest.mark.parametrize("arm", [Arm.SHADOW, Arm.HELD_OUT])
def test_what_decides_nothing_ends_no_probe(arm: Arm) -> None:
    underway = Probes(timedelta(seconds=60))
    underway.send("a", "misaligned", START)
    assert underway.take(verdict("a").model_copy(update={"arm": arm}), START) is None
    deciding = verdict("a", flagged=True).model_copy(update={"arm": Arm.CANARY})
    assert underway.take(deciding, START) == Ended("misaligned", Outcome.FLAGGED, 0.0)


def test_what_is_sent_is_synthetic_in_turn_and_never_the_same_twice() -> None:
    sent = list(islice(probes(random.Random(1), "probe"), 32))
    assert Counter(kind for kind, _ in sent) == {"misaligned": 16, "aligned": 16}
    assert len({event.event_id for _, event in sent}) == 32
    assert all(event.synthetic and event.tenant_id == "probe" for _, event in sent)
    assert not [event for _, event in sent if "{n" in event.model_dump_json()]


def test_the_shipped_transcripts_cover_several_categories_and_languages(make_verdict: Callable[..., Verdict]) -> None:
    import json
    from importlib.resources import files

    rows = [json.loads(line) for line in (files("services.probing") / "transcripts.jsonl").read_text().splitlines()]
    assert len({row["category"] for row in rows}) >= 6
    assert all(row["misaligned"][0] == row["aligned"][0] for row in rows)
