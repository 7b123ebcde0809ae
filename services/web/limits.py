"""How often somebody may try: logins by account and address, tokens by address, requests by principal."""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

from services.accounts.errors import TooManyAttempts
from services.accounts.principal import Principal
from services.settings import Settings
from services.web.addresses import client_address, networks

_BUCKETS: Final = 2**16
"""Counters of names and addresses that anybody may make up: memory has an end, so they share this many."""


class Limits:
    """Moving windows in memory: each process counts for itself, and a restart forgets. Raises `TooManyAttempts`."""

    def __init__(self, settings: Settings) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._salt = secrets.token_bytes(16)
        self._trusted = networks(settings.trusted_proxies)
        minutes = settings.login_minutes
        self._of_account = RateLimitItemPerMinute(settings.login_attempts, minutes)
        self._of_address = RateLimitItemPerMinute(settings.login_attempts_per_address, minutes)
        self._of_principal = RateLimitItemPerMinute(settings.requests_per_minute)

    def login(self, request: Request, account: str) -> None:
        """Before a password is verified: that takes its time as well. An account is slowed down, never locked."""
        self.login_from(request)
        self._hit(self._of_account, "account", account.lower())

    def login_from(self, request: Request) -> None:
        """Before a login that does not begin with an account's name."""
        self._hit(self._of_address, "login", self.address(request))

    def logged_in(self, account: str) -> None:
        """Who knows the password starts anew."""
        self._limiter.clear(self._of_account, "account", self._bucket(account.lower()))

    def may_show_token(self, request: Request) -> None:
        """Whether so few wrong tokens came from there that another may be looked at."""
        bucket = self._bucket(self.address(request))
        if not self._limiter.test(self._of_address, "token", bucket):
            raise self._refusal(self._of_address, "token", bucket)

    def wrong_token(self, request: Request) -> None:
        """Counts one. Raises nothing."""
        self._limiter.hit(self._of_address, "token", self._bucket(self.address(request)))

    def request(self, principal: Principal) -> None:
        self._hit(self._of_principal, principal.via.value, principal.account)

    def address(self, request: Request) -> str:
        """Where the request comes from; only trusted proxies are believed about that."""
        peer = request.client.host if request.client else None
        return client_address(peer, request.headers.getlist("x-forwarded-for"), self._trusted)

    def _hit(self, item: RateLimitItem, kind: str, whose: str) -> None:
        bucket = self._bucket(whose)
        if not self._limiter.hit(item, kind, bucket):
            raise self._refusal(item, kind, bucket)

    def _refusal(self, item: RateLimitItem, kind: str, bucket: str) -> TooManyAttempts:
        free_at = self._limiter.get_window_stats(item, kind, bucket).reset_time
        return TooManyAttempts(math.ceil(free_at - time.time()))

    def _bucket(self, whose: str) -> str:
        """Nobody can tell from outside who shares one."""
        digest = hashlib.blake2b(whose.encode("utf-8", "replace"), key=self._salt, digest_size=8).digest()
        return str(int.from_bytes(digest) % _BUCKETS)


def limits_of(request: Request) -> Limits:
    """The application's."""
    found: Limits = request.app.state.limits
    return found
