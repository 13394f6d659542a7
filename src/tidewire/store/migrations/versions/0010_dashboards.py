"""The operators' dashboards, and which is whose first page.

Revision: 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "admin_dashboards",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner_id", ROW_ID, nullable=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("widgets", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_admin_dashboards"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_admin_dashboards_owner_id", ondelete="SET NULL"),
    )
    op.create_index("ix_admin_dashboards_owner_id", "admin_dashboards", ["owner_id"])
    op.create_index("ix_admin_dashboards_shared", "admin_dashboards", ["shared"])
    op.create_table(
        "admin_dashboard_defaults",
        sa.Column("user_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("dashboard_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_admin_dashboard_defaults"),
        sa.ForeignKeyConstraint(
            ["dashboard_id"],
            ["admin_dashboards.id"],
            name="fk_admin_dashboard_defaults_dashboard_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_admin_dashboard_defaults_dashboard_id", "admin_dashboard_defaults", ["dashboard_id"])


def downgrade() -> None:
    """Drop them with everything in them."""
    op.drop_table("admin_dashboard_defaults")
    op.drop_table("admin_dashboards")
