import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fer.labels import LABELS
from fer.metrics import (
    confusion,
    evaluate,
    expected_calibration_error,
    fit_temperature,
    most_confused,
    record,
    reliability,
    temper,
    wilson,
)

ANGRY, DISGUST, FEAR, HAPPY, SAD, SURPRISE, NEUTRAL = range(7)


def _sure(readings: list[int], share: float = 0.94) -> np.ndarray:
    """Probabilities that name `readings`, each with `share`.  # (n, 7)"""
    rows = np.full((len(readings), len(LABELS)), (1 - share) / (len(LABELS) - 1))
    rows[np.arange(len(readings)), readings] = share
    return rows


def test_the_confusion_matrix_has_the_truth_in_its_rows():
    counts = confusion(np.array([HAPPY, HAPPY, HAPPY, SAD]), np.array([HAPPY, SAD, SAD, SAD]))
    assert counts.shape == (7, 7)
    assert (counts[HAPPY, HAPPY], counts[HAPPY, SAD], counts[SAD, SAD], counts.sum()) == (1, 2, 1, 4)


def test_the_figures_are_those_worked_out_by_hand():
    truth = np.array([HAPPY, HAPPY, HAPPY, HAPPY, SAD, SAD])
    result = evaluate(truth, _sure([HAPPY, HAPPY, HAPPY, SAD, SAD, NEUTRAL]))
    assert result.n == 6
    assert result.accuracy == pytest.approx(4 / 6)
    assert result.recall["happy"] == pytest.approx(3 / 4) and result.recall["sad"] == pytest.approx(1 / 2)
    assert result.macro_recall == pytest.approx((3 / 4 + 1 / 2) / 2)
    # Precision is 1 for happy and 1/2 for sad.
    assert result.macro_f1 == pytest.approx((6 / 7 + 1 / 2) / 2)
    assert np.array(result.confusion).sum() == 6
    assert (result.ferplus_n, result.ferplus_accuracy) == (None, None)


def test_precision_is_the_share_of_a_labels_readings_that_are_right():
    result = evaluate(np.array([HAPPY, HAPPY, HAPPY, HAPPY, SAD, SAD]), _sure([HAPPY, HAPPY, HAPPY, SAD, SAD, NEUTRAL]))
    nought = {"angry": 0.0, "disgust": 0.0, "fear": 0.0, "surprise": 0.0, "neutral": 0.0}
    assert result.precision == {**nought, "happy": 1.0, "sad": 0.5}
    assert list(result.precision) == list(LABELS)


def test_the_figures_come_with_their_interval_and_their_reliability():
    labels, probs = np.array([HAPPY, HAPPY, SAD]), _sure([HAPPY, SAD, SAD])
    result = evaluate(labels, probs)
    assert result.interval == wilson(2, 3)
    assert result.reliability == reliability(labels, probs) == [(pytest.approx(0.94), pytest.approx(2 / 3), 3)]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40))
def test_recall_and_precision_change_places_when_truth_and_reading_do(pairs: list[tuple[int, int]]):
    truth, reading = np.array(pairs).T
    one, other = evaluate(truth, np.eye(7)[reading]), evaluate(reading, np.eye(7)[truth])
    assert one.recall == other.precision and one.precision == other.recall
    assert one.interval == other.interval and one.interval[0] <= one.accuracy <= one.interval[1] + 1e-12


@pytest.mark.parametrize(
    "right, n, low, high",
    [
        pytest.param(8, 10, 0.4902, 0.9433, id="eight of ten"),
        pytest.param(81, 263, 0.2553, 0.3662, id="Newcombe 1998, table I"),
        pytest.param(15, 148, 0.0624, 0.1605, id="Newcombe 1998, table I, a small share"),
        pytest.param(0, 10, 0.0, 0.2775, id="none: not a width of nought"),
        pytest.param(10, 10, 0.7225, 1.0, id="all: not a width of nought"),
        pytest.param(0, 0, 0.0, 1.0, id="nothing was tried: anything may be so"),
    ],
)
def test_wilsons_interval_is_that_of_the_literature(right: int, n: int, low: float, high: float):
    assert wilson(right, n) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_holds_the_share_and_stays_within_nought_and_one(counts: tuple[int, int]):
    right, n = counts
    low, high = wilson(right, n)
    assert 0 <= low <= right / n + 1e-12 and right / n - 1e-12 <= high <= 1 and low < high
    assert wilson(n - right, n) == (pytest.approx(1 - high, abs=1e-12), pytest.approx(1 - low, abs=1e-12))
    assert np.diff(wilson(4 * right, 4 * n)) < high - low


