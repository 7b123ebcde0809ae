"""ID tokens: who the OIDC provider says somebody is, signed (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import Key, KeySet

from services.accounts.errors import ProviderError

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures that only the provider can make: neither `none` nor a shared secret."""
_LEEWAY_SECONDS: Final = 30


class UnknownKey(ProviderError):
    """Signed by none of the keys that we know of: the provider may have new ones."""


def verified_claims(
    raw: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, access_token: str | None, now: datetime
) -> dict[str, Any]:
    """The token's claims: signed by one of `keys`, by this issuer, for us, for this login, and not over.

    Raises `ProviderError`, and `UnknownKey` where other keys might do.
    """
    try:
        header, claims = _signed(raw, keys)
        options = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}}
        params = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
        CodeIDToken(claims, header, options, params).validate(int(now.timestamp()), _LEEWAY_SECONDS)
    except JoseError as error:
        raise ProviderError(f"the ID token does not hold ({error.error})") from None
    return claims


def _signed(raw: str, keys: KeySet) -> tuple[dict[str, Any], dict[str, Any]]:
    header = jws.extract_compact(raw.encode()).headers()
    for key in _candidates(keys, header.get("kid")):
        try:
            token = jwt.decode(raw, key, algorithms=_ALGORITHMS)
        except BadSignatureError:
            continue
        return token.header, token.claims
    raise UnknownKey("the ID token is signed by none of the provider's keys")


def _candidates(keys: KeySet, kid: object) -> list[Key]:
    """The key that the token names; all where it names none."""
    return [key for key in keys.keys if kid is None or key.kid == kid]
