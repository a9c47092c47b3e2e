import math
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer import signals
from fer.aggregate import SLOT_S, merge
from fer.errors import ClassError, StoreError
from fer.labels import LABELS
from fer.store import Store, codes, database, journals, sql
from fer.store.sql import SqlStore
from fer.types import Bucket, Classroom, Marker, Signal, Slot
from tests.fakes import bucket, present

NOW = 1_700_000_000.0
STREAMS = ("a", "b", "c")
HAPPY, SAD = LABELS.index("happy"), LABELS.index("sad")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The database of each kind of store in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite3'}"
    return str(request.getfixturevalue("postgresql").url)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store without classes."""
    made = SqlStore(url)
    made.purge(np.inf)
    yield made
    made.purge(np.inf)
    made._engine.dispose()


@pytest.fixture
def room(store: Store) -> Classroom:
    return store.create_class("Physics", True, NOW)[0]


@pytest.fixture
def other(store: Store) -> Classroom:
    return store.create_class("Chemistry", True, NOW)[0]


def _put(store: Store, buckets: Sequence[Bucket], *here: str, seen_at: float = NOW) -> None:
    """Write buckets of one class, and the streams that are `here`."""
    class_id = buckets[0].class_id
    store.put(buckets, [present(stream, seen_at, class_id=class_id) for stream in here], [])


def _rows(url: str) -> dict[str, list[sa.Row[tuple[object, ...]]]]:
    """Every row of every table, as the database has them."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        return {name: list(connection.execute(sa.select(table))) for name, table in sql.metadata.tables.items()}


def _said(room: Classroom, kind: str, at: float = NOW, by: str = "a", name: str = "") -> Signal:
    return signals.signal(room.class_id, by, kind, at, name)


def _fill(store: Store, room: Classroom, *streams: str) -> None:
    """Rows of the class in every table."""
    for stream in streams:
        _put(store, [bucket(stream, NOW + i * SLOT_S, class_id=room.class_id) for i in range(3)], stream)
        for kind in signals.KINDS:
            store.give(_said(room, kind, by=stream, name="Ada"))
    store.mark(Marker(room.class_id, NOW, "Exercise 3"))
    with pytest.raises(ClassError):
        store.open_class(room.code, "no key", NOW)


def _same(a: Sequence[Slot], b: Sequence[Slot]) -> None:
    assert [(slot.start, slot.n_faces) for slot in a] == [(slot.start, slot.n_faces) for slot in b]
    for one, another in zip(a, b, strict=True):
        np.testing.assert_allclose(one.mean_probs, another.mean_probs, atol=1e-9)


def test_a_new_class_is_found_by_its_code_and_opened_with_its_key(store: Store):
    room, key = store.create_class("Physics", True, NOW)
    assert (room.title, room.camera, room.created_at, room.ended_at) == ("Physics", True, NOW, None)
    assert store.find_class(room.code) == store.open_class(room.code, key) == room


def test_a_class_without_cameras_stays_one(store: Store):
    room, _ = store.create_class("Ethics", False, NOW)
    found = store.find_class(room.code)
    assert found is not None and found.camera is False


@pytest.mark.parametrize(
    "typed", [str.lower, lambda t: f" {t[:3]} {t[3:]}\n", lambda t: "-".join(t), lambda t: t.replace("-", "")]
)
def test_code_and_key_may_be_typed_with_small_letters_spaces_and_dashes(store: Store, typed):
    room, key = store.create_class("Physics", True, NOW)
    assert store.find_class(typed(room.code)) == store.open_class(typed(room.code), typed(key)) == room


def test_a_code_that_there_is_not_finds_nothing(store: Store, room: Classroom):
    assert store.find_class("NOSUCH") is None and store.find_class("") is None


def test_a_wrong_key_a_wrong_code_and_the_key_of_another_class_open_nothing_and_read_the_same(store: Store):
    room, key = store.create_class("Physics", True, NOW)
    _, other_key = store.create_class("Chemistry", True, NOW)
    sentences = set()
    for code, tried in [(room.code, other_key), (room.code, ""), (room.code, "x" * 10_000), ("NOSUCH", key), ("", "")]:
        with pytest.raises(ClassError) as error:
            store.open_class(code, tried)
        sentences.add(str(error.value))
    assert len(sentences) == 1


