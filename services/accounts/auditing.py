"""How this package tells the audit log what was done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from services.store.database import Transaction

Audit = Callable[[Transaction, datetime, str, str, str, dict[str, Any]], None]
"""`audit(tx, at, actor, action, object, details)`: written with the change that it tells of, or not at all."""

NOBODY: Final = "-"
"""Actor or object where there is no account: a name that somebody typed may be their password."""

SYSTEM: Final = "system"