@pytest.mark.parametrize("share", [0.1, 0.5, 0.69])
def test_wilsons_interval_holds_the_truth_in_about_95_of_100_test_sets(share: float):
    n = 200
    chance = [math.comb(n, right) * share**right * (1 - share) ** (n - right) for right in range(n + 1)]
    held = [low <= share <= high for low, high in (wilson(right, n) for right in range(n + 1))]
    assert 0.93 < np.dot(chance, held) < 0.97


def test_reliability_by_hand():
    # Fifths: two readings at 0.5 lie in the third, two at 0.9 in the last; what is empty is left out.
    probs = np.vstack([_sure([HAPPY, HAPPY], 0.9), _sure([SAD, SAD], 0.5)])
    found = reliability(np.array([HAPPY, FEAR, SAD, SAD]), probs, bins=5)
    assert found == [(pytest.approx(0.5), 1.0, 2), (pytest.approx(0.9), 0.5, 2)]


def test_a_reading_without_any_doubt_is_in_the_last_bin():
    assert reliability(np.array([HAPPY, SAD]), np.eye(7)[[HAPPY, HAPPY]]) == [(1.0, 0.5, 2)]


def test_the_confidence_of_a_bin_is_the_mean_of_its_readings_and_not_its_middle():
    probs = np.vstack([_sure([HAPPY], 0.61), _sure([HAPPY] * 3, 0.65)])
    assert reliability(np.full(4, HAPPY), probs, bins=5) == [(pytest.approx(0.64), 1.0, 4)]


@given(
    hnp.arrays(np.float64, (12, 7), elements=st.floats(0.01, 1)),
    hnp.arrays(np.int64, 12, elements=st.integers(0, 6)),
    st.integers(1, 30),
)
def test_every_reading_is_in_one_bin_of_its_confidence(rows: np.ndarray, labels: np.ndarray, bins: int):
    probs = rows / rows.sum(1, keepdims=True)
    found = reliability(labels, probs, bins)
    confidences, accuracies, sizes = (np.array(column) for column in zip(*found, strict=True))
    assert sizes.sum() == 12 and (sizes > 0).all() and (np.diff(confidences) > 0).all()
    assert np.dot(sizes, confidences) == pytest.approx(probs.max(1).sum())
    assert np.dot(sizes, accuracies) == pytest.approx((probs.argmax(1) == labels).sum())
    assert np.dot(sizes, abs(confidences - accuracies)) / 12 == pytest.approx(
        expected_calibration_error(labels, probs, bins)
    )


def _counts(*cells: tuple[int, int, int]) -> list[list[int]]:
    """A confusion matrix with so many (truth, reading, n), else 0."""
    counts = np.zeros((7, 7), int)
    for truth, reading, n in cells:
        counts[truth, reading] = n
    return counts.tolist()


def test_the_commonest_mistakes_are_those_with_the_largest_share_of_their_label():
    # 30 of 1000 happy faces are a smaller mistake than 5 of 10 faces that show disgust.
    counts = _counts((HAPPY, HAPPY, 970), (HAPPY, NEUTRAL, 30), (DISGUST, ANGRY, 5), (DISGUST, DISGUST, 5))
    counts[SAD] = [0, 0, 1, 0, 8, 0, 1]
    assert most_confused(counts) == [("disgust", "angry", 0.5), ("sad", "fear", 0.1), ("sad", "neutral", 0.1)]
    assert most_confused(counts, 4)[-1] == ("happy", "neutral", 0.03)
    assert most_confused(counts, 1) == [("disgust", "angry", 0.5)]


def test_what_is_right_is_no_mistake_and_the_counts_are_left_as_they_are():
    counts = _counts((HAPPY, HAPPY, 99), (HAPPY, SAD, 1), (FEAR, SAD, 3), (FEAR, FEAR, 1))
    before = np.array(counts, float)
    handed = before.copy()
    assert (
        most_confused(handed.tolist(), 2) == most_confused(handed, 2) == [("fear", "sad", 0.75), ("happy", "sad", 0.01)]
    )
    np.testing.assert_array_equal(handed, before)


