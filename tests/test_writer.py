import logging
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fer.aggregate import SLOT_S
from fer.errors import StoreError
from fer.store import database, writer
from fer.store.sql import SqlStore
from fer.store.writer import DAY_S, Writer
from fer.types import Bucket, Classroom, Presence
from tests.fakes import bucket, present

NOW = 1_700_000_000.0


class FakeStore:
    """Keeps what it is handed; while `away` it takes nothing."""

    def __init__(self) -> None:
        self.away = False
        self.taken: list[tuple[list[Bucket], list[Presence], list[str]]] = []
        self.purges: list[float] = []

    def put(self, buckets: Sequence[Bucket], here: Sequence[Presence], left: Sequence[str]) -> None:
        self._reach()
        self.taken.append((list(buckets), list(here), list(left)))

    def purge(self, before: float) -> int:
        self._reach()
        self.purges.append(before)
        return 0

    def _reach(self) -> None:
        if self.away:
            raise StoreError("The database cannot be used: it is away.")


class BusyStore(FakeStore):
    """While it takes what it is handed first, a stream hands its writer more."""

    writer: Writer

    def put(self, buckets: Sequence[Bucket], here: Sequence[Presence], left: Sequence[str]) -> None:
        super().put(buckets, here, left)
        if len(self.taken) == 1:
            self.writer.put([bucket("a", NOW, n=2), bucket("b", NOW)], present("a", NOW + 1))


@pytest.fixture
def fake() -> FakeStore:
    return FakeStore()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class ByHand(Writer):
    """A writer without its thread: it writes when a test says so, and at no other time."""

    def _start(self) -> None:
        pass


