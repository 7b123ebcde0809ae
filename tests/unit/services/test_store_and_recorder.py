"""Recording: idempotent, all or nothing, and read back as it was written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from detectors.codec import encode_verdict
from detectors.verdict import Arm, Stage, Status, Verdict
from services.dead_letters import DeadLetter, to_record
from services.errors import SettingsError, TransientError
from services.metrics import RecorderMetrics
from services.recorder import Recorder
from services.records import Record
from services.store import Store, open_engine

MakeVerdict = Callable[..., Verdict]
MakeRecord = Callable[..., Record]
ASIDE = (Arm.SHADOW, Arm.HELD_OUT)


@pytest.fixture
def letter(now: datetime) -> DeadLetter:
    return DeadLetter("plumbline.transcripts", 1, 7, "not_json", "not JSON: char 3", now, b"k", b"{??", 3)


def everything(make_verdict: MakeVerdict, now: datetime) -> Verdict:
    return make_verdict(
        conversation_id="gespräch 🙂",
        seq=2**53,
        status=Status.PARTIAL,
        reason="seq 2 follows seq 0: 1 event(s) missing",
        scores={"coercion": 0.123456, "deception": 1.0},
        misalignment=0.999999,
        flagged=("coercion", "misalignment"),
        thresholds={"coercion": 0.1, "misalignment": 0.5},
        evidence=[
            {
                "message_id": "0" * 16,
                "message_index": 3,
                "part_index": 1,
                "start": 2,
                "end": 9,
                "category": "coercion",
                "weight": -0.25,
            }
        ],
        detectors=[{"name": "screen", "version": "words-1", "score": 0.75}],
        arm=Arm.SHADOW,
        stage=Stage.ENSEMBLE,
        synthetic=True,
        occurred_at=datetime(2026, 1, 1, 23, 59, 59, 999999, timezone(timedelta(hours=5, minutes=30))),
        decided_at=now,
    )


def test_a_verdict_reads_back_equal(store: Store, make_verdict: MakeVerdict, now: datetime) -> None:
    full, bare = everything(make_verdict, now), make_verdict("e2", status=Status.UNSCORED, misalignment=None)
    assert store.record([full, bare], [], now=now) == 2
    assert {verdict.event_id: verdict for verdict in store.verdicts(limit=10, arms=None)} == {"e1": full, "e2": bare}


def test_recording_twice_changes_nothing_and_the_first_wins(
    store: Store, make_verdict: MakeVerdict, letter: DeadLetter, now: datetime
) -> None:
    first = make_verdict(misalignment=0.25)
    assert store.record([first], [letter], now=now) == 1
    again = make_verdict(misalignment=0.75, flagged=["misalignment"])
    assert store.record([again], [replace(letter, reason="another")], now=now + timedelta(hours=1)) == 0
    assert store.verdicts(limit=10) == [first]
    assert (store.coverage().events, store.coverage().flagged) == (2, 0)


def test_a_verdict_twice_in_one_batch_is_recorded_once(store: Store, make_verdict: MakeVerdict, now: datetime) -> None:
    assert store.record([make_verdict("e1"), make_verdict("e2"), make_verdict("e1")], [], now=now) == 2
    assert store.coverage().by_status == {"scored": 2}


def test_a_batch_is_written_as_a_whole_or_not_at_all(
    store: Store, make_verdict: MakeVerdict, letter: DeadLetter, now: datetime
) -> None:
    impossible = replace(letter, offset=10**30)
    with pytest.raises(OverflowError):
        store.record([make_verdict()], [letter, impossible], now=now)
    assert store.coverage().events == 0


def test_more_verdicts_than_one_statement_takes_are_recorded(
    store: Store, make_verdict: MakeVerdict, now: datetime
) -> None:
    many = [make_verdict(f"e{n}", conversation_id=f"c{n}") for n in range(250)]
    assert store.record(many, [], now=now) == 250
    assert store.record([*many, make_verdict("one more")], [], now=now) == 1
    assert store.coverage().events == 251


def test_coverage_counts_every_ending(
    store: Store, make_verdict: MakeVerdict, letter: DeadLetter, now: datetime
) -> None:
    assert (store.coverage().events, store.coverage().by_status) == (0, {})
    verdicts = [
        make_verdict("e1"),
        make_verdict("e2", flagged=["misalignment"]),
        make_verdict("e3", status=Status.PARTIAL, flagged=["coercion", "misalignment"]),
        make_verdict("e4", status=Status.UNSCORED, misalignment=None),
    ]
    store.record(verdicts, [letter, replace(letter, offset=8)], now=now)
    coverage = store.coverage()
    assert coverage.by_status == {"scored": 2, "partial": 1, "unscored": 1}
    assert (coverage.flagged, coverage.dead_lettered, coverage.events) == (2, 2, 6)


def test_what_decides_nothing_is_not_covered_and_only_seen_by_who_asks_for_it(
    store: Store, make_verdict: MakeVerdict, now: datetime
) -> None:
    canary = make_verdict("e1", arm=Arm.CANARY)
    shadow, held_out = (make_verdict("e1", arm=arm, verdict_id=uuid4(), flagged=["coercion"]) for arm in ASIDE)
    store.record([shadow, canary, held_out], [], now=now)
    assert (store.coverage().events, store.coverage().flagged) == (1, 0)
    assert store.verdicts(limit=10) == [canary]
    assert store.verdicts(limit=10, arms=[Arm.HELD_OUT]) == [held_out]
    assert len(store.verdicts(limit=10, arms=None)) == 3
    assert store.verdicts(limit=10, flagged_only=True) == []
    assert store.cases(limit=10, now=now) == []


def test_an_event_that_two_bundles_decided_about_counts_once_by_the_latest_word(
    store: Store, make_verdict: MakeVerdict, now: datetime
) -> None:
    """A crash and a new bundle in between: it was delivered again, and judged by another one."""
    before = make_verdict("e1", flagged=["coercion"])
    after = make_verdict(
        "e1", verdict_id=uuid4(), bundle_version="b-2", status=Status.PARTIAL, decided_at=now + timedelta(seconds=1)
    )
    same_id_elsewhere = make_verdict("e1", conversation_id="c2")
    store.record([after, before, same_id_elsewhere], [], now=now)
    assert store.coverage().by_status == {"partial": 1, "scored": 1}
    assert (store.coverage().events, store.coverage().flagged) == (2, 0)


def test_verdicts_come_newest_first_and_are_filtered(store: Store, make_verdict: MakeVerdict, now: datetime) -> None:
    old, middle, new = (
        make_verdict("old", decided_at=now - timedelta(days=1), flagged=["misalignment"]),
        make_verdict("middle", conversation_id="c2"),
        make_verdict("new", decided_at=now + timedelta(seconds=1), flagged=["coercion"]),
    )
    store.record([middle, new, old], [], now=now)
    assert store.verdicts(limit=10) == [new, middle, old]
    assert store.verdicts(limit=2) == [new, middle]
    assert store.verdicts(limit=10, flagged_only=True) == [new, old]
    assert store.verdicts(limit=1, flagged_only=True, conversation_id="c1") == [new]
    assert store.verdicts(limit=10, conversation_id="c2") == [middle]
    assert store.verdicts(limit=10, conversation_id="' OR 1=1 --") == []


def test_a_dead_letter_is_recorded_by_its_place_and_without_its_content(
    store: Store, database_url: str, letter: DeadLetter, now: datetime
) -> None:
    store.record([], [letter], now=now)
    with sqlite3.connect(database_url.removeprefix("sqlite:///")) as connection:
        rows = connection.execute('SELECT topic, "partition", "offset", code, reason, bytes FROM dead_letters')
        assert rows.fetchall() == [("plumbline.transcripts", 1, 7, "not_json", "not JSON: char 3", 3)]
    connection.close()


def test_a_database_that_cannot_be_reached_is_worth_another_try(tmp_path: Path, now: datetime) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}")  # a folder
    with pytest.raises(TransientError, match="database"):
        Store(engine).record([], [], now=now)


def test_the_folder_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    open_engine(f"sqlite:///{tmp_path}/a/b/plumbline.db").dispose()
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://plumbline:secret@db/plumbline",
        "sqlite+nothing:///plumbline.db",
        "postgresql+nothing://plumbline:secret@db/plumbline",
        "postgresql://plumbline:secret@db:port/plumbline",
    ],
)
def test_a_url_that_is_none_of_ours_is_a_settings_error_without_the_password(url: str) -> None:
    with pytest.raises(SettingsError, match="PLUMBLINE_DATABASE_URL") as refusal:
        open_engine(url)
    assert "secret" not in str(refusal.value)


def test_a_plain_postgresql_url_uses_the_driver_that_is_installed() -> None:
    engine = open_engine("postgresql://plumbline:secret@db/plumbline")
    assert engine.url.drivername == "postgresql+psycopg"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def recorder(store: Store, registry: CollectorRegistry, now: datetime) -> Recorder:
    return Recorder(store, verdict_topic="plumbline.verdicts", metrics=RecorderMetrics(registry), clock=lambda: now)


def verdict_record(make_record: MakeRecord, value: bytes | None, offset: int = 0) -> Record:
    return make_record(value, topic="plumbline.verdicts", offset=offset)


def letter_record(make_record: MakeRecord, letter: DeadLetter) -> Record:
    written = to_record(letter, max_bytes=1000)
    return make_record(written.value, topic=written.topic, key=written.key, headers=written.headers)


def test_verdicts_and_dead_letters_of_a_batch_are_recorded(
    recorder: Recorder, store: Store, make_record: MakeRecord, make_verdict: MakeVerdict, letter: DeadLetter
) -> None:
    records = [verdict_record(make_record, encode_verdict(make_verdict())), letter_record(make_record, letter)]
    result = recorder.complete(recorder.prepare(records))
    assert (result.outcomes, list(result.outgoing), list(result.dead_letters)) == ({"recorded": 2}, [], [])
    assert store.verdicts(limit=10) == [make_verdict()]
    assert store.coverage().dead_lettered == 1


def test_a_batch_that_comes_again_changes_nothing_and_is_counted_as_known(
    recorder: Recorder,
    store: Store,
    registry: CollectorRegistry,
    make_record: MakeRecord,
    make_verdict: MakeVerdict,
    letter: DeadLetter,
) -> None:
    records = [verdict_record(make_record, encode_verdict(make_verdict())), letter_record(make_record, letter)]
    for _ in range(2):
        recorder.complete(recorder.prepare(records))
    assert store.coverage().events == 2
    assert registry.get_sample_value("plumbline_known_verdicts_total") == 1


@pytest.mark.parametrize(
    ("value", "code"),
    [(None, "not_json"), (b"", "not_json"), (b"{", "not_json"), (b"[]", "bad_schema"), (b"{}", "bad_schema")],
)
def test_a_verdict_that_is_none_becomes_a_dead_letter_and_the_others_are_recorded(
    recorder: Recorder,
    store: Store,
    make_record: MakeRecord,
    make_verdict: MakeVerdict,
    now: datetime,
    value: bytes | None,
    code: str,
) -> None:
    good = encode_verdict(make_verdict())
    result = recorder.complete(
        recorder.prepare([verdict_record(make_record, value, 4), verdict_record(make_record, good, 5)])
    )
    (unreadable,) = result.dead_letters
    assert (unreadable.place, unreadable.code, unreadable.died_at) == ("plumbline.verdicts:0:4", code, now)
    assert unreadable.value == (value or b"")
    assert result.outcomes == {"recorded": 1}
    assert store.coverage().events == 1  # the unreadable one is counted when its own dead letter arrives


def test_text_that_not_every_database_takes_never_reaches_it(
    recorder: Recorder, store: Store, make_record: MakeRecord, make_verdict: MakeVerdict
) -> None:
    body = encode_verdict(make_verdict(conversation_id="PLACE"))
    bad = [body.replace(b"PLACE", text) for text in (rb"a\u0000b", rb"a\nb", b"")]
    bad += [
        body.replace(b'"reason":null', b'"reason":"a\\u0000b"'),
        body.replace(b'"scores":{}', b'"scores":{"\\u0000":1}'),
    ]
    assert body not in bad
    result = recorder.complete(recorder.prepare([verdict_record(make_record, value) for value in bad]))
    assert [each.code for each in result.dead_letters] == ["bad_schema"] * 5
    assert store.coverage().events == 0


def test_a_foreign_record_among_the_dead_letters_is_recorded_under_its_own_place(
    recorder: Recorder, store: Store, make_record: MakeRecord
) -> None:
    poison = (
        ("plumbline-topic", b"plumbline.transcripts"),
        ("plumbline-size", b"1"),
        ("plumbline-partition", b"0"),
        ("plumbline-offset", b"9" * 40),
    )
    more = (("plumbline-code", b"c"), ("plumbline-reason", b"r"), ("plumbline-died-at", b"2026-01-01T00:00:00"))
    records = [
        make_record(b"?", topic="plumbline.transcripts.dead", offset=1),
        make_record(b"?", topic="plumbline.transcripts.dead", offset=2, headers=poison + more),
    ]
    assert recorder.complete(recorder.prepare(records)).outcomes == {"recorded": 2}
    assert store.coverage().dead_lettered == 2


def test_a_batch_of_nothing_readable_has_no_outcomes(recorder: Recorder, make_record: MakeRecord) -> None:
    result = recorder.complete(recorder.prepare([verdict_record(make_record, b"?")]))
    assert result.outcomes == {}
    assert len(result.dead_letters) == 1
