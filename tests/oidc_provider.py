"""A little OpenID Connect provider: real HTTP, real signatures, and told to lie where a test wants it to."""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from threading import Thread
from typing import Annotated, Any
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI, Form, Header, Request
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.responses import JSONResponse, RedirectResponse, Response

CLIENT, SECRET = "plumbline-triage", "a secret & a half"


@cache
def _first_key() -> RSAKey:
    """Made once: that takes its time."""
    return RSAKey.generate_key(2048, {"kid": "k1"})


def _same(claims: dict[str, Any]) -> dict[str, Any]:
    return claims


@dataclass
class LittleProvider:
    """Signs everybody in as `person`. `lie` changes the claims that it signs, `key` is what it signs with."""

    issuer: str
    clock: Callable[[], datetime]
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "p-1", "preferred_username": "ada"})
    on_request: dict[str, Any] = field(default_factory=dict)
    lie: Callable[[dict[str, Any]], dict[str, Any]] = _same
    published: list[RSAKey] = field(default_factory=lambda: [_first_key()])
    key: RSAKey | None = None
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "k1"})
    metadata: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def id_token(self, nonce: str) -> str:
        now = int(self.clock().timestamp())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce, **self.person}
        return jwt.encode(self.header, self.lie(claims), self.key or self.published[0], algorithms=["RS256", "HS256"])

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def discovery() -> dict[str, Any]:
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/jwks",
                **self.metadata,
            }

        @app.get("/jwks")
        def jwks() -> dict[str, Any]:
            return dict(KeySet(list(self.published)).as_dict(private=False))

        @app.get("/authorize")
        def authorize(request: Request) -> Response:
            asked = dict(request.query_params)
            assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
            assert asked["code_challenge_method"] == "S256"
            code = secrets.token_urlsafe()
            self.codes[code] = asked
            told = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
            return RedirectResponse(f"{asked['redirect_uri']}?{told}", 303)

        @app.post("/token")
        def token(
            code: Annotated[str, Form()],
            code_verifier: Annotated[str, Form()],
            redirect_uri: Annotated[str, Form()],
            grant_type: Annotated[str, Form()],
            authorization: Annotated[str, Header()],
        ) -> Response:
            asked = self.codes.pop(code, None)
            if asked is None or not self._is_right(asked, code_verifier, redirect_uri, grant_type, authorization):
                return JSONResponse({"error": "invalid_grant"}, 400)
            return JSONResponse(
                {"access_token": "at-1", "token_type": "Bearer", "id_token": self.id_token(asked["nonce"])}
            )

        @app.get("/userinfo")
        def userinfo(authorization: Annotated[str, Header()]) -> Response:
            if authorization != "Bearer at-1":
                return JSONResponse({}, 401)
            return JSONResponse({"sub": self.person["sub"], **self.on_request})

        return app

    @staticmethod
    def _is_right(asked: dict[str, str], verifier: str, redirect_uri: str, grant: str, authorization: str) -> bool:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        return (
            challenge == asked["code_challenge"]
            and redirect_uri == asked["redirect_uri"]
            and grant == "authorization_code"
            and authorization == f"Basic {basic}"
        )


@contextmanager
def running_provider(clock: Callable[[], datetime]) -> Iterator[LittleProvider]:
    """A provider on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    provider = LittleProvider(f"http://127.0.0.1:{listener.getsockname()[1]}", clock)
    server = uvicorn.Server(uvicorn.Config(provider.app(), log_config=None, ws="none", lifespan="off"))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield provider
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()
