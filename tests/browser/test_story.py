"""From the alert's link to the retraining queue, through real Kafka, PostgreSQL, recorder and triage."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from deploy.child import free_port
from deploy.kafka.local import LocalKafka
from detectors.codec import encode_event, encode_verdict
from detectors.transcript import TranscriptEvent, part_text
from detectors.verdict import Verdict
from services.accounts.accounts import Accounts
from services.accounts.principal import Role
from services.kafka import KafkaSink, read_topic
from services.records import Outgoing
from services.schema import upgrade
from services.settings import Settings
from services.store import Database, Store, labels, open_engine, outbox
from tests.bench.triage_server import serving
from tests.browser.reading import marked
from tests.browser.site import Watch, keep, sign_in, visitor
from tests.processes import Service
from tests.web_data import shipping

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(240)]

PATIENCE = 90.0
UNDO_SECONDS = 4
LINK = "/c/acme/shipping-2026-09"


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


def just_now() -> tuple[TranscriptEvent, Verdict]:
    of, judged = shipping()
    now = datetime.now(UTC)
    return of.model_copy(update={"occurred_at": now}), judged.model_copy(update={"occurred_at": now, "decided_at": now})


@pytest.fixture
def settings(kafka: LocalKafka, make_settings: Callable[..., Settings], postgres_url: str) -> Settings:
    return make_settings(kafka.bootstrap_servers, database_url=SecretStr(postgres_url), web_port=free_port())


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    engine = open_engine(postgres_url)
    upgrade(engine)
    yield Database(engine)
    engine.dispose()


@pytest.fixture
def triage(settings: Settings, database: Database, tmp_path: Path) -> Iterator[str]:
    """The address of the page, with a recorder behind it."""
    recorder = Service("record", settings, tmp_path / "recorder.log")
    variables = {"PLUMBLINE_UNDO_SECONDS": str(UNDO_SECONDS), "PLUMBLINE_SECOND_REVIEW_SHARE": "0"}
    try:
        with serving(settings, tmp_path, PLUMBLINE_TOPIC_PARTITIONS="3", **variables) as url:
            yield url
    finally:
        recorder.kill()


def flag(settings: Settings, database: Database) -> tuple[TranscriptEvent, Verdict]:
    """An agent says something, detectors flag it, and a case of it opens."""
    of, judged = just_now()
    key = of.key.encode()
    with KafkaSink(settings) as sink:
        sink.deliver(
            [
                Outgoing(settings.topic("transcripts"), key, encode_event(of)),
                Outgoing(settings.topic("verdicts"), key, encode_verdict(judged)),
            ]
        )
    store = Store(database.engine)
    wait_for(lambda: store.cases(limit=10, now=datetime.now(UTC)))
    return of, judged


def queue(settings: Settings) -> list[dict[str, Any]]:
    """What has arrived for those who retrain: committed records alone."""
    return [json.loads(record.value or b"") for record in read_topic(settings, settings.topic("retraining.queue"))]


def words_of(of: TranscriptEvent, judged: Verdict) -> list[str]:
    """The characters that the detectors point at."""
    return [
        (part_text(of.messages[each.message_index].parts[each.part_index]) or "")[each.start : each.end]
        for each in sorted(judged.evidence, key=lambda each: (each.message_index, each.part_index, each.start))
    ]


@pytest.fixture
def page(chromium: Browser, triage: str) -> Iterator[Page]:
    watch = Watch(triage)
    context = visitor(chromium, triage, watch)
    yield context.new_page()
    context.close()
    assert watch.faults == []


def test_from_the_alert_to_the_retraining_queue(settings: Settings, database: Database, page: Page) -> None:
    people = Accounts.configured(settings, database, lambda: datetime.now(UTC)).people
    password = people.create("ada", Role.TRIAGER, frozenset({"acme"}), by="test")
    of, judged = flag(settings, database)

    page.goto(LINK)
    expect(page).to_have_url(re.compile("/login"))
    sign_in(page, "ada", password)
    expect(page).to_have_url(re.compile("/cases/"))
    case_id = page.locator("[data-case]").get_attribute("data-case")

    wait_for(lambda: page.reload() and page.locator(".conversation article").count() == len(of.messages))
    assert marked(page) == words_of(of, judged)
    keep(page, "story-read")

    page.keyboard.press("c")
    page.get_by_role("button", name="Undo").wait_for()
    page.wait_for_load_state()
    page.keyboard.press("z")
    expect(page.get_by_text("took a decision back")).to_be_visible()
    expect(page).to_have_url(re.compile(f"/cases/{case_id}"))
    page.wait_for_load_state()
    page.keyboard.press("c")
    expect(page.get_by_text("Nothing waits")).to_be_visible()
    keep(page, "story-decided")

    told = wait_for(lambda: queue(settings))
    wait_for(lambda: _nothing_left(database))
    assert len(told) == len(queue(settings)) == 1
    first, retracted, second = _labels(database, str(case_id))
    assert retracted.supersedes == first.label_id
    assert told[0]["label_id"] == str(second.label_id)
    assert (told[0]["kind"], told[0]["disposition"], told[0]["category"]) == ("label", "confirmed", "sabotage")
    assert [item["role"] for item in told[0]["messages"]] == [message.role for message in of.messages]
    assert "Never move money." in json.dumps(told[0]["messages"])
    assert "ann.lee@example.com" not in json.dumps(told[0])
    page.goto("/")
    expect(page.locator(".cases")).to_have_count(0)


def _labels(database: Database, case_id: str) -> list[Any]:
    with database.read() as tx:
        return labels.of_case(tx, UUID(case_id))


def _nothing_left(database: Database) -> bool:
    with database.read() as tx:
        return sum(outbox.depth(tx).values()) == 0
