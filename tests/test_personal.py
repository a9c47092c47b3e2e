import itertools
import math

import numpy as np
import pytest

from fer import personal
from fer.labels import LABELS
from fer.types import Entry, Head, Trial
from tests.fakes import probs_of

HAPPY, SAD, FEAR, SURPRISE = (LABELS.index(label) for label in ("happy", "sad", "fear", "surprise"))


def entry(number: int, label: str, read: str | None = None) -> Entry:
    """An entry that its keeper labels so, read as another or as the same."""
    return Entry(f"{number:032x}", float(number), label, tuple(map(float, probs_of(read or label, 0.7))))


def readings(rng: np.random.Generator, labels: np.ndarray, right: float = 0.8) -> np.ndarray:
    """Readings of faces that show `labels`, of which the share `right` names them.  # (n, 7) float64"""
    shown = np.where(rng.random(len(labels)) < right, labels, rng.integers(0, 7, len(labels)))
    noise = rng.dirichlet(np.ones(7), len(labels))
    return 0.6 * np.eye(7)[shown] + 0.4 * noise


def labels_of(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 7, n)


def test_before_there_is_anything_to_learn_from_a_head_names_what_the_general_model_does():
    weights, bias = personal.fit(np.empty((0, 7)), np.empty(0, np.int64))
    clear = readings(np.random.default_rng(1), labels_of(300))
    own = personal.apply(weights, bias, clear)
    np.testing.assert_allclose(own.sum(1), 1)
    assert (own.argmax(1) == clear.argmax(1)).mean() > 0.97


def test_a_keeper_who_calls_fear_surprise_gets_a_model_that_does_too_and_leaves_the_rest():
    truth = labels_of(120)
    said = np.where(truth == FEAR, SURPRISE, truth)
    head = personal.learn(readings(np.random.default_rng(2), truth), said, 5.0)
    assert head.at == 5.0 and head.in_use
    assert head.trial.personal > head.trial.general and head.trial.won > head.trial.lost
    assert personal.read(head, probs_of("fear", 0.7)).argmax() == SURPRISE
    for label in ("angry", "happy", "sad", "surprise", "neutral"):
        assert personal.read(head, probs_of(label, 0.7)).argmax() == LABELS.index(label)


@pytest.mark.parametrize("seed", range(5))
def test_labels_at_random_are_not_used(seed: int):
    rng = np.random.default_rng(seed)
    head = personal.learn(readings(rng, labels_of(100)), rng.integers(0, 7, 100), 0.0)
    assert not head.in_use
    reading = probs_of("sad")
    np.testing.assert_allclose(personal.read(head, reading), reading)


def test_learning_twice_from_the_same_gives_the_same_bit_by_bit():
    truth = labels_of(80)
    probs = readings(np.random.default_rng(3), truth)
    assert personal.learn(probs, truth, 1.0) == personal.learn(probs, truth, 1.0)


def test_progress_rises_to_one():
    seen: list[float] = []
    truth = labels_of(70)
    personal.learn(readings(np.random.default_rng(4), truth), truth, 0.0, seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(seen) == personal.PARTS + 1


def test_every_label_is_dealt_out_over_the_parts():
    labels = np.repeat(np.arange(7), personal.PARTS)
    parts = personal._parts(labels)
    for label, part in itertools.product(range(7), range(personal.PARTS)):
        assert ((labels == label) & (parts == part)).sum() == 1


def test_five_corrections_of_one_kind_are_heard():
    read = np.tile(np.arange(7), 5)
    probs = 0.72 * np.eye(7)[read] + 0.04
    head = personal.learn(probs, np.where(read == HAPPY, SURPRISE, read), 0.0)
    assert head.in_use and (head.trial.won, head.trial.lost) == (5, 0)


def test_a_keeper_who_uses_two_labels_at_random_is_not_heard():
    rng = np.random.default_rng(0)
    head = personal.learn(readings(rng, labels_of(10)), np.repeat([HAPPY, SAD], 5), 0.0)
    assert not head.in_use


@pytest.mark.parametrize("won, lost", [(0, 0), (5, 0), (7, 2), (3, 9), (10, 10)])
def test_the_sign_test_is_the_tail_of_the_binomial(won: int, lost: int):
    n = won + lost
    expected = sum(math.comb(n, k) * 0.5**n for k in range(won, n + 1))
    assert personal.sign_test(won, lost) == pytest.approx(expected)


@pytest.mark.parametrize(
    "tried, used",
    [
        (Trial(40, 0.5, 0.7, 10, 2, 0.019), True),
        (Trial(40, 0.5, 0.6, 6, 2, 0.145), False),  # may be chance
        (Trial(40, 0.2, 0.45, 12, 2, 0.006), False),  # better, and still wrong more often than not
    ],
)
def test_a_head_is_used_only_if_surely_better_and_mostly_right(tried: Trial, used: bool):
    assert personal.passed(tried) is used


def test_too_little_is_said_in_numbers():
    assert "0 of 5 corrections" in personal.missing([entry(i, "happy") for i in range(10)])
    assert "4 of 5 corrections" in personal.missing([entry(i, "happy", "sad") for i in range(4)])
    assert personal.missing([entry(i, "happy", "sad") for i in range(5)]) == ""


def test_a_head_survives_being_written_and_read_and_is_plain_json():
    head = Head(1.0, ((0.1,) * 7,) * 7, (0.0,) * 7, Trial(10, 0.5, 0.9, 4, 0, 0.0625), True)
    assert personal.from_json(personal.as_json(head)) == head
