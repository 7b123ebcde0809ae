"""Where a request comes from, as far as that can be known."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Networks = Sequence[IPv4Network | IPv6Network]


def networks(text: str) -> Networks:
    """Comma-separated networks or addresses. Raises `ValueError`."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Networks) -> str:
    """The peer; behind trusted proxies the last address in `X-Forwarded-For` that is not one of theirs.

    What stands before that in the header anybody may have written. IPv6 addresses count by their network of 64 bits,
    which is what one customer has at least.
    """
    address = _address(peer or "")
    if address is None:
        return peer or "unknown"
    hops = [hop for line in forwarded for hop in line.split(",")]
    while hops and any(address in network for network in trusted):
        told = _address(hops.pop().strip())
        if told is None:
            break
        address = told
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