def test_a_key_is_not_kept(url: str, store: Store):
    _, key = store.create_class("Physics", True, NOW)
    kept = repr(_rows(url)["classes"])
    assert key not in kept and codes.clean_code(key) not in kept and "argon2id" in kept


def test_a_key_is_nowhere_in_the_files_of_the_database(tmp_path: Path):
    store = SqlStore(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    room, key = store.create_class("Physics", True, NOW)
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert room.code.encode() in content
    assert key.encode() not in content and codes.clean_code(key).encode() not in content


def test_a_title_may_hold_any_signs_and_is_cut_to_what_fits(store: Store):
    title = "Ωμέγα 'x'; DROP TABLE classes; -- 😀" + "!" * 300
    room, _ = store.create_class(title, True, NOW)
    assert room.title == title[:200] and store.find_class(room.code) == room


def test_the_log_of_a_class_is_bounded_and_wrong_keys_do_not_push_out_who_came_in(
    store: Store, other: Classroom, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sql, "MOST_LOGINS", 3)
    room, key = store.create_class("Physics", True, NOW)
    with pytest.raises(ClassError):
        store.open_class(other.code, "wrong", NOW)
    for i in range(3):
        store.open_class(room.code, key, NOW + i)
    for i in range(10, 17):
        with pytest.raises(ClassError):
            store.open_class(room.code, "wrong", NOW + i)
    assert [(at - NOW, opened) for at, opened in store.logins(room.class_id)] == [
        *((i, True) for i in range(3)),
        *((i, False) for i in (14, 15, 16)),
    ]
    assert store.logins(other.class_id) == [(NOW, False)]


def test_codes_are_of_signs_that_are_not_mistaken_and_differ():
    made = {codes.new_code() for _ in range(200)}
    assert len(made) == 200
    assert all(len(code) == 6 and set(code) <= set(codes.ALPHABET) for code in made)
    assert not set("0O1IL5S8B2ZUV") & set(codes.ALPHABET)
    assert len({codes.new_key() for _ in range(200)}) == 200
    assert codes.clean_code(codes.new_key()).isalnum() and len(codes.clean_code(codes.new_key())) == 20


def test_putting_the_same_again_changes_nothing(url: str, store: Store, room: Classroom):
    one = bucket("a", NOW, n=3, class_id=room.class_id)
    _put(store, [one], "a")
    before = _rows(url)
    _put(store, [one], "a")
    assert _rows(url) == before and len(before["buckets"]) == 1


@pytest.mark.parametrize("order", [(1, 2, 9), (9, 2, 1), (2, 9, 1)])
@pytest.mark.parametrize("at_once", [True, False])
def test_the_fullest_version_of_a_bucket_is_kept_in_whatever_order_they_come(
    store: Store, room: Classroom, order: tuple[int, ...], at_once: bool
):
    versions = [bucket("a", NOW, n=n, label="happy" if n == 9 else "sad", class_id=room.class_id) for n in order]
    for part in [versions] if at_once else [[version] for version in versions]:
        _put(store, part)
    (slot,) = store.slots(room.class_id, 0.0)
    assert (slot.n_faces, slot.mean_probs[HAPPY]) == (1, 1.0)


some_buckets = st.lists(
    st.builds(
        bucket,
        stream_id=st.sampled_from(STREAMS),
        start=st.sampled_from([NOW, NOW + SLOT_S, NOW + 2 * SLOT_S]),
        n=st.integers(1, 10),
        label=st.sampled_from(LABELS),
        face_id=st.integers(0, 2),
        certain=st.sampled_from([0.0, 0.3, 1.0]),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda b: (b.stream_id, b.start, b.face_id, b.n),
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=some_buckets, cut=st.integers(0, 20))
def test_slots_are_those_that_merging_the_same_buckets_gives(
    store: Store, room: Classroom, versions: list[Bucket], cut: int
):
    for stream in STREAMS:
        store.delete_stream(room.class_id, stream)
    mine = [Bucket(room.class_id, b.stream_id, b.face_id, b.start, b.n, b.prob_sum) for b in versions]
    for part in (mine[:cut], mine[cut:]):
        store.put(part, [], [])
    _same(store.slots(room.class_id, NOW), merge(mine))
    _same(store.slots(room.class_id, NOW + SLOT_S), merge(b for b in mine if b.start > NOW))


def test_slots_weigh_faces_equally_and_classes_do_not_mix(store: Store, room: Classroom, other: Classroom):
    _put(
        store,
        [bucket("a", NOW, n=1, label="sad", class_id=room.class_id), bucket("b", NOW, n=99, class_id=room.class_id)],
    )
    _put(store, [bucket("a", NOW, n=5, label="angry", class_id=other.class_id)])
    (slot,) = store.slots(room.class_id, 0.0)
    assert slot.n_faces == 2
    assert slot.mean_probs[[HAPPY, SAD]].tolist() == [0.5, 0.5] and slot.mean_probs.sum() == 1


def test_without_buckets_there_are_no_slots_and_no_latest(store: Store, room: Classroom):
    assert store.slots(room.class_id, 0.0) == []
    assert store.latest(room.class_id, 0.0) is None


def test_the_latest_takes_all_slots_since_then_as_one(store: Store, room: Classroom):
    late = NOW + SLOT_S
    mine = [
        bucket("a", NOW - SLOT_S, n=50, label="angry", class_id=room.class_id),
        bucket("a", NOW, n=1, label="sad", class_id=room.class_id),
        bucket("a", late, n=3, label="happy", class_id=room.class_id),
        bucket("b", late, n=1, label="sad", class_id=room.class_id),
    ]
    _put(store, mine, "a", "b", seen_at=late)
    latest = store.latest(room.class_id, NOW)
    assert latest is not None and (latest.start, latest.n_faces) == (NOW, 2)
    # Of one face three quarters were happy, of the other none.
    np.testing.assert_allclose(latest.mean_probs[[HAPPY, SAD]], [0.375, 0.625])
    assert latest.mean_probs.sum() == pytest.approx(1)


def test_the_latest_leaves_out_who_is_not_connected_any_more(store: Store, room: Classroom, other: Classroom):
    mine = [
        bucket(stream, NOW, label=label, class_id=room.class_id)
        for stream, label in [("a", "happy"), ("b", "sad"), ("c", "sad")]
    ]
    store.put(mine, [present("a", NOW, class_id=room.class_id), present("b", NOW - 60, class_id=room.class_id)], [])
    # A stream of the same name in another class does not count here.
    store.put([], [present("c", NOW, class_id=other.class_id)], [])
    latest = store.latest(room.class_id, NOW - 10)
    assert latest is not None and (latest.n_faces, latest.mean_probs[HAPPY]) == (1, 1.0)


def test_presences_are_those_heard_of_since_then_each_as_it_was_last(store: Store, room: Classroom, other: Classroom):
    store.put([], [present("a", NOW, 1, room.class_id), present("b", NOW - 60, 1, room.class_id)], [])
    store.put([], [present("a", NOW + 1, 2, room.class_id), present("c", NOW, 1, other.class_id)], [])
    store.put([], [present("a", NOW - 5, 9, room.class_id)], [])
    assert store.presences(room.class_id, NOW - 10) == [present("a", NOW + 1, 2, room.class_id)]


def test_who_leaves_is_not_present_any_more_and_what_was_contributed_stays(store: Store, room: Classroom):
    _put(store, [bucket("a", NOW, class_id=room.class_id)], "a", "b")
    store.put([], [], ["a"])
    assert [presence.stream_id for presence in store.presences(room.class_id, 0.0)] == ["b"]
    assert len(store.slots(room.class_id, 0.0)) == 1


def test_a_class_that_has_ended_takes_nothing_later(store: Store, room: Classroom):
    _put(store, [bucket("a", NOW, class_id=room.class_id)], "a")
    store.end_class(room.class_id, NOW + 7)
    late = NOW + 10
    _put(store, [bucket("a", late, class_id=room.class_id)], "a", "b", seen_at=late)
    assert [slot.start for slot in store.slots(room.class_id, 0.0)] == [NOW]
    assert store.presences(room.class_id, 0.0) == []


def test_what_was_read_before_the_end_may_still_come_in(store: Store, room: Classroom):
    store.end_class(room.class_id, NOW + 7)
    _put(store, [bucket("a", NOW + 5, class_id=room.class_id)])
    assert len(store.slots(room.class_id, 0.0)) == 1


def test_a_class_ends_once(store: Store, room: Classroom):
    store.end_class(room.class_id, NOW + 7)
    store.end_class(room.class_id, NOW + 99)
    found = store.find_class(room.code)
    assert found is not None and found.ended_at == NOW + 7


def test_a_class_that_has_ended_is_still_opened_with_its_key(store: Store):
    room, key = store.create_class("Physics", True, NOW)
    store.end_class(room.class_id, NOW + 7)
    assert store.open_class(room.code, key).ended_at == NOW + 7


def test_what_belongs_to_no_class_is_passed_over_and_the_rest_is_written(url: str, store: Store, room: Classroom):
    _put(store, [bucket("a", NOW, class_id=room.class_id + 1000), bucket("b", NOW, class_id=room.class_id)])
    store.put([], [present("a", NOW, class_id=room.class_id + 1000)], [])
    assert [row.stream_id for row in _rows(url)["buckets"]] == ["b"] and _rows(url)["presences"] == []


def test_deleting_a_class_leaves_not_a_row_of_it(url: str, store: Store, room: Classroom, other: Classroom):
    for made in (room, other):
        _fill(store, made, "a", "b")
    store.delete_class(room.class_id)
    assert {table: {row.class_id for row in found} for table, found in _rows(url).items()} == {
        table: {other.class_id} for table in sql.metadata.tables
    }
    assert store.find_class(room.code) is None


def test_a_class_that_was_deleted_takes_nothing_any_more(url: str, store: Store, room: Classroom):
    store.delete_class(room.class_id)
    _put(store, [bucket("a", NOW, class_id=room.class_id)], "a")
    store.give(_said(room, "slower"))
    store.take_back(room.class_id, "a", tuple(signals.KINDS), NOW)
    assert _rows(url) == {table: [] for table in sql.metadata.tables}


def test_deleting_a_stream_leaves_not_a_row_of_it(url: str, store: Store, room: Classroom, other: Classroom):
    for made in (room, other):
        _fill(store, made, "a", "b")
        _put(store, [bucket(stream, NOW, face_id=1, class_id=made.class_id) for stream in "ab"])
    store.delete_stream(room.class_id, "a")
    for name in [table.name for table in sql.metadata.tables.values() if "stream_id" in table.c]:
        left = {(row.class_id, row.stream_id) for row in _rows(url)[name]}
        assert left == {(room.class_id, "b"), (other.class_id, "a"), (other.class_id, "b")}


def test_a_purge_deletes_the_classes_that_were_made_before_and_their_rows(url: str, store: Store):
    old, _ = store.create_class("Old", True, NOW - 100)
    new, _ = store.create_class("New", True, NOW)
    for made in (old, new):
        _fill(store, made, "a")
    assert (store.purge(NOW), store.purge(NOW)) == (1, 0)
    assert {table: {row.class_id for row in found} for table, found in _rows(url).items()} == {
        table: {new.class_id} for table in sql.metadata.tables
    }


def test_what_a_student_says_is_kept_as_it_was_said(store: Store, room: Classroom):
    given = [_said(room, kind, NOW + i, name="Ada") for i, kind in enumerate(signals.KINDS)]
    for one in given:
        store.give(one)
    assert store.signals(room.class_id, 0.0) == given


def test_without_signals_there_are_none(store: Store, room: Classroom):
    assert store.signals(room.class_id, 0.0) == store.signals(room.class_id + 1000, 0.0) == []


@pytest.mark.parametrize("kind", signals.HELD)
def test_what_stands_until_it_is_cleared_does_so_when_the_store_is_opened_again(
    url: str, store: Store, room: Classroom, kind: str
):
    store.give(_said(room, kind))
    (kept,) = SqlStore(url).signals(room.class_id, NOW + 1e9)
    assert kept.until == math.inf and kept == _said(room, kind)
    assert signals.counts([kept], NOW + 1e9)[kind] == 1


def test_signals_come_in_the_order_in_which_they_were_said(store: Store, room: Classroom):
    for second in (5, 1, 9, 3):
        store.give(_said(room, "lost", NOW + second, by=f"s{9 - second}"))
    assert [one.at - NOW for one in store.signals(room.class_id, 0.0)] == [1, 3, 5, 9]


@pytest.mark.parametrize("kind", ["help", "slower"])
def test_giving_the_same_again_changes_nothing(url: str, store: Store, room: Classroom, kind: str):
    one = _said(room, kind, name="Ada")
    store.give(one)
    before = _rows(url)
    for _ in range(3):
        store.give(one)
    assert _rows(url) == before and len(before["signals"]) == 1


@pytest.mark.parametrize(("kind", "name"), [("help", "Ada"), ("lost", ""), ("slower", "")])
def test_the_same_student_saying_it_again_takes_the_place_of_what_stands(
    store: Store, room: Classroom, kind: str, name: str
):
    store.give(_said(room, kind))
    store.give(_said(room, kind, NOW + 10, name=name))
    first, second = store.signals(room.class_id, 0.0)
    assert (first.at, first.until) == (NOW, NOW + 10)
    assert second == _said(room, kind, NOW + 10, name=name)
    assert signals.standing([first, second], NOW + 9) == [first]
    assert signals.standing([first, second], NOW + 10) == [second]


def test_what_had_faded_or_been_taken_back_before_is_not_changed_by_saying_it_again(store: Store, room: Classroom):
    store.give(_said(room, "lost"))
    store.take_back(room.class_id, "a", ["lost"], NOW + 20)
    store.give(_said(room, "lost", NOW + 30))
    store.give(_said(room, "lost", NOW + 500))
    assert [one.until - NOW for one in store.signals(room.class_id, 0.0)] == [20, 90, 560]


def test_saying_it_does_not_touch_other_students_kinds_or_classes(store: Store, room: Classroom, other: Classroom):
    untouched = [_said(room, "slower", by="b"), _said(room, "lost"), _said(other, "slower")]
    for one in untouched:
        store.give(one)
    store.give(_said(room, "slower", NOW + 1))
    store.give(_said(room, "slower", NOW + 2))
    left = store.signals(room.class_id, NOW + 3) + store.signals(other.class_id, NOW + 3)
    assert set(untouched) < set(left) and len(left) == 4


def test_taking_back_ends_the_kinds_that_are_named_of_that_student_in_that_class(
    store: Store, room: Classroom, other: Classroom
):
    for made in (room, other):
        for by in "ab":
            for kind in signals.KINDS:
                store.give(_said(made, kind, by=by))
    store.take_back(room.class_id, "a", ["slower", "help"], NOW + 1)

    def standing(made: Classroom) -> set[tuple[str, str]]:
        return {(one.stream_id, one.kind) for one in signals.standing(store.signals(made.class_id, 0.0), NOW + 1)}

    everything = {(by, kind) for by in "ab" for kind in signals.KINDS}
    assert standing(room) == everything - {("a", "slower"), ("a", "help")}
    assert standing(other) == everything


def test_what_is_taken_back_stays_known_until_then_and_is_not_lengthened(store: Store, room: Classroom):
    store.give(_said(room, "slower"))
    for later in (20, 40, 10_000):
        store.take_back(room.class_id, "a", signals.HELD, NOW + later)
    (one,) = store.signals(room.class_id, 0.0)
    assert (one.at, one.until) == (NOW, NOW + 20)


def test_taking_back_what_was_not_said_or_no_kind_at_all_changes_nothing(url: str, store: Store, room: Classroom):
    store.give(_said(room, "slower"))
    before = _rows(url)
    store.take_back(room.class_id, "a", [], NOW + 1)
    store.take_back(room.class_id, "a", ["faster", "no such kind", "'; DROP TABLE signals; --"], NOW + 1)
    store.take_back(room.class_id, "nobody", tuple(signals.KINDS), NOW + 1)
    store.take_back(room.class_id + 1000, "a", tuple(signals.KINDS), NOW + 1)
    assert _rows(url) == before


def test_signals_leave_out_what_stood_no_longer_by_then(store: Store, room: Classroom):
    store.give(_said(room, "lost", by="faded"))
    store.give(_said(room, "slower", by="taken back"))
    store.give(_said(room, "slower", by="held"))
    store.take_back(room.class_id, "taken back", ["slower"], NOW + 30)
    since = {s: [one.stream_id for one in store.signals(room.class_id, NOW + s)] for s in (0, 29, 31, 59, 61, 9000)}
    assert [sorted(by) for by in since.values()] == [
        ["faded", "held", "taken back"],
        ["faded", "held", "taken back"],
        ["faded", "held"],
        ["faded", "held"],
        ["held"],
        ["held"],
    ]


def test_a_class_that_has_ended_takes_no_signal_given_later_and_keeps_those_of_before(store: Store, room: Classroom):
    store.give(_said(room, "slower"))
    store.end_class(room.class_id, NOW + 7)
    store.give(_said(room, "lost", NOW + 7))
    store.give(_said(room, "slower", NOW + 8))
    store.give(_said(room, "faster", NOW + 6))  # said before the end, and late to come in
    assert store.signals(room.class_id, 0.0) == [_said(room, "slower"), _said(room, "faster", NOW + 6)]


def test_a_signal_for_no_class_is_passed_over(url: str, store: Store, room: Classroom):
    store.give(Signal(room.class_id + 1000, "a", "lost", NOW, NOW + 60))
    assert _rows(url)["signals"] == []


@pytest.mark.parametrize(
    "name",
    [
        'O\'Brien "Bobby"; DROP TABLE signals; --',
        "%s :name ? {0} \\",
        "👩‍🏫" * 30,
        "Ωμέγα שלום",
        "<script>alert(1)</script>",
        "x" * 10_000,
        "😀" * 10_000,
    ],
)
def test_a_name_of_any_signs_comes_back_as_it_was_given(store: Store, room: Classroom, name: str):
    one = _said(room, "help", name=name)
    store.give(one)
    (kept,) = store.signals(room.class_id, 0.0)
    assert kept == one and 0 < len(kept.name) <= sql.signals.c.name.type.length
    assert name.startswith(kept.name)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    taps=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["lost", "slower"]), st.booleans(), st.integers(1, 40)),
        max_size=12,
    )
)
def test_after_any_taps_a_student_says_what_was_tapped_last(
    store: Store, room: Classroom, taps: list[tuple[str, str, bool, int]]
):
    for by in "ab":
        store.delete_stream(room.class_id, by)
    now, said = NOW, dict[tuple[str, str], Signal]()
    for by, kind, gives, seconds in taps:
        now += seconds
        if gives:
            said[by, kind] = _said(room, kind, now, by)
            store.give(said[by, kind])
        else:
            said.pop((by, kind), None)
            store.take_back(room.class_id, by, [kind], now)
    stands = signals.standing(store.signals(room.class_id, 0.0), now)
    assert sorted(stands, key=str) == sorted(signals.standing(said.values(), now), key=str)


