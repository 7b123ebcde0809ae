"""Pages as a browser without scripts reads them, and forms as it sends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

from starlette.testclient import TestClient

from services.store import cases, labels
from services.triage.actions import Actor
from services.triage.case import Case, Disposition
from services.triage.label import Decision, Label
from tests.web_client import Web

BOB = Actor("bob", None)
HTMX = {"HX-Request": "true"}


@dataclass
class Read(HTMLParser):
    """What a browser makes of a page: elements with attributes, and the text outside of them."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @classmethod
    def of(cls, page: str) -> Read:
        made = cls()
        made.feed(page)
        made.close()
        return made

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [given for name, given in self.elements if name == tag and wanted.items() <= given.items()]


def page(client: TestClient, path: str, status: int = 200) -> Read:
    answer = client.get(path)
    assert answer.status_code == status, answer.text[:500]
    return Read.of(answer.text)


def send(
    client: TestClient, at: str, path: str, *, headers: dict[str, str] | None = None, **fields: Any
) -> tuple[int, str, str]:
    """(status, where to, what) of a form on the page `at`: its token and what it hides go along."""
    shown = page(client, at)
    token = shown.all("input", name="csrf_token")[0]["value"]
    versions = [each["value"] for each in shown.all("input", name="version")]
    hidden = {"csrf_token": token, **({"version": versions[0]} if versions else {})}
    answer = client.post(path, data={**hidden, **fields}, headers=headers, follow_redirects=False)
    to = answer.headers.get("location", answer.headers.get("hx-redirect", ""))
    return answer.status_code, to, answer.text


def decide(client: TestClient, case_id: object, conversation: str = "c1", **fields: Any) -> tuple[int, str, str]:
    body = {"disposition": "confirmed", "conversation_id": conversation, **fields}
    return send(client, f"/cases/{case_id}", f"/cases/{case_id}/decide", **body)


def case_now(web: Web, case_id: object) -> Case:
    found = web.services.desk.read(lambda tx: cases.get(tx, UUID(str(case_id))))
    assert found is not None
    return found


def labels_of(web: Web, case_id: object) -> list[Label]:
    return web.services.desk.read(lambda tx: labels.of_case(tx, UUID(str(case_id))))


def bob_decides(web: Web, case_id: object, conversation: str = "c1") -> Label:
    decision = Decision(disposition=Disposition.DISMISSED, conversation_id=conversation)
    version = case_now(web, case_id).version
    with web.services.database.write() as tx:
        return web.services.actions.decide(tx, BOB, UUID(str(case_id)), version, decision, web.clock()).label
