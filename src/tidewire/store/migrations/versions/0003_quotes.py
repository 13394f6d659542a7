"""Quotes, and every change of them; changes can be added but neither altered nor deleted.

Revision: 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)

SQLITE_GUARDS = [
    f"CREATE TRIGGER quote_changes_no_{word} BEFORE {word} ON quote_changes "
    "BEGIN SELECT RAISE(ABORT, 'quote_changes is append-only'); END"
    for word in ("update", "delete")
]
POSTGRES_GUARDS = [
    "CREATE FUNCTION quote_changes_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'quote_changes is append-only'; END $$",
    "CREATE TRIGGER quote_changes_append_only BEFORE UPDATE OR DELETE ON quote_changes "
    "FOR EACH ROW EXECUTE FUNCTION quote_changes_refuse()",
]


def upgrade() -> None:
    """Create the tables and their guards."""
    op.create_table(
        "quotes",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fields", JSON, nullable=False),
        sa.Column("premium", JSON, nullable=True),
        sa.Column("state", sa.String(2), nullable=False),
        sa.Column("product", sa.String(40), nullable=False),
        sa.Column("customer", sa.String(160), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_quotes"),
    )
    op.create_index("ix_quotes_updated_at_id", "quotes", ["updated_at", "id"])
    op.create_index("ix_quotes_status_expires_at", "quotes", ["status", "expires_at"])
    op.create_table(
        "quote_changes",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("quote_id", sa.String(36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("before", JSON, nullable=True),
        sa.Column("after", JSON, nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("op_id", sa.String(64), nullable=True),
        sa.Column("connection", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(160), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quote_changes"),
        sa.UniqueConstraint("quote_id", "version", name="uq_quote_changes_quote_id_version"),
        sa.UniqueConstraint(
            "quote_id", "actor_id", "op_id", "field", name="uq_quote_changes_quote_id_actor_id_op_id_field"
        ),
        sa.ForeignKeyConstraint(["quote_id"], ["quotes.id"], name="fk_quote_changes_quote_id"),
    )
    for statement in SQLITE_GUARDS if op.get_bind().dialect.name == "sqlite" else POSTGRES_GUARDS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables with everything in them."""
    op.drop_table("quote_changes")
    op.drop_table("quotes")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION quote_changes_refuse()")
