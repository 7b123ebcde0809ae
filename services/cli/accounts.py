"""`plumbline accounts`: who may sign in to triage, and with which tokens programs come."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from services.accounts.principal import Role, Tenants
from services.errors import ServicesError, SettingsError
from services.presentation import printable
from services.schema import current_database
from services.settings import load_settings

if TYPE_CHECKING:
    from services.accounts.accounts import Accounts

app = typer.Typer(no_args_is_help=True, help="Accounts of triage, and their API tokens.")
token_app = typer.Typer(no_args_is_help=True, help="API tokens: a program's access in somebody's name.")
app.add_typer(token_app, name="token")

_BY = "command line"
Name = Annotated[str, typer.Argument(help="the account's name")]
RoleOption = Annotated[Role, typer.Option(help="what it may do: each may do what those before it may")]
TenantOption = Annotated[list[str] | None, typer.Option("--tenant", help="that it may see; give it once for each")]
AllTenants = Annotated[bool, typer.Option("--all-tenants", help="it may see every tenant, also later ones")]


@app.command()
def create(name: Name, role: RoleOption, tenant: TenantOption = None, all_tenants: AllTenants = False) -> None:
    """Create a local account. Its generated password goes to standard output, once."""
    typer.echo(_accounts().people.create(name, role, _tenants(tenant, all_tenants), by=_BY))


@app.command("list")
def list_accounts() -> None:
    """List accounts: roles, tenants, and when somebody last signed in."""
    table = Table("account", "role", "tenants", "signs in with", "last login", "disabled")
    for account in _accounts().people.everybody():
        means = "OIDC" if account.issuer else "password"
        last, disabled = _moment(account.last_login_at), _moment(account.disabled_at)
        table.add_row(account.name, account.role.value, printable(_shown(account.tenants)), means, last, disabled)
    _print(table)


@app.command()
def access(name: Name, role: RoleOption, tenant: TenantOption = None, all_tenants: AllTenants = False) -> None:
    """Change what an account may do and see, from its next request on. At an OIDC login the provider's word counts."""
    _accounts().people.set_access(name, role, _tenants(tenant, all_tenants), by=_BY)


@app.command()
def disable(name: Name) -> None:
    """Disable an account: its sessions end, its tokens open nothing."""
    _accounts().people.disable(name, by=_BY)


@app.command()
def enable(name: Name) -> None:
    """Enable a disabled account again."""
    _accounts().people.enable(name, by=_BY)


@app.command()
def password(
    name: Name,
    ask: Annotated[bool, typer.Option("--ask", help="ask for a password instead of generating one")] = False,
) -> None:
    """Give an account a new password, and end its sessions. A generated one goes to standard output, once."""
    people = _accounts().people
    if ask:
        people.set_password(name, typer.prompt("password", hide_input=True, confirmation_prompt=True), by=_BY)
    else:
        typer.echo(people.new_password(name, by=_BY))


@token_app.command("create")
def create_token(
    owner: Annotated[str, typer.Argument(help="the account that it speaks for")],
    name: Annotated[str, typer.Option(help="what it is for")],
    role: RoleOption = Role.VIEWER,
    tenant: TenantOption = None,
    days: Annotated[int, typer.Option(help="until it is over", min=1, max=3650)] = 90,
) -> None:
    """Create an API token. It goes to standard output, once. Without --tenant it is for all that its owner may see."""
    tenants = frozenset(tenant) if tenant else None
    made = _accounts().tokens.create(owner, name, role, tenants, timedelta(days=days), by=_BY)
    typer.echo(f"token {made.token.token_id}, until {_moment(made.token.expires_at)}", err=True)
    typer.echo(made.secret)


@token_app.command("list")
def list_tokens(account: Annotated[str | None, typer.Option(help="of this account alone")] = None) -> None:
    """List API tokens. Their secrets are kept nowhere."""
    table = Table("token", "account", "name", "role", "tenants", "last used", "until")
    now = datetime.now(UTC)
    for token in _accounts().tokens.everyones(account):
        until = "revoked" if token.revoked_at else _moment(token.expires_at) + (" (over)" if token.is_over(now) else "")
        tenants = printable("its owner's" if token.tenants is None else _shown(token.tenants))
        whose = (token.account, printable(token.name), token.role.value)
        table.add_row(str(token.token_id), *whose, tenants, _moment(token.last_used_at), until)
    _print(table)


@token_app.command()
def revoke(token: Annotated[UUID, typer.Argument(help="its id, as `list` shows it")]) -> None:
    """Revoke an API token: it opens nothing from now on."""
    _accounts().tokens.revoke(token, by=_BY)


def _accounts() -> Accounts:
    try:
        from services.accounts.accounts import Accounts
    except ImportError as error:
        problem = f"accounts need the extra 'triage' ({error.name} is missing)"
        raise ServicesError(f"{problem}: pip install 'plumbline[triage]'") from error
    settings = load_settings()
    database = current_database(settings.database_url.get_secret_value())
    return Accounts.configured(settings, database, lambda: datetime.now(UTC))


def _tenants(named: list[str] | None, every: bool) -> Tenants:  # noqa: FBT001  (an option's value)
    """All of them only for who says so."""
    if bool(named) == every:
        raise SettingsError("say which tenants: --tenant for each, or --all-tenants")
    return None if every else frozenset(named or ())


def _shown(tenants: Tenants) -> str:
    return "all" if tenants is None else ", ".join(sorted(tenants)) or "none"


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "–"


def _print(table: Table) -> None:
    Console(width=None if sys.stdout.isatty() else 200).print(table)
