"""Run by Alembic; the connection comes from `services.schema`."""

from alembic import context
from sqlmodel import SQLModel

import services.store  # noqa: F401  (fills the metadata)

context.configure(connection=context.config.attributes["connection"], target_metadata=SQLModel.metadata)
context.run_migrations()
