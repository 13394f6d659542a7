"""The activity log is searched and paged by what people ask for; users are edited with a version.

Revision: 0008, after 0007. Existing rows of the log get their folded columns here.
"""

from __future__ import annotations

import json
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LOG = "admin_activity_logs"
INDEXED = ("actor_key", "action", "target", "ip")
BATCH = 1_000
SEARCH_CHARS = 4_000


def upgrade() -> None:
    """Add the columns, fill them, add the indexes."""
    op.add_column("users", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.create_index("ix_users_created_at_id", "users", ["created_at", "id"])
    op.create_index("ix_users_role_username_key", "users", ["role", "username_key"])
    op.add_column(LOG, sa.Column("actor_key", sa.String(192), nullable=False, server_default=sa.text("''")))
    op.add_column(LOG, sa.Column("search", sa.Text(), nullable=False, server_default=sa.text("''")))
    _fill(op.get_bind())
    op.drop_index("ix_admin_activity_logs_at", LOG)
    op.create_index("ix_admin_activity_logs_at_id", LOG, ["at", "id"])
    for column in INDEXED:
        op.create_index(f"ix_admin_activity_logs_{column}_at_id", LOG, [column, "at", "id"])


def downgrade() -> None:
    """Take all of it back."""
    for column in INDEXED:
        op.drop_index(f"ix_admin_activity_logs_{column}_at_id", LOG)
    op.drop_index("ix_admin_activity_logs_at_id", LOG)
    op.create_index("ix_admin_activity_logs_at", LOG, ["at"])
    op.drop_column(LOG, "search")
    op.drop_column(LOG, "actor_key")
    op.drop_index("ix_users_role_username_key", "users")
    op.drop_index("ix_users_created_at_id", "users")
    op.drop_column("users", "version")


def _fill(connection: sa.Connection) -> None:
    table = sa.table(
        LOG,
        sa.column("id", sa.BigInteger()),
        sa.column("actor", sa.String()),
        sa.column("action", sa.String()),
        sa.column("target", sa.String()),
        sa.column("ip", sa.String()),
        sa.column("details", sa.JSON()),
        sa.column("actor_key", sa.String()),
        sa.column("search", sa.Text()),
    )
    last = 0
    while True:
        rows = connection.execute(sa.select(table).where(table.c.id > last).order_by(table.c.id).limit(BATCH)).all()
        if not rows:
            return
        for row in rows:
            details = json.dumps(row.details, ensure_ascii=False, sort_keys=True) if row.details else ""
            parts = (row.actor, row.action, row.target, row.ip, details)
            change = sa.update(table).where(table.c.id == row.id)
            connection.execute(change.values(actor_key=_folded(row.actor), search=_searched(parts)))
        last = rows[-1].id


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())[:192]


def _searched(parts: tuple[str, ...]) -> str:
    return "\n".join(unicodedata.normalize("NFKC", part).casefold() for part in parts)[:SEARCH_CHARS]
