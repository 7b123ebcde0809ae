"""Keys, tokens and passwords, by how their issuers write them or by what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.privacy.assignments import assigned


@dataclass(frozen=True, slots=True)
class _Form:
    """A way of writing a secret. Texts without any of `marks` are not searched; `value` is the group that is secret.

    Each expression begins with a literal or after a boundary, and what it repeats is bounded or cannot begin anew
    inside a match: the time to search grows with the length of the text, whatever the text.
    """

    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    value: int | str = 0


_EDGE: Final = r"(?<![A-Za-z0-9_-])"
_END: Final = r"(?![A-Za-z0-9])"
_AWS_IDS: Final = ("AKIA", "ASIA", "ABIA", "ACCA", "AGPA", "AIDA", "AIPA", "ANPA", "ANVA", "AROA", "APKA", "ASCA")
_GITLAB: Final = ("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-", "gloas-")


def _after(marks: tuple[str, ...], rest: str, edge: str = _EDGE) -> _Form:
    """`rest` behind any of `marks`."""
    return _Form(marks, re.compile(f"{edge}(?:{'|'.join(map(re.escape, marks))}){rest}"))


_FORMS: Final = (
    _after(_AWS_IDS, f"[A-Z0-9]{{16}}{_END}", edge="(?<![A-Za-z0-9])"),
    _after(("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), r"[A-Za-z0-9_]{20,255}", edge="(?<![A-Za-z0-9])"),
    _after(_GITLAB, r"[A-Za-z0-9_.-]{16,300}"),
    _after(
        ("xoxa-", "xoxb-", "xoxc-", "xoxd-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"),
        r"[A-Za-z0-9%.-]{10,500}",
    ),
    _after(("hooks.slack.com/",), r"(?:services|workflows|triggers)/[A-Za-z0-9/_-]{10,200}", edge=""),
    _after(
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "pk_live_", "pk_test_"),
        r"[A-Za-z0-9]{10,250}",
        edge="(?<![A-Za-z0-9])",
    ),
    _after(("whsec_",), r"[A-Za-z0-9+/=]{20,100}"),
    _after(("sk-",), r"(?=[A-Za-z_-]{0,60}[0-9])[A-Za-z0-9_-]{20,300}"),
    _after(("AIza",), r"[A-Za-z0-9_-]{35}", edge="(?<![A-Za-z0-9])"),
    _after(("GOCSPX-", "ya29."), r"[A-Za-z0-9_-]{20,1000}"),
    _after(("eyJ",), r"[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]{5,}+(?:\.[A-Za-z0-9_-]*+){0,3}"),
    _Form(
        ("PRIVATE KEY",),
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:(?:[^-\"]|-(?!----))*+-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
            r"|(?:\s*+[A-Za-z0-9+/=]{16,}+)*+)"  # cut off: as far as it can still be the key
        ),
    ),
    _Form(
        ("uthorization", "UTHORIZATION"),
        re.compile(
            r"authorization\\*+[\"']?\s{0,3}[:=]\s{0,3}\\*+[\"']?(?:[a-z]{3,20}[ ]{1,3})?"
            r"(?P<value>(?=[A-Za-z._~+/=:%-]{0,60}(?:[0-9]|[A-Za-z]{20}))[A-Za-z0-9._~+/=:%-]{6,4000})",
            re.IGNORECASE,
        ),
        "value",
    ),
    _Form(
        ("earer ", "EARER "),
        re.compile(
            r"\bbearer {1,3}(?P<value>(?=[A-Za-z._~+/=-]{0,60}[0-9])[A-Za-z0-9._~+/=-]{12,4000})", re.IGNORECASE
        ),
        "value",
    ),
    _Form(("://",), re.compile(r"://[^\s/?#:@\"'<>\\]{0,256}:(?P<value>[^\s/?#\"'<>\\]{1,256})@"), "value"),
    _Form(("://",), re.compile(r"://(?P<value>[A-Za-z0-9_.~-]{16,256})@"), "value"),
)


class Credentials:
    """Keys of AWS, GitHub, GitLab, Slack, Stripe, Google and of `sk-…` style, JWTs, PEM private keys, `Authorization`,
    passwords in URLs, and what is assigned to a name such as `api_key` or `password`."""

    kind: Final = "secret"

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        for form in _FORMS:
            for mark in form.marks:
                if mark in text:
                    yield from (found.span(form.value) for found in form.pattern.finditer(text))
                    break
        yield from assigned(text)
