"""Tables and statements: the one package that knows the database. Without optional dependencies."""

from services.store import account_tables, conversation_tables, loop_tables, tables, triage_tables  # noqa: F401  (for migrations)
from services.store.database import Database, Transaction, open_engine
from services.store.recording import Store
from services.store.verdicts import Coverage

__all__ = ["Coverage", "Database", "Store", "Transaction", "open_engine"]
