"""Which bundles served as held-out detectors, by what was recorded of them."""

from __future__ import annotations

from sqlmodel import col, select

from detectors.verdict import Arm
from services.store.database import Transaction
from services.store.tables import VerdictRow


def versions(tx: Transaction) -> frozenset[str]:
    """Bundle versions of verdicts of the arm `held_out`."""
    query = select(VerdictRow.bundle_version).where(col(VerdictRow.arm) == Arm.HELD_OUT).distinct()
    return frozenset(tx.execute(query).scalars())
