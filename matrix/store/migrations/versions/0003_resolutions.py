"""Locks that are in no lock file, drift reports, and results of `blame`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("run", sa.Column("resolution", sa.String(10), nullable=False, server_default="then"))
    op.add_column("run", sa.Column("as_of", sa.Date()))
    op.add_column("run", sa.Column("drift", sa.JSON()))
    op.create_table(
        "lock",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("python", sa.String(10), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_lock"),
    )
    op.create_table(
        "resolution",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("resolver", sa.String(60), nullable=False),
        sa.Column("find_links", sa.Boolean(), nullable=False),
        sa.Column("lock", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name="fk_resolution_run_run"),
        sa.ForeignKeyConstraint(["lock"], ["lock.digest"], name="fk_resolution_lock_lock"),
        sa.PrimaryKeyConstraint("id", name="pk_resolution"),
    )
    op.create_index("ix_resolution_run_name", "resolution", ["run", "name"], unique=True)
    op.create_index("ix_resolution_name", "resolution", ["name"])
    op.create_table(
        "blame",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("cell", sa.String(500), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("story", sa.JSON(), nullable=False),
        sa.Column("picture", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name="fk_blame_run_run"),
        sa.PrimaryKeyConstraint("id", name="pk_blame"),
    )
    op.create_index("ix_blame_cell", "blame", ["cell"])
