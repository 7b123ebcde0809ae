"""Who somebody is, and what they may do: local accounts, OIDC, sessions, API tokens, roles, tenants."""
