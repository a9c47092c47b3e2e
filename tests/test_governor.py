"""The rate of analyses follows what the machine can do, and nobody is left out."""

import pytest

from fer.governor import EASY_S, LATE_S, LEAST_FPS, LEAST_PER_S, next_fps, next_rate


def after(seconds: int, rate: float, late_s: float, wanted: float = 2.0) -> float:
    for _ in range(seconds):
        rate = next_rate(rate, late_s, wanted)
    return rate


def test_while_nothing_is_late_the_rate_is_what_was_asked_for() -> None:
    assert after(60, 2.0, 0.0) == 2.0


def test_a_process_that_is_late_analyses_less_at_once_and_the_later_the_less() -> None:
    rates = [next_rate(2.0, late_s, 2.0) for late_s in (0.051, 0.055, 0.06, 5.0)]
    assert rates == sorted(rates, reverse=True) and rates[0] < 2.0 and rates[-1] == 1.6


@pytest.mark.parametrize("late_s", [0.2, 1.0, 60.0])
def test_however_late_it_is_every_student_keeps_a_reading_in_five_seconds(late_s: float) -> None:
    assert after(60, 2.0, late_s) == LEAST_PER_S


def test_a_rate_below_the_least_that_was_asked_for_is_kept() -> None:
    assert after(60, 0.1, 60.0, wanted=0.1) == 0.1


def test_between_late_and_easy_the_rate_stays() -> None:
    assert after(10, 0.7, (LATE_S + EASY_S) / 2) == 0.7


def test_when_it_is_over_the_rate_comes_back_in_forty_seconds_and_not_at_once() -> None:
    assert next_rate(LEAST_PER_S, 0.0, 2.0) == pytest.approx(0.25)
    assert after(40, LEAST_PER_S, 0.0) == 2.0


@pytest.mark.parametrize("most_per_s", [30.0, 60.0, 150.0])
def test_it_settles_at_what_a_machine_can_do(most_per_s: float) -> None:
    students, wanted, rate, late_s, done = 100, 2.0, 2.0, 0.0, []
    for second in range(300):
        late_s = max(0.0, late_s + students * rate / most_per_s - 1)  # a queue that is served at most_per_s
        rate = next_rate(rate, late_s, wanted)
        if second >= 100:
            done.append(rate * students)
            assert late_s < 1.0
    assert 0.6 * most_per_s < sum(done) / len(done) <= 1.05 * most_per_s


def test_pictures_are_asked_for_in_step_with_the_rate_and_never_fewer_than_tracking_needs() -> None:
    asked = [next_fps(rate, 2.0, 8) for rate in (2.0, 1.9, 1.5, 1.0, 0.5, 0.2)]
    assert asked == [8, 8, 6, 4, LEAST_FPS, LEAST_FPS]


@pytest.mark.parametrize("rate", [0.2, 2.0])
def test_a_camera_that_sends_fewer_already_is_asked_for_no_more(rate: float) -> None:
    assert next_fps(rate, 2.0, 1) == 1