@pytest.fixture
def handed(fake: FakeStore, clock: Clock) -> Writer:
    """A writer to the fake store."""
    return ByHand(lambda: fake, retention_days=30, clock=clock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlStore:
    """A real store that does not wait for a lock."""
    monkeypatch.setattr(database, "LOCK_WAIT_S", 0.01)
    return SqlStore(f"sqlite:///{path}")


@pytest.fixture
def room(store: SqlStore) -> Classroom:
    return store.create_class("Physics", True, NOW)[0]


@pytest.fixture
def written(store: SqlStore, clock: Clock) -> Writer:
    """A writer to the real store."""
    return ByHand(lambda: store, clock=clock)


def _hand_over(made: Writer, class_id: int, steps: range) -> None:
    """One more reading of one face each second."""
    for i in steps:
        start = NOW + i // 5 * SLOT_S
        made.put([bucket("a", start, n=i % 5 + 1, class_id=class_id)], present("a", NOW + i, class_id=class_id))


def test_what_was_handed_over_is_written_once(fake: FakeStore, handed: Writer):
    one, here = bucket("a", NOW), present("a", NOW)
    handed.put([one], here)
    assert handed.pending == 1
    assert handed.flush() and handed.flush()
    assert fake.taken == [([one], [here], []), ([], [], [])]
    assert (handed.pending, handed.problem, handed.dropped) == (0, "", 0)


def test_of_a_bucket_that_waits_the_newest_version_is_written(fake: FakeStore, handed: Writer):
    versions = [bucket("a", NOW, n=n) for n in (1, 2, 3)]
    for i, version in enumerate(versions):
        handed.put([version], present("a", NOW + i))
    handed.flush()
    assert fake.taken == [([versions[-1]], [present("a", NOW + 2)], [])]


def test_while_the_store_is_away_everything_waits_in_order_and_nothing_is_lost(fake: FakeStore, handed: Writer):
    fake.away = True
    for i in range(20):
        handed.put([bucket(f"s{i}", NOW + i)], present(f"s{i}", NOW + i))
        assert not handed.flush()
    assert handed.pending == 20 and handed.problem == "The database cannot be used: it is away."
    fake.away = False
    assert handed.flush()
    ((buckets, here, _),) = fake.taken
    assert [b.stream_id for b in buckets] == [p.stream_id for p in here] == [f"s{i}" for i in range(20)]
    assert (handed.pending, handed.problem) == (0, "")


def test_what_comes_in_during_a_write_is_kept_for_the_next(clock: Clock):
    busy = BusyStore()
    busy.writer = made = ByHand(lambda: busy, clock=clock)
    made.put([bucket("a", NOW, n=1)], present("a", NOW))
    made.flush()
    made.flush()
    assert [[(b.stream_id, b.n) for b in buckets] for buckets, _, _ in busy.taken] == [[("a", 1)], [("a", 2), ("b", 1)]]
    assert [here for _, here, _ in busy.taken] == [[present("a", NOW)], [present("a", NOW + 1)]]


def test_an_outage_is_logged_when_it_begins_and_when_it_ends(
    fake: FakeStore, handed: Writer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    fake.away = True
    handed.put([bucket("a", NOW)], present("a", NOW))
    for _ in range(5):
        handed.flush()
    fake.away = False
    handed.flush()
    assert len(caplog.messages) == 2
    assert "it is away" in caplog.messages[0] and "the database is back; 1 buckets" in caplog.messages[1]


def test_a_store_that_cannot_be_opened_yet_is_asked_for_again(fake: FakeStore, clock: Clock):
    answers: Iterator[FakeStore | None] = iter([None, None, fake])

    def opened() -> FakeStore:
        if (found := next(answers)) is None:
            raise StoreError("The database cannot be used: not yet.")
        return found

    made = ByHand(opened, clock=clock)
    made.put([bucket("a", NOW)], present("a", NOW))
    assert [made.flush() for _ in range(3)] == [False, False, True]
    assert len(fake.taken[0][0]) == 1


def test_memory_is_bounded_and_what_is_oldest_is_given_up_and_counted(
    fake: FakeStore, handed: Writer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(writer, "MOST_PENDING", 10)
    fake.away = True
    for i in range(25):
        handed.put([bucket("a", NOW + i * SLOT_S)], present("a", NOW + i * SLOT_S))
    assert (handed.pending, handed.dropped) == (10, 15)
    assert "too long" in caplog.text
    fake.away = False
    handed.flush()
    assert [b.start for b in fake.taken[0][0]] == [NOW + i * SLOT_S for i in range(15, 25)]


def test_a_stream_that_leaves_is_gone_at_the_next_write_and_what_it_read_is_kept(fake: FakeStore, handed: Writer):
    handed.put([bucket("a", NOW)], present("a", NOW))
    handed.leave("a")
    handed.flush()
    handed.flush()
    assert [(len(buckets), here, left) for buckets, here, left in fake.taken] == [(1, [], ["a"]), (0, [], [])]


def test_a_stream_that_left_while_the_store_was_away_is_gone_when_it_is_back(fake: FakeStore, handed: Writer):
    fake.away = True
    handed.leave("a")
    assert not handed.flush()
    fake.away = False
    handed.flush()
    assert _left(fake) == [["a"]]


def test_a_stream_that_comes_back_before_the_write_has_not_left(fake: FakeStore, handed: Writer):
    handed.leave("a")
    handed.put([], present("a", NOW))
    handed.flush()
    assert fake.taken == [([], [present("a", NOW)], [])]


def test_what_waits_of_a_stream_that_is_forgotten_is_never_written(fake: FakeStore, handed: Writer):
    for stream in ("a", "b"):
        handed.put([bucket(stream, NOW), bucket(stream, NOW + SLOT_S)], present(stream, NOW))
    handed.forget("a")
    assert handed.pending == 2
    handed.flush()
    ((buckets, here, left),) = fake.taken
    assert {b.stream_id for b in buckets} == {p.stream_id for p in here} == {"b"} and left == ["a"]


def test_old_classes_are_deleted_once_a_day(fake: FakeStore, handed: Writer, clock: Clock):
    for hours in (0, 1, 23, 25, 26, 60):
        clock.now = NOW + hours * 3600
        handed.flush()
    assert fake.purges == [NOW + hours * 3600 - 30 * DAY_S for hours in (0, 25, 60)]


def test_a_purge_that_failed_is_made_up_for_at_the_next_write(clock: Clock):
    class Stubborn(FakeStore):
        def purge(self, before: float) -> int:
            self.purges.append(before)
            if len(self.purges) == 1:
                raise StoreError("The database cannot be used: it is locked.")
            return 1

    stubborn = Stubborn()
    made = ByHand(lambda: stubborn, clock=clock)
    assert [made.flush() for _ in range(3)] == [False, True, True]
    assert len(stubborn.purges) == 2


def test_closing_writes_what_waits(fake: FakeStore, clock: Clock):
    made = Writer(lambda: fake, clock=clock)
    made.put([bucket("a", NOW)], present("a", NOW))
    made.close()
    assert sum(len(buckets) for buckets, _, _ in fake.taken) == 1 and made.pending == 0


def test_closing_writes_what_came_in_during_the_last_write_too(clock: Clock):
    busy = BusyStore()
    busy.writer = made = Writer(lambda: busy, clock=clock)
    made.put([bucket("a", NOW, n=1)], present("a", NOW))
    made.close()
    assert made.pending == 0 and len(busy.taken) == 2


def test_a_database_that_another_holds_loses_nothing(path: Path, store: SqlStore, room: Classroom, written: Writer):
    _hand_over(written, room.class_id, range(5))
    assert written.flush()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    _hand_over(written, room.class_id, range(5, 12))
    assert not written.flush() and "locked" in written.problem
    _hand_over(written, room.class_id, range(12, 15))
    holder.execute("ROLLBACK")
    holder.close()
    assert written.flush() and written.pending == 0
    assert [slot.start for slot in store.slots(room.class_id, 0.0)] == [NOW, NOW + SLOT_S, NOW + 2 * SLOT_S]
    assert store.presences(room.class_id, 0.0) == [present("a", NOW + 14, class_id=room.class_id)]


def test_a_database_file_that_is_moved_away_and_back_loses_nothing(
    path: Path, store: SqlStore, room: Classroom, written: Writer
):
    _hand_over(written, room.class_id, range(5))
    assert written.flush()
    path.rename(path.with_suffix(".away"))
    _hand_over(written, room.class_id, range(5, 15))
    assert not written.flush() and written.problem
    path.with_suffix(".away").replace(path)
    assert written.flush() and written.pending == 0
    assert [slot.start for slot in store.slots(room.class_id, 0.0)] == [NOW, NOW + SLOT_S, NOW + 2 * SLOT_S]


def test_leaving_removes_the_presence_from_the_store(store: SqlStore, room: Classroom, written: Writer):
    _hand_over(written, room.class_id, range(3))
    written.flush()
    assert len(store.presences(room.class_id, 0.0)) == 1
    written.leave("a")
    written.flush()
    assert store.presences(room.class_id, 0.0) == [] and len(store.slots(room.class_id, 0.0)) == 1


def test_classes_past_their_time_are_deleted_from_the_store(
    store: SqlStore, room: Classroom, written: Writer, clock: Clock
):
    clock.now = NOW + 29 * DAY_S
    written.flush()
    assert store.find_class(room.code) == room
    clock.now = NOW + 31 * DAY_S
    written.flush()
    assert store.find_class(room.code) is None


def _left(fake: FakeStore) -> list[list[str]]:
    return [left for _, _, left in fake.taken]
