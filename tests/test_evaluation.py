"""The benchmark: each head answers its own, and the crop is part of what is measured."""

import numpy as np
import pytest

from fer import evaluation
from fer.dataset import Dataset
from fer.labels import LABELS
from fer.types import Crops, Face, Frame, Probs
from tests.fakes import FakeClassifier, FakeDetector, probs_of

DATA = Dataset(
    np.random.default_rng(0).integers(0, 256, (4, 48, 48)).astype(np.uint8),
    np.array([LABELS.index(label) for label in ("happy", "happy", "sad", "fear")]),
    ("a.png", "b.png", "c.png", "d.png"),
)


def test_a_face_of_the_benchmark_reaches_the_model_unchanged() -> None:
    np.testing.assert_array_equal(evaluation.crops(DATA.images)[..., 0], DATA.images)


def test_each_benchmark_is_answered_by_its_own_head() -> None:
    class TwoHeads(FakeClassifier):
        def probs(self, crops: Crops, head: str = "fer2013") -> Probs:
            return np.tile(probs_of("happy" if head == "fer2013" else "sad"), (len(crops), 1))

    votes = {"a.png": np.array([0, 0, 0, 9, 0, 0, 0, 1, 0, 0]), "c.png": np.array([0, 0, 0, 0, 10, 0, 0, 0, 0, 0])}
    result = evaluation.evaluate(TwoHeads(), DATA, votes, ("fer2013", "ferplus"))
    assert (result.accuracy, result.ferplus_n, result.ferplus_accuracy) == (0.5, 2, 0.5)
    assert evaluation.evaluate(TwoHeads(), DATA, votes).ferplus_accuracy == 0.5
    assert evaluation.evaluate(TwoHeads(), DATA).ferplus_n is None


class Brightest(FakeDetector):
    """Finds what is not grey, in a box of `zoom` times its size, `down` sides too low."""

    def __init__(self, zoom: float, down: float) -> None:
        self._zoom, self._down = zoom, down

    def detect(self, frame: Frame, min_face_px: float = 0.0) -> list[Face]:
        ys, xs = np.nonzero((frame != 128).any(2))
        side = (xs.max() - xs.min() + 1) * self._zoom
        x, y = (xs.max() + xs.min() + 1) / 2, (ys.max() + ys.min() + 1) / 2 + self._down * side
        return [Face((x - side / 2, y - side / 2, x + side / 2, y + side / 2), 1.0)]


@pytest.mark.parametrize(("zoom", "down"), [(1.0, 0.0), (0.8, 0.1), (1.25, -0.2)])
def test_the_fit_of_a_detectors_boxes_is_found(zoom: float, down: float) -> None:
    found = evaluation.finding(Brightest(zoom, down), FakeClassifier(), DATA, 96)
    assert (found.n, found.found, found.direct, found.through) == (4, 1.0, 0.5, 0.5)
    assert found.scale == pytest.approx(1 / zoom, abs=0.02)
    assert found.dy == pytest.approx(-down, abs=0.02)


def test_a_detector_that_finds_nothing_has_no_figures() -> None:
    found = evaluation.finding(FakeDetector([]), FakeClassifier(), DATA, 32)
    assert (found.n, found.found, found.direct) == (4, 0.0, 0.0)
