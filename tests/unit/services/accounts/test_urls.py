"""Which URLs may carry secrets."""

from __future__ import annotations

import pytest

from services.accounts.urls import is_origin, is_safe_url
from services.errors import SettingsError
from services.settings import load_settings


@pytest.mark.parametrize(
    "url", ["https://idp.example.org/realms/a", "http://127.0.0.1:99/x", "http://[::1]/", "http://localhost"]
)
def test_safe_urls(url: str) -> None:
    assert is_safe_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example.org",
        "ftp://a",
        "https://",
        "https://user@a",
        "//a",
        "",
        "https://a:b",
        "http://127.0.0.1.evil.com",
    ],
)
def test_unsafe_urls(url: str) -> None:
    assert not is_safe_url(url)


def test_an_origin_is_nothing_but_scheme_host_and_port() -> None:
    assert is_origin("https://a.example.org")
    assert is_origin("http://a.example.org:8600/")
    for url in ("https://a/b", "https://a?b", "https://a#b", "a.example.org", "https://"):
        assert not is_origin(url)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"web_url": "https://a/b"}, "PLUMBLINE_WEB_URL"),
        ({"oidc_issuer": "http://idp.example.org", "oidc_client_id": "c"}, "PLUMBLINE_OIDC_ISSUER"),
        ({"oidc_issuer": "https://idp.example.org"}, "PLUMBLINE_OIDC_CLIENT_ID"),
        ({"oidc_roles": '{"soc": "king"}'}, "PLUMBLINE_OIDC_ROLES"),
        ({"oidc_roles": "soc=admin"}, "PLUMBLINE_OIDC_ROLES"),
        ({"oidc_tenants": '{"soc": "acme"}'}, "PLUMBLINE_OIDC_TENANTS"),
        ({"oidc_scopes": "profile"}, "PLUMBLINE_OIDC_SCOPES"),
        ({"trusted_proxies": "10.0.0.0/8,nonsense"}, "PLUMBLINE_TRUSTED_PROXIES"),
    ],
)  # fmt: skip
def test_settings_of_identity_that_make_no_sense_are_refused_by_name(fields: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load_settings(**fields)
