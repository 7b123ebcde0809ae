"""What people judged leaves as training data, and what is erased leaves that again: on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")

from detectors.transcript import TranscriptEvent
from detectors.verdict import Arm, DetectorScore
from retrain.safety_data.assembling import Options
from retrain.safety_data.held_out import HeldOut, HeldOutError
from retrain.safety_data.judged import Outcome
from retrain.safety_data.rows import Origin
from retrain.safety_data.thinning import thin
from services.archive import conversation_digest
from services.errors import ServicesError
from services.privacy.recognisers import built_in
from services.privacy.redaction import Redactor
from services.safety_export.configured import held_out_names
from services.safety_export.exporting import ChangedMeanwhileError, Exported, Exporting
from services.safety_export.reading import Reading, Wanted
from services.safety_export.register import Found, Register
from services.settings import load_settings
from services.store import Database, Store, audit, cases, labels
from services.triage.actions import Actions, Actor
from services.triage.case import Disposition
from services.triage.configured import archivist_of
from services.triage.forgetting import Forgetting
from services.triage.label import Decision, Span
from tests.triage_data import MESSAGES, NOW, SALT, event, verdict

ADA = Actor("ada", None)
QUEUE = "plumbline.retraining.queue"
ALL = Wanted(None, NOW - timedelta(days=1))
ORIGIN = Origin(plumbline="0.1.0", licence="ours")
ANSWER = "One invoice is still open; ask ada@example.org about it."
EVERYTHING = Redactor(built_in(["US"]))


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database.engine)


@pytest.fixture
def actions() -> Actions:
    return Actions(QUEUE, "plumbline.alerts", SALT, second_share=0.0)


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "register", lambda folder, gone, ids: thin(folder, conversations=gone, labels=ids))


@pytest.fixture
def forgetting(store: Store, register: Register) -> Forgetting:
    return Forgetting(store.database, queue_topic=QUEUE, salt=SALT, exports=register)


@dataclass
class Plant:
    """The installation that exports: its parts, to be put together as a test needs them."""

    store: Store
    register: Register
    root: Path
    held_out: HeldOut = field(default_factory=HeldOut)

    def reading(self, again: Redactor | None = None) -> Reading:
        return Reading(self.store.database, salt=SALT, answers=EVERYTHING, again=again)

    def export(self, reading: Reading | None = None, **options: Any) -> Exported:
        exporting = Exporting(self.store.database, reading or self.reading(), self.register, self.held_out)
        told: dict[str, Any] = {"facts": {"filters": {}, "redacted": "stored"}, "actor": "cli:ada", "now": NOW}
        return exporting.export(self.root, ALL, Options(**options), ORIGIN, **told)

    @property
    def written(self) -> list[Path]:
        return sorted(self.root.rglob("*")) if self.root.exists() else []


@pytest.fixture
def plant(store: Store, register: Register, tmp_path: Path) -> Plant:
    return Plant(store, register, tmp_path / "exports")


def said(conversation: str, **fields: Any) -> TranscriptEvent:
    return event(conversation, agent={"name": f"agent-of-{conversation}"}, **fields)


def judge(store: Store, actions: Actions, conversation: str, *, redact: str = "all", **decided: Any) -> str:
    """Records a flagged conversation and decides about it; the label's id."""
    of = said(conversation, messages=decided.pop("messages", MESSAGES), attributes=decided.pop("attributes", {}))
    archivist = archivist_of(load_settings(redact=redact), SALT)
    store.record([verdict(of, **decided.pop("verdict", {}))], [], [archivist.redacted(of)], now=NOW)
    with store.database.write() as tx:
        member = cases.member(tx, "acme", conversation)
        assert member is not None
        case = cases.get(tx, member.case_id)
        assert case is not None
        body = {"disposition": Disposition.CONFIRMED, "corrected_answer": ANSWER, **decided}
        decision = Decision(conversation_id=conversation, **body)
        return str(actions.decide(tx, ADA, case.case_id, case.version, decision, NOW).label.label_id)


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / name / "train.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def digest(conversation: str) -> str:
    return conversation_digest("acme", conversation, SALT)


def test_what_people_confirmed_and_corrected_is_exported_with_where_it_came_from(
    store: Store, actions: Actions, plant: Plant
) -> None:
    of = said("c1")
    label = judge(
        store, actions, "c1", spans=(Span(message_id=of.messages[2].id, message_index=2, part_index=1, start=0, end=3),)
    )
    judge(store, actions, "c2", disposition=Disposition.DISMISSED, corrected_answer=None)
    judge(store, actions, "c3", disposition=Disposition.UNSURE)
    done = plant.export()
    (row,) = rows(done.folder, "sft")
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    assert row["conversation"] == digest("c1")
    told = row["provenance"]
    assert (told["label_ids"], told["bundle_versions"], told["arms"]) == ([label], ["b1"], ["stable"])
    assert '"ada"' not in json.dumps(told)  # a digest may have these letters
    rewarded = {each["conversation"]: each for each in rows(done.folder, "rewards")}
    assert rewarded.keys() == {digest("c1"), digest("c2")}
    (turn,) = rewarded[digest("c1")]["turns"]
    assert (turn["message_id"], turn["penalties"]["deception"]) == (of.messages[2].id, 1.0)
    assert rewarded[digest("c2")]["turns"][0]["penalties"]["deception"] == 0.0
    with store.database.read() as tx:
        (last,) = audit.latest(tx, limit=1)
    assert (last.actor, last.action, last.object) == ("cli:ada", "export", done.folder.name)


