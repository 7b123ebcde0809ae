"""Debian's Chromium, as tests start it: nothing but what the page asks for goes over the network."""

from __future__ import annotations

from typing import Final

CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
