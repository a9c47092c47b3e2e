"""Journals: who keeps them, their entries, and the models that learn from them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def upgrade() -> None:
    op.create_table(
        "keepers",
        sa.Column("keeper_id", sa.Integer, primary_key=True),
        sa.Column("login", sa.String(600), nullable=False, unique=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("passphrase_hash", sa.String(200)),
        sa.Column("salt", sa.LargeBinary(16)),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failed_at", sa.Float(53), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "entries",
        sa.Column("keeper_id", sa.Integer, primary_key=True),
        sa.Column("entry_id", sa.String(32), primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("label", sa.String(16), nullable=False),
        *(sa.Column(label, sa.Float(53), nullable=False) for label in LABELS),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
    )
    op.create_table(
        "pictures",
        sa.Column("keeper_id", sa.Integer, primary_key=True),
        sa.Column("entry_id", sa.String(32), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "heads",
        sa.Column("keeper_id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float(53), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("in_use", sa.Boolean, nullable=False),
    )
