"""The benchmark: each head answers its own, and the crop is part of what is measured."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fer import evaluation, metrics, robustness
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


ANGRY, DISGUST, FEAR, HAPPY, SAD, SURPRISE, NEUTRAL = range(len(LABELS))


class ByGrey(FakeClassifier):
    """Reads a flat grey face as what that grey stands for."""

    def __init__(self, rows: dict[int, Probs]) -> None:
        super().__init__()
        self._rows = rows

    def probs(self, crops: Crops, head: str = "fer2013") -> Probs:
        self.calls.append(crops)
        greys = crops.reshape(len(crops), -1).mean(1)
        nearest = [min(self._rows, key=lambda grey: abs(grey - seen)) for seen in greys]
        return np.stack([self._rows[grey] for grey in nearest]).astype(np.float32)


def _faces(greys: list[int], labels: list[int]) -> Dataset:
    images = np.tile(np.array(greys, np.uint8)[:, None, None], (1, 48, 48))
    return Dataset(images, np.array(labels), tuple(f"fer{i:07d}.png" for i in range(len(labels))))


def test_what_a_model_says_of_neutral_faces_is_the_mean_over_those_alone() -> None:
    model = ByGrey({50: probs_of("sad"), 100: probs_of("neutral"), 200: probs_of("happy")})
    data = _faces([50, 100, 100, 100, 200, 200], [NEUTRAL, NEUTRAL, NEUTRAL, NEUTRAL, HAPPY, SAD])
    resting = evaluation.resting(model, data)
    np.testing.assert_allclose(resting, 0.25 * probs_of("sad") + 0.75 * probs_of("neutral"), atol=1e-4)
    assert all(type(p) is float for p in resting)


def test_where_there_is_no_neutral_face_all_expressions_are_taken_to_be_alike() -> None:
    classifier = FakeClassifier(probs_of("sad"))
    assert evaluation.resting(classifier, DATA) == [1 / 7] * 7
    assert classifier.calls == []


def _half_dark() -> tuple[ByGrey, Dataset]:
    """A model that knows neutral (180) and happy (230) faces and, in the dark, sees sadness in them all."""
    rows = {180: probs_of("neutral"), 230: probs_of("happy")}
    rows |= {45: _mix("sad", "neutral"), 57: _mix("sad", "happy")}
    return ByGrey(rows), _faces([180] * 40 + [230] * 20, [NEUTRAL] * 40 + [HAPPY] * 20)


def _mix(first: str, second: str) -> Probs:
    """Mostly the first, and nearly as much the second.  # (7,) float32"""
    row = np.full(len(LABELS), 0.02, np.float32)
    row[LABELS.index(first)], row[LABELS.index(second)] = 0.5, 0.4
    return row


def test_the_faces_are_read_as_they_are_and_then_under_every_condition() -> None:
    found = evaluation.conditions(*_half_dark())
    assert [row.name for row in found] == ["as they are", *robustness.CONDITIONS]
    by_name = {row.name: row for row in found}
    assert (by_name["as they are"].accuracy, by_name["as they are"].drop) == (1.0, 0.0)
    assert (by_name["low light"].accuracy, by_name["low light"].drop) == (0.0, 1.0)
    # A flat face is the same however blurred: what does not darken it costs nothing.
    assert all(row.accuracy == 1.0 and row.drop == 0.0 for row in found if row.name != "low light")


def test_a_condition_may_help() -> None:
    model = ByGrey({200: probs_of("sad"), 50: probs_of("happy")})
    by_name = {row.name: row for row in evaluation.conditions(model, _faces([200] * 4, [HAPPY] * 4))}
    assert (by_name["as they are"].accuracy, by_name["low light"].drop) == (0.0, -1.0)


def test_a_neutral_baseline_takes_back_what_the_dark_adds_to_every_face() -> None:
    by_name = {row.name: row for row in evaluation.conditions(*_half_dark())}
    assert by_name["low light"].with_baseline == 1.0
    assert by_name["as they are"].with_baseline == 1.0


def test_the_faces_that_a_baseline_is_made_of_are_not_counted_with_it() -> None:
    # Under every condition all neutral faces are right and all happy ones wrong: 20 neutral and 20 happy remain.
    model = ByGrey({180: probs_of("neutral"), 230: probs_of("sad"), 45: probs_of("neutral"), 57: probs_of("sad")})
    _, data = _half_dark()
    found = evaluation.conditions(model, data)
    assert {row.accuracy for row in found} == {40 / 60}
    assert {row.with_baseline for row in found} == {20 / 40}


def test_without_a_neutral_face_a_baseline_changes_nothing() -> None:
    model, _ = _half_dark()
    found = evaluation.conditions(model, _faces([230] * 10 + [180] * 5, [HAPPY] * 10 + [SAD] * 5))
    assert all(row.with_baseline == row.accuracy for row in found)
    assert {row.accuracy for row in found} == {10 / 15, 5 / 15}


