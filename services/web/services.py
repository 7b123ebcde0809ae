"""What the handlers of requests work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from services.accounts.accounts import Accounts
from services.privacy.sealing import Sealer
from services.settings import Settings
from services.store import Database
from services.triage.actions import Actions
from services.triage.desk import Desk
from services.web.loop.collaborators import Rollouts


@dataclass(frozen=True, slots=True)
class WebServices:
    """Collaborators. `sealer` is None where originals of what was redacted are not kept, and `rollouts` where no
    registry is configured.
    """

    database: Database
    settings: Settings
    clock: Callable[[], datetime]
    accounts: Accounts
    actions: Actions
    desk: Desk
    sealer: Sealer | None
    rollouts: Rollouts | None = None


def web_services(request: Request) -> WebServices:
    """For `Depends`."""
    found: WebServices = request.app.state.services
    return found


Services = Annotated[WebServices, Depends(web_services)]
