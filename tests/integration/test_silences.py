"""Real Alertmanager: a case that somebody looks at is silent, and one that is over is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry

from deploy.prometheus.local import LocalAlertmanager
from services.errors import TransientError
from services.metrics import OutboxMetrics
from services.outbox import Relay
from services.outbox.process import alertmanager_relay
from services.schema import upgrade
from services.settings import Settings, load_settings
from services.store import Database, Store, alerts, open_engine, outbox
from services.store.alerts import KnownAlert
from services.store.outbox import Channel
from services.triage import alerts_of
from services.triage.actions import Actions, Actor
from services.triage.case import Case
from services.triage.configured import actions_of, salt_of
from tests.servers import require_debian
from tests.triage_data import event, verdict

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ADA = Actor("ada", None)
NOW = datetime.now(UTC)
ODD = 'c1|.*"\\{}=~, ü'
"""The name of a conversation that must be quoted to mean itself."""


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[LocalAlertmanager]:
    require_debian("prometheus-alertmanager")
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    with LocalAlertmanager(tmp_path) as server:
        yield server


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    engine = open_engine(f"sqlite:///{tmp_path / 'triage.db'}")
    upgrade(engine)
    yield Database(engine)
    engine.dispose()


class Shift:
    """Somebody on call, an Alertmanager in which alerts fire, and the relay between them."""

    def __init__(self, url: str, database: Database, settings: Settings) -> None:
        self.url = url
        self.database = database
        self.actions: Actions = actions_of(settings, salt_of(database))
        self.relay: Relay = alertmanager_relay(settings, database, OutboxMetrics(CollectorRegistry()))

    def fire(self, *conversations: str) -> None:
        labels = {"alertname": "CaseFlagged", "source": "correlator", "tenant": "acme", "severity": "high"}
        ends = (NOW + timedelta(hours=2)).isoformat()
        body = [{"labels": {**labels, "conversation": name}, "endsAt": ends} for name in conversations]
        httpx.post(f"{self.url}/api/v2/alerts", json=body).raise_for_status()

    def silent(self) -> set[str]:
        """Conversations whose alert is silenced."""
        found = httpx.get(f"{self.url}/api/v2/alerts").raise_for_status().json()
        return {alert["labels"]["conversation"] for alert in found if alert["status"]["silencedBy"]}

    def silences(self, state: str = "active") -> list[dict[str, Any]]:
        found = httpx.get(f"{self.url}/api/v2/silences").raise_for_status().json()
        return [silence for silence in found if silence["status"]["state"] == state]

    def do(self, action: Callable[..., Case], case: Case, now: datetime = NOW) -> Case:
        with self.database.write() as tx:
            return action(tx, ADA, case.case_id, case.version, now)

    def relay_all(self, now: datetime = NOW) -> None:
        while self.relay.relay_once(now):
            continue


@pytest.fixture
def shift(alertmanager: LocalAlertmanager, database: Database) -> Shift:
    return Shift(alertmanager.url, database, load_settings(alertmanager_url=alertmanager.url))


def opened(database: Database, conversation: str) -> Case:
    store = Store(database.engine)
    store.record([verdict(event(conversation, agent={"name": conversation}))], [], now=NOW)
    return next(case for case in store.cases(limit=10, now=NOW) if case.lead_conversation_id == conversation)


def test_acknowledging_silences_the_alerts_of_the_case_and_resolving_ends_the_silence(shift: Shift) -> None:
    case, another = opened(shift.database, ODD), opened(shift.database, "c2")
    with shift.database.write() as tx:
        told: dict[str, Any] = {"labels": {}, "starts_at": NOW, "ends_at": None, "received_at": NOW}
        alert = KnownAlert("f", "CaseFlagged", "firing", "high", "acme", ODD, case.case_id, **told)
        alerts.keep(tx, alert)
    shift.fire(ODD, "c1", "c2", "c3")
    acknowledged = shift.do(shift.actions.acknowledge, case)
    shift.do(shift.actions.acknowledge, another)
    shift.relay_all()
    assert shift.silent() == {ODD, "c2"}
    with shift.database.read() as tx:
        (known,) = alerts.of_case(tx, case.case_id)
    assert known.silence_id in {silence["id"] for silence in shift.silences()}
    shift.do(shift.actions.resolve, acknowledged)
    shift.relay_all()
    assert shift.silent() == {"c2"}
    assert [silence["id"] for silence in shift.silences("expired")] == [known.silence_id]


def test_a_silence_that_is_sent_again_is_the_same_one(shift: Shift, monkeypatch: pytest.MonkeyPatch) -> None:
    case = opened(shift.database, "c1")
    shift.do(shift.actions.acknowledge, case)
    request, lost = httpx.Client.request, [True]

    def lose_the_answer(client: httpx.Client, method: str, *details: Any, **more: Any) -> httpx.Response:
        answer = request(client, method, *details, **more)
        if method == "POST" and lost:
            lost.clear()
            raise httpx.ReadTimeout("lost")
        return answer

    monkeypatch.setattr(httpx.Client, "request", lose_the_answer)
    with pytest.raises(TransientError):
        shift.relay_all()
    monkeypatch.undo()
    (first,) = shift.silences()
    shift.relay_all()
    (second,) = shift.silences()
    assert first["id"] == second["id"]


def test_a_case_that_grew_has_one_silence_for_all_of_it(shift: Shift) -> None:
    case = opened(shift.database, "c1")
    acknowledged = shift.do(shift.actions.acknowledge, case)
    shift.relay_all()
    grown = alerts_of.silence(acknowledged, ["c1", "c9"], by="ada", now=NOW, until=NOW + timedelta(hours=48))
    with shift.database.write() as tx:
        told: dict[str, Any] = {"subject_id": case.case_id, "now": NOW, "not_before": NOW}
        outbox.put(tx, uuid4(), Channel.ALERTMANAGER, "silence", str(case.case_id), grown, **told)
    shift.relay_all()
    shift.fire("c1", "c9")
    assert shift.silent() == {"c1", "c9"}
    assert len(shift.silences()) == 1
