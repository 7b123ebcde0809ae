"""Who asks: an account in a role, for some tenants or all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.accounts.errors import Forbidden

Tenants = frozenset[str] | None
"""Those that somebody may know of. None: all."""


class Role(StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"
    TRIAGER = "triager"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def covers(self, other: Role) -> bool:
        """Whether this role may do all that the other may."""
        return self.rank >= other.rank


class Via(StrEnum):
    """How somebody showed who they are. What comes with a cookie may be forged, what comes with a token may not."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105  (no secret)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who is signed in."""

    account: str
    role: Role
    tenants: Tenants
    via: Via

    def may_see(self, tenant: str) -> bool:
        return self.tenants is None or tenant in self.tenants

    def require(self, role: Role) -> None:
        """Raises `Forbidden` where this one's role does not cover it."""
        if not self.role.covers(role):
            raise Forbidden(f"this needs the role {role}")


def lesser(one: Role, other: Role) -> Role:
    """What both may do."""
    return min(one, other, key=lambda role: role.rank)


def common(one: Tenants, other: Tenants) -> Tenants:
    """What both may see."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def within(inner: frozenset[str], outer: Tenants) -> bool:
    """Whether who sees `inner` sees nothing beyond `outer`."""
    return outer is None or inner <= outer
