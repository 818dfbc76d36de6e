"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True)),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("tier", sa.String(60), nullable=False),
        sa.Column("engine", sa.String(20), nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("planned", sa.Integer, nullable=False),
        sa.Column("jobs_run", sa.Integer, nullable=False),
        sa.Column("jobs_cached", sa.Integer, nullable=False),
        sa.Column("host", sa.JSON, nullable=False),
    )
    op.create_table(
        "observation",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.Integer, sa.ForeignKey("run.id"), nullable=False),
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("environment", sa.String(200), nullable=False),
        sa.Column("environment_id", sa.String(64), nullable=False),
        sa.Column("finding", sa.Boolean, nullable=False),
        sa.Column("limits_seconds", sa.Float, nullable=False),
        sa.Column("limits_memory_mb", sa.Integer, nullable=False),
        sa.Column("bounded", sa.String(20)),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
    )
    op.create_index("ix_observation_job_finding", "observation", ["job", "finding"])
    op.create_table(
        "cell",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.Integer, sa.ForeignKey("run.id"), nullable=False),
        sa.Column("cell", sa.String(500), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("exporter", sa.String(200), nullable=False),
        sa.Column("torch", sa.String(60), nullable=False),
        sa.Column("opset", sa.Integer, nullable=False),
        sa.Column("converter", sa.String(200), nullable=False),
        sa.Column("export", sa.Integer, sa.ForeignKey("observation.id"), nullable=False),
        sa.Column("reference", sa.Integer, sa.ForeignKey("observation.id")),
        sa.Column("convert", sa.Integer, sa.ForeignKey("observation.id")),
    )
    op.create_index("ix_cell_run_cell", "cell", ["run", "cell"], unique=True)
    op.create_table(
        "derived",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
    )