def test_students_who_say_the_same_at_the_same_moment_are_all_kept(store: Store, room: Classroom):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: store.give(_said(room, "lost", by=f"s{i}")), range(12)))
    assert signals.counts(store.signals(room.class_id, 0.0), NOW)["lost"] == 12


def test_any_thread_may_write(store: Store, room: Classroom):
    def write(i: int) -> None:
        _put(store, [bucket(f"s{i}", NOW, n=n, class_id=room.class_id) for n in (1, 2)], f"s{i}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(12)))
    assert [slot.n_faces for slot in store.slots(room.class_id, 0.0)] == [12]
    assert len(store.presences(room.class_id, 0.0)) == 12


def test_a_store_that_is_opened_again_has_what_it_had(url: str, store: Store, room: Classroom):
    _put(store, [bucket("a", NOW, class_id=room.class_id)], "a")
    again = SqlStore(url)
    assert again.find_class(room.code) == room
    _same(again.slots(room.class_id, 0.0), store.slots(room.class_id, 0.0))


def test_the_tables_that_migrations_make_are_those_of_the_code(url: str, store: Store):
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), [sql.metadata, journals.metadata]) == []
        made = set(sa.inspect(connection).get_table_names())
    assert made == {*sql.metadata.tables, *journals.metadata.tables, "alembic_version"}


