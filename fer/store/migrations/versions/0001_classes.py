"""Classes, their buckets, and who is connected."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def upgrade() -> None:
    op.create_table(
        "classes",
        sa.Column("class_id", sa.Integer, primary_key=True),
        sa.Column("code", sa.String(16), nullable=False, unique=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("key_hash", sa.String(200), nullable=False),
        sa.Column("camera", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("ended_at", sa.Float(53)),
    )
    op.create_table(
        "buckets",
        sa.Column("class_id", sa.Integer, primary_key=True),
        sa.Column("start", sa.Float(53), primary_key=True),
        sa.Column("stream_id", sa.String(40), primary_key=True),
        sa.Column("face_id", sa.Integer, primary_key=True),
        sa.Column("n", sa.Integer, nullable=False),
        *(sa.Column(label, sa.Float(53), nullable=False) for label in LABELS),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "presences",
        sa.Column("class_id", sa.Integer, primary_key=True),
        sa.Column("stream_id", sa.String(40), primary_key=True),
        sa.Column("seen_at", sa.Float(53), nullable=False),
        sa.Column("n_faces", sa.Integer, nullable=False),
    )
