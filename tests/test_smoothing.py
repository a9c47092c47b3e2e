import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fer.labels import LABELS, UNCERTAIN
from fer.smoothing import MARGIN, Smoother
from fer.types import Probs
from tests.fakes import probs_of

HAPPY, SAD = probs_of("happy"), probs_of("sad")
weights = hnp.arrays(np.float64, len(LABELS), elements=st.floats(0.001, 1))
probs = weights.map(lambda w: (w / w.sum()).astype(np.float32))
times = st.floats(1.6e9, 2.0e9)
gaps = st.lists(st.floats(0.01, 3), min_size=1, max_size=20)


@given(st.lists(st.tuples(probs, st.floats(-2, 5)), min_size=1, max_size=20), times)
def test_smoothed_probabilities_lie_between_those_that_were_read_and_sum_to_one(
    read: list[tuple[Probs, float]], now: float
):
    smoother, seen = Smoother(), []
    for row, gap in read:
        now += gap
        seen.append(row)
        smoothed, _ = smoother.update(row, now)
        assert smoothed.shape == (len(LABELS),) and smoothed.dtype == np.float32
        assert smoothed.sum() == pytest.approx(1, abs=1e-5)
        assert (smoothed >= np.min(seen, axis=0) - 1e-6).all() and (smoothed <= np.max(seen, axis=0) + 1e-6).all()


@given(probs, gaps, times)
def test_what_does_not_change_stays_as_it_is(row: Probs, steps: list[float], now: float):
    smoother = Smoother()
    for step in steps:
        now += step
        np.testing.assert_allclose(smoother.update(row, now)[0], row, atol=1e-6)


@given(gaps, st.floats(0.2, 10), times)
def test_the_weight_of_the_past_depends_on_the_time_alone_and_not_on_how_often_it_is_read(
    steps: list[float], half_life_s: float, start: float
):
    often, once = Smoother(half_life_s), Smoother(half_life_s)
    often.update(HAPPY, start)
    once.update(HAPPY, start)
    moments = list(itertools.accumulate(steps, initial=start))[1:]
    dense = [often.update(SAD, now)[0] for now in moments][-1]
    sparse = once.update(SAD, moments[-1])[0]
    np.testing.assert_allclose(dense, sparse, atol=1e-5)
    keep = 0.5 ** ((moments[-1] - start) / half_life_s)
    np.testing.assert_allclose(sparse, keep * HAPPY + (1 - keep) * SAD, atol=1e-5)


def test_after_one_half_life_the_past_counts_half():
    smoother = Smoother(half_life_s=2.0)
    smoother.update(HAPPY, 100.0)
    np.testing.assert_allclose(smoother.update(SAD, 102.0)[0], (HAPPY + SAD) / 2, atol=1e-6)


def test_without_a_half_life_nothing_is_smoothed():
    smoother = Smoother(half_life_s=0.0)
    smoother.update(HAPPY, 100.0)
    np.testing.assert_array_equal(smoother.update(SAD, 100.1)[0], SAD)


def test_a_clock_that_steps_back_counts_as_no_time_passed_and_goes_on_from_there():
    smoother = Smoother(half_life_s=1.0)
    smoother.update(HAPPY, 100.0)
    np.testing.assert_allclose(smoother.update(SAD, 40.0)[0], HAPPY, atol=1e-6)
    np.testing.assert_allclose(smoother.update(SAD, 41.0)[0], (HAPPY + SAD) / 2, atol=1e-6)


@pytest.mark.parametrize(
    "shares, label",
    [
        pytest.param([0.39], UNCERTAIN, id="below the floor"),
        pytest.param([0.40], "happy", id="at the floor"),
        pytest.param([0.60, 0.33], "happy", id="held a little below the floor"),
        pytest.param([0.60, 0.31], UNCERTAIN, id="not held farther below"),
        pytest.param([0.60, 0.31, 0.39], UNCERTAIN, id="once lost, won back at the floor only"),
        pytest.param([0.60, 0.31, 0.40], "happy", id="won back"),
    ],
)
def test_a_label_needs_the_floor_to_be_named_and_a_margin_less_to_be_kept(shares: list[float], label: str):
    smoother = Smoother(half_life_s=0.0, floor=0.4)
    assert [smoother.update(probs_of("happy", share), float(i))[1] for i, share in enumerate(shares)][-1] == label


def _two(happy: float, sad: float) -> Probs:
    row = np.full(len(LABELS), (1 - happy - sad) / 5, np.float32)
    row[LABELS.index("happy")], row[LABELS.index("sad")] = happy, sad
    return row


def test_a_label_does_not_flicker_between_two_that_are_about_as_likely():
    smoother = Smoother(half_life_s=0.0)
    rows = [_two(0.46, 0.44), _two(0.43, 0.47), _two(0.45, 0.45), _two(0.42, 0.48)]
    assert [smoother.update(row, float(i))[1] for i, row in enumerate(rows)] == ["happy"] * 4


def test_a_label_gives_way_to_one_that_is_clearly_ahead():
    smoother = Smoother(half_life_s=0.0)
    smoother.update(_two(0.46, 0.44), 0.0)
    assert smoother.update(_two(0.40, 0.40 + 2 * MARGIN), 1.0)[1] == "sad"


@given(st.lists(probs, min_size=1, max_size=20), st.floats(0, 1))
def test_a_named_label_is_never_far_below_the_floor_or_behind_another(rows: list[Probs], floor: float):
    smoother = Smoother(half_life_s=0.0, floor=floor)
    for now, row in enumerate(rows):
        smoothed, label = smoother.update(row, float(now))
        if label != UNCERTAIN:
            share = smoothed[LABELS.index(label)]
            assert share >= floor - MARGIN - 1e-6
            assert share > smoothed.max() - MARGIN - 1e-6
        else:
            assert smoothed.max() < floor + 1e-6


def test_a_bad_reading_moves_nothing_and_is_uncertain():
    smoother = Smoother(half_life_s=1.0)
    smoother.update(HAPPY, 100.0)
    smoothed, label = smoother.update(SAD, 101.0, good=False)
    np.testing.assert_array_equal(smoothed, HAPPY)
    assert label == UNCERTAIN
    # Two seconds lie between the good readings: the bad one in between does not shorten them.
    np.testing.assert_allclose(smoother.update(SAD, 102.0)[0], 0.25 * HAPPY + 0.75 * SAD, atol=1e-6)


def test_where_no_reading_was_good_the_last_one_is_shown_as_uncertain():
    smoothed, label = Smoother().update(SAD, 100.0, good=False)
    np.testing.assert_array_equal(smoothed, SAD)
    assert label == UNCERTAIN