def test_a_database_of_the_first_version_keeps_its_classes_and_takes_signals(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'old.sqlite3'}"
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            sa.text("INSERT INTO classes VALUES (3, 'ACX4K7', 'Old', 'no hash', 1, :made, NULL)"), {"made": NOW}
        )
    store = SqlStore(url)
    room = store.find_class("ACX4K7")
    assert room == Classroom(3, "ACX4K7", "Old", NOW, None, True, False, False)
    store.give(_said(room, "slower"))
    assert store.signals(3, 0.0) == [_said(room, "slower")]


SECRET = "hunter2"


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param("classmood", id="no URL"),
        pytest.param("", id="empty"),
        pytest.param("sqlite://", id="in memory"),
        pytest.param("sqlite:///:memory:", id="in memory, by name"),
        pytest.param("sqlite:////missing/folder/store.sqlite3", id="a folder that there is not"),
        pytest.param(f"mysql://user:{SECRET}@host/name", id="another database"),
        pytest.param(f"nothing+driver://user:{SECRET}@host/name", id="no database"),
        pytest.param(f"postgresql+nothing://user:{SECRET}@host/name", id="no driver"),
        pytest.param(f"postgresql+psycopg://user:{SECRET}@127.0.0.1:1/name", id="nobody there"),
        pytest.param(f"postgresql+psycopg://user:{SECRET}@host:port/name", id="a port in letters"),
        pytest.param(f"postgresql+psycopg://user:{SECRET}/2@127.0.0.1:1/name", id="a password with a slash"),
        pytest.param(f"postgresql+psycopg://user:2@{SECRET}@127.0.0.1:1/name", id="a password with an at sign"),
        pytest.param(f"postgresql+psycopg://user:2@3:{SECRET}@127.0.0.1:1/name", id="an at sign and a colon"),
        pytest.param(f"postgresql+psycopg://user:{SECRET}@[::1/name", id="half an address"),
        pytest.param(f"postgresql+psycopg://user:{SECRET}@127.0.0.1/name?nothing=1", id="an option that there is not"),
        pytest.param(f"postgresql+psycopg//user:{SECRET}@host/name", id="without a colon"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(unusable: str):
    with pytest.raises(StoreError) as error:
        SqlStore(unusable)
    assert SECRET not in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://e:n@127.0.0.1:1/t", "postgresql+psycopg://user:name@127.0.0.1:1/ion"]
)
def test_what_a_server_says_stays_readable(url: str):
    with pytest.raises(StoreError, match="Connection refused"):
        SqlStore(url)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path):
    file = tmp_path / "notes.txt"
    file.write_text("These are my notes. " * 100)
    with pytest.raises(StoreError):
        SqlStore(f"sqlite:///{file}")
    assert file.read_text() == "These are my notes. " * 100


