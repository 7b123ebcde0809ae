from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.codec import decode_verdict, encode_verdict
from detectors.errors import RecordError
from detectors.taxonomy import LABELS
from detectors.verdict import Arm, DetectorScore, Evidence, Stage, Status, Verdict, verdict_id

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
probabilities = st.floats(0, 1)
printable = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
identifiers = st.text(printable, min_size=1, max_size=20)
moments = st.datetimes(datetime(2001, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))
places = st.integers(0, 2**31)
labels = st.sampled_from(LABELS)
verdicts = st.builds(
    Verdict,
    verdict_id=st.uuids(),
    event_id=identifiers,
    tenant_id=identifiers,
    conversation_id=identifiers,
    seq=st.none() | st.integers(0, 2**53),
    status=st.sampled_from(Status),
    reason=st.none() | st.text(printable),
    scores=st.dictionaries(labels, probabilities, max_size=3),
    misalignment=st.none() | probabilities,
    flagged=st.lists(labels, max_size=3).map(tuple),
    thresholds=st.dictionaries(labels, probabilities, max_size=3),
    evidence=st.lists(
        st.builds(
            Evidence,
            message_id=identifiers,
            message_index=places,
            part_index=places,
            start=places,
            end=places,
            category=labels,
            weight=st.floats(allow_nan=False, allow_infinity=False),
        ),
        max_size=2,
    ).map(tuple),
    detectors=st.lists(
        st.builds(DetectorScore, name=identifiers, version=identifiers, score=probabilities), max_size=2
    ).map(tuple),
    bundle_version=identifiers,
    arm=st.sampled_from(Arm),
    stage=st.sampled_from(Stage),
    synthetic=st.booleans(),
    occurred_at=moments,
    decided_at=moments,
)


@given(verdicts)
def test_what_is_encoded_reads_back_to_an_equal_verdict(verdict: Verdict) -> None:
    encoded = encode_verdict(verdict)
    assert decode_verdict(encoded) == verdict
    assert b"\n" not in encoded


def body(**fields: Any) -> bytes:
    verdict = Verdict(
        verdict_id=verdict_id("t", "c", "e", "b"),
        event_id="e",
        tenant_id="t",
        conversation_id="c",
        seq=0,
        status=Status.SCORED,
        bundle_version="b",
        occurred_at=AT,
        decided_at=AT,
    )
    return json.dumps({**json.loads(encode_verdict(verdict)), **fields}).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"verdict_id": "SECRET"},
        {"status": "SECRET"},
        {"scores": {"SECRET": 1.5}},
        {"misalignment": "SECRET"},
        {"evidence": [{"SECRET": "SECRET"}]},
        {"occurred_at": "SECRET"},
        {"tenant_id": ["SECRET"]},
        {"event_id": "SECRET" * 50},
        {"reason": "SECRET\0"},
        {"flagged": ["SECRET"]},
    ],
)
def test_what_is_no_verdict_is_refused_without_quoting(fields: dict[str, Any]) -> None:
    with pytest.raises(RecordError) as caught:
        decode_verdict(body(**fields))
    assert caught.value.code == "bad_schema"
    assert "SECRET" not in caught.value.reason
    assert next(iter(fields)) in caught.value.reason


@pytest.mark.parametrize(("data", "code"), [(b"", "not_json"), (b"\xff", "not_utf8"), (b"[]", "bad_schema")])
def test_bytes_that_are_no_object_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_verdict(data)
    assert caught.value.code == code


def test_a_score_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(RecordError) as caught:
        decode_verdict(body(misalignment=0.5).replace(b"0.5", b"NaN"))
    assert caught.value.code == "not_finite"


names = st.text("a1:", min_size=1, max_size=4)


@given(st.lists(st.tuples(names, names, names, names), min_size=2, unique=True))
def test_no_two_events_or_bundles_share_a_verdict_id(identities: list[tuple[str, str, str, str]]) -> None:
    assert len({verdict_id(*identity) for identity in identities}) == len(identities)
