"""`/api/v1/alertmanager`: where Alertmanager's webhook posts. `/api/v1/alerts`: what fires now."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.store import alerts, audit, cases
from services.store.alerts import KnownAlert
from services.store.database import Transaction
from services.web.api import models
from services.web.api.requests import Limit, Reader, Triager
from services.web.services import Services

router = APIRouter(tags=["alerts"])
_MOST_LABELS: Final = 40
_LONGEST: Final = 256
Short = Annotated[str, Field(max_length=_LONGEST)]


class WebhookAlert(BaseModel):
    """One alert of a notification, as Alertmanager 0.22 and later sends it."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: Annotated[dict[Short, str], Field(max_length=_MOST_LABELS)]
    startsAt: AwareDatetime  # noqa: N815  (their name)
    endsAt: AwareDatetime | None = None  # noqa: N815
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{1,32}$")]


class Webhook(BaseModel):
    """A notification: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config."""

    model_config = ConfigDict(extra="ignore")

    alerts: Annotated[list[WebhookAlert], Field(max_length=1000)]


class Taken(BaseModel):
    alerts: int
    cases: int


@router.post("/alertmanager")
def webhook(services: Services, person: Triager, body: Webhook) -> Taken:
    """Takes a notification; sent again, it changes nothing. Its bearer token is a triager's API token."""
    now = services.clock()

    def taken(tx: Transaction) -> dict[str, int]:
        known = [_known(tx, alert, person.tenants, now) for alert in body.alerts]
        mine = [alert for alert in known if alert is not None]
        for alert in mine:
            before = next((each for each in _before(tx, alert)), None)
            alerts.keep(tx, alert)
            case = cases.get(tx, alert.case_id) if alert.case_id else None
            if case is not None and (before is None or before.status != alert.status):
                told = {"alert": alert.alertname, "status": alert.status, "version": case.version}
                cases.add_event(tx, case, "alertmanager", "alert", now, told)
        audit.append(tx, now, person.account, "alerts.received", "alertmanager", {"alerts": len(mine)})
        return {"alerts": len(mine), "cases": len({alert.case_id for alert in mine if alert.case_id})}

    return Taken(**services.desk.run(taken, now))


def _before(tx: Transaction, alert: KnownAlert) -> list[KnownAlert]:
    if alert.case_id is None:
        return []
    return [each for each in alerts.of_case(tx, alert.case_id) if each.fingerprint == alert.fingerprint]


def _known(tx: Transaction, alert: WebhookAlert, tenants: frozenset[str] | None, now: datetime) -> KnownAlert | None:
    """None for another tenant's. Long values are cut: they are only shown."""
    labels = {name: value[:_LONGEST] for name, value in alert.labels.items()}
    tenant, conversation = labels.get("tenant"), labels.get("conversation")
    if tenants is not None and (tenant is None or tenant not in tenants):
        return None
    member = cases.member(tx, tenant, conversation) if tenant and conversation else None
    return KnownAlert(
        fingerprint=alert.fingerprint,
        alertname=labels.get("alertname", "?"),
        status=alert.status,
        severity=labels.get("severity"),
        tenant_id=tenant,
        conversation_id=conversation,
        case_id=member.case_id if member else None,
        labels=labels,
        starts_at=alert.startsAt,
        ends_at=alert.endsAt if alert.status == "resolved" else None,
        received_at=now,
    )


@router.get("/alerts")
def firing(services: Services, person: Reader, limit: Limit = 100) -> list[models.AlertOut]:
    """What fires now, the latest first."""
    found = services.desk.read(lambda tx: alerts.firing(tx, person.tenants, limit=limit))
    return [models.AlertOut.of(alert) for alert in found]