def test_a_database_that_another_holds_is_a_store_error_and_works_again_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "LOCK_WAIT_S", 0.01)
    store = SqlStore(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    room, _ = store.create_class("Physics", True, NOW)
    holder = sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="database is locked"):
        _put(store, [bucket("a", NOW, class_id=room.class_id)])
    holder.execute("ROLLBACK")
    holder.close()
    _put(store, [bucket("a", NOW, class_id=room.class_id)])
    assert len(store.slots(room.class_id, 0.0)) == 1


def test_a_file_that_is_gone_is_an_error_and_no_empty_one_takes_its_place(tmp_path: Path):
    path = tmp_path / "an odd name #1 100%.sqlite3"
    made = SqlStore(f"sqlite:///{path}")
    room, _ = made.create_class("Algebra", True, NOW)
    path.rename(tmp_path / "away")
    with pytest.raises(StoreError):
        made.put([bucket("a", NOW, class_id=room.class_id)], [], [])
    assert not path.exists()
    (tmp_path / "away").rename(path)
    made.put([bucket("a", NOW, class_id=room.class_id)], [], [])
    assert len(made.slots(room.class_id, 0.0)) == 1


@pytest.mark.parametrize(("paused", "pulse"), [(True, False), (False, True), (True, True), (False, False)])
def test_a_class_that_is_paused_or_shows_its_pulse_does_so_wherever_it_is_opened(
    url: str, store: Store, other: Classroom, paused: bool, pulse: bool
):
    room, key = store.create_class("Physics", True, NOW)
    assert (room.paused, room.pulse) == (False, False)
    store.set_class(room.class_id, not paused, not pulse)
    store.set_class(room.class_id, paused, pulse)
    for found in (store.find_class(room.code), store.open_class(room.code, key), SqlStore(url).find_class(room.code)):
        assert found is not None and (found.paused, found.pulse) == (paused, pulse)
        assert (found.title, found.camera, found.ended_at) == ("Physics", True, None)
    assert store.find_class(other.code) == other


