"""Search in what was said: all words, or beginnings of words, in any order."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import delete, func, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from services.store.conversation_tables import ConversationTextRow
from services.store.database import Transaction

_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_MOST_WORDS: Final = 10
_LONGEST: Final = 50_000


def words_of(query: str) -> list[str]:
    """The words that are searched for: letters and digits, lower case, each once."""
    return list(dict.fromkeys(re.findall(r"\w+", query.lower())))[:_MOST_WORDS]


def having_words(dialect: str, query: str) -> Any:
    """A query for (tenant_id, conversation_id) of conversations in which every word of `query` begins a word."""
    row = ConversationTextRow
    found = select(row.tenant_id, row.conversation_id)
    words = words_of(query)
    if not words:
        return found.where(text("1 = 0"))
    if dialect == "postgresql":
        wanted = func.to_tsquery(text("'simple'"), " & ".join(f"{word}:*" for word in words))
        return found.where(col(row.words).op("@@")(wanted))
    # Words are kept with a space before each: a word begins where there is one.
    return found.where(*(col(row.words).contains(f" {word}", autoescape=True) for word in words))


def keep(tx: Transaction, tenant_id: str, conversation_id: str, said: str) -> None:
    """Makes a conversation findable by what was said in it, in place of what was kept before."""
    words = "".join(f" {word}" for word in re.findall(r"\w+", said[:_LONGEST].lower()))
    kept = func.to_tsvector(text("'simple'"), words) if tx.dialect.name == "postgresql" else words
    values = {"tenant_id": tenant_id, "conversation_id": conversation_id, "words": kept}
    statement = _INSERT[tx.dialect.name](ConversationTextRow).values(values)
    key = ["tenant_id", "conversation_id"]
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_={"words": statement.excluded.words}))


def forget(tx: Transaction, tenant_id: str, conversation_id: str) -> int:
    """How many rows went."""
    mine = (
        col(ConversationTextRow.tenant_id) == tenant_id,
        col(ConversationTextRow.conversation_id) == conversation_id,
    )
    return tx.execute(delete(ConversationTextRow).where(*mine)).rowcount
