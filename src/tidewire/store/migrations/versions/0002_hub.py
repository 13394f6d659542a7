"""What the hub needs: API keys, and a record of every client connection.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", ROW_ID, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("permissions", JSON, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_keys_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])
    op.create_table(
        "websocket_connections",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("connection_id", sa.String(32), nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("user_id", ROW_ID, nullable=True),
        sa.Column("session_id", sa.String(40), nullable=True),
        sa.Column("ip_address", sa.String(64), nullable=False),
        sa.Column("user_agent", sa.String(256), nullable=False),
        sa.Column("path", sa.String(64), nullable=False),
        sa.Column("protocol", sa.String(32), nullable=False),
        sa.Column("connected_at", MOMENT, nullable=False),
        sa.Column("disconnected_at", MOMENT, nullable=True),
        sa.Column("last_activity", MOMENT, nullable=False),
        sa.Column("close_code", sa.Integer(), nullable=True),
        sa.Column("messages_in", sa.BigInteger(), nullable=False),
        sa.Column("messages_out", sa.BigInteger(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_websocket_connections"),
        sa.UniqueConstraint("connection_id", name="uq_websocket_connections_connection_id"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_websocket_connections_user_id", ondelete="SET NULL"
        ),
    )
    op.create_index("ix_websocket_connections_user_id", "websocket_connections", ["user_id"])
    op.create_index("ix_websocket_connections_connected_at", "websocket_connections", ["connected_at"])
    op.create_index("ix_websocket_connections_disconnected_at", "websocket_connections", ["disconnected_at"])


def downgrade() -> None:
    """Drop the tables with everything in them."""
    for table in ("websocket_connections", "api_keys"):
        op.drop_table(table)
