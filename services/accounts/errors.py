"""Why somebody is not let in, or not let do something.

ServicesError
└── AccountsError
    ├── NotSignedIn       nobody, or a session or token that is over: sign in (401)
    ├── Forbidden         signed in, and it is not for this role; or the request may be forged (403)
    ├── TooManyAttempts   wait, then try again (429)
    ├── Refused           what was asked about accounts makes no sense; the text says why (422)
    └── ProviderError     the OIDC provider did not answer, or its answer cannot be trusted

No text of these errors holds what somebody sent.
"""

from __future__ import annotations

from services.errors import ServicesError


class AccountsError(ServicesError):
    """Base of these errors. The texts are for the person who asked."""


class NotSignedIn(AccountsError):
    """There is no session or token, or it is over. The text is the same whatever the reason."""


class Forbidden(AccountsError):
    """Who asks is known, and may not."""


class TooManyAttempts(AccountsError):
    """Too often. `retry_after`: whole seconds, 1 at least."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many attempts; wait a little")
        self.retry_after = max(1, retry_after)


class Refused(AccountsError):
    """It cannot be done to this account, password or token."""


class ProviderError(AccountsError):
    """The OIDC provider is away, or what it said does not hold. The text names the reason, never a claim's value."""
