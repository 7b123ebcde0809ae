"""Debian's Chromium, and the application in front of it on a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from deploy.registry import open_registry
from services.schema import upgrade
from services.store import Database, open_engine
from tests.browser_launch import CHROMIUM, FLAGS
from tests.servers import require_debian
from tests.web_client import make_web

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.site import Site


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For one module: as long as it runs, Playwright keeps an event loop running that tests elsewhere would meet."""
    require_debian("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def site(chromium: Browser, tmp_path: Path) -> Iterator[Site]:
    """An empty one. Whatever a test did, no page failed, spoke up, or asked anybody else."""
    from tests.browser.site import Running, Site, Watch, served

    engine = open_engine(f"sqlite:///{tmp_path / 'site.db'}")
    upgrade(engine)
    web = make_web(
        Database(engine),
        Running(),
        web_hosts="127.0.0.1",
        sealing_keys=Fernet.generate_key().decode(),
        registry=open_registry(str(tmp_path / "registry")),
    )
    with served(web) as url:
        made = Site(url, web, chromium, Watch(url), tmp_path / "registry")
        yield made
        made.close()
    engine.dispose()
    assert made.watch.faults == []
