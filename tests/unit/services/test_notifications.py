"""Alertmanager is told what stands, however slow it is, and whoever shows it never waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from queue import Queue
from threading import Event
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from alerting.alert import Alert, State
from alerting.alertmanager import Links
from alerting.severity import Severity
from services.alertmanager import Alertmanager
from services.errors import ServicesError
from services.metrics import CorrelatorMetrics
from services.notifications import Notifications

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATIENCE = 20


def firing(**fields: Any) -> Alert:
    defaults: dict[str, Any] = {
        "fingerprint": "0123456789abcdef",
        "alert": "TenantBurn",
        "severity": Severity.HIGH,
        "subject": {"tenant": "acme"},
        "state": State.FIRING,
        "value": 20.0,
        "limit": 14.4,
        "since": NOW,
        "until": NOW,
        "pending_at": NOW,
        "started_at": NOW,
        "changed_at": NOW,
    }
    return Alert.model_validate({**defaults, **fields})


class Server:
    """Answers as it is told, and keeps what was posted."""

    def __init__(self) -> None:
        self.posts: Queue[list[dict[str, Any]]] = Queue()
        self.status = 200
        self.silenced: list[str] = []
        self.free = Event()
        self.free.set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            found = [{"labels": {"plumbline_fingerprint": f}, "status": {"silencedBy": ["x"]}} for f in self.silenced]
            return httpx.Response(200, json=found)
        self.posts.put(httpx.Response(200, content=request.content).json())
        assert self.free.wait(PATIENCE)
        return httpx.Response(self.status)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def make(server: Server) -> Iterator[Callable[[], Notifications]]:
    def made() -> Notifications:
        alertmanager = Alertmanager("http://alertmanager", transport=httpx.MockTransport(server))
        return Notifications(alertmanager, Links(), CorrelatorMetrics(CollectorRegistry()), clock=lambda: NOW)

    yield made
    server.free.set()


def test_what_changes_is_posted_at_once_and_who_shows_it_does_not_wait(
    server: Server, make: Callable[[], Notifications]
) -> None:
    with make() as notifications:
        server.free.clear()
        notifications.show([firing()])
        (item,) = server.posts.get(timeout=PATIENCE)
        assert item["labels"]["alertname"] == "TenantBurn"
        # The answer is still to come, and yet:
        notifications.show([firing(state=State.RESOLVED, changed_at=NOW + timedelta(minutes=1))])
        server.free.set()
        (item,) = server.posts.get(timeout=PATIENCE)
        assert item["endsAt"] == (NOW + timedelta(minutes=1)).isoformat()


def test_outcomes_are_told_and_silences_learned(server: Server, make: Callable[[], Notifications]) -> None:
    notifications = make()
    assert (notifications.post(), server.posts.qsize()) == ("accepted", 0)  # nothing to say
    notifications.show([firing()])
    server.status = 503
    assert (notifications.post(), notifications.silenced) == ("unreachable", None)
    server.status = 400
    assert notifications.post() == "refused"
    server.status, server.silenced = 200, ["0123456789abcdef"]
    assert (notifications.post(), notifications.silenced) == ("accepted", {"0123456789abcdef"})
    server.silenced = []
    notifications.post()
    assert notifications.silenced == frozenset()


def test_a_fault_of_ours_ends_the_process(make: Callable[[], Notifications]) -> None:
    with make() as notifications:
        notifications.show([firing().model_copy(update={"alert": "Gone"})])
        notifications._thread.join(PATIENCE)
        with pytest.raises(ServicesError, match="notifications: KeyError"):
            notifications.show([])


def test_without_an_alertmanager_nobody_is_told() -> None:
    notifications = Notifications(None, Links(), CorrelatorMetrics(CollectorRegistry()))
    notifications.show([firing()])
    assert notifications.post() == "accepted"
