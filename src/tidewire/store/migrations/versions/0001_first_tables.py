"""First tables: users, sessions, universes with their members, the admins' activity log.

Revision: 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out here, not imported from the models: a released step must not change when the models do.
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create_accounts()
    _create_universes()
    _create_log()


def _create_accounts() -> None:
    op.create_table(
        "users",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("username_key", sa.String(192), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("grants", JSON, nullable=False),
        sa.Column("denials", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("password_changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("username_key", name="uq_users_username_key"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", ROW_ID, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_seen", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ip", sa.String(64), nullable=False),
        sa.Column("user_agent", sa.String(256), nullable=False),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def _create_universes() -> None:
    op.create_table(
        "universes",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_universes"),
        sa.UniqueConstraint("key", name="uq_universes_key"),
    )
    op.create_table(
        "universe_members",
        sa.Column("universe_id", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("symbol", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("universe_id", "symbol", name="pk_universe_members"),
        sa.ForeignKeyConstraint(
            ["universe_id"], ["universes.id"], name="fk_universe_members_universe_id", ondelete="CASCADE"
        ),
    )


def _create_log() -> None:
    op.create_table(
        "admin_activity_logs",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor_id", ROW_ID, nullable=True),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(255), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.Column("ip", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_admin_activity_logs"),
        sa.ForeignKeyConstraint(
            ["actor_id"], ["users.id"], name="fk_admin_activity_logs_actor_id", ondelete="SET NULL"
        ),
    )
    op.create_index("ix_admin_activity_logs_at", "admin_activity_logs", ["at"])
    op.create_index("ix_admin_activity_logs_actor_id", "admin_activity_logs", ["actor_id"])


def downgrade() -> None:
    """Drop the tables with everything in them."""
    for table in ("admin_activity_logs", "universe_members", "universes", "sessions", "users"):
        op.drop_table(table)
