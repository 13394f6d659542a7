"""Alembic's entry point. It runs on the connection that store/migrate.py hands over; it must not open one itself.

Alembic executes this file anew for every command.
"""

from __future__ import annotations

from alembic import context

import tidewire.store.alert_models  # noqa: F401 - its tables belong to the schema
from tidewire.store.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # SQLite alters a table only by copying it.
    render_as_batch=connection.dialect.name == "sqlite",
    # Both databases roll DDL back, SQLite because store/engine.py begins transactions itself.
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
