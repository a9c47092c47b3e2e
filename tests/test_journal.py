from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer import charts, journal, photo
from fer.types import Entry, Face, Frame
from tests.fakes import probs_of, square

ZONE = ZoneInfo("UTC")
PROBS = tuple(map(float, probs_of("happy")))


def entry(day: date, label: str = "happy", note: str = "", tags: tuple[str, ...] = ()) -> Entry:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
    return Entry("0" * 32, at, label, PROBS, note, tags)


@pytest.mark.parametrize(
    "typed, kept",
    [
        ("home, after sport", ("home", "after sport")),
        (" #Home ,home;HOME\nwork", ("home", "work")),
        (",, ;", ()),
        ("x" * 99, ("x" * journal.MAX_TAG,)),
        (",".join(map(str, range(30))), tuple(map(str, range(journal.MAX_TAGS)))),
        ("🎈", ("🎈",)),
    ],
)
def test_tags_are_cleaned(typed: str, kept: tuple[str, ...]):
    assert journal.tags(typed) == kept


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text: str):
    once = journal.clean(text[: journal.MAX_NOTE // 2])
    assert journal.clean(once) == once
    assert "\x00" not in once
    assert journal.tags(", ".join(journal.tags(text))) == journal.tags(text)


def test_a_note_keeps_its_lines_and_its_script():
    assert journal.clean(" a\r\nb\t<script>\x00 ") == "a \nb <script>"


def test_search_finds_every_word_in_note_tags_or_label():
    one = entry(date(2026, 1, 1), "happy", "Lunch with Ada", ("home",))
    two = entry(date(2026, 1, 2), "sad", "Rain", ("home",))
    assert journal.search([one, two], "home") == [one, two]
    assert journal.search([one, two], "ADA happy") == [one]
    assert journal.search([one, two], "rain happy") == []
    assert journal.search([one, two], "  ") == [one, two]


@pytest.mark.parametrize(
    "kept, expected",
    [
        ([], (0, 0)),
        ([10], (1, 1)),
        ([9], (1, 1)),  # today has none yet: the streak is not lost before the day is over
        ([8], (0, 1)),
        ([1, 2, 3, 8, 9, 10], (3, 3)),
        ([1, 2, 3, 4, 9, 10, 10], (2, 4)),
        ([11], (0, 1)),  # a journal from a time zone ahead
    ],
)
def test_streaks(kept: list[int], expected: tuple[int, int]):
    assert journal.streaks([date(2026, 3, day) for day in kept], date(2026, 3, 10)) == expected


def test_an_entry_belongs_to_the_day_of_its_keepers_calendar():
    late = Entry("0" * 32, datetime(2026, 3, 1, 23, 30, tzinfo=UTC).timestamp(), "happy", PROBS)
    assert list(journal.days([late], ZONE)) == [date(2026, 3, 1)]
    assert list(journal.days([late], ZoneInfo("Europe/Berlin"))) == [date(2026, 3, 2)]


@pytest.mark.parametrize("month, days", [(date(2024, 2, 1), 29), (date(2026, 2, 14), 28), (date(2026, 12, 31), 31)])
def test_a_calendar_has_every_day_of_its_month(month: date, days: int):
    kept = journal.days([entry(month, "sad"), entry(month, "sad"), entry(month, "happy")], ZONE)
    rows = journal.calendar(kept, month)
    assert [row[0].day for row in rows] == list(range(1, days + 1))
    assert [row for row in rows if row[1]] == [(month, 3, "sad")]
    assert journal.months(kept) == [month.replace(day=1)]


def test_the_calendar_chart_has_a_square_for_every_day_and_a_constant_specification():
    one = charts.calendar(journal.calendar({}, date(2026, 3, 1)))
    other = charts.calendar(journal.calendar({date(2026, 5, 3): [entry(date(2026, 5, 3))]}, date(2026, 5, 1)))
    assert len(one.data) == len(other.data) == 31
    assert one.data["week"].max() == 5  # March 2026 begins on a Sunday
    specs = [{k: v for k, v in drawn.to_dict().items() if k not in ("data", "datasets")} for drawn in (one, other)]
    assert specs[0] == specs[1]


def test_shares_sum_to_one_and_are_nothing_without_entries():
    assert journal.shares([]).sum() == 0
    found = journal.shares([entry(date(2026, 1, 1), label) for label in ("sad", "sad", "happy", "fear")])
    assert found.sum() == 1 and found.max() == 0.5


@pytest.mark.parametrize("at", [(-50.0, -50.0), (255.0, 175.0), (100.0, 80.0)])
def test_a_portrait_of_a_face_at_any_edge_is_a_small_picture(scene: Frame, at: tuple[float, float]):
    picture = journal.portrait(scene, square(*at, 120.0))
    assert 1 <= min(picture.shape[:2]) and max(picture.shape[:2]) <= journal.PORTRAIT_PX


def test_a_portrait_is_kept_as_a_jpeg_that_reads_again(astronaut: Frame, astronaut_face: Face):
    picture = journal.portrait(astronaut, astronaut_face)
    again = photo.decode(journal.jpeg(picture))
    assert again.shape == picture.shape
    assert np.abs(again.astype(int) - picture).mean() < 6
