import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fer.labels import LABELS
from fer.metrics import confusion, evaluate, expected_calibration_error, fit_temperature, temper

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
