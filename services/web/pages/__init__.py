"""The pages, rendered on the server. Nothing in them needs scripts, but keys and what is live."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI

from services.web.pages import acting, case, deciding, links, loop, messages, queue, records, reviewing
from services.web.pages.refused import answer_missing

_MODULES: Final = (queue, case, acting, deciding, messages, links, reviewing, records, loop)


def add_pages(app: FastAPI) -> None:
    """Gives `app` the pages, and a page for what is not there."""
    for module in _MODULES:
        app.include_router(module.router)
    answer_missing(app)
