"""Which part of the queue somebody looks at, as the address of the page says."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from alerting.severity import Severity
from services.accounts.principal import Principal
from services.triage.case import UNSEEN, CaseState
from services.triage.queue import CaseFilter, Cursor, Order

_LONGEST: Final = 256
Text = Annotated[str, Field(max_length=_LONGEST)]
Shown = Literal[
    "waiting", "new", "any", "open", "acknowledged", "confirmed", "dismissed", "unsure", "resolved", "regressed"
]


class Wanted(BaseModel):
    """None: any. `owner` is `me`, `nobody`, or an account."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: Shown = "waiting"
    severity: Severity | None = None
    category: Text | None = None
    tenant: Text | None = None
    agent: Text | None = None
    model_version: Text | None = None
    owner: Text | None = None
    q: Annotated[str, Field(max_length=200)] | None = None
    snoozed: bool = False
    sort: Order = Order.GRAVEST

    @model_validator(mode="before")
    @classmethod
    def _empty_is_any(cls, given: Any) -> Any:
        """What a form sends of fields that nobody filled in."""
        return {name: value for name, value in given.items() if value != ""} if isinstance(given, dict) else given

    @classmethod
    def parsed(cls, text: str) -> Wanted:
        """From the query of an address; the whole queue where it makes no sense."""
        try:
            return cls.model_validate(dict(parse_qsl(text, max_num_fields=30)))
        except (ValidationError, ValueError):
            return cls()

    @property
    def query(self) -> str:
        """The query of the page's address; empty for the whole queue."""
        return urlencode(self.model_dump(mode="json", exclude_defaults=True))

    def having(self, **changes: object) -> str:
        """The address of the same with something else; None takes a filter away."""
        changed = {**self.model_dump(exclude_defaults=True), **changes}
        query = Wanted.model_validate({name: value for name, value in changed.items() if value is not None}).query
        return f"/?{query}" if query else "/"

    @property
    def narrowed(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.model_dump(exclude_defaults=True, exclude={"sort"}))

    def filter_for(self, person: Principal) -> CaseFilter:
        """As the store understands it."""
        states = UNSEEN if self.state == "new" else frozenset()
        if self.state not in ("waiting", "new", "any"):
            states = frozenset({CaseState(self.state)})
        owner = person.account if self.owner == "me" else None if self.owner == "nobody" else self.owner
        return CaseFilter(
            tenants=person.tenants,
            waiting=True if self.state == "waiting" else None,
            states=states,
            severity=self.severity,
            category=self.category,
            tenant=self.tenant,
            agent=self.agent,
            model_version=self.model_version,
            owner=owner,
            unowned=self.owner == "nobody",
            snoozed=self.snoozed,
            words=self.q,
        )


def cursor_of(text: str | None) -> Cursor | None:
    """Where a page of the queue begins; its beginning where the cursor is none of ours."""
    try:
        return None if text is None else Cursor.decoded(text)
    except ValueError:
        return None
