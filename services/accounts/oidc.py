"""An OpenID Connect provider: authorisation code flow with PKCE, spoken by Authlib."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import httpx2
from authlib.integrations.httpx_client import OAuth2Client, OAuthError
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.accounts.errors import ProviderError
from services.accounts.id_token import UnknownKey, verified_claims
from services.accounts.urls import is_safe_url

_DISCOVERY: Final = "/.well-known/openid-configuration"
_SCOPES: Final = "openid profile email"
_TIMEOUT_SECONDS: Final = 10
_MOST_BYTES: Final = 1024 * 1024
_KEEP: Final = timedelta(hours=1)
_ASK_AGAIN: Final = timedelta(seconds=30)
_BASIC: Final = "client_secret_basic"
Result = TypeVar("Result")


class Metadata(BaseModel):
    """What the provider publishes about itself (OpenID Connect Discovery 1.0)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] = Field(default=[_BASIC])
    authorization_response_iss_parameter_supported: bool = False

    def endpoints(self) -> list[str]:
        told = [self.authorization_endpoint, self.token_endpoint, self.jwks_uri, self.userinfo_endpoint]
        return [url for url in told if url is not None]


@dataclass(frozen=True, slots=True)
class _Known:
    metadata: Metadata
    keys: KeySet
    at: datetime


@dataclass(slots=True)
class Provider:
    """One provider, and us as its client. Every method raises `ProviderError`."""

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    redirect_uri: str
    clock: Callable[[], datetime]
    scopes: str = _SCOPES
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)  # the machine's authorities
    _known: _Known | None = None

    def login_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where the browser goes to sign in."""
        endpoint = self._provider().metadata.authorization_endpoint
        with self._client() as client:
            url, _ = client.create_authorization_url(endpoint, state=state, nonce=nonce, code_verifier=verifier)
        return str(url)

    def check_issuer(self, told: str | None) -> None:
        """RFC 9207: an answer that says whom it is from, says it is from this provider."""
        needed = self._provider().metadata.authorization_response_iss_parameter_supported
        if (told is None and needed) or (told is not None and told != self.issuer):
            raise ProviderError("the answer is from another provider")

    def claims(self, *, code: str, verifier: str, nonce: str, wanted: str) -> dict[str, Any]:
        """What the provider says of who brought `code`; where that lacks `wanted`, what it tells on request as well."""
        token = self._token(code, verifier)
        raw, access_token = token.get("id_token"), token.get("access_token")
        if not isinstance(raw, str):
            raise ProviderError("the answer holds no ID token")
        claims = self._verified(raw, nonce, access_token if isinstance(access_token, str) else None)
        endpoint = self._provider().metadata.userinfo_endpoint
        if wanted not in claims and endpoint is not None and isinstance(access_token, str):
            claims = {**self._told_on_request(endpoint, access_token, claims["sub"]), **claims}
        return claims

    def _token(self, code: str, verifier: str) -> dict[str, Any]:
        endpoint = self._provider().metadata.token_endpoint

        def ask(client: Any) -> Any:
            return client.fetch_token(endpoint, grant_type="authorization_code", code=code, code_verifier=verifier)

        return dict(self._asked(ask))

    def _verified(self, raw: str, nonce: str, access_token: str | None) -> dict[str, Any]:
        try:
            return self._held_against(self._provider(), raw, nonce, access_token)
        except UnknownKey:
            return self._held_against(self._provider(at_most=_ASK_AGAIN), raw, nonce, access_token)

    def _held_against(self, known: _Known, raw: str, nonce: str, access_token: str | None) -> dict[str, Any]:
        return verified_claims(
            raw,
            known.keys,
            issuer=self.issuer,
            client_id=self.client_id,
            nonce=nonce,
            access_token=access_token,
            now=self.clock(),
        )

    def _told_on_request(self, endpoint: str, access_token: str, subject: object) -> dict[str, Any]:
        told = self._fetched(endpoint, {"Authorization": f"Bearer {access_token}"})
        if told.get("sub") != subject:
            raise ProviderError("the user information is about somebody else")
        return told

    def _provider(self, *, at_most: timedelta = _KEEP) -> _Known:
        """What the provider publishes, no older than that."""
        known, now = self._known, self.clock()
        if known is None or now - known.at >= at_most:
            known = self._published(now)
            self._known = known
        return known

    def _published(self, now: datetime) -> _Known:
        try:
            metadata = Metadata.model_validate(self._fetched(self.issuer.rstrip("/") + _DISCOVERY, {}))
        except ValidationError:
            raise ProviderError("what the provider publishes lacks what is needed") from None
        if metadata.issuer != self.issuer:
            raise ProviderError("the provider calls itself otherwise than PLUMBLINE_OIDC_ISSUER")
        if not all(map(is_safe_url, metadata.endpoints())):
            raise ProviderError("the provider has an endpoint without https")
        try:
            keys = KeySet.import_key_set(self._fetched(metadata.jwks_uri, {}))  # type: ignore[arg-type]
        except (JoseError, KeyError, TypeError, ValueError, AttributeError):
            raise ProviderError("the provider's keys cannot be read") from None
        return _Known(metadata, keys, now)

    def _fetched(self, url: str, headers: dict[str, str]) -> dict[str, Any]:
        def ask(client: Any) -> Any:
            answer = client.request("GET", url, withhold_token=True, headers=headers)
            answer.raise_for_status()
            if len(answer.content) > _MOST_BYTES:
                raise ProviderError("the provider says too much")
            return answer.json()

        told = self._asked(ask)
        if not isinstance(told, dict):
            raise ProviderError("the provider's answer has another form than agreed")
        return told

    def _asked(self, ask: Callable[[Any], Result]) -> Result:
        """No text of the provider's gets into an error: it may quote what was sent."""
        try:
            with self._client() as client:
                return ask(client)
        except OAuthError:
            raise ProviderError("the provider refused") from None
        except httpx2.HTTPError as error:
            raise ProviderError(f"the provider did not answer as agreed ({type(error).__name__})") from None
        except (ValueError, TypeError):
            raise ProviderError("the provider's answer cannot be read") from None

    def _client(self) -> Any:
        return OAuth2Client(
            self.client_id,
            self.client_secret,
            token_endpoint_auth_method=self._authentication(),
            scope=self.scopes,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            verify=self.tls,
            timeout=_TIMEOUT_SECONDS,
            follow_redirects=False,
        )

    def _authentication(self) -> str:
        if self.client_secret is None:
            return "none"
        supported = self._known.metadata.token_endpoint_auth_methods_supported if self._known else [_BASIC]
        return _BASIC if _BASIC in supported else "client_secret_post"
