"""A password that somebody else chose must be changed at the first login.

Revision: 0011, after 0010. Passwords that are there already go on to do.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the flag."""
    flag: sa.Column[bool] = sa.Column("must_change_password", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("users", flag)


def downgrade() -> None:
    """Take it back."""
    op.drop_column("users", "must_change_password")