def test_what_people_write_is_redacted_here_and_what_was_said_again_when_asked(
    store: Store, actions: Actions, plant: Plant
) -> None:
    messages = [MESSAGES[1], {"role": "assistant", "content": "Write to bob@example.org.", "tool_calls": [
        {"id": "1", "name": "mail", "arguments": {"to": "bob@example.org"}}]}]  # fmt: skip
    judge(store, actions, "c1", redact="none", messages=messages)
    (plain,) = rows(plant.export().folder, "preferences")
    assert "ada@example.org" not in plain["chosen"][0]["content"]
    assert "bob@example.org" in plain["rejected"][0]["content"]
    again = plant.export(plant.reading(again=EVERYTHING)).folder
    assert "example.org" not in "".join(path.read_text() for path in again.rglob("*.*") if path.suffix != ".parquet")
    (row,) = rows(again, "preferences")
    assert row["rejected"][0]["tool_calls"][0]["function"]["arguments"].keys() == {"to"}


def test_what_was_taken_back_or_erased_is_not_exported(
    store: Store, actions: Actions, plant: Plant, forgetting: Forgetting
) -> None:
    for conversation in ("c1", "c2", "c3"):
        judge(store, actions, conversation)
    with store.database.write() as tx:
        (mine,) = labels.of_conversation(tx, "acme", "c2")
        actions.undo(tx, ADA, mine.label_id, NOW)
    forgetting.erase_conversation("acme", "c3", actor="root", reason="asked", now=NOW)
    assert {row["conversation"] for row in rows(plant.export().folder, "sft")} == {digest("c1")}


def test_only_tenants_and_days_that_are_asked_for(store: Store, actions: Actions, plant: Plant) -> None:
    judge(store, actions, "c1")
    reading = plant.reading()
    assert len(reading.judged(ALL)) == 1
    assert reading.judged(Wanted(frozenset({"other"}), ALL.since)) == []
    assert reading.judged(Wanted(None, NOW + timedelta(seconds=1))) == []
    assert len(reading.judged(Wanted(frozenset({"acme"}), NOW))) == 1


def test_two_labels_of_a_conversation_come_together(store: Store, actions: Actions, plant: Plant) -> None:
    twice = Actions(QUEUE, "plumbline.alerts", SALT, second_share=1.0)
    judge(store, twice, "c1")
    with store.database.write() as tx:
        (review,) = labels.reviews_waiting(tx, "bob", None, limit=5)
        decision = Decision(disposition=Disposition.DISMISSED, conversation_id="c1")
        twice.review(tx, Actor("bob", None), review.review_id, decision, NOW + timedelta(seconds=1))
    (judged,) = plant.reading().judged(ALL)
    assert [each.outcome for each in judged.judgements] == [Outcome.CONFIRMED, Outcome.DISMISSED]
    assert len({each.reviewer for each in judged.judgements}) == 2
    assert plant.export().assembled.held_back == {"all": {"disputed": 2}}


@pytest.mark.parametrize(
    "planted",
    [
        {"bundle_version": "watcher-1"},
        {"detectors": (DetectorScore(name="judge", version="m", score=0.9),)},
    ],
    ids=lambda planted: next(iter(planted)),
)
def test_a_held_out_detector_among_the_labels_stops_the_export_and_nothing_is_written(
    store: Store, actions: Actions, plant: Plant, planted: dict[str, Any]
) -> None:
    judge(store, actions, "c1")
    store.record([verdict(said("elsewhere"), arm=Arm.HELD_OUT, bundle_version="watcher-1")], [], now=NOW)
    plant.held_out = HeldOut(*held_out_names(load_settings(held_out_detectors="judge,other"), store.database))
    assert plant.held_out == HeldOut(frozenset({"watcher-1"}), frozenset({"judge", "other"}))
    plant.export()
    before = plant.written
    judge(store, actions, "c2", verdict=planted)
    with pytest.raises(HeldOutError):
        plant.export()
    assert plant.written == before
    assert len(plant.register.entries()) == 1


