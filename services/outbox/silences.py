"""Alertmanager's silences, over its HTTP API, version 2."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import httpx
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from services.errors import ServicesError, TransientError

_TIMEOUT: Final = httpx.Timeout(5.0)
_OURS: Final = {"filter": 'source="correlator"'}
_TRY_AGAIN: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class RefusedError(ServicesError):
    """Asked again, Alertmanager would say the same."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Alertmanager answered {status}")
        self.status = status


class _Status(BaseModel):
    state: str


class _Silence(BaseModel):
    id: str
    comment: str
    startsAt: str  # noqa: N815  (as Alertmanager writes it)
    status: _Status


class _Made(BaseModel):
    silenceID: str  # noqa: N815


_SILENCES: Final = TypeAdapter(list[_Silence])


class Silences:
    """Silences of our alerts, told apart by their comments. Raises `RefusedError`, and `TransientError` where
    Alertmanager is away or cannot answer now.
    """

    def __init__(self, url: str, token: str | None = None, *, transport: httpx.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=_TIMEOUT, transport=transport)

    def put(self, silence: dict[str, JsonValue]) -> str:
        """Its id. One with this comment that still holds becomes this one: there are never two."""
        for known in self._holding(str(silence["comment"])):
            silence = {**silence, "id": known.id, "startsAt": known.startsAt}  # the start of what holds stays
        answer = self._ask("POST", "/api/v2/silences", json=silence)
        try:
            return _Made.model_validate_json(answer.content).silenceID
        except ValidationError:
            raise TransientError("Alertmanager answered something else than a silence's id") from None

    def expire(self, comment: str) -> int:
        """Ends those with this comment; how many there were."""
        holding = self._holding(comment)
        for silence in holding:
            try:
                self._ask("DELETE", f"/api/v2/silence/{silence.id}")
            except RefusedError as error:
                if error.status != HTTPStatus.NOT_FOUND:  # it has ended meanwhile
                    raise
        return len(holding)

    def _holding(self, comment: str) -> list[_Silence]:
        answer = self._ask("GET", "/api/v2/silences", params=_OURS)
        try:
            silences = _SILENCES.validate_json(answer.content)
        except ValidationError:
            raise TransientError("Alertmanager answered something else than silences") from None
        return [each for each in silences if each.comment == comment and each.status.state != "expired"]

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise TransientError(f"Alertmanager: {type(error).__name__}") from error
        if answer.is_client_error and answer.status_code not in _TRY_AGAIN:
            raise RefusedError(answer.status_code)
        if not answer.is_success:
            raise TransientError(f"Alertmanager answered {answer.status_code}")
        return answer

    def close(self) -> None:
        self._client.close()
