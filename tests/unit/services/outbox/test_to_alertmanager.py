"""What Alertmanager is told: one silence for a case, however often it is sent, and none when the case is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.errors import TransientError
from services.metrics import OutboxMetrics
from services.outbox import Ledger, Relay, ToAlertmanager
from services.outbox.silences import RefusedError, Silences
from services.schema import upgrade
from services.store import Database, alerts, open_engine, outbox
from services.store.alerts import KnownAlert
from services.store.outbox import Channel
from services.triage.alerts_of import comment

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


class FakeAlertmanager:
    """Keeps silences as Alertmanager does. `broken`: what it answers instead."""

    def __init__(self) -> None:
        self.silences: dict[str, dict[str, Any]] = {}
        self.broken: list[int | Exception] = []
        self.after: list[int | Exception] = []  # what it answers though it has done what was asked

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self._break(self.broken)
        answer = self._answer(request)
        if request.method != "GET":
            self._break(self.after)
        return answer

    def _break(self, faults: list[int | Exception]) -> None:
        if not faults:
            return
        fault = faults.pop(0)
        raise fault if isinstance(fault, Exception) else _Answered(fault)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            assert request.url.params["filter"] == 'source="correlator"'
            return httpx.Response(200, json=list(self.silences.values()))
        if request.method == "DELETE":
            silence = self.silences.get(request.url.path.rsplit("/", 1)[1])
            if silence is None:
                return httpx.Response(404, text="silence not found")
            silence["status"] = {"state": "expired"}
            return httpx.Response(200)
        body = json.loads(request.content)
        number = body.pop("id", None) or str(uuid4())
        self.silences[number] = {**body, "id": number, "status": {"state": "active"}}
        return httpx.Response(200, json={"silenceID": number})

    def active(self) -> list[str]:
        return [number for number, each in self.silences.items() if each["status"]["state"] == "active"]


class _Answered(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class _Transport(httpx.BaseTransport):
    def __init__(self, server: FakeAlertmanager) -> None:
        self._server = server

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._server(request)
        except _Answered as answered:
            return httpx.Response(answered.status, text="what was sent, quoted")


@pytest.fixture
def server() -> FakeAlertmanager:
    return FakeAlertmanager()


@pytest.fixture
def silences(server: FakeAlertmanager) -> Silences:
    return Silences("http://alertmanager/", "secret", transport=_Transport(server))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    engine = open_engine(f"sqlite:///{tmp_path / 'o.db'}")
    upgrade(engine)
    yield Database(engine)
    engine.dispose()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def relay(database: Database, silences: Silences | None, registry: CollectorRegistry) -> Relay:
    metrics = OutboxMetrics(registry)
    lease_for = timedelta(seconds=30)
    ledger = Ledger(database, Channel.ALERTMANAGER, holder="me", lease_for=lease_for, metrics=metrics)
    courier = ToAlertmanager(ledger, silences)
    return Relay(ledger, courier, pause=timedelta(seconds=0.01), metrics=metrics, clock=lambda: NOW)


def silence(case_id: UUID, hours: float = 24) -> dict[str, Any]:
    until = NOW + timedelta(hours=hours)
    return {"matchers": [], "startsAt": NOW.isoformat(), "endsAt": until.isoformat(), "comment": comment(case_id)}


def put(database: Database, topic: str, case_id: UUID, value: dict[str, Any]) -> None:
    with database.write() as tx:
        told: dict[str, Any] = {"subject_id": case_id, "now": NOW, "not_before": NOW}
        outbox.put(tx, uuid4(), Channel.ALERTMANAGER, topic, str(case_id), value, **told)


def known(case_id: UUID) -> KnownAlert:
    return KnownAlert("f", "CaseFlagged", "firing", "high", "acme", "c1", case_id, {}, NOW, None, NOW)


def test_a_case_that_somebody_looks_at_is_silenced_and_its_alerts_know(
    database: Database, silences: Silences, server: FakeAlertmanager, registry: CollectorRegistry
) -> None:
    case_id = uuid4()
    with database.write() as tx:
        alerts.keep(tx, known(case_id))
    put(database, "silence", case_id, silence(case_id))
    working = relay(database, silences, registry)
    assert working.relay_once(NOW) == 1
    assert working.relay_once(NOW) == 0
    (made,) = server.active()
    with database.read() as tx:
        assert [alert.silence_id for alert in alerts.of_case(tx, case_id)] == [made]
    put(database, "expire", case_id, {"case_id": str(case_id), "by": "ada"})
    assert working.relay_once(NOW) == 1
    assert server.active() == []
    assert registry.get_sample_value("plumbline_outbox_delivered_total", {"channel": "alertmanager"}) == 2


@pytest.mark.parametrize("fault", [httpx.ConnectError("away"), httpx.ReadTimeout("slow"), 500, 503, 429, 302])
@pytest.mark.parametrize("when", ["broken", "after"])
def test_a_silence_that_may_have_been_made_is_not_made_again(
    database: Database,
    silences: Silences,
    server: FakeAlertmanager,
    registry: CollectorRegistry,
    fault: int | Exception,
    when: str,
) -> None:
    case_id, another = uuid4(), uuid4()
    working = relay(database, silences, registry)
    for each in (case_id, another):
        put(database, "silence", each, silence(each))
        getattr(server, when).append(fault)
        with pytest.raises(TransientError):
            working.relay_once(NOW)
    assert working.relay_once(NOW) >= 1
    working.relay_once(NOW)
    comments = sorted(server.silences[number]["comment"] for number in server.active())
    assert comments == sorted([comment(case_id), comment(another)])


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_what_alertmanager_refuses_is_not_sent_for_ever(
    database: Database, silences: Silences, server: FakeAlertmanager, registry: CollectorRegistry, status: int
) -> None:
    case_id = uuid4()
    put(database, "silence", case_id, silence(case_id))
    server.broken.append(status)
    working = relay(database, silences, registry)
    assert working.relay_once(NOW) == 1
    assert working.relay_once(NOW) == 0
    assert registry.get_sample_value("plumbline_outbox_refused_total", {"channel": "alertmanager"}) == 1


def test_a_silence_that_waited_until_its_end_is_not_made(
    database: Database, silences: Silences, server: FakeAlertmanager, registry: CollectorRegistry
) -> None:
    put(database, "silence", case_id := uuid4(), silence(case_id, hours=1))
    assert relay(database, silences, registry).relay_once(NOW + timedelta(hours=2)) == 1
    assert server.silences == {}


def test_without_an_alertmanager_there_is_nothing_to_do(database: Database, registry: CollectorRegistry) -> None:
    put(database, "silence", case_id := uuid4(), silence(case_id))
    put(database, "expire", case_id, {"case_id": str(case_id)})
    assert relay(database, None, registry).relay_once(NOW) == 2


def test_a_silence_that_has_gone_is_expired_and_another_refusal_is_told(
    silences: Silences, server: FakeAlertmanager
) -> None:
    number = silences.put(silence(uuid4()))
    said = server.silences[number]["comment"]
    server.after.append(404)
    assert silences.expire(said) == 1
    assert silences.expire(said) == 0
    server.silences[number]["status"] = {"state": "pending"}
    server.after.append(403)
    with pytest.raises(RefusedError):
        silences.expire(said)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[{}]", b'[{"id": 3}]', b"\xff"])
def test_what_is_no_answer_is_tried_again(answer: bytes) -> None:
    silences = Silences("http://a", transport=httpx.MockTransport(lambda _: httpx.Response(200, content=answer)))
    with pytest.raises(TransientError):
        silences.expire("x")
    with pytest.raises(TransientError):
        silences.put({"comment": "x"})


def test_the_loop_goes_on_whatever_is_raised_and_quotes_nothing(
    database: Database, silences: Silences, server: FakeAlertmanager, capsys: pytest.CaptureFixture[str]
) -> None:
    registry, stop = CollectorRegistry(), Event()
    put(database, "silence", case_id := uuid4(), silence(case_id, hours=10**5))
    server.broken += [httpx.ConnectError("SECRET"), ValueError("SECRET"), 503]
    working = relay(database, silences, registry)
    once = working.relay_once

    def until_done(now: datetime) -> int:
        done = once(now)
        if done:
            stop.set()
        return done

    working.relay_once = until_done  # type: ignore[method-assign]
    working.run(stop)
    assert len(server.active()) == 1
    assert registry.get_sample_value("plumbline_outbox_failures_total", {"channel": "alertmanager"}) == 3
    written = capsys.readouterr()
    assert "SECRET" not in written.out + written.err
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM leases").scalar_one() == 0
