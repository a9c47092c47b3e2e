import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fer.labels import LABELS, UNCERTAIN
from fer.smoothing import FLOOR, MARGIN, Baseline, Smoother, correct
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


UNIFORM = np.full(len(LABELS), 1 / len(LABELS), np.float32)


def test_a_correction_takes_half_of_a_shift_back():
    # Four times as often sad as usual, half as often all else: factors of 1/2 and √2.
    own = np.where(np.arange(7) == LABELS.index("sad"), 4, 0.5).astype(np.float32) / 7
    corrected = correct(_two(0.5, 0.5), own, UNIFORM)
    assert corrected.dtype == np.float32
    assert corrected[LABELS.index("sad")] == pytest.approx(0.5 / (0.5 + np.sqrt(2)))
    assert corrected[LABELS.index("happy")] == pytest.approx(np.sqrt(2) / (0.5 + np.sqrt(2)))


def test_a_face_that_reads_sad_at_rest_is_less_sad_later_and_still_sad_where_it_is_more_so():
    own, usual = _two(0.02, 0.6), probs_of("neutral", 0.6)
    assert LABELS[int(correct(own, own, usual).argmax())] != "sad"
    assert LABELS[int(correct(probs_of("sad", 0.9), own, usual).argmax())] == "sad"


@given(probs, probs)
def test_a_face_that_reads_as_neutral_faces_do_is_left_alone(row: Probs, usual: Probs):
    np.testing.assert_allclose(correct(row, usual, usual), row, atol=1e-6)


@given(hnp.arrays(np.float64, (3, 7), elements=st.floats(0.001, 1)), probs, probs)
def test_corrected_readings_are_probabilities_whatever_the_baseline(rows: np.ndarray, own: Probs, usual: Probs):
    read = (rows / rows.sum(1, keepdims=True)).astype(np.float32)
    corrected = correct(read, own, usual)
    assert corrected.shape == (3, 7) and (corrected >= 0).all()
    np.testing.assert_allclose(corrected.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(corrected, [correct(row, own, usual) for row in read], atol=1e-6)


@given(probs, probs, probs)
def test_what_a_face_shows_more_than_usual_never_gains_on_what_it_shows_less(row: Probs, own: Probs, usual: Probs):
    shift = np.maximum(own, FLOOR) / np.maximum(usual, FLOOR)
    more, less = int(shift.argmax()), int(shift.argmin())
    before, after = row[more] / row[less], correct(row, own, usual)
    assert after[more] / after[less] <= before * (1 + 1e-4)


def test_an_expression_that_was_never_shown_at_rest_is_not_blown_up():
    never = np.eye(7, dtype=np.float32)[LABELS.index("neutral")]
    corrected = correct(UNIFORM, never, UNIFORM)
    assert np.isfinite(corrected).all()
    assert corrected[0] / corrected[-1] == pytest.approx(np.sqrt((1 / 7 / FLOOR) / (1 / 7)), rel=1e-4)
    np.testing.assert_allclose(correct(never, UNIFORM, never), never, atol=1e-6)


def test_the_first_seconds_are_given_back_as_they_are_and_what_follows_is_corrected_by_their_mean():
    baseline, rest = Baseline(2.0, UNIFORM), [SAD, SAD, HAPPY, SAD]
    for i, row in enumerate(rest):
        np.testing.assert_array_equal(baseline.update(row, 100 + 0.5 * i), row)
    own = np.mean(rest, axis=0)
    for now in (102.0, 102.5, 200.0):
        np.testing.assert_allclose(baseline.update(HAPPY, now), correct(HAPPY, own, UNIFORM), atol=1e-6)


def test_later_readings_do_not_move_a_baseline():
    one, other = Baseline(1.0, UNIFORM), Baseline(1.0, UNIFORM)
    one.update(SAD, 0.0), other.update(SAD, 0.0)
    for i in range(50):
        one.update(HAPPY, 1.0 + i)
    np.testing.assert_array_equal(one.update(SAD, 60.0), other.update(SAD, 60.0))


def test_a_baseline_begins_with_its_first_reading_and_not_with_the_epoch():
    baseline = Baseline(1.0, UNIFORM)
    np.testing.assert_array_equal(baseline.update(SAD, 1.7e9), SAD)
    np.testing.assert_array_equal(baseline.update(SAD, 1.7e9 + 0.9), SAD)
    assert (baseline.update(SAD, 1.7e9 + 1.0) != SAD).any()


def test_one_reading_is_baseline_enough_where_no_other_came_in_time():
    baseline = Baseline(5.0, UNIFORM)
    baseline.update(SAD, 0.0)
    np.testing.assert_allclose(baseline.update(HAPPY, 60.0), correct(HAPPY, SAD, UNIFORM), atol=1e-6)


def test_learning_a_baseline_leaves_the_readings_it_was_handed_alone():
    row = SAD.copy()
    baseline = Baseline(2.0, UNIFORM)
    for now in (0.0, 1.0, 2.0):
        baseline.update(row, now)
    np.testing.assert_array_equal(row, SAD)
