"""Which URLs may carry secrets, and what browsers call an origin."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit


def is_safe_url(url: str) -> bool:
    """https, or http that does not leave this machine."""
    parts = _split(url)
    if parts is None or not parts.hostname or parts.username is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def is_origin(url: str) -> bool:
    """Whether it is scheme, host and perhaps port, and nothing else."""
    parts = _split(url)
    return parts is not None and bool(parts.hostname) and origin_of(url) == url.rstrip("/").lower()


def origin_of(url: str) -> str:
    """As browsers write it in `Origin`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is no number
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") else None
