"""Records of searches for a cell."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("cell", sa.Column("base", sa.String(500)))
    op.add_column("cell", sa.Column("further", sa.JSON()))
