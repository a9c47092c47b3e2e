"""What students say themselves, the moments that are marked, who came in, pause and pulse."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for flag in ("paused", "pulse"):
        op.add_column("classes", sa.Column(flag, sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "signals",
        sa.Column("class_id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float(53), primary_key=True),
        sa.Column("stream_id", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("until", sa.Float(53), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "markers",
        sa.Column("class_id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float(53), primary_key=True),
        sa.Column("text", sa.String(120), nullable=False),
    )
    op.create_table(
        "logins",
        sa.Column("class_id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float(53), primary_key=True),
        sa.Column("opened", sa.Boolean, nullable=False),
    )
