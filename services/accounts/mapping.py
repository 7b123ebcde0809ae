"""What somebody may do here, from what the OIDC provider says of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.accounts.principal import Role, Tenants

ALL_TENANTS: Final = "*"
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._@+-]+")
_NOT_FIRST: Final = "._@+-"
_LONGEST_NAME: Final = 80


@dataclass(frozen=True, slots=True)
class Access:
    """A role, and the tenants that it is for."""

    role: Role
    tenants: Tenants


@dataclass(frozen=True, slots=True)
class AccessRules:
    """`roles` and `tenants` by a value of `claim`. Without rules for tenants everybody is for all of them."""

    claim: str
    roles: Mapping[str, Role]
    tenants: Mapping[str, Sequence[str]]
    default_role: Role | None = None

    def access(self, claims: Mapping[str, Any]) -> Access | None:
        """The highest role and all tenants of somebody's groups. None: no role, and so nothing."""
        groups = _values(claims.get(self.claim))
        roles = [self.roles[group] for group in groups if group in self.roles]
        if self.default_role is not None:
            roles.append(self.default_role)
        if not roles:
            return None
        return Access(max(roles, key=lambda role: role.rank), self._tenants(groups))

    def _tenants(self, groups: Sequence[str]) -> Tenants:
        if not self.tenants:
            return None
        found = frozenset(tenant for group in groups for tenant in self.tenants.get(group, ()))
        return None if ALL_TENANTS in found else found


def _values(claim: object) -> list[str]:
    """A claim is one value or a list of them."""
    values = claim if isinstance(claim, list) else [claim]
    return [value for value in values if isinstance(value, str)]


def name_from(claims: Mapping[str, Any], claim: str, issuer: str, subject: str) -> str:
    """What a new account is called: as the provider calls it, as far as account names go."""
    told = claims.get(claim)
    name = _NOT_IN_NAMES.sub("-", told.lower()).lstrip(_NOT_FIRST) if isinstance(told, str) else ""
    return name[:_LONGEST_NAME] or f"person-{_mark(issuer, subject)}"


def other_name(name: str, issuer: str, subject: str) -> str:
    """For somebody whose name is another's already: nobody becomes another by being called the same."""
    return f"{name[:_LONGEST_NAME]}-{_mark(issuer, subject)}"


def _mark(issuer: str, subject: str) -> str:
    return hashlib.sha256(f"{len(issuer)}:{issuer}{subject}".encode()).hexdigest()[:8]
