"""Where a request comes from: nobody says so for themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.web.addresses import client_address, networks

TRUSTED = networks("10.0.0.0/8, ::1,2001:db8:1::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.1,10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("::1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("2001:db8:9:9:1:2:3:4", [], "2001:db8:9:9::/64"),
        ("2001:db8:1::5", ["2001:db8:7::9"], "2001:db8:7::/64"),
        ("testclient", ["198.51.100.1"], "testclient"),
        (None, ["198.51.100.1"], "unknown"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str | None, forwarded: list[str], address: str) -> None:
    assert client_address(peer, forwarded, TRUSTED) == address


@given(st.lists(st.text(max_size=40), max_size=5))
def test_without_trusted_proxies_no_header_changes_anything(forwarded: list[str]) -> None:
    assert client_address("192.0.2.7", forwarded, ()) == "192.0.2.7"


@given(st.lists(st.text(max_size=40), max_size=5))
def test_what_stands_before_the_last_stranger_changes_nothing(made_up: list[str]) -> None:
    assert client_address("10.0.0.1", [*made_up, "198.51.100.1, 10.0.0.2"], TRUSTED) == "198.51.100.1"
