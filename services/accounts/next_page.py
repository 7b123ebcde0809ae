"""Where a login leads: only ever to a page of ours."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

HOME: Final = "/"
_LONGEST: Final = 2000
_NEVER: Final = ("/login", "/logout")


def local_path(wanted: str | None) -> str:
    """`wanted` where it is a path on this host, with its query; else the home page.

    Browsers read `//host`, `/\\host`, and both with tabs or line breaks inside, as another host.
    """
    if wanted is None or not _is_local(wanted) or urlsplit(wanted).path.rstrip("/").startswith(_NEVER):
        return HOME
    return wanted


def _is_local(wanted: str) -> bool:
    if not wanted.startswith("/") or wanted.startswith("//") or len(wanted) > _LONGEST:
        return False
    return all("!" <= character <= "~" and character != "\\" for character in wanted)
