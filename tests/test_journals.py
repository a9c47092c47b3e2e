"""The store of journals: who gets in, and that nobody gets at another's rows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from fer.errors import JournalError, StoreError
from fer.store import database, journals
from fer.store.journals import LOCKED_S, TRIES, Journals
from fer.types import Entry, Head, Keeper, Trial
from tests.conftest import ROOT
from tests.fakes import probs_of

NOW = 1_750_000_000.0
PASSPHRASE, SALT = "correct horse battery", b"s" * 16
PROBS = tuple(float(p) for p in probs_of("happy"))
SERVER = os.environ.get("FER_TEST_DATABASE_URL", "")


def entry(number: int, label: str = "happy", note: str = "", tags: tuple[str, ...] = ()) -> Entry:
    return Entry(f"{number:032x}", NOW + number, label, PROBS, note, tags)


def head(at: float, in_use: bool = True) -> Head:
    return Head(at, ((0.5,) * 7,) * 7, (0.0,) * 7, Trial(40, 0.5, 0.75, 12, 2, 0.0065), in_use)


@pytest.fixture(params=["sqlite", "server"] if SERVER else ["sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journals]:
    made = Journals(f"sqlite:///{tmp_path / 'journals.sqlite3'}" if request.param == "sqlite" else SERVER)
    _empty(made)
    yield made
    _empty(made)


def _empty(store: Journals) -> None:
    with store.begin() as connection:
        for table in journals.metadata.tables.values():
            connection.execute(sa.delete(table))


def _rows(store: Journals) -> dict[str, list[int]]:
    """Whose rows there are in each table."""
    with store.begin() as connection:
        tables = journals.metadata.tables.items()
        return {name: sorted(connection.scalars(sa.select(table.c.keeper_id))) for name, table in tables}


@pytest.fixture
def ada(store: Journals) -> Keeper:
    return store.enrol("Ada", PASSPHRASE, SALT, NOW)


@pytest.fixture
def bob(store: Journals) -> Keeper:
    return store.enrol("Bob", "another passphrase", b"t" * 16, NOW)


def test_a_keeper_gets_in_with_their_passphrase_however_the_name_is_typed(store: Journals, ada: Keeper):
    for name in ("Ada", " ada ", "ADA"):
        assert store.open(name, PASSPHRASE, NOW) == ada
    assert ada.salt == SALT


@pytest.mark.parametrize(
    "name, passphrase, sentence",
    [
        ("", PASSPHRASE, "needs a name"),
        ("  ", PASSPHRASE, "needs a name"),
        ("Cy", "short", "10 to 200"),
        ("Cy", "x" * 201, "10"),
    ],
)
def test_a_journal_needs_a_name_and_a_long_passphrase(store: Journals, name: str, passphrase: str, sentence: str):
    with pytest.raises(JournalError, match=sentence):
        store.enrol(name, passphrase, SALT, NOW)


def test_a_name_is_given_once(store: Journals, ada: Keeper):
    with pytest.raises(JournalError, match="of this name already"):
        store.enrol(" ADA", "yet another passphrase", SALT, NOW)


def test_wrong_passphrase_and_wrong_name_read_the_same(store: Journals, ada: Keeper):
    said = []
    for name in ("Ada", "Nobody"):
        with pytest.raises(JournalError) as error:
            store.open(name, "not the passphrase", NOW)
        said.append(str(error.value))
    assert said[0] == said[1] == journals.WRONG


def test_the_passphrase_is_not_in_the_database(store: Journals, ada: Keeper):
    with store.begin() as connection:
        assert PASSPHRASE not in str(connection.execute(sa.select(journals.keepers)).all())


def test_too_many_wrong_passphrases_lock_a_journal_for_a_while_even_for_the_right_one(store: Journals, ada: Keeper):
    for i in range(TRIES):
        with pytest.raises(JournalError, match="do not open"):
            store.open("Ada", "wrong", NOW + i)
    for passphrase in ("wrong", PASSPHRASE):
        with pytest.raises(JournalError, match="opens again in 15 minutes"):
            store.open("Ada", passphrase, NOW + TRIES)
    assert store.open("Ada", PASSPHRASE, NOW + TRIES + LOCKED_S) == ada


def test_what_was_wrong_before_counts_no_more_after_a_success_or_a_while(store: Journals, ada: Keeper):
    for round_ in range(3):
        for _ in range(TRIES - 1):
            with pytest.raises(JournalError, match="do not open"):
                store.open("Ada", "wrong", NOW + round_)
        assert store.open("Ada", PASSPHRASE, NOW + round_) == ada
    for i in range(2 * TRIES):
        with pytest.raises(JournalError, match="do not open"):
            store.open("Ada", "wrong", NOW + (i + 1) * (LOCKED_S + 1))


def test_tries_at_the_same_moment_count_as_well(store: Journals, ada: Keeper):
    def attempt(_: int) -> str:
        try:
            store.open("Ada", "wrong", NOW)
        except JournalError as error:
            return str(error)
        raise AssertionError("it opened")

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(attempt, range(12)))
    assert sum(sentence == journals.WRONG for sentence in said) == TRIES


def test_who_signs_in_elsewhere_is_known_again_and_is_nobody_else(store: Journals):
    one = store.of_subject("https://issuer.example", "123", "Ada", NOW)
    assert store.of_subject("https://issuer.example", "123", "Ada Lovelace", NOW) == one
    assert store.of_subject("https://other.example", "123", "Ada", NOW) != one
    assert one.salt is None
    assert store.of_subject("https://issuer.example", "124", f" Ada \n {'b' * 75} c", NOW).name == f"Ada {'b' * 75}"
    assert store.of_subject("https://issuer.example", "125", "  ", NOW).name == "you"
    for name in ("Ada", "oidc:https://issuer.example 123"):
        with pytest.raises(JournalError, match="do not open"):
            store.open(name, "", NOW)


def test_entries_come_back_oldest_first_with_everything_in_them(store: Journals, ada: Keeper):
    kept = [entry(2, "sad", "a <script> & 🎈\nline", ("home", "after sport")), entry(1)]
    assert store.put(ada, kept, {kept[0].entry_id: b"sealed"}) == 2
    assert store.entries(ada.keeper_id) == kept[::-1]
    assert store.pictures(ada.keeper_id) == {kept[0].entry_id: b"sealed"}


def test_an_entry_that_is_there_already_is_not_doubled_or_changed(store: Journals, ada: Keeper):
    store.put(ada, [entry(1, note="mine")], {})
    assert store.put(ada, [entry(1, note="another"), entry(2), entry(2)], {entry(1).entry_id: b"x"}) == 1
    assert [kept.note for kept in store.entries(ada.keeper_id)] == ["mine", ""]
    assert store.pictures(ada.keeper_id) == {}


def test_editing_changes_label_note_and_tags_and_nothing_else(store: Journals, ada: Keeper):
    store.put(ada, [entry(1), entry(2)], {})
    new = replace(entry(1), label="fear", note="new", tags=("x",), at=0.0, probs=(0.0,) * 7)
    store.edit(ada.keeper_id, new)
    store.edit(ada.keeper_id, entry(9))
    assert store.entries(ada.keeper_id) == [replace(new, at=entry(1).at, probs=PROBS), entry(2)]


def test_a_deleted_entry_takes_its_picture_with_it(store: Journals, ada: Keeper):
    store.put(ada, [entry(1), entry(2)], {entry(1).entry_id: b"a", entry(2).entry_id: b"b"})
    store.delete(ada.keeper_id, entry(1).entry_id)
    assert store.entries(ada.keeper_id) == [entry(2)]
    assert store.pictures(ada.keeper_id) == {entry(2).entry_id: b"b"}
    store.delete_pictures(ada.keeper_id)
    assert store.pictures(ada.keeper_id) == {} and len(store.entries(ada.keeper_id)) == 1


def test_nobody_reads_or_changes_anothers_rows_by_any_query(store: Journals, ada: Keeper, bob: Keeper):
    mine = entry(1, note="Ada's")
    store.put(ada, [mine], {mine.entry_id: b"sealed"})
    store.put_head(ada.keeper_id, head(NOW))
    before = _rows(store)

    assert store.entries(bob.keeper_id) == [] and store.heads(bob.keeper_id) == []
    assert store.pictures(bob.keeper_id) == store.pictures(bob.keeper_id, [mine.entry_id]) == {}
    store.edit(bob.keeper_id, replace(mine, note="Bob was here"))
    store.delete(bob.keeper_id, mine.entry_id)
    store.delete_pictures(bob.keeper_id)
    store.put_head(bob.keeper_id, head(NOW, in_use=False))
    assert store.put(bob, [replace(mine, note="Bob's")], {}) == 1  # the same number is another entry

    assert store.entries(ada.keeper_id) == [mine]
    assert store.pictures(ada.keeper_id) == {mine.entry_id: b"sealed"}
    assert store.heads(ada.keeper_id) == [head(NOW)]
    store.delete_keeper(bob.keeper_id)
    assert _rows(store) == {**before, "keepers": [ada.keeper_id]}


def test_deleting_a_keeper_leaves_no_row_of_theirs_and_their_open_page_writes_none(store: Journals, ada: Keeper):
    store.put(ada, [entry(1)], {entry(1).entry_id: b"x"})
    store.put_head(ada.keeper_id, head(NOW))
    store.delete_keeper(ada.keeper_id)
    assert _rows(store) == {table: [] for table in journals.metadata.tables}
    again = store.enrol("Ada", PASSPHRASE, SALT, NOW)
    assert again.keeper_id != ada.keeper_id
    with pytest.raises(JournalError, match="has been deleted"):
        store.put(ada, [entry(2)], {})
    assert store.entries(again.keeper_id) == []


def test_a_journal_has_room_for_so_many(store: Journals, ada: Keeper, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journals, "MAX_ENTRIES", 3)
    store.put(ada, [entry(i) for i in range(2)], {})
    with pytest.raises(JournalError, match="room for 3"):
        store.put(ada, [entry(i) for i in range(4)], {})
    assert len(store.entries(ada.keeper_id)) == 2


def test_heads_are_kept_in_order_and_may_be_taken_back(store: Journals, ada: Keeper):
    store.put_head(ada.keeper_id, head(NOW + 1))
    store.put_head(ada.keeper_id, head(NOW))
    store.put_head(ada.keeper_id, head(NOW + 1, in_use=False))
    assert store.heads(ada.keeper_id) == [head(NOW), head(NOW + 1, in_use=False)]


def test_a_full_disk_is_a_sentence_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Journals(f"sqlite:///{tmp_path / 'journals.sqlite3'}")
    keeper = store.enrol("Ada", PASSPHRASE, SALT, NOW)
    store.put(keeper, [entry(0)], {})
    connect = database._connect_sqlite

    def full(path: str | None) -> object:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count=1")  # no page more than there are
        return connection

    monkeypatch.setattr(database, "_connect_sqlite", full)
    many = [entry(i, note="n" * 2000) for i in range(1, 50)]
    with pytest.raises(StoreError, match="disk is full"):
        store.put(keeper, many, {})
    monkeypatch.setattr(database, "_connect_sqlite", connect)
    assert store.entries(keeper.keeper_id) == [entry(0)]
    assert store.put(keeper, many, {}) == 49


NEW, NEW_SALT = "another horse entirely", b"n" * 16


def turned(entry_id: str, sealed: bytes) -> bytes:
    """Stands for sealing anew: the picture, backwards."""
    return sealed[::-1]


def with_pictures(store: Journals, who: Keeper, n: int = 3) -> dict[str, bytes]:
    kept = [entry(i) for i in range(n)]
    pictures = {one.entry_id: f"{who.name} {i}".encode() for i, one in enumerate(kept)}
    store.put(who, kept, pictures)
    return pictures


def opens(store: Journals, passphrase: str) -> bool:
    try:
        return bool(store.open("Ada", passphrase, NOW + 100))
    except JournalError:
        return False


def test_a_new_passphrase_opens_the_journal_and_its_pictures_are_sealed_anew(store: Journals, ada: Keeper, bob: Keeper):
    before, others = with_pictures(store, ada), with_pictures(store, bob)
    changed = store.change_passphrase(ada, PASSPHRASE, NEW, NEW_SALT, turned, NOW)
    assert changed == replace(ada, salt=NEW_SALT) == store.open("Ada", NEW, NOW) and not opens(store, PASSPHRASE)
    assert store.pictures(ada.keeper_id) == {i: sealed[::-1] for i, sealed in before.items()}
    assert store.pictures(bob.keeper_id) == others
    assert store.open("Bob", "another passphrase", NOW) == bob
    assert len(store.entries(ada.keeper_id)) == 3


def test_a_journal_without_a_picture_gets_another_passphrase_as_well(store: Journals, ada: Keeper):
    store.change_passphrase(ada, PASSPHRASE, NEW, NEW_SALT, turned, NOW)
    assert opens(store, NEW) and not opens(store, PASSPHRASE)


@pytest.mark.parametrize("old, new, sentence", [("wrong", NEW, "not right"), (PASSPHRASE, "short", "10 to 200")])
def test_a_passphrase_that_cannot_be_changed_changes_nothing(
    store: Journals, ada: Keeper, old: str, new: str, sentence: str
):
    before = with_pictures(store, ada)
    with pytest.raises(JournalError, match=sentence):
        store.change_passphrase(ada, old, new, NEW_SALT, turned, NOW)
    assert store.is_current(ada) and store.pictures(ada.keeper_id) == before and opens(store, PASSPHRASE)


def test_wrong_old_passphrases_lock_the_journal_as_wrong_ones_do(store: Journals, ada: Keeper):
    for i in range(TRIES):
        with pytest.raises(JournalError, match="not right"):
            store.change_passphrase(ada, "wrong", NEW, NEW_SALT, turned, NOW + i)
    with pytest.raises(JournalError, match="opens again in 15 minutes"):
        store.change_passphrase(ada, PASSPHRASE, NEW, NEW_SALT, turned, NOW + TRIES)
    with pytest.raises(JournalError, match="opens again in 15 minutes"):
        store.open("Ada", PASSPHRASE, NOW + TRIES)
    assert store.change_passphrase(ada, PASSPHRASE, NEW, NEW_SALT, turned, NOW + TRIES + LOCKED_S)


def test_a_failure_in_the_middle_changes_nothing(store: Journals, ada: Keeper):
    before, asked = with_pictures(store, ada), []

    def breaks(entry_id: str, sealed: bytes) -> bytes:
        asked.append(entry_id)
        if len(asked) == 2:
            raise MemoryError
        return sealed[::-1]

    with pytest.raises(MemoryError):
        store.change_passphrase(ada, PASSPHRASE, NEW, NEW_SALT, breaks, NOW)
    assert store.pictures(ada.keeper_id) == before
    assert store.is_current(ada) and opens(store, PASSPHRASE) and not opens(store, NEW)


def test_a_database_that_fails_after_the_pictures_were_written_has_none_of_them(tmp_path: Path):
    store = Journals(f"sqlite:///{tmp_path / 'journals.sqlite3'}")
    ada = store.enrol("Ada", PASSPHRASE, SALT, NOW)
    before = with_pictures(store, ada)
    with store.begin() as connection:
        connection.execute(
            sa.text("CREATE TRIGGER full BEFORE UPDATE OF salt ON keepers BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        )
    with pytest.raises(StoreError, match="disk full"):
        store.change_passphrase(ada, PASSPHRASE, NEW, NEW_SALT, turned, NOW)
    assert store.pictures(ada.keeper_id) == before and opens(store, PASSPHRASE)


KILLED = """
import os, sys
from fer.store.journals import Journals
from fer.types import Keeper

