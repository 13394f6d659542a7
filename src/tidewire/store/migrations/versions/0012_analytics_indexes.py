"""Indexes that have all that analytics read of quotes and of their statuses, so that no row is fetched for it.

Revision: 0012, after 0011.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

OLD_QUOTES, QUOTES = (
    "ix_quotes_created_at_state_product_status",
    "ix_quotes_created_at_id_state_product_status_customer",
)
OF_STATE = "ix_quotes_id_state_product"
BY_TIME, BY_QUOTE = "ix_quote_changes_status_at", "ix_quote_changes_status_of"
# What store/analytics.py asks for, word for word: SQLite then takes it from the index, and does not read a breakdown of
# several kilobytes for two words of it. Postgres cannot, and is quick enough without.
PRICED = (
    "CREATE INDEX ix_quotes_priced ON quotes (created_at, state, product, json_extract(premium, '$.currency'), "
    "CAST(round(CAST(json_extract(premium, '$.amount') AS NUMERIC) * 100) AS INTEGER)) WHERE premium IS NOT NULL"
)
STATUS_ONLY = sa.text("field = 'status'")


def upgrade() -> None:
    """Make the indexes wider, and add the one by quote."""
    op.drop_index(OLD_QUOTES, "quotes")
    op.create_index(QUOTES, "quotes", ["created_at", "id", "state", "product", "status", "customer"])
    op.create_index(OF_STATE, "quotes", ["id", "state", "product"])
    op.drop_index(BY_TIME, "quote_changes")
    _create(BY_TIME, "at", "quote_id", "after", "field")
    _create(BY_QUOTE, "quote_id", "at", "after", "field")
    if op.get_bind().dialect.name == "sqlite":
        op.execute(PRICED)


def downgrade() -> None:
    """Make them as they were."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_quotes_priced", "quotes")
    op.drop_index(BY_QUOTE, "quote_changes")
    op.drop_index(BY_TIME, "quote_changes")
    _create(BY_TIME, "at", "quote_id")
    op.drop_index(OF_STATE, "quotes")
    op.drop_index(QUOTES, "quotes")
    op.create_index(OLD_QUOTES, "quotes", ["created_at", "state", "product", "status"])


def _create(name: str, *columns: str) -> None:
    op.create_index(name, "quote_changes", [*columns], sqlite_where=STATUS_ONLY, postgresql_where=STATUS_ONLY)
