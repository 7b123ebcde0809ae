"""Sessions, and logins that wait for an OIDC provider, in the database."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, or_, update
from sqlmodel import col, select

from services.accounts.account import Account, PendingLogin, Session
from services.store import accounts
from services.store.account_tables import PendingLoginRow, SessionRow
from services.store.database import Transaction


def add(tx: Transaction, session: Session) -> None:
    tx.execute(insert(SessionRow).values(asdict(session)))


def get(tx: Transaction, digest: str) -> tuple[Session, Account] | None:
    """The session and whose it is, over or not, disabled or not."""
    sessions = SessionRow.__table__  # type: ignore[attr-defined]
    row = tx.execute(select(sessions).where(col(SessionRow.digest) == digest)).mappings().first()
    if row is None:
        return None
    session = Session(**row)
    account = accounts.get(tx, session.account)
    return None if account is None else (session, account)


def touch(tx: Transaction, digest: str, now: datetime) -> None:
    tx.execute(update(SessionRow).where(col(SessionRow.digest) == digest).values(seen_at=now))


def end(tx: Transaction, digest: str) -> str | None:
    """Whose session it was; None where there was none."""
    gone = delete(SessionRow).where(col(SessionRow.digest) == digest).returning(col(SessionRow.account))
    return tx.execute(gone).scalar()


def end_all(tx: Transaction, account: str, *, but: str | None = None) -> int:
    """Ends all sessions of an account; how many. `but`: the digest of one that goes on."""
    mine = [col(SessionRow.account) == account]
    if but is not None:
        mine.append(col(SessionRow.digest) != but)
    return tx.execute(delete(SessionRow).where(*mine)).rowcount


def forget(tx: Transaction, now: datetime, idle: timedelta) -> int:
    """Drops sessions that are over; how many."""
    over = or_(col(SessionRow.ends_at) <= now, col(SessionRow.seen_at) <= now - idle)
    return tx.execute(delete(SessionRow).where(over)).rowcount


def add_pending(tx: Transaction, login: PendingLogin) -> None:
    tx.execute(insert(PendingLoginRow).values(asdict(login)))


def take_pending(tx: Transaction, digest: str) -> PendingLogin | None:
    """Whoever takes it is the only one who does."""
    gone = delete(PendingLoginRow).where(col(PendingLoginRow.digest) == digest)
    table = PendingLoginRow.__table__  # type: ignore[attr-defined]
    row = tx.execute(gone.returning(*table.columns)).mappings().first()
    return None if row is None else PendingLogin(**row)


def forget_pending(tx: Transaction, now: datetime) -> int:
    """Drops logins whose answer never came; how many."""
    return tx.execute(delete(PendingLoginRow).where(col(PendingLoginRow.ends_at) <= now)).rowcount