asked = []
def dies(entry_id, sealed):
    asked.append(entry_id)
    if len(asked) == 2:
        os._exit(9)
    return sealed[::-1]

ada = Keeper(int(sys.argv[2]), "Ada", b"s" * 16)
Journals(sys.argv[1]).change_passphrase(ada, "correct horse battery", "another horse entirely", b"n" * 16, dies, 1.75e9)
"""


def test_a_process_that_is_killed_in_the_middle_loses_nothing(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'journals.sqlite3'}"
    store = Journals(url)
    ada = store.enrol("Ada", PASSPHRASE, SALT, NOW)
    before = with_pictures(store, ada)
    done = subprocess.run([sys.executable, "-c", KILLED, url, str(ada.keeper_id)], cwd=ROOT, check=False)
    assert done.returncode == 9
    assert store.pictures(ada.keeper_id) == before and store.is_current(ada) and opens(store, PASSPHRASE)


def test_a_page_that_is_signed_in_elsewhere_is_not_current_and_adds_nothing(store: Journals, ada: Keeper):
    with_pictures(store, ada)
    changed = store.change_passphrase(ada, PASSPHRASE, NEW, NEW_SALT, turned, NOW)
    assert store.is_current(changed) and not store.is_current(ada)
    with pytest.raises(JournalError, match="has been changed"):
        store.put(ada, [entry(9)], {entry(9).entry_id: b"sealed with the old one"})
    with pytest.raises(JournalError, match="has been changed"):
        store.change_passphrase(ada, NEW, "a third horse entirely", SALT, turned, NOW)
    store.put(changed, [entry(9)], {})
    store.delete_keeper(ada.keeper_id)
    assert not store.is_current(changed)


def test_who_signs_in_elsewhere_has_no_passphrase_to_change(store: Journals):
    who = store.of_subject("https://issuer.example", "42", "Ada", NOW)
    assert store.is_current(who)
    with pytest.raises(JournalError, match="not right"):
        store.change_passphrase(who, "", NEW, NEW_SALT, turned, NOW)
