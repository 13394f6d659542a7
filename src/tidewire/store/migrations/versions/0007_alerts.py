"""Alerts, the rules that admins make for them, and whose messages are silenced.

Revision: 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "system_alerts",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("alert_type", sa.String(48), nullable=False),
        sa.Column("group_key", sa.String(400), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("resolved", sa.Boolean(), nullable=False),
        sa.Column("resolved_at", MOMENT, nullable=True),
        sa.Column("resolved_by", sa.String(64), nullable=True),
        sa.Column("resolved_why", sa.String(500), nullable=True),
        sa.Column("acknowledged_at", MOMENT, nullable=True),
        sa.Column("acknowledged_by", sa.String(64), nullable=True),
        sa.Column("acknowledged_note", sa.String(500), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_system_alerts"),
    )
    op.create_index("ix_system_alerts_resolved_opened_at_id", "system_alerts", ["resolved", "opened_at", "id"])
    op.create_index("ix_system_alerts_opened_at_id", "system_alerts", ["opened_at", "id"])
    op.create_index("ix_system_alerts_alert_type_opened_at", "system_alerts", ["alert_type", "opened_at"])
    op.create_table(
        "alert_rules",
        sa.Column("key", sa.String(48), nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("updated_by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_alert_rules"),
    )
    op.create_table(
        "alert_silences",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("alert_type", sa.String(48), nullable=False),
        sa.Column("group_key", sa.String(400), nullable=True),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("ended_by", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alert_silences"),
    )
    op.create_index("ix_alert_silences_until", "alert_silences", ["until"])


def downgrade() -> None:
    """Drop the tables with everything in them."""
    op.drop_table("alert_silences")
    op.drop_table("alert_rules")
    op.drop_table("system_alerts")