def test_ending_a_class_keeps_whether_it_was_paused(store: Store, room: Classroom):
    store.set_class(room.class_id, True, True)
    store.end_class(room.class_id, NOW + 7)
    found = store.find_class(room.code)
    assert found is not None and (found.paused, found.pulse, found.ended_at) == (True, True, NOW + 7)


def test_setting_a_class_that_there_is_not_makes_none(url: str, store: Store, room: Classroom):
    store.set_class(room.class_id + 1000, True, True)
    assert len(_rows(url)["classes"]) == 1 and store.find_class(room.code) == room


def test_marked_moments_come_oldest_first_and_classes_do_not_mix(store: Store, room: Classroom, other: Classroom):
    mine = [Marker(room.class_id, NOW + at, text) for at, text in [(30.25, "c"), (10, "a"), (20, "")]]
    for marker in [*mine, Marker(other.class_id, NOW + 10, "theirs")]:
        store.mark(marker)
    assert store.markers(room.class_id) == [mine[1], mine[2], mine[0]]
    assert store.markers(other.class_id) == [Marker(other.class_id, NOW + 10, "theirs")]
    assert store.markers(other.class_id + 1000) == []


def test_of_two_marks_at_the_same_moment_the_first_one_stays(store: Store, room: Classroom, other: Classroom):
    for text in ("first", "second"):
        store.mark(Marker(room.class_id, NOW, text))
    store.mark(Marker(other.class_id, NOW, "theirs"))
    assert [marker.text for marker in store.markers(room.class_id)] == ["first"]
    assert [marker.text for marker in store.markers(other.class_id)] == ["theirs"]


