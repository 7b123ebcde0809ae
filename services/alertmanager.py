"""The edge to Alertmanager: its HTTP API, version 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import httpx
from pydantic import JsonValue

from alerting.alertmanager import silenced_fingerprints

_TIMEOUT: Final = httpx.Timeout(5.0)


class Alertmanager:
    """One Alertmanager. Nothing here raises for what goes wrong over there: the outcome is told, and tried again."""

    def __init__(self, url: str, token: str | None = None, *, transport: httpx.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=_TIMEOUT, transport=transport)

    def post(self, alerts: Sequence[JsonValue]) -> str:
        """`accepted`, `refused` (asked again, it would say the same) or `unreachable`."""
        try:
            answer = self._client.post("/api/v2/alerts", json=list(alerts))
        except httpx.HTTPError:
            return "unreachable"
        if answer.is_success:
            return "accepted"
        return "refused" if answer.is_client_error else "unreachable"

    def silenced(self) -> frozenset[str] | None:
        """Fingerprints of our alerts that somebody has silenced; None where that is not known."""
        try:
            answer = self._client.get("/api/v2/alerts", params={"filter": 'source="correlator"', "silenced": "true"})
            found: Any = answer.raise_for_status().json()
            return silenced_fingerprints(found)
        except (httpx.HTTPError, ValueError, AttributeError, TypeError):
            return None

    def close(self) -> None:
        self._client.close()
