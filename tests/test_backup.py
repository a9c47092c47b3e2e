"""The backups of docs/operations.md: made in the middle of a class, and brought back after it was deleted."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from fer.store.sql import SqlStore
from fer.types import Classroom, Marker
from tests.conftest import ROOT
from tests.fakes import bucket
from tests.postgres import Server

NOW = 1_700_000_000.0
DOCUMENT = (ROOT / "docs" / "operations.md").read_text()


def lesson(store: SqlStore) -> tuple[Classroom, str]:
    """A class with ten slots and a mark, and its key."""
    room, key = store.create_class("Algebra", True, NOW)
    store.put([bucket("a", NOW + 5 * i, class_id=room.class_id) for i in range(10)], [], [])
    store.mark(Marker(room.class_id, NOW, "Exercise 3"))
    return room, key


def is_back(store: SqlStore, room: Classroom, key: str) -> bool:
    slots, marks = store.slots(room.class_id, 0.0), store.markers(room.class_id)
    return store.open_class(room.code, key) == room and (len(slots), len(marks)) == (10, 1)


def test_sqlite_comes_back_as_it_was(tmp_path: Path):
    for step in (".backup 'backup.sqlite3'", "rm -f classmood.sqlite3-wal classmood.sqlite3-shm && cp backup.sqlite3"):
        assert step in DOCUMENT
    path, backup = tmp_path / "classmood.sqlite3", tmp_path / "backup.sqlite3"
    store = SqlStore(f"sqlite:///{path}")
    room, key = lesson(store)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)  # what the shell's .backup calls
    store.put([bucket("a", NOW + 500, class_id=room.class_id)], [], [])
    store.delete_class(room.class_id)
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    shutil.copy(backup, path)
    assert is_back(SqlStore(f"sqlite:///{path}"), room, key)


def test_postgresql_comes_back_as_it_was(postgresql: Server):
    for step in ("pg_dump --format=custom classmood", "pg_restore --clean --if-exists --dbname=classmood"):
        assert step in DOCUMENT
    postgresql.client("createdb", "classmood")
    url = postgresql.url.replace("/postgres", "/classmood")
    store = SqlStore(url)
    room, key = lesson(store)
    backup = postgresql.folder / "backup.dump"
    backup.write_bytes(postgresql.client("pg_dump", "--format=custom", "classmood"))
    store.put([bucket("a", NOW + 500, class_id=room.class_id)], [], [])
    store.delete_class(room.class_id)
    store._engine.dispose()
    postgresql.client("pg_restore", "--clean", "--if-exists", "--dbname=classmood", backup)
    restored = SqlStore(url)
    assert is_back(restored, room, key)
    restored._engine.dispose()
    postgresql.client("dropdb", "classmood")
