"""The audit log: whole, in order, and no entry can be changed or taken out unseen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import delete, update
from sqlmodel import col

from services.store import Database, Transaction, audit
from services.store.triage_tables import AuditRow
from tests.triage_data import NOW


def fill(database: Database, entries: int) -> None:
    for number in range(entries):
        with database.write() as tx:
            audit.append(
                tx, NOW + timedelta(microseconds=number), "ada", "case.decided", f"case-{number}", {"n": number}
            )


def test_entries_are_chained_and_verify(database: Database) -> None:
    fill(database, 5)
    with database.read() as tx:
        found = audit.entries(tx)
        assert audit.verify(tx) == audit.Verified(5, found[-1].hash)
    assert [entry.number for entry in found] == [1, 2, 3, 4, 5]
    assert [entry.previous for entry in found[1:]] == [entry.hash for entry in found[:-1]]


def test_an_empty_log_verifies(database: Database) -> None:
    with database.read() as tx:
        assert audit.verify(tx) == audit.Verified(0, "0" * 64)


@pytest.mark.parametrize("field", ["actor", "action", "object", "previous", "hash"])
def test_a_changed_entry_is_found(database: Database, field: str) -> None:
    fill(database, 4)
    with database.write() as tx:
        tx.execute(update(AuditRow).where(col(AuditRow.number) == 2).values({field: "0" * 63 + "1"}))
    with database.read() as tx:
        assert audit.verify(tx).broken_at == 2


def test_changed_details_and_times_are_found(database: Database) -> None:
    for change in ({"details": {"n": 7}}, {"at": NOW + timedelta(seconds=1)}):
        fill(database, 1)
        with database.write() as tx:
            tx.execute(update(AuditRow).values(change))
        with database.read() as tx:
            assert audit.verify(tx).problem == "it was changed"
        with database.write() as tx:
            tx.execute(delete(AuditRow))


def test_a_missing_entry_is_found(database: Database) -> None:
    fill(database, 4)
    with database.write() as tx:
        tx.execute(delete(AuditRow).where(col(AuditRow.number) == 3))
    with database.read() as tx:
        found = audit.verify(tx)
    assert (found.entries, found.broken_at, found.problem) == (2, 4, "entries 3 to 3 are missing")


def test_many_who_write_at_once_make_one_chain(database: Database) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: fill(database, 10), range(4)))
    with database.read() as tx:
        found = audit.verify(tx)
    assert (found.entries, found.broken_at) == (40, None)


def fail_after(tx: Transaction) -> None:
    audit.append(tx, NOW, "ada", "x", "y", {})
    raise ZeroDivisionError


def test_what_is_written_is_taken_back_with_its_transaction(database: Database) -> None:
    fill(database, 1)
    with pytest.raises(ZeroDivisionError), database.write() as tx:
        fail_after(tx)
    with database.read() as tx:
        assert audit.verify(tx).entries == 1
