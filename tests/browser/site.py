"""The application as a browser meets it: a server on loopback, people in front of it, and what no page may ever do."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any, Final

import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, WebError

from services.accounts.principal import Role
from services.web.cookies import SESSION
from tests.servers import ROOT
from tests.web_client import Clock, Web

SCREENSHOTS: Final = ROOT / "var" / "screenshots"
DESK: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 360, "height": 740}


@contextmanager
def served(web: Web) -> Iterator[str]:
    """The address of `web`, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            web.app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(15)


@dataclass
class Running(Clock):
    """Goes on from the moment at which made-up conversations take place, and can be turned."""

    def __post_init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> datetime:
        return self.now + timedelta(seconds=time.monotonic() - self._began)


@dataclass
class Watch:
    """Everything that pages do which none may do: scripts that fail or are refused, dialogs, requests elsewhere."""

    origin: str
    faults: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        context.on("request", self._asked)
        context.on("dialog", self._spoke)
        context.on("weberror", self._failed)
        context.on("console", self._wrote)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(f"{self.origin}/"):
            self.faults.append(f"asked {request.url}")

    def _spoke(self, dialog: Dialog) -> None:
        self.faults.append(f"opened a dialog: {dialog.message}")
        dialog.dismiss()

    def _failed(self, error: WebError) -> None:
        self.faults.append(f"a script failed: {error.error}")

    def _wrote(self, message: ConsoleMessage) -> None:
        """Answers that are no success are written there too: those are for the tests to judge."""
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(f"wrote {message.text}")


@dataclass
class Site:
    """A server, and browsers in front of it. `registry`: its folder."""

    url: str
    web: Web
    browser: Browser
    watch: Watch
    registry: Path
    contexts: list[BrowserContext] = field(default_factory=list)

    def visitor(self, **options: Any) -> Page:
        """Somebody whom nobody knows yet, in a browser of their own."""
        context = visitor(self.browser, self.url, self.watch, **options)
        self.contexts.append(context)
        return context.new_page()

    def person(
        self, name: str = "ada", role: Role = Role.TRIAGER, tenants: frozenset[str] | None = None, **options: Any
    ) -> Page:
        """Somebody who is signed in."""
        page = self.visitor(**options)
        opened = self.web.services.accounts.sessions.log_in(name, self.web.person(name, role, tenants))
        page.context.add_cookies([{"name": SESSION.name, "value": opened.secret, "url": self.url}])
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()


def visitor(browser: Browser, url: str, watch: Watch, **options: Any) -> BrowserContext:
    context = browser.new_context(base_url=url, **{"viewport": DESK, "locale": "en-GB", **options})
    context.set_default_timeout(15_000)
    watch.over(context)
    return context


def sign_in(page: Page, account: str, password: str) -> None:
    """Through the form."""
    page.get_by_label("Account").fill(account)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def keep(page: Page, name: str) -> Path:
    """A screenshot of the whole page, for people to look at: also of messages that nobody has scrolled to."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.evaluate("for (const each of document.querySelectorAll('.message')) each.style.contentVisibility = 'visible'")
    page.screenshot(path=path, full_page=True, animations="disabled")
    page.evaluate("for (const each of document.querySelectorAll('.message')) each.style.contentVisibility = ''")
    return path
