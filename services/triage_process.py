"""The triage process: the API and the page, what leaves the database, and what is to be forgotten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry

from services.accounts.accounts import Accounts
from services.errors import ServicesError, TransientError
from services.logs import get_logger
from services.outbox.process import start_relay
from services.privacy.sealing import Sealer
from services.settings import Settings
from services.store import Database
from services.triage.configured import actions_of, salt_of
from services.triage.desk import Desk
from services.triage.forgetting import Forgetting, Retention
from services.web.app import make_app
from services.web.loop.collaborators import rollouts_of
from services.web.services import WebServices

_FORGET_EVERY: Final = timedelta(hours=1)
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def web_services_of(settings: Settings, database: Database, clock: Clock = _now) -> WebServices:
    """Everything that requests need."""
    salt = salt_of(database)
    return WebServices(
        database=database,
        settings=settings,
        clock=clock,
        accounts=Accounts.configured(settings, database, clock),
        actions=actions_of(settings, salt),
        desk=Desk(database),
        sealer=Sealer.configured(settings),
        rollouts=rollouts_of(settings, database, salt, clock),
    )


def serve(settings: Settings, database: Database, registry: CollectorRegistry, stop: Event) -> None:
    """Serves until `stop`. Raises `ServicesError` where the port is taken."""
    log = get_logger("triage")
    services = web_services_of(settings, database)
    threads = [start_relay(settings, database, registry, stop), _start_forgetting(settings, database, stop)]
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(services),
            host=settings.web_host,
            port=settings.web_port,
            log_config=None,
            access_log=False,  # addresses and search words are private
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=10,
            limit_concurrency=500,
            h11_max_incomplete_event_size=64 * 1024,
        )
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # ours say when to stop
    Thread(target=_stop_with, args=(server, stop), daemon=True).start()
    log.info("ready", host=settings.web_host, port=settings.web_port)
    try:
        server.run()
    except SystemExit as error:  # what uvicorn does about a port that is taken
        raise ServicesError(f"cannot serve on {settings.web_host}:{settings.web_port} (PLUMBLINE_WEB_PORT)") from error
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=15)
    log.info("stopped")


def _stop_with(server: uvicorn.Server, stop: Event) -> None:
    stop.wait()
    server.should_exit = True


def _start_forgetting(settings: Settings, database: Database, stop: Event) -> Thread:
    """Retention, once an hour. A database that is away is tried again the next time."""
    forgetting = Forgetting(database, queue_topic=settings.topic("retraining.queue"), salt=salt_of(database))
    retention = Retention(
        of_cases=timedelta(days=settings.case_retention_days), of_others=timedelta(days=settings.retention_days)
    )

    def forget() -> None:
        log = get_logger("retention")
        while not stop.is_set():
            try:
                erased = forgetting.expire(retention, _now())
                if erased.conversations or erased.messages:
                    log.info("forgotten", conversations=erased.conversations, messages=erased.messages)
            except TransientError:
                log.warning("the database is away; forgetting waits")
            stop.wait(_FORGET_EVERY.total_seconds())

    thread = Thread(target=forget, name="retention", daemon=True)
    thread.start()
    return thread