@pytest.mark.parametrize("text", ["x" * 120, "x" * 121, "😀" * 300, "Ωμέγα 'x'; DROP TABLE markers; --\n"])
def test_the_text_of_a_mark_may_hold_any_signs_and_is_cut_to_what_fits(store: Store, room: Classroom, text: str):
    store.mark(Marker(room.class_id, NOW, text))
    assert [marker.text for marker in store.markers(room.class_id)] == [text[:120]]


def test_a_mark_that_is_taken_away_is_gone_and_the_others_stay(store: Store, room: Classroom, other: Classroom):
    gone = Marker(room.class_id, NOW, "gone")
    kept = [Marker(room.class_id, NOW + 1, "kept"), Marker(other.class_id, NOW, "theirs")]
    for marker in [gone, *kept]:
        store.mark(marker)
    for _ in range(2):
        store.unmark(gone)
    assert [*store.markers(room.class_id), *store.markers(other.class_id)] == kept
    store.mark(gone)
    assert store.markers(room.class_id) == [gone, kept[0]]


def test_the_marks_of_a_class_go_with_it_and_those_of_another_stay(store: Store, room: Classroom, other: Classroom):
    for made in (room, other):
        store.mark(Marker(made.class_id, NOW, "here"))
    store.delete_class(room.class_id)
    assert store.markers(room.class_id) == []
    assert [marker.text for marker in store.markers(other.class_id)] == ["here"]


def test_a_purge_takes_the_marks_of_old_classes_and_no_others(url: str, store: Store):
    old, _ = store.create_class("Old", True, NOW - 100)
    new, _ = store.create_class("New", True, NOW)
    for made in (old, new):
        store.mark(Marker(made.class_id, NOW, made.title))
    store.purge(NOW)
    assert [row.text for row in _rows(url)["markers"]] == ["New"]


def test_a_student_who_deletes_their_part_leaves_the_marks_of_the_class(store: Store, room: Classroom):
    store.mark(Marker(room.class_id, NOW, "film"))
    store.delete_stream(room.class_id, "a")
    assert [marker.text for marker in store.markers(room.class_id)] == ["film"]
