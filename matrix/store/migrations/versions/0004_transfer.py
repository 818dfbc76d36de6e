"""Ids of runs that are valid on every machine, the parts of runs, comparisons without their arrays, and repeated
results."""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_RUN = sa.table(
    "run",
    sa.column("id", sa.Integer),
    sa.column("started", sa.DateTime(timezone=True)),
    sa.column("command", sa.Text),
    sa.column("host", sa.JSON),
    sa.column("uid", sa.String),
)


def upgrade() -> None:
    op.add_column("run", sa.Column("uid", sa.String(64), nullable=False, server_default=""))
    op.add_column("run", sa.Column("parts", sa.JSON(none_as_null=True)))
    _name_runs(op.get_bind())
    op.create_index("ix_run_uid", "run", ["uid"], unique=True)
    op.create_index("ix_cell_cell", "cell", ["cell"])
    op.create_index("ix_cell_base", "cell", ["base"])
    op.create_table(
        "comparison",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_comparison"),
    )
    op.create_table(
        "repeat",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("cell", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name="fk_repeat_run_run"),
        sa.ForeignKeyConstraint(["cell"], ["cell.id"], name="fk_repeat_cell_cell"),
        sa.PrimaryKeyConstraint("run", "cell", name="pk_repeat"),
    )
    op.create_index("ix_repeat_cell", "repeat", ["cell"])


def _name_runs(connection: sa.Connection) -> None:
    """Derive the ids from the rows, so that copies of one database agree on them."""
    taken: set[str] = set()
    for row in connection.execute(sa.select(_RUN).order_by(_RUN.c.id)).all():
        said = json.dumps([row.started.isoformat(), row.command, row.host], sort_keys=True)
        uid, again = "", 0
        while not uid or uid in taken:
            uid = hashlib.sha256(f"{said}{again or ''}".encode()).hexdigest()
            again += 1
        taken.add(uid)
        connection.execute(sa.update(_RUN).where(_RUN.c.id == row.id).values(uid=uid))
