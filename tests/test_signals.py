"""Signals: what a tap is, how long it stands, how many stand, and how many taps are too many."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer import signals
from fer.signals import FADE_S, HELD, KINDS, MOST_TAPS, NAME_CHARS, TAPS_S, Taps
from fer.types import Signal

NOW = 1_700_000_000.0
FADING = sorted(set(KINDS) - set(HELD))


def said(kind: str, at: float = NOW, by: str = "a", name: str = "") -> Signal:
    return signals.signal(1, by, kind, at, name)


def nonzero(given: list[Signal], now: float) -> dict[str, int]:
    return {kind: n for kind, n in signals.counts(given, now).items() if n}


@pytest.mark.parametrize("kind", ["", "Lost", "lost ", "<b>", "🧭", "x" * 10_000])
def test_a_signal_that_there_is_not_is_refused_by_its_name(kind: str) -> None:
    with pytest.raises(ValueError) as error:
        said(kind)
    assert repr(kind) in str(error.value)


def test_a_signal_keeps_who_said_what_and_when() -> None:
    assert signals.signal(7, "a", "lost", NOW) == Signal(7, "a", "lost", NOW, NOW + FADE_S, "")


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_held_stands_until_it_is_cleared(kind: str) -> None:
    assert said(kind).until == (math.inf if kind in ("slower", "faster") else NOW + 60)


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_call_for_help_carries_a_name(kind: str) -> None:
    assert said(kind, name="Ada").name == ("Ada" if kind == "help" else "")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("", ""),
        ("   ", ""),
        ("\n\t\r\v\f\x1c\x85\u2028\u2029\u00a0\u3000", ""),
        ("  Ada \n\n Lovelace\t", "Ada Lovelace"),
        ("Ada\u2028Lovelace\x85King", "Ada Lovelace King"),
        ("<b>Ada</b> & 'x'; --", "<b>Ada</b> & 'x'; --"),  # escaping is for whoever shows it
        ("😀" * 100, "😀" * 40),
        (" " * 1000 + "x" * 10_000, "x" * 40),
    ],
)
def test_a_name_is_one_line_without_empty_space_and_is_cut(typed: str, kept: str) -> None:
    assert said("help", name=typed).name == kept


@given(st.text(max_size=200))
def test_whatever_is_typed_a_name_is_short_and_has_no_line_break(typed: str) -> None:
    name = said("help", name=typed).name
    assert len(name) <= NAME_CHARS and len(name.splitlines()) <= 1
    assert name == name.lstrip() and "  " not in name


def test_opposites_take_each_other_back_and_are_known() -> None:
    for kind, (_, _, opposites) in KINDS.items():
        assert kind not in opposites
        assert all(kind in KINDS[opposite][2] for opposite in opposites)


@pytest.mark.parametrize(
    ("after_s", "stands"), [(-0.001, False), (0.0, True), (59.999, True), (60.0, False), (1e9, False)]
)
@pytest.mark.parametrize("kind", FADING)
def test_what_fades_stands_for_a_minute(kind: str, after_s: float, stands: bool) -> None:
    one = said(kind)
    assert signals.standing([one], NOW + after_s) == [one] * stands


@pytest.mark.parametrize("kind", HELD)
def test_what_is_held_stands_for_hours_but_not_before_it_was_said(kind: str) -> None:
    assert signals.standing([said(kind)], NOW + 10 * 3600)
    assert not signals.standing([said(kind)], NOW - 1)


def test_what_was_taken_back_at_once_never_stood() -> None:
    assert signals.standing([Signal(1, "a", "slower", NOW, NOW)], NOW) == []
    assert signals.standing([Signal(1, "a", "slower", NOW, NOW - 5)], NOW - 2) == []


def test_those_that_stand_keep_their_order_and_a_generator_will_do() -> None:
    given = [said("lost", NOW + 2), said("help", NOW - 99), said("slower", NOW)]
    assert signals.standing((one for one in given), NOW + 3) == [given[0], given[2]]


def test_without_signals_every_kind_is_counted_as_nobody() -> None:
    assert signals.counts([], NOW) == dict.fromkeys(KINDS, 0)


def test_a_student_counts_once_for_each_kind_however_often_it_was_said() -> None:
    given = [said("lost", NOW + i) for i in range(30)] + [said("slower")]
    assert nonzero(given, NOW + 30) == {"lost": 1, "slower": 1}


def test_two_students_who_say_the_same_are_two() -> None:
    given = [said("lost"), said("lost", by="b"), said("help", by="b", name="Ada"), said("help", by="c", name="Ada")]
    assert nonzero(given, NOW) == {"lost": 2, "help": 2}


def test_counts_fall_as_signals_fade_and_the_held_ones_stay() -> None:
    given = [said("lost"), said("lost", NOW + 30, by="b"), said("faster", by="c")]
    ages = (29, 59, 60, 89, 90, 9000)
    assert [signals.counts(given, NOW + s)["lost"] for s in ages] == [1, 2, 1, 1, 0, 0]
    assert {signals.counts(given, NOW + s)["faster"] for s in ages} == {1}


@given(
    st.lists(
        st.builds(said, st.sampled_from(sorted(KINDS)), st.floats(NOW - 100, NOW + 100), st.sampled_from("abc")),
        max_size=20,
    )
)
def test_no_count_is_more_than_the_students_who_said_it(given: list[Signal]) -> None:
    for kind, n in signals.counts(given, NOW).items():
        assert n == len({one.stream_id for one in given if one.kind == kind and one in signals.standing([one], NOW)})


def test_taps_are_let_through_up_to_the_bound_and_again_when_the_first_is_old() -> None:
    taps = Taps()
    assert all(taps.allow(NOW + i) for i in range(MOST_TAPS))
    assert not taps.allow(NOW + MOST_TAPS)
    assert not taps.allow(NOW + TAPS_S - 0.01)
    assert taps.allow(NOW + TAPS_S)
    assert not taps.allow(NOW + TAPS_S)  # the second is a second younger


def test_a_tap_that_is_refused_does_not_count() -> None:
    taps = Taps()
    assert sum(taps.allow(NOW) for _ in range(1000)) == MOST_TAPS
    for i in range(199):
        assert not taps.allow(NOW + i / 10)
    assert taps.allow(NOW + TAPS_S)  # whoever goes on tapping is not kept out for longer


def test_one_student_does_not_hold_another_back() -> None:
    first, second = Taps(), Taps()
    for _ in range(MOST_TAPS + 1):
        first.allow(NOW)
    assert second.allow(NOW)


@pytest.mark.parametrize("back_s", [1.0, TAPS_S, 3600.0])
def test_a_clock_that_steps_back_locks_nobody_out_and_the_bound_holds_again_at_once(back_s: float) -> None:
    taps = Taps()
    assert [taps.allow(NOW) for _ in range(MOST_TAPS + 1)] == [True] * MOST_TAPS + [False]
    assert [taps.allow(NOW - back_s) for _ in range(MOST_TAPS + 1)] == [True] * MOST_TAPS + [False]


def test_a_clock_that_goes_forward_again_still_knows_the_taps_of_before() -> None:
    taps = Taps()
    assert [taps.allow(NOW - 5) for _ in range(MOST_TAPS)] == [True] * MOST_TAPS
    assert not taps.allow(NOW)
    assert taps.allow(NOW - 3600)
    assert taps.allow(NOW)


@given(st.lists(st.floats(0, 30), max_size=60))
def test_no_window_holds_more_than_the_bound(gaps: list[float]) -> None:
    taps, now, let_through = Taps(), NOW, []
    for gap in gaps:
        now += gap / 4
        if taps.allow(now):
            let_through.append(now)
    for at in let_through:
        assert sum(at <= other < at + TAPS_S - 1e-3 for other in let_through) <= MOST_TAPS


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(list(signals.KINDS)), st.integers(0, 50), st.integers(0, 30)),
        max_size=12,
    )
)
def test_a_course_counts_students_at_every_moment_as_often_as_they_say_it(
    taps: list[tuple[str, str, int, int]],
) -> None:
    said = [
        Signal(1, who, kind, float(at), math.inf if stay == 30 else float(at + stay)) for who, kind, at, stay in taps
    ]
    times = np.arange(0.0, 90.0, 0.5)
    courses = signals.courses(said, times)
    for i, at in enumerate(times):
        for kind in signals.KINDS:
            assert courses[kind][i] == len({one.stream_id for one in signals.standing(said, at) if one.kind == kind})
