"""Bodies of requests: not larger than agreed, and not slower."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.web.refusals import refuse

_CLOSE: Final = {"Connection": "close"}


class TooLarge(Exception):
    """The body is over the limit."""


class Gone(Exception):
    """The client went away before the end of its body."""


class WholeBodies:
    """ASGI middleware that reads a request's body before anything else happens with it.

    So one deadline holds for all of it, however it trickles, and for bodies in chunks that do not tell their length.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check_length(Headers(scope=scope).get("content-length"))
            async with asyncio.timeout(self._seconds):
                body = await self._read(receive)
        except TooLarge:
            await refuse(scope, receive, send, 413, f"a body has at most {self._max_bytes} bytes", _CLOSE)
        except TimeoutError:
            await refuse(scope, receive, send, 408, "the body took too long", _CLOSE)
        except Gone:
            return
        else:
            await self._app(scope, _again(body, receive), send)

    def _check_length(self, told: str | None) -> None:
        """Refuses a body that says it is too large before any of it is read."""
        if told is not None and told.isdecimal() and int(told[:20]) > self._max_bytes:
            raise TooLarge

    async def _read(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part = message.get("body", b"")
            size += len(part)
            if size > self._max_bytes:
                raise TooLarge
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body in one message, then whatever comes."""
    told = False

    async def receive_again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
