"""Our cookies. With https they have names that browsers accept from this host over https alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from services.settings import Settings

_HOST: Final = "__Host-"


@dataclass(frozen=True, slots=True)
class Cookie:
    """One of our cookies."""

    name: str
    samesite: Literal["lax", "strict"]

    def called(self, *, secure: bool) -> str:
        return f"{_HOST}{self.name}" if secure else self.name

    def read(self, request: Request, settings: Settings) -> str | None:
        return request.cookies.get(self.called(secure=is_https(settings)))

    def write(self, response: Response, settings: Settings, value: str) -> None:
        """Until the browser is closed; on this side it ends sooner."""
        secure = is_https(settings)
        name = self.called(secure=secure)
        response.set_cookie(name, value, path="/", secure=secure, httponly=True, samesite=self.samesite)

    def clear(self, response: Response, settings: Settings) -> None:
        secure = is_https(settings)
        name = self.called(secure=secure)
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite=self.samesite)


SESSION: Final = Cookie("plumbline", "lax")
"""Lax, not strict: the link in an alert has to find who follows it signed in."""

LOGIN_FORM: Final = Cookie("plumbline-form", "strict")
"""What the login form is held against before there is a session."""

PROVIDER_STATE: Final = Cookie("plumbline-oidc", "lax")
"""What the OIDC provider's answer is held against: it comes from another site."""


def is_https(settings: Settings) -> bool:
    return settings.web_url is not None and settings.web_url.startswith("https:")
