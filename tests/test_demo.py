"""The demo class: a lesson that is the same whenever it is asked for, and looks like a real one."""

import re

import numpy as np
import pytest

from fer import alert, demo, signals
from fer.aggregate import SLOT_S, above_floor, merge, mood
from fer.labels import LABELS
from fer.types import Bucket

BEGIN = 1_700_000_003.0  # within a slot
CLASS = 7


def _as_values(rows: list[Bucket]) -> list[tuple[object, ...]]:
    return [(b.class_id, b.stream_id, b.face_id, b.start, b.n, *b.prob_sum.tolist()) for b in rows]


@pytest.fixture(scope="module")
def whole() -> tuple[list[Bucket], list[demo.Presence], list[demo.Signal]]:
    """A demo class as it is when it is opened, with ten minutes behind it."""
    return demo.lesson(CLASS, BEGIN, BEGIN, BEGIN + demo.PAST_S)


def test_the_same_times_give_the_same_lesson(whole):
    rows, here, said = demo.lesson(CLASS, BEGIN, BEGIN, BEGIN + demo.PAST_S)
    assert _as_values(rows) == _as_values(whole[0]) and (here, said) == whole[1:]


@pytest.mark.parametrize("cut_s", [0.4, 61.0, 300.0, 597.0])
def test_a_lesson_asked_for_in_overlapping_parts_is_the_same_lesson(whole, cut_s: float):
    rows, _, said = whole
    first, _, said_first = demo.lesson(CLASS, BEGIN, BEGIN, BEGIN + cut_s)
    last, _, said_last = demo.lesson(CLASS, BEGIN, BEGIN + cut_s, BEGIN + demo.PAST_S)
    assert set(_as_values(first + last)) == set(_as_values(rows))
    assert set(said_first + said_last) == set(said)


def test_a_lesson_that_began_at_another_time_is_another_one(whole):
    other, _, _ = demo.lesson(CLASS, BEGIN - 240, BEGIN, BEGIN + demo.PAST_S)
    assert _as_values(other) != _as_values(whole[0])


def test_no_time_has_no_rows_and_no_signals():
    rows, here, said = demo.lesson(CLASS, BEGIN, BEGIN + SLOT_S, BEGIN + SLOT_S - 4)
    assert (rows, said) == ([], []) and len(here) == demo.STUDENTS


def test_every_slot_of_the_time_asked_for_has_a_bucket_of_every_camera(whole):
    rows = whole[0]
    starts = sorted({b.start for b in rows})
    assert starts[0] <= BEGIN < starts[0] + SLOT_S
    assert starts[-1] < BEGIN + demo.PAST_S <= starts[-1] + SLOT_S
    assert np.diff(starts).tolist() == [SLOT_S] * (len(starts) - 1)
    assert all(start % SLOT_S == 0 for start in starts)
    assert len({(b.stream_id, b.face_id, b.start) for b in rows}) == len(rows) == 26 * len(starts)


def test_every_bucket_could_be_one_of_a_real_stream(whole):
    for b in whole[0]:
        assert b.class_id == CLASS and b.face_id == 0 and b.n > 0
        assert b.prob_sum.shape == (len(LABELS),) and np.isfinite(b.prob_sum).all()
        assert (b.prob_sum >= 0).all() and b.prob_sum.sum() <= b.n + 1e-9


def test_some_readings_are_uncertain_and_students_differ(whole):
    (slot, *_) = merge(whole[0])
    assert 0 < 1 - slot.mean_probs.sum() < 0.3
    now = [b.prob_sum / b.n for b in whole[0] if b.start == slot.start]
    assert np.std(now, axis=0).max() > 0.1


def test_of_thirty_students_twenty_six_have_a_camera(whole):
    rows, here, _ = whole
    assert len(here) == len({p.stream_id for p in here}) == demo.STUDENTS == 30
    assert {(p.class_id, p.seen_at) for p in here} == {(CLASS, BEGIN + demo.PAST_S)}
    with_camera = {p.stream_id for p in here if p.n_faces == 1}
    assert with_camera == {b.stream_id for b in rows} and len(with_camera) == 26
    assert {p.n_faces for p in here} == {0, 1}


@pytest.mark.parametrize("students", [1, 2, 5, 100])
def test_a_class_may_have_another_number_of_students(students: int):
    rows, here, said = demo.lesson(CLASS, BEGIN, BEGIN, BEGIN + 60, students)
    ids = {p.stream_id for p in here}
    assert len(ids) == students
    assert {b.stream_id for b in rows} | {s.stream_id for s in said} <= ids


def test_the_mood_of_a_demo_class_is_shown(whole):
    rows, here, _ = whole
    seen = mood(here, merge(rows)[-1], 5, BEGIN + demo.PAST_S)
    assert (seen.connected, seen.contributing, seen.withheld) == (30, 26, "")


def test_no_simulated_student_has_the_id_of_a_real_one(whole):
    for one in (*whole[0], *whole[1], *whole[2]):
        assert not re.fullmatch("[0-9a-f]*", one.stream_id) and len(one.stream_id) <= 40


def test_every_signal_is_one_that_a_student_may_give_and_stands_a_minute(whole):
    said = whole[2]
    assert {one.kind for one in said} == set(signals.KINDS)
    for one in said:
        assert one.class_id == CLASS and one.until == one.at + signals.FADE_S and one.name == ""
        assert BEGIN - SLOT_S < one.at < BEGIN + demo.PAST_S


def test_what_students_say_follows_the_lesson(whole):
    """More are lost in the seventh minute than in any of the first four."""
    at = [signals.counts(whole[2], BEGIN + 60 * minute)["lost"] for minute in (1, 2, 3, 4, 6.8)]
    assert at[-1] >= 8 and max(at[:-1]) <= 2


def test_expressions_follow_the_lesson(whole):
    slots = merge(whole[0])

    def share(label: str, minute: float) -> float:
        near = [s for s in slots if abs(s.start - BEGIN - 60 * minute) < 30]
        return float(np.mean([s.mean_probs[LABELS.index(label)] for s in near]))

    assert share("surprise", 4.0) > 2 * share("surprise", 2.5)
    assert share("sad", 6.5) > 2 * share("sad", 3.0)


def test_a_lesson_repeats(whole):
    again, _, _ = demo.lesson(CLASS, BEGIN, BEGIN + 60 * 12, BEGIN + 60 * 12 + demo.PAST_S)
    sad = LABELS.index("sad")
    first, second = ([slot.mean_probs[sad] for slot in merge(rows)] for rows in (whole[0], again))
    assert np.corrcoef(first, second)[0, 1] > 0.8


def test_the_moment_in_which_students_are_lost_raises_the_alert(whole):
    rows, here, said = whole
    found = alert.of_class(above_floor(merge(rows), 5), said, len(here), BEGIN, BEGIN + demo.PAST_S)
    minutes = {alarm.what: (alarm.since - BEGIN) / 60 for alarm in found}
    assert 4.5 < minutes["students saying that they are lost"] < 7
    assert 4.5 < minutes["negative expressions"] < 7.5
    assert len(found) == 2 and None not in [alarm.until for alarm in found]