def test_an_erasure_reaches_every_export_that_holds_it_and_says_which(
    store: Store, actions: Actions, plant: Plant, forgetting: Forgetting
) -> None:
    first = judge(store, actions, "c1", attributes={"user.id": "user-77"})
    before = plant.export()
    judge(store, actions, "c2")
    both = plant.export()
    assert before.folder != both.folder
    erased = forgetting.erase_subject("acme", "user-77", actor="root", reason="asked", now=NOW)
    assert erased.exports == tuple(sorted((before.folder.name, both.folder.name)))
    assert erased.exports_left == ()
    everything = "".join(path.read_bytes().decode("latin-1") for path in plant.written if path.is_file())
    assert digest("c1") not in everything
    assert first not in everything
    assert {row["conversation"] for row in rows(both.folder, "sft")} == {digest("c2")}
    assert not [each for each in plant.register.entries() if digest("c1") in each.conversations]
    with store.database.read() as tx:
        assert audit.verify(tx).broken_at is None
        (last,) = audit.latest(tx, limit=1)
    assert last.details["exports"] == list(erased.exports)
    again = forgetting.erase_conversation("acme", "c1", actor="root", reason="asked", now=NOW)
    assert (again.exports, again.exports_left) == ((), ())


def test_an_export_that_was_moved_away_is_named_until_it_is_dealt_with(
    store: Store, actions: Actions, plant: Plant, forgetting: Forgetting
) -> None:
    judge(store, actions, "c1")
    folder = plant.export().folder
    away = folder.rename(folder.with_name("away"))
    for _ in range(2):
        erased = forgetting.erase_conversation("acme", "c1", actor="root", reason="asked", now=NOW)
        assert (erased.exports, erased.exports_left) == ((), (folder.name,))
    away.rename(folder)
    erased = forgetting.erase_conversation("acme", "c1", actor="root", reason="asked", now=NOW)
    assert (erased.exports, erased.exports_left) == ((folder.name,), ())


class Meanwhile(Reading):
    """Something happens after everything was read and before it is looked at again."""

    def __init__(self, of: Plant, happens: Any) -> None:
        super().__init__(of.store.database, salt=SALT, answers=EVERYTHING, again=None)
        self._happens = happens

    def standing(self, wanted: Wanted) -> frozenset[str]:
        self._happens()
        return super().standing(wanted)


def test_what_is_erased_during_an_export_stops_it_and_nothing_is_left(
    store: Store, actions: Actions, plant: Plant, forgetting: Forgetting
) -> None:
    judge(store, actions, "c1")
    judge(store, actions, "c2")

    def erase() -> None:
        erased = forgetting.erase_conversation("acme", "c1", actor="root", reason="asked", now=NOW)
        assert erased.exports_left  # it is remembered by then, and not yet where it will be

    with pytest.raises(ChangedMeanwhileError):
        plant.export(Meanwhile(plant, erase))
    assert plant.written == []
    assert plant.register.entries() == []
    assert {row["conversation"] for row in rows(plant.export().folder, "sft")} == {digest("c2")}


class Late:
    """An export that comes to be known only while the erasure's transaction ends."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.asked: list[bool] = []

    def forget(self, conversations: Collection[str], labels: Collection[str]) -> Found:
        with self.store.database.read() as tx:
            self.asked.append(bool(self._labels(tx)))
        return Found(thinned=("late",)) if len(self.asked) > 1 else Found()

    def _labels(self, tx: Any) -> list[Any]:
        return labels.of_conversation(tx, "acme", "c1")


def test_exports_are_asked_before_the_erasure_stands_and_after(store: Store, actions: Actions) -> None:
    judge(store, actions, "c1")
    late = Late(store)
    forgetting = Forgetting(store.database, queue_topic=QUEUE, salt=SALT, exports=late)
    erased = forgetting.erase_conversation("acme", "c1", actor="root", reason="asked", now=NOW)
    assert late.asked == [True, False]
    assert erased.exports == ("late",)


class Broken:
    def forget(self, conversations: Collection[str], labels: Collection[str]) -> Found:
        raise KeyboardInterrupt


def test_an_erasure_that_is_killed_at_the_exports_is_done_again_whole(
    store: Store, actions: Actions, plant: Plant, forgetting: Forgetting
) -> None:
    judge(store, actions, "c1", attributes={"user.id": "user-77"})
    plant.export()
    killed = Forgetting(store.database, queue_topic=QUEUE, salt=SALT, exports=Broken())
    with pytest.raises(KeyboardInterrupt):
        killed.erase_subject("acme", "user-77", actor="root", reason="asked", now=NOW)
    erased = forgetting.erase_subject("acme", "user-77", actor="root", reason="asked", now=NOW)
    assert (erased.conversations, len(erased.exports)) == (1, 1)


def test_an_entry_of_the_register_that_cannot_be_read_is_no_export_less(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "register").mkdir()
    (tmp_path / "register" / "safety-0.json").write_text("{")
    with pytest.raises(ServicesError, match=r"safety-0\.json"):
        plant.register.forget(["c"], [])
