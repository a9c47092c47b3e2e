"""The alert: what is usual for a class raises none, what lasts raises one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer import alert, signals
from fer.aggregate import SLOT_S
from fer.alert import GAP_S, LAMBDA, LEARN_SLOTS, PERSIST_S, SIGMA_LEAST, THRESHOLD, Alarm, alarms, of_class
from fer.labels import LABELS, VALENCE
from fer.types import Signal, Slot
from tests.fakes import slot_of

START = 1_700_000_000.0
USUAL, HIGH = 0.2, 0.5
LIMIT = THRESHOLD * SIGMA_LEAST * math.sqrt(LAMBDA / (2 - LAMBDA))  # of a class that is as quiet as can be
LOST = "students saying that they are lost"


def _times(n: int) -> list[float]:
    return [START + SLOT_S * i for i in range(n)]


def _raised(values: list[float], threshold: float = THRESHOLD) -> list[Alarm]:
    return alarms("noise", _times(len(values)), values, threshold)


def _at(slot: int) -> float:
    return START + SLOT_S * slot


def _noise(n: int, seed: int, sigma: float = 0.04) -> list[float]:
    return np.random.default_rng(seed).normal(USUAL, sigma, n).clip(0, 1).tolist()


def _hovering(averages: list[float]) -> list[float]:
    """After a quiet time, the values of which `averages` are the moving averages above the usual."""
    before = [0.0, *averages[:-1]]
    return [USUAL] * 60 + [USUAL + b + (a - b) / LAMBDA for b, a in zip(before, averages, strict=True)]


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.12])
def test_a_class_that_is_as_usual_for_three_hours_raises_hardly_an_alarm(sigma: float):
    false = [_raised(_noise(2160, seed, sigma)) for seed in range(10)]
    assert sum(map(len, false)) <= 3


def test_nothing_and_a_single_slot_raise_no_alarm():
    assert alarms("noise", [], []) == alarms("noise", [START], [1.0]) == []


def test_a_time_without_its_value_is_an_error():
    with pytest.raises(ValueError):
        alarms("noise", [START, START + SLOT_S], [0.1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("slots", [8, 12, 60])
def test_a_rise_that_lasts_raises_one_alarm_which_closes_after_it(slots: int, seed: int):
    values = _noise(300, seed)
    values[120 : 120 + slots] = [value + 0.3 for value in values[120 : 120 + slots]]
    (alarm,) = _raised(values)
    assert alarm.what == "noise"
    assert _at(120) <= alarm.since <= _at(122)
    assert alarm.until is not None and _at(120 + slots) <= alarm.until <= _at(120 + slots + 12)


@pytest.mark.parametrize(("slots", "rise"), [(1, 0.3), (2, 0.2), (3, 0.12), (4, 0.08)])
def test_a_blip_raises_none(slots: int, rise: float):
    values = [USUAL] * 200
    values[100 : 100 + slots] = [USUAL + rise] * slots
    assert _raised(values) == []


def test_an_alarm_speaks_after_half_a_minute_and_not_before():
    values = [USUAL] * 60 + [HIGH] * 20
    spoke = [bool(_raised(values[:n])) for n in range(len(values) + 1)]
    first = spoke.index(True)
    assert first == 60 + PERSIST_S / SLOT_S and all(spoke[first:])


def test_while_it_lasts_an_alarm_has_no_end():
    assert _raised([USUAL] * 60 + [HIGH] * 20) == [Alarm("noise", _at(60), None)]


def test_what_hovers_around_the_limit_is_one_alarm():
    """Eight slots above the limit, eight below: without hysteresis each turn would be an alarm of its own."""
    values = _hovering([1.2 * LIMIT if i // 8 % 2 == 0 else 0.7 * LIMIT for i in range(160)])
    assert _raised(values) == [Alarm("noise", _at(60), None)]


def test_what_falls_below_half_of_the_limit_in_between_is_two_alarms():
    values = _hovering([1.2 * LIMIT] * 8 + [0.3 * LIMIT] * 8 + [1.2 * LIMIT] * 8)
    assert _raised(values) == [Alarm("noise", _at(60), _at(68)), Alarm("noise", _at(76), None)]


def test_what_stays_below_the_limit_raises_none():
    assert _raised(_hovering([0.9 * LIMIT] * 12)) == []


def test_the_baseline_stands_still_while_the_alarm_lasts():
    """In half an hour a baseline that went on learning would have taken the unusual for the usual."""
    values = [USUAL] * 60 + [HIGH] * 360
    assert _raised(values) == [Alarm("noise", _at(60), None)]
    first, second = _raised([*values, *[USUAL] * 30, *[HIGH] * 12])
    assert first.until is not None and first.until <= _at(60 + 360 + 12)
    assert second == Alarm("noise", _at(60 + 360 + 30), None)


def test_what_was_unusual_only_while_the_usual_is_learnt_raises_none():
    assert _raised([USUAL] * 8 + [0.9] * (LEARN_SLOTS - 8)) == []
    assert _raised([USUAL] * LEARN_SLOTS + [0.9] * 6) == [Alarm("noise", _at(LEARN_SLOTS), None)]


@given(st.lists(st.floats(0, 1), max_size=LEARN_SLOTS))
def test_a_class_of_two_minutes_raises_none_whatever_happens(values: list[float]):
    assert _raised(values) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_fall_raises_none(seed: int):
    values = _noise(300, seed)
    values[150:] = [value - 0.18 for value in values[150:]]
    assert _raised(values) == []
    assert _raised([0.9] * 60 + [0.0] * 200) == []


@pytest.mark.parametrize("rise", [0.15, 0.25, 0.4])
@pytest.mark.parametrize("seed", range(5))
def test_a_lower_threshold_alarms_no_later(rise: float, seed: int):
    """A slow rise: it takes a minute and a half to its full height."""
    values = _noise(160, seed, 0.01)
    values[100:] = [value + rise * min(1, i / 18) for i, value in enumerate(values[100:])]
    since = [_raised(values, threshold)[0].since for threshold in (2.0, 3.0, 4.0)]
    assert since == sorted(since) and since[0] < since[-1]


def test_a_noisy_class_is_alarmed_by_more_than_a_quiet_one():
    rise = [0.0] * 120 + [0.1] * 20
    quiet, noisy = (
        [value + up for value, up in zip(_noise(140, 3, sigma), rise, strict=True)] for sigma in (0.01, 0.15)
    )
    assert len(_raised(quiet)) == 1 and _raised(noisy) == []


def test_a_gap_ends_an_alarm_where_the_slots_ended():
    times = _times(80) + [_at(80) + GAP_S + SLOT_S * i for i in range(80)]
    values = [USUAL] * 60 + [HIGH] * 20 + [USUAL] * 80
    assert alarms("noise", times, values) == [Alarm("noise", _at(60), _at(80))]


def test_what_is_still_unusual_after_a_gap_is_an_alarm_of_its_own():
    times = _times(80) + [_at(80) + GAP_S + SLOT_S * i for i in range(10)]
    values = [USUAL] * 60 + [HIGH] * 30
    again = _at(80) + GAP_S
    assert alarms("noise", times, values) == [Alarm("noise", _at(60), _at(80)), Alarm("noise", again, None)]


def test_what_was_before_a_gap_is_not_averaged_with_what_comes_after():
    """Four slots before the gap are too short to alarm; the usual after it must not be taken for their tail."""
    times = _times(64) + [_at(64) + GAP_S + SLOT_S * i for i in range(30)]
    assert alarms("noise", times, [USUAL] * 60 + [HIGH] * 4 + [USUAL] * 30) == []


def test_a_slot_that_is_missing_ends_nothing():
    times = _times(60) + [_at(60) + SLOT_S * i for i in range(0, 40, 4)]
    assert alarms("noise", times, [USUAL] * 60 + [HIGH] * 10) == [Alarm("noise", _at(60), None)]


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 20)), max_size=12), st.sampled_from([2.0, 3.0, 5.0]))
def test_alarms_come_in_order_last_and_only_the_last_may_still_last(runs: list[tuple[float, int]], threshold: float):
    values = [USUAL] * LEARN_SLOTS + [value for value, slots in runs for _ in range(slots)]
    found = _raised(values, threshold)
    bounds = [bound for alarm in found for bound in (alarm.since, alarm.until)]
    end = bounds.pop() if bounds else None
    assert None not in bounds and bounds == sorted(bounds)  # type: ignore[type-var]
    for alarm in found:
        until = _at(len(values)) if alarm.until is None else alarm.until
        assert until - alarm.since >= PERSIST_S
    assert end is None or end <= _at(len(values))


def _slots(n: int, negative: float = 0.1) -> list[Slot]:
    probs = np.zeros(len(LABELS))
    probs[[LABELS.index("sad"), LABELS.index("neutral")]] = negative, 1 - negative
    return [slot_of(at, 20, probs) for at in _times(n)]


def _say(kind: str, students: int, slot: int) -> list[Signal]:
    """So many students tap at once, and again when it fades."""
    return [signals.signal(1, f"s{i}", kind, _at(slot + again)) for i in range(students) for again in (0, 12)]


def test_a_class_without_anything_raises_none():
    assert of_class([], [], 0, START, START) == of_class([], [], 30, START, START + 600) == []
    assert of_class(_slots(200), [], 30, START, _at(200)) == []


def test_students_who_are_lost_raise_an_alarm_that_closes():
    (alarm,) = of_class(_slots(200), _say("lost", 10, 100), 30, START, _at(200))
    assert (alarm.what, alarm.since) == (LOST, _at(100))
    assert alarm.until is not None and _at(124) <= alarm.until <= _at(136)


def test_a_class_without_cameras_is_alarmed_by_what_it_says():
    (alarm,) = of_class([], _say("lost", 10, 100), 30, START, _at(110))
    assert (alarm.what, alarm.until) == (LOST, None) and _at(100) <= alarm.since <= _at(101)


@pytest.mark.parametrize("kind", [kind for kind in signals.KINDS if kind != "lost"])
def test_no_other_signal_raises_an_alarm(kind: str):
    assert of_class(_slots(200), _say(kind, 30, 100), 30, START, _at(120)) == []


def test_one_student_of_thirty_who_is_lost_raises_none():
    assert of_class(_slots(200), _say("lost", 1, 100), 30, START, _at(120)) == []


def test_students_are_counted_once_however_often_they_tap():
    often = [signals.signal(1, "s0", "lost", _at(100) + i) for i in range(60)]
    assert of_class(_slots(200), often, 30, START, _at(120)) == []


def test_who_is_lost_while_nobody_is_counted_as_connected_breaks_nothing():
    assert [alarm.what for alarm in of_class([], _say("lost", 1, 100), 0, START, _at(120))] == [LOST]


def test_every_negative_expression_counts_and_no_other():
    for label in LABELS:
        rise = np.zeros(len(LABELS))
        rise[LABELS.index(label)] += 0.6
        later = [slot_of(_at(i), 20, rise) for i in range(100, 120)]
        found = of_class(_slots(100) + later, [], 30, START, _at(120))
        assert [alarm.what for alarm in found] == ["negative expressions"] * (
            label in ("angry", "disgust", "fear", "sad")
        )


def test_the_alarms_of_a_class_come_in_the_order_of_time_and_share_a_threshold():
    slots = _slots(60) + [slot_of(slot.start + 60 * SLOT_S, 20, slot.mean_probs) for slot in _slots(40, 0.5)]
    said = _say("lost", 8, 40)
    found = of_class(slots, said, 30, START, _at(100))
    assert [alarm.what for alarm in found] == [LOST, "negative expressions"]
    assert of_class(slots, said, 30, START, _at(100), threshold=30.0) == []


def test_negative_expressions_are_those_whose_valence_is_negative():
    assert tuple(i for i, sign in enumerate(VALENCE) if sign < 0) == alert.NEGATIVE


@pytest.mark.parametrize(("slots", "rise"), [(1, 0.6), (2, 0.4), (3, 0.3), (5, 0.5)])
def test_a_blip_raises_none_however_long_the_average_remembers_it(slots: int, rise: float):
    values = [0.2] * 100 + [0.2 + rise] * slots + [0.2] * 60
    assert alarms("x", _times(len(values)), values) == []