def test_where_all_faces_make_the_baseline_none_are_left_to_count() -> None:
    model, _ = _half_dark()
    assert {row.with_baseline for row in evaluation.conditions(model, _faces([180] * 5, [NEUTRAL] * 5))} == {0.0}


def test_the_conditions_are_measured_on_the_same_faces_every_time_and_on_so_many_at_most() -> None:
    model, data = _half_dark()
    first = evaluation.conditions(model, data, most=30)
    asked = [len(crops) for crops in model.calls[1:]]
    assert asked == [30] * (1 + len(robustness.CONDITIONS))
    assert evaluation.conditions(model, data, most=30) == first
    np.testing.assert_array_equal(model.calls[1], model.calls[len(model.calls) // 2 + 1])
    assert len(np.unique(model.calls[1])) == 2, "drawn at random, not the first"


def test_measuring_leaves_the_faces_as_they_are() -> None:
    model, data = _half_dark()
    before = data.images.copy()
    evaluation.conditions(model, data)
    np.testing.assert_array_equal(data.images, before)


def test_mistakes_are_the_wrong_readings_with_the_surest_first() -> None:
    model = ByGrey({10: probs_of("happy", 0.6), 100: probs_of("sad", 0.9), 200: probs_of("fear", 0.75)})
    data = _faces([10, 100, 200, 10, 100], [SAD, ANGRY, NEUTRAL, HAPPY, SAD])
    assert evaluation.mistakes(model, data) == [
        evaluation.Mistake(1, "fer0000001.png", "angry", "sad", 0.9),
        evaluation.Mistake(2, "fer0000002.png", "neutral", "fear", 0.75),
        evaluation.Mistake(0, "fer0000000.png", "sad", "happy", 0.6),
    ]
    assert [mistake.row for mistake in evaluation.mistakes(model, data, most=2)] == [1, 2]


def test_mistakes_that_are_equally_sure_keep_their_order() -> None:
    mistakes = evaluation.mistakes(FakeClassifier(probs_of("angry")), DATA)
    assert [mistake.name for mistake in mistakes] == ["a.png", "b.png", "c.png", "d.png"]


def test_who_is_always_right_makes_no_mistakes() -> None:
    assert evaluation.mistakes(FakeClassifier(probs_of("happy")), _faces([10, 20], [HAPPY, HAPPY])) == []


def _pictures(n: int) -> NDArray[np.uint8]:
    """Clouds: no two alike.  # (n, 48, 48) uint8"""
    noise = np.random.default_rng(4).normal(0, 1, (n, 48, 48))
    clouds = np.stack([cv2.GaussianBlur(image, (0, 0), 3.0) for image in noise])
    return np.clip(128 + 45 * clouds / clouds.std(), 0, 255).astype(np.uint8)


def _labelled(images: NDArray[np.uint8], *labels: int) -> Dataset:
    return Dataset(images, np.array(labels), tuple(f"{i}.png" for i in range(len(labels))))


def test_an_audit_counts_each_kind_of_twin_and_measures_on_what_has_none() -> None:
    p = _pictures(8)
    lit = np.clip(0.8 * p[3] + 10, 0, 255).astype(np.uint8)
    test = _labelled(p[:6], HAPPY, HAPPY, SAD, HAPPY, SAD, HAPPY)
    # The first is there as it is, the second mirrored and called sad, the fourth in less light.
    train = _labelled(np.stack([p[6], p[0], p[1][:, ::-1], lit, p[7]]), FEAR, HAPPY, SAD, HAPPY, HAPPY)
    found = evaluation.audit(FakeClassifier(probs_of("happy")), test, train)
    assert (found.n, found.twins, found.exact, found.mirrored, found.relabelled) == (6, 3, 1, 1, 1)
    assert (found.accuracy, found.without_twins) == (4 / 6, 1 / 3)
    assert found.interval == metrics.wilson(1, 3)


def test_an_audit_that_finds_nothing_leaves_the_accuracy_as_it_is() -> None:
    p = _pictures(8)
    test, train = _labelled(p[:4], HAPPY, HAPPY, HAPPY, SAD), _labelled(p[4:], *[HAPPY] * 4)
    found = evaluation.audit(FakeClassifier(probs_of("happy")), test, train)
    assert found == evaluation.Audit(4, 0, 0, 0, 0, 0.75, 0.75, metrics.wilson(3, 4))


def test_where_every_image_has_a_twin_nothing_is_known() -> None:
    data = _labelled(_pictures(4), HAPPY, HAPPY, HAPPY, SAD)
    found = evaluation.audit(FakeClassifier(probs_of("happy")), data, data)
    assert found == evaluation.Audit(4, 4, 4, 0, 0, 0.75, 0.0, (0.0, 1.0))