def test_labels_that_are_not_in_the_test_set_do_not_lower_the_means():
    result = evaluate(np.array([HAPPY, SAD]), _sure([HAPPY, SAD]))
    assert (result.macro_recall, result.macro_f1, result.recall["fear"]) == (1.0, 1.0, 0.0)


def test_calibration_error_by_hand():
    # Two readings at 0.9, one right, lie |1.8 − 1| apart; two at 0.5, both right, lie |1 − 2| apart.
    probs = np.vstack([_sure([HAPPY, HAPPY], 0.9), _sure([SAD, SAD], 0.5)])
    labels = np.array([HAPPY, FEAR, SAD, SAD])
    assert expected_calibration_error(labels, probs) == pytest.approx((0.8 + 1.0) / 4)


def test_who_is_always_sure_and_always_right_is_calibrated():
    assert expected_calibration_error(np.arange(7), np.eye(7)) == 0


def test_who_is_always_sure_and_always_wrong_is_as_far_off_as_can_be():
    assert expected_calibration_error((np.arange(7) + 1) % 7, np.eye(7)) == 1


@pytest.mark.parametrize(
    "temperature, expected",
    [
        pytest.param(1.0, [0.8, 0.2], id="as it is"),
        pytest.param(2.0, [2 / 3, 1 / 3], id="softer"),
        pytest.param(0.5, [16 / 17, 1 / 17], id="sharper"),
    ],
)
def test_a_temperature_takes_a_root_of_the_odds(temperature: float, expected: list[float]):
    np.testing.assert_allclose(temper(np.array([0.8, 0.2]), temperature), expected)


@given(hnp.arrays(np.float64, (3, 7), elements=st.floats(0, 1)).filter(lambda p: p.sum(1).all()), st.floats(0.3, 5))
def test_tempered_probabilities_sum_to_one_and_keep_their_order(rows: np.ndarray, temperature: float):
    probs = rows / rows.sum(1, keepdims=True)
    tempered = temper(probs, temperature)
    np.testing.assert_allclose(tempered.sum(1), 1)
    np.testing.assert_allclose(tempered.max(1), tempered[np.arange(3), probs.argmax(1)])


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6, 2.5])
def test_the_temperature_by_which_probabilities_were_sharpened_is_found_again(temperature: float):
    honest = _sure([HAPPY] * 100, 0.7)
    labels = np.array([HAPPY] * 70 + [i for i in range(7) if i != HAPPY] * 5)
    assert fit_temperature(labels, temper(honest, 1 / temperature)) == pytest.approx(temperature, rel=0.02)


def test_the_ferplus_figure_counts_only_faces_whose_votes_name_a_label():
    probs, truth = _sure([HAPPY, SAD, FEAR, ANGRY]), np.array([HAPPY, HAPPY, HAPPY, HAPPY])
    result = evaluate(truth, probs, majority=np.array([HAPPY, SAD, NEUTRAL, -1]))
    assert (result.ferplus_n, result.ferplus_accuracy) == (3, pytest.approx(2 / 3))
    assert result.accuracy == 0.25


def test_the_ferplus_figure_is_that_of_its_own_head_where_there_is_one():
    truth = np.array([HAPPY, SAD])
    result = evaluate(truth, _sure([HAPPY, SAD]), np.array([SURPRISE, NEUTRAL]), _sure([SURPRISE, NEUTRAL]))
    assert (result.accuracy, result.ferplus_accuracy) == (1.0, 1.0)


def test_without_a_single_vote_the_ferplus_figure_is_nought_of_none():
    result = evaluate(np.array([HAPPY]), _sure([HAPPY]), np.array([-1]))
    assert (result.ferplus_n, result.ferplus_accuracy) == (0, 0.0)


def test_without_a_mistake_nothing_is_confused():
    assert most_confused(np.diag([5] * 7).tolist()) == []
    assert most_confused(np.zeros((7, 7), int).tolist()) == []


@pytest.mark.parametrize("confidence, expected", [(0.1, (0.2, 5)), (0.6, (0.7, 40)), (1.0, (0.95, 300))])
def test_the_record_of_a_reading_is_that_of_readings_about_as_sure(confidence: float, expected: tuple[float, int]):
    assert record([(0.31, 0.2, 5), (0.62, 0.7, 40), (0.97, 0.95, 300)], confidence) == expected


def test_a_card_without_bins_has_no_record():
    assert record([], 0.5) is None
