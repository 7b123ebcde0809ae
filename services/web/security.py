"""What holds for every request and every answer, whatever the application does."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.accounts.urls import origin_of
from services.logs import get_logger
from services.settings import Settings
from services.web.bodies import WholeBodies
from services.web.cookies import is_https
from services.web.limits import Limits
from services.web.refusals import SAFE_METHODS, answer_refusals, refuse

_STATIC: Final = "/static/"
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_FEATURES: Final = ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer")
_MORE_FEATURES: Final = ("microphone", "midi", "payment", "publickey-credentials-get", "usb")
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # not no-referrer: forms would be sent with `Origin: null`
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in (*_FEATURES, *_MORE_FEATURES)),
}
_HTTPS_ONLY: Final = "max-age=31536000"


def secure(app: FastAPI, settings: Settings) -> None:
    """Puts all of this around `app`, and gives it the limits and answers that `services.web.identity` needs.

    Call it last: middleware that is added later stands outside.
    """
    app.state.limits = Limits(settings)
    answer_refusals(app)
    app.add_middleware(WholeBodies, max_bytes=settings.web_max_body_bytes, seconds=settings.web_body_seconds)
    app.add_middleware(OurOwn, hosts=hosts_of(settings), url=settings.web_url)
    app.add_middleware(SafeAnswers, https=is_https(settings))


def hosts_of(settings: Settings) -> frozenset[str]:
    """Names that requests may ask for."""
    names = {name.strip().lower() for name in settings.web_hosts.split(",")}
    if settings.web_url is not None:
        names.add(_name_of(settings.web_url.split("://", 1)[1]))
    return frozenset(names - {""})


class SafeAnswers:
    """ASGI middleware: headers on every answer, and a bare 500 for what went wrong, told to the log without its text:
    that may quote what somebody wrote.
    """

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = {**HEADERS, **({"Strict-Transport-Security": _HTTPS_ONLY} if https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._add(MutableHeaders(scope=message), static=scope["path"].startswith(_STATIC))
            await send(message)

        try:
            await self._app(scope, receive, send_safely)
        except Exception as error:
            _log_bug(error)
            if not started:
                await refuse(scope, receive, send_safely, 500, "something went wrong here; it was noted")

    def _add(self, headers: MutableHeaders, *, static: bool) -> None:
        headers.update(self._headers)
        headers["Cache-Control"] = "no-cache" if static else "no-store"
        del headers["server"]


def _log_bug(error: Exception) -> None:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    get_logger("web").error("a bug", kind=type(error).__name__, place=place)


class OurOwn:
    """ASGI middleware: only for our own host names, and nothing that another site's page sets off.

    The first keeps out pages whose name was turned to this address (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], url: str | None) -> None:
        self._app = app
        self._hosts = hosts
        self._origin = origin_of(url) if url is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            problem = self._problem(str(scope["method"]), headers)
            if problem is not None:
                status, detail = problem
                get_logger("web").warning("request refused", reason=detail, method=scope["method"])
                await refuse(scope, receive, send, status, detail)
                return
        await self._app(scope, receive, send)

    def _problem(self, method: str, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name_of(hosts[0]) not in self._hosts:
            return 400, "no such host here (PLUMBLINE_WEB_HOSTS)"
        if method not in SAFE_METHODS and not self._is_from_here(hosts[0], headers):
            return 403, "the request comes from another site"
        return None

    def _is_from_here(self, host: str, headers: Headers) -> bool:
        """Browsers say where a request comes from; programs say nothing."""
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        ours = self._origin or f"http://{host.lower()}"
        return all(origin.lower() == ours for origin in headers.getlist("origin"))


def _name_of(host: str) -> str:
    """Without the port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()
