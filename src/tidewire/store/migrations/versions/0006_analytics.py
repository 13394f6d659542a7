"""How long answers and calculations took, in steps of time, and indexes that analytics read by.

Revision: 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
BUCKETS = 13
STATUS_ONLY = sa.text("field = 'status'")


def upgrade() -> None:
    """Create the table and the indexes."""
    op.create_table(
        "analytics_timings",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("step_at", MOMENT, nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("total_ms", sa.Double(), nullable=False),
        *(sa.Column(f"b{number}", sa.BigInteger(), nullable=False) for number in range(BUCKETS)),
        sa.PrimaryKeyConstraint("kind", "step_at", "node", "outcome", name="pk_analytics_timings"),
    )
    op.create_index("ix_quotes_created_at_state_product_status", "quotes", ["created_at", "state", "product", "status"])
    op.create_index(
        "ix_quote_changes_status_at",
        "quote_changes",
        ["at", "quote_id"],
        sqlite_where=STATUS_ONLY,
        postgresql_where=STATUS_ONLY,
    )


def downgrade() -> None:
    """Drop them; how long things took is forgotten."""
    op.drop_index("ix_quote_changes_status_at", "quote_changes")
    op.drop_index("ix_quotes_created_at_state_product_status", "quotes")
    op.drop_table("analytics_timings")
