"""The store on SQLAlchemy: SQLite by default, PostgreSQL by URL."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from fer.errors import ClassError, StoreError
from fer.labels import LABELS
from fer.store import codes
from fer.store.database import Database, Taken
from fer.types import Bucket, Classroom, Marker, Presence, Signal, Slot

MOST_LOGINS = 200  # that opened a class, and as many that did not

metadata = sa.MetaData()

classes = sa.Table(
    "classes",
    metadata,
    sa.Column("class_id", sa.Integer, primary_key=True),
    sa.Column("code", sa.String(16), nullable=False, unique=True),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("key_hash", sa.String(200), nullable=False),
    sa.Column("camera", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("ended_at", sa.Float(53)),
    sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("pulse", sa.Boolean, nullable=False, server_default=sa.false()),
)
# The expressions' columns hold means, not sums: reading three hours then divides nothing.
# The primary key leads with (class, start): one class's slots lie in order, so merging needs no sort.
buckets = sa.Table(
    "buckets",
    metadata,
    sa.Column("class_id", sa.Integer, primary_key=True),
    sa.Column("start", sa.Float(53), primary_key=True),
    sa.Column("stream_id", sa.String(40), primary_key=True),
    sa.Column("face_id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer, nullable=False),
    *(sa.Column(label, sa.Float(53), nullable=False) for label in LABELS),
    sqlite_with_rowid=False,
)
presences = sa.Table(
    "presences",
    metadata,
    sa.Column("class_id", sa.Integer, primary_key=True),
    sa.Column("stream_id", sa.String(40), primary_key=True),
    sa.Column("seen_at", sa.Float(53), nullable=False),
    sa.Column("n_faces", sa.Integer, nullable=False),
)
signals = sa.Table(
    "signals",
    metadata,
    sa.Column("class_id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float(53), primary_key=True),
    sa.Column("stream_id", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("until", sa.Float(53), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    sqlite_with_rowid=False,
)
markers = sa.Table(
    "markers",
    metadata,
    sa.Column("class_id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float(53), primary_key=True),
    sa.Column("text", sa.String(120), nullable=False),
)
logins = sa.Table(
    "logins",
    metadata,
    sa.Column("class_id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float(53), primary_key=True),
    sa.Column("opened", sa.Boolean, nullable=False),
)


class SqlStore(Database):
    """A Store in a database."""

    def create_class(self, title: str, camera: bool, now: float) -> tuple[Classroom, str]:
        key = codes.new_key()
        row = {"title": title[:200], "camera": camera, "created_at": now, "ended_at": None}
        row["key_hash"] = self.hasher.hash(codes.clean_code(key))
        for _ in range(20):
            try:
                with self.begin() as connection:
                    found = connection.execute(sa.insert(classes).values(code=codes.new_code(), **row))
                    (class_id,) = found.inserted_primary_key or (None,)
                    return self._classroom(connection, classes.c.class_id == class_id), key  # type: ignore[return-value]
            except Taken:
                continue
        raise StoreError("No free join code was found; delete some classes.")

    def find_class(self, code: str) -> Classroom | None:
        with self.begin() as connection:
            return self._classroom(connection, classes.c.code == codes.clean_code(code))

    def open_class(self, code: str, key: str, now: float | None = None) -> Classroom:
        cleaned = codes.clean_code(code)
        with self.begin() as connection:
            stored = connection.scalar(sa.select(classes.c.key_hash).where(classes.c.code == cleaned))
            room = self._classroom(connection, classes.c.code == cleaned)
        # A wrong code costs as much time as a wrong key: the answer does not tell which codes exist.
        valid = self.matches(stored, codes.clean_code(key))
        if room is not None and now is not None:
            self._log_in(room.class_id, now, valid)
        if room is None or not valid:
            raise ClassError("This code and key do not open a class. Check both: the key was shown when it was made.")
        return room

    def _log_in(self, class_id: int, now: float, opened: bool) -> None:
        """Keep a try, and of its kind the last MOST_LOGINS: wrong ones cannot push out who did come in."""
        alike = (logins.c.class_id == class_id) & (logins.c.opened == opened)
        last = sa.select(logins.c.at).where(alike).order_by(logins.c.at.desc()).limit(MOST_LOGINS)
        with self.begin() as connection:
            row = {"class_id": class_id, "at": now, "opened": opened}
            connection.execute(self.insert(logins).on_conflict_do_nothing(), [row])
            connection.execute(sa.delete(logins).where(alike, logins.c.at.not_in(last)))

    def end_class(self, class_id: int, now: float) -> None:
        with self.begin() as connection:
            still_open = (classes.c.class_id == class_id) & classes.c.ended_at.is_(None)
            connection.execute(sa.update(classes).where(still_open).values(ended_at=now))
            connection.execute(sa.delete(presences).where(presences.c.class_id == class_id))

    def set_class(self, class_id: int, paused: bool | None = None, pulse: bool | None = None) -> None:
        values = {name: value for name, value in (("paused", paused), ("pulse", pulse)) if value is not None}
        with self.begin() as connection:
            connection.execute(sa.update(classes).where(classes.c.class_id == class_id).values(**values))

    def delete_class(self, class_id: int) -> None:
        with self.begin() as connection:
            for table in (buckets, presences, signals, markers, logins, classes):
                connection.execute(sa.delete(table).where(table.c.class_id == class_id))

    def delete_stream(self, class_id: int, stream_id: str) -> None:
        with self.begin() as connection:
            for table in (buckets, presences, signals):
                mine = (table.c.class_id == class_id) & (table.c.stream_id == stream_id)
                connection.execute(sa.delete(table).where(mine))

    def put(self, new: Sequence[Bucket], here: Sequence[Presence], left: Sequence[str]) -> None:
        ids = {bucket.class_id for bucket in new} | {presence.class_id for presence in here}
        with self.begin() as connection:
            ended = self._ended(connection, ids)
            rows = [_bucket_row(b) for b in new if b.start < ended.get(b.class_id, -np.inf)]
            if rows:
                connection.execute(self._upsert(buckets, "n"), rows)
            known = [_presence_row(p) for p in here if p.seen_at < ended.get(p.class_id, -np.inf)]
            if known:
                connection.execute(self._upsert(presences, "seen_at"), known)
            if left:
                connection.execute(sa.delete(presences).where(presences.c.stream_id.in_(left)))

    def give(self, signal: Signal, instead_of: Sequence[str] = ()) -> None:
        with self.begin() as connection:
            if signal.at < self._ended(connection, {signal.class_id}).get(signal.class_id, -np.inf):
                for kind in (signal.kind, *instead_of):
                    self._take_back(connection, signal.class_id, signal.stream_id, kind, signal.at)
                row = {column.name: getattr(signal, column.name) for column in signals.c}
                connection.execute(self._upsert(signals, "until"), [row])

    def take_back(self, class_id: int, stream_id: str, kinds: Sequence[str], now: float) -> None:
        with self.begin() as connection:
            for kind in kinds:
                self._take_back(connection, class_id, stream_id, kind, now)

    @staticmethod
    def _take_back(connection: sa.Connection, class_id: int, stream_id: str, kind: str, now: float) -> None:
        s = signals.c
        mine = (s.class_id == class_id) & (s.stream_id == stream_id) & (s.kind == kind)
        connection.execute(sa.update(signals).where(mine, s.until > now).values(until=now))

    def signals(self, class_id: int, since: float) -> list[Signal]:
        s = signals.c
        columns = sa.select(s.class_id, s.stream_id, s.kind, s.at, s.until, s.name).order_by(s.at)
        with self.begin() as connection:
            rows = connection.execute(columns.where(s.class_id == class_id, s.until > since))
            return [Signal(*row) for row in rows]

    def slots(self, class_id: int, since: float) -> list[Slot]:
        means = [sa.func.avg(buckets.c[label]) for label in LABELS]
        query = (
            sa.select(buckets.c.start, sa.func.count(), _streams(buckets.c.face_id), *means)
            .where(buckets.c.class_id == class_id, buckets.c.start >= since)
            .group_by(buckets.c.start)
            .order_by(buckets.c.start)
        )
        with self.begin() as connection:
            return [Slot(row[0], row[1], np.array(row[3:], float), row[2]) for row in connection.execute(query)]

    def latest(self, class_id: int, since: float) -> Slot | None:
        here = sa.select(presences.c.stream_id).where(presences.c.class_id == class_id, presences.c.seen_at >= since)
        sums = [_sum(buckets.c[label] * buckets.c.n).label(label) for label in LABELS]
        of_face = (
            sa.select(buckets.c.face_id, _sum(buckets.c.n).label("n"), *sums)
            .where(buckets.c.class_id == class_id, buckets.c.start >= since, buckets.c.stream_id.in_(here))
            .group_by(buckets.c.stream_id, buckets.c.face_id)
            .subquery()
        )
        means = [sa.func.avg(of_face.c[label] / of_face.c.n) for label in LABELS]
        query = sa.select(sa.func.count(), _streams(of_face.c.face_id), *means)
        with self.begin() as connection:
            row = connection.execute(query).one()
        return Slot(since, row[0], np.array(row[2:], float), row[1]) if row[0] else None

    def presences(self, class_id: int, since: float) -> list[Presence]:
        mine = (presences.c.class_id == class_id) & (presences.c.seen_at >= since)
        with self.begin() as connection:
            return [Presence(*row) for row in connection.execute(sa.select(presences).where(mine))]

    def mark(self, marker: Marker) -> None:
        with self.begin() as connection:
            row = {"class_id": marker.class_id, "at": marker.at, "text": marker.text[:120]}
            if marker.at < self._ended(connection, {marker.class_id}).get(marker.class_id, -np.inf):
                connection.execute(self.insert(markers).on_conflict_do_nothing(), [row])

    def unmark(self, marker: Marker) -> None:
        with self.begin() as connection:
            this = (markers.c.class_id == marker.class_id) & (markers.c.at == marker.at)
            connection.execute(sa.delete(markers).where(this))

    def markers(self, class_id: int) -> list[Marker]:
        m = markers.c
        with self.begin() as connection:
            rows = connection.execute(sa.select(m.class_id, m.at, m.text).where(m.class_id == class_id).order_by(m.at))
            return [Marker(*row) for row in rows]

    def logins(self, class_id: int) -> list[tuple[float, bool]]:
        these = sa.select(logins.c.at, logins.c.opened).where(logins.c.class_id == class_id).order_by(logins.c.at)
        with self.begin() as connection:
            return [(at, opened) for at, opened in connection.execute(these)]

    def purge(self, before: float) -> int:
        with self.begin() as connection:
            old = list(connection.scalars(sa.select(classes.c.class_id).where(classes.c.created_at < before)))
        for class_id in old:
            self.delete_class(class_id)
        return len(old)

    def _upsert(self, table: sa.Table, newer: str) -> Any:
        """Insert, or replace the row with the same key where column `newer` has grown."""
        statement = self.insert(table)
        keys = [column.name for column in table.primary_key]
        values = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
        grown = statement.excluded[newer] > table.c[newer]
        return statement.on_conflict_do_update(index_elements=keys, set_=values, where=grown)

    @staticmethod
    def _ended(connection: sa.Connection, ids: set[int]) -> dict[int, float]:
        """When each of the classes ended; infinity while open, no entry where there is no such class."""
        rows = connection.execute(sa.select(classes.c.class_id, classes.c.ended_at).where(classes.c.class_id.in_(ids)))
        return {class_id: np.inf if ended_at is None else ended_at for class_id, ended_at in rows}

    @staticmethod
    def _classroom(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Classroom | None:
        c = classes.c
        columns = sa.select(c.class_id, c.code, c.title, c.created_at, c.ended_at, c.camera, c.paused, c.pulse)
        row = connection.execute(columns.where(which)).one_or_none()
        return Classroom(*row) if row else None


def _bucket_row(bucket: Bucket) -> dict[str, Any]:
    key = {"class_id": bucket.class_id, "start": bucket.start, "stream_id": bucket.stream_id}
    means = dict(zip(LABELS, (bucket.prob_sum / bucket.n).tolist(), strict=True))
    return {**key, "face_id": bucket.face_id, "n": bucket.n, **means}


def _presence_row(presence: Presence) -> dict[str, Any]:
    return {name: getattr(presence, name) for name in ("class_id", "stream_id", "seen_at", "n_faces")}


def _sum(column: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    return sa.cast(sa.func.sum(column), sa.Float(53))


def _streams(face_id: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """How many streams there are: each has a seat 0, and counting distinct ids takes half as long again."""
    return sa.func.sum(sa.case((face_id == 0, 1), else_=0))
