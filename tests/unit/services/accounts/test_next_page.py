"""Where a login leads: nobody is sent to another host."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.accounts.next_page import local_path

HERE = "https://triage.example.org/login"
TRICKY = st.text(alphabet="/\\:.@?#%;evil com\t\n\r\x00htps&=é", max_size=30)


@pytest.mark.parametrize("wanted", ["/", "/cases/1", "/cases?state=open&q=a%20b", "/cases/1#evidence"])
def test_pages_of_ours_are_reached(wanted: str) -> None:
    assert local_path(wanted) == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        None, "", "cases", "https://evil.com", "//evil.com", "///evil.com", "/\\evil.com", "\\\\evil.com",
        "/\t/evil.com", "/\n/evil.com", "\t//evil.com", " //evil.com", "javascript:alert(1)", "/login",
        "/login?next=/login", "/logout", "/login/oidc", "/" + "x" * 2000, "/é", "//", "http:/evil.com", "/a\\..\\b",
    ],
)  # fmt: skip
def test_everything_else_leads_home(wanted: str | None) -> None:
    assert local_path(wanted) == "/"


def as_a_browser_reads_it(url: str) -> str:
    """Tabs and line breaks fall out, and backslashes turn (WHATWG URL, basic URL parser)."""
    return "".join(c for c in url if c not in "\t\n\r").strip().replace("\\", "/")


@given(TRICKY | st.text(max_size=30))
@example("/%09/evil.com")
@example("/.//evil.com")
def test_no_wish_leads_to_another_host(wanted: str) -> None:
    where = urlsplit(urljoin(HERE, as_a_browser_reads_it(local_path(wanted))))
    assert (where.scheme, where.netloc) == ("https", "triage.example.org")
