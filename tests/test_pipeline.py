from collections import Counter

import cv2
import numpy as np
import pytest

from fer.boxes import iou, moved
from fer.classify import INPUT, Card
from fer.config import Settings
from fer.detect import REGION_PX, Cascade
from fer.labels import LABELS, UNCERTAIN
from fer.pipeline import MAX_REGIONS, MIN_FACE_PX, Options, Pipeline, cut
from fer.preprocess import crop
from fer.smoothing import correct
from fer.types import Crops, Face, Frame, Probs, Reading
from tests.fakes import FakeClassifier, FakeDetector, probs_of, square

FULL, REGION = (320, 240), (REGION_PX, REGION_PX)


class SpotDetector(FakeDetector):
    """Finds the squares that `_frame` draws, in whatever part of the frame and at whatever size it is handed."""

    def detect(self, frame: Frame, min_face_px: float = 0.0) -> list[Face]:
        super().detect(frame, min_face_px)
        green = (frame[:, :, 1] > 127).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(green)
        return [Face((float(x), float(y), float(x + w), float(y + h)), 0.9) for x, y, w, h, _ in stats[1:].tolist()]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(width, height) for width, height, _ in self.asked]


def _frame(*spots: tuple[int, int, int], flat: bool = False) -> Frame:
    """A black frame of 320 × 240 with a green and, unless `flat`, noisy square of a side at each (x, y, side)."""
    frame = np.zeros((240, 320, 3), np.uint8)
    noise = np.random.default_rng(2).integers(0, 256, frame.shape, np.uint8)
    for x, y, side in spots:
        area = np.s_[y : y + side, x : x + side]
        frame[area] = (0, 0, 0) if flat else noise[area]
        frame[area][:, :, 1] = 255
    return frame


def _pipeline(detector: FakeDetector | None = None, classifier: FakeClassifier | None = None) -> Pipeline:
    return Pipeline(detector or SpotDetector(), classifier or FakeClassifier(), Options())


def _ids(readings: list[Reading]) -> list[int]:
    return [reading.face_id for reading in readings]


def test_a_frame_without_a_face_is_searched_and_not_classified():
    detector, classifier = SpotDetector(), FakeClassifier()
    assert _pipeline(detector, classifier).analyse(_frame(), 0.0) == []
    assert (detector.sizes, classifier.calls) == ([FULL], [])


def test_between_two_full_searches_only_the_surroundings_of_a_face_are_searched():
    detector = SpotDetector()
    pipeline = _pipeline(detector)
    for i in range(9):
        assert len(pipeline.analyse(_frame((100 + 2 * i, 80, 60)), 100 + i * 0.25)) == 1
    # Every 0.25 s for two seconds: everywhere at 0, 1 and 2 s, around the face in between.
    assert detector.sizes == [FULL, REGION, REGION, REGION, FULL, REGION, REGION, REGION, FULL]


def test_at_two_analyses_a_second_every_other_one_is_a_full_search():
    detector = SpotDetector()
    pipeline = _pipeline(detector)
    for i in range(10):
        pipeline.analyse(_frame((100, 80, 60)), i * 0.5)
    assert Counter(detector.sizes) == {FULL: 5, REGION: 5}


def test_a_face_that_is_missed_around_where_it_was_is_searched_everywhere_at_once():
    detector = SpotDetector()
    pipeline = _pipeline(detector)
    pipeline.analyse(_frame((20, 20, 40)), 0.0)
    (reading,) = pipeline.analyse(_frame((250, 180, 40)), 0.5)
    assert detector.sizes == [FULL, REGION, FULL]
    assert iou(reading.face.xyxy, square(250, 180, 40).xyxy) > 0.9


def test_when_one_of_two_faces_is_missed_both_are_searched_everywhere_at_once():
    detector = SpotDetector()
    pipeline = _pipeline(detector)
    pipeline.analyse(_frame((20, 20, 40), (120, 120, 30)), 0.0)
    assert len(pipeline.analyse(_frame((20, 20, 40), (270, 30, 30)), 0.5)) == 2
    assert detector.sizes == [FULL, REGION, REGION, FULL]


def test_a_new_face_is_seen_by_the_next_full_search():
    pipeline = _pipeline()
    pipeline.analyse(_frame((20, 80, 60)), 0.0)
    both = _frame((20, 80, 60), (220, 80, 50))
    assert [len(pipeline.analyse(both, now)) for now in (0.3, 0.6, 0.9)] == [1, 1, 2]


def test_around_each_of_several_faces_is_searched():
    detector = SpotDetector()
    pipeline = _pipeline(detector)
    for i in range(2):
        assert len(pipeline.analyse(_frame((20, 20, 40), (120, 100, 40), (250, 180, 40)), i * 0.5)) == 3
    assert len(detector.sizes) == 1 + 3


def test_around_many_faces_the_whole_frame_is_searched():
    detector = SpotDetector()
    pipeline = _pipeline(detector)
    crowd = _frame(*((10 + 60 * i, 100, 40) for i in range(MAX_REGIONS + 1)))
    for i in range(3):
        assert len(pipeline.analyse(crowd, i * 0.3)) == MAX_REGIONS + 1
    assert detector.sizes == [FULL] * 3


def test_a_clock_that_steps_far_back_does_not_put_off_the_next_full_search():
    detector = SpotDetector()
    pipeline = _pipeline(detector)
    pipeline.analyse(_frame((100, 80, 60)), 1000.0)
    pipeline.analyse(_frame((100, 80, 60)), 10.0)
    assert detector.sizes == [FULL, FULL]


def test_readings_come_largest_first():
    readings = _pipeline().analyse(_frame((20, 20, 30), (100, 100, 70), (230, 30, 50)), 0.0)
    assert [round(reading.face.side_px) for reading in readings] == [70, 50, 30]


def test_a_face_keeps_its_id_while_another_outgrows_it():
    pipeline = _pipeline()
    first = pipeline.analyse(_frame((30, 80, 60), (200, 80, 50)), 0.0)
    second = pipeline.analyse(_frame((30, 80, 60), (195, 75, 70)), 0.5)
    assert _ids(first) == [0, 1] and _ids(second) == [1, 0]


def test_a_face_that_is_hidden_for_a_moment_keeps_its_id_and_what_it_showed():
    pipeline = Pipeline(SpotDetector(), FakeClassifier(probs_of("happy"), probs_of("sad")), Options(half_life_s=10.0))
    pipeline.analyse(_frame((100, 80, 60)), 0.0)
    assert pipeline.analyse(_frame(), 0.3) == []
    (reading,) = pipeline.analyse(_frame((105, 80, 60)), 0.6)
    assert (reading.face_id, reading.label) == (0, "happy")


def test_a_face_that_comes_back_after_a_while_starts_anew():
    pipeline = Pipeline(SpotDetector(), FakeClassifier(probs_of("happy"), probs_of("sad")), Options(half_life_s=10.0))
    pipeline.analyse(_frame((100, 80, 60)), 0.0)
    for now in (0.5, 1.0, 1.5):
        pipeline.analyse(_frame(), now)
    (reading,) = pipeline.analyse(_frame((100, 80, 60)), 2.0)
    assert (reading.face_id, reading.label) == (1, "sad")


def test_readings_are_smoothed_face_by_face():
    pipeline = Pipeline(SpotDetector(), FakeClassifier(probs_of("happy"), probs_of("sad")), Options(half_life_s=1.0))
    pipeline.analyse(_frame((30, 80, 60)), 0.0)
    old, new = pipeline.analyse(_frame((30, 80, 60), (200, 80, 50)), 1.0)
    np.testing.assert_allclose(old.probs, (probs_of("happy") + probs_of("sad")) / 2, atol=1e-6)
    np.testing.assert_allclose(new.probs, probs_of("sad"), atol=1e-6)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(_frame((100, 80, int(MIN_FACE_PX) - 4)), id="tiny"),
        pytest.param(_frame((0, 0, 240), flat=True), id="flat"),
    ],
)
def test_a_face_that_cannot_be_read_is_followed_but_uncertain(frame: Frame):
    (reading,) = _pipeline().analyse(frame, 0.0)
    assert (reading.face_id, reading.label) == (0, UNCERTAIN)


def test_a_reading_that_is_not_sure_of_anything_is_uncertain():
    (reading,) = _pipeline(classifier=FakeClassifier(probs_of("happy", 0.3))).analyse(_frame((100, 80, 60)), 0.0)
    assert reading.label == UNCERTAIN


def _card(**metrics: list[float]) -> Card:
    return Card("made up", list(LABELS), INPUT, ["fer2013"], 1.0, 0, {}, {}, dict(metrics), {})


def test_the_settings_reach_the_smoother():
    options = Options.of(Settings(half_life_s=3.0, confidence_floor=0.2), _card())
    pipeline = Pipeline(SpotDetector(), FakeClassifier(probs_of("happy", 0.3)), options)
    assert (options.half_life_s, options.floor) == (3.0, 0.2)
    assert pipeline.analyse(_frame((100, 80, 60)), 0.0)[0].label == "happy"


def test_what_neutral_faces_read_is_taken_from_the_card():
    usual = [0.05, 0.0, 0.05, 0.05, 0.2, 0.05, 0.6]
    assert Options.of(Settings(baseline_s=4.0), _card(resting=usual)) == Options(1.0, 0.4, 4.0, tuple(usual))


@pytest.mark.parametrize("card", [_card(), _card(resting=[])])
def test_a_card_that_does_not_say_what_neutral_faces_read_is_taken_to_mean_anything_alike(card: Card):
    options = Options.of(Settings(), card)
    assert options.baseline_s == 0 and options.resting == tuple([1 / 7] * 7)


UNIFORM = np.full(7, 1 / 7, np.float32)
HAPPY, SAD = probs_of("happy"), probs_of("sad")


def _corrected(classifier: FakeClassifier, baseline_s: float = 2.0) -> Pipeline:
    """A pipeline that learns a baseline and smooths nothing."""
    options = Options(half_life_s=0.0, baseline_s=baseline_s, resting=tuple(UNIFORM.tolist()))
    return Pipeline(SpotDetector(), classifier, options)


def test_the_first_seconds_of_a_face_are_read_as_they_are_and_correct_what_follows():
    pipeline = _corrected(FakeClassifier(SAD, SAD, HAPPY, SAD, HAPPY))
    shown = [pipeline.analyse(_frame((100, 80, 60)), 100 + 0.5 * i)[0].probs for i in range(7)]
    np.testing.assert_allclose(shown[:4], [SAD, SAD, HAPPY, SAD], atol=1e-7)
    expected = correct(HAPPY, np.mean([SAD, SAD, HAPPY, SAD], axis=0), UNIFORM)
    np.testing.assert_allclose(shown[4:], [expected] * 3, atol=1e-6)


def test_a_corrected_reading_is_what_is_named():
    resting, later = probs_of("sad", 0.6), (0.4 * HAPPY + 0.6 * SAD).astype(np.float32)
    pipeline = _corrected(FakeClassifier(resting, later), baseline_s=0.5)
    labels = [pipeline.analyse(_frame((100, 80, 60)), now)[0].label for now in (0.0, 0.5)]
    assert labels == ["sad", "happy"] and LABELS[int(later.argmax())] == "sad"


class InTurn(FakeClassifier):
    """Reads the first crop of every call as the first row, the second as the second."""

    def probs(self, crops: Crops, head: str = "fer2013") -> Probs:
        return np.stack(self._script[: len(crops)])


def test_each_face_is_corrected_by_its_own_first_seconds():
    pipeline = _corrected(InTurn(SAD, HAPPY), baseline_s=1.0)
    both = _frame((30, 80, 60), (200, 80, 50))
    pipeline.analyse(both, 0.0)
    one, other = pipeline.analyse(both, 1.0)
    np.testing.assert_allclose(one.probs, correct(SAD, SAD, UNIFORM), atol=1e-6)
    np.testing.assert_allclose(other.probs, correct(HAPPY, HAPPY, UNIFORM), atol=1e-6)


def test_a_face_that_joins_later_has_its_own_first_seconds():
    pipeline = _corrected(FakeClassifier(SAD, HAPPY), baseline_s=1.0)
    pipeline.analyse(_frame((30, 80, 60)), 0.0)
    both = _frame((30, 80, 60), (200, 80, 50))
    for now in (1.0, 1.5):
        old, new = pipeline.analyse(both, now)
        np.testing.assert_allclose(old.probs, correct(HAPPY, SAD, UNIFORM), atol=1e-6)
        np.testing.assert_allclose(new.probs, HAPPY, atol=1e-7)
    _, new = pipeline.analyse(both, 2.0)
    np.testing.assert_allclose(new.probs, correct(HAPPY, HAPPY, UNIFORM), atol=1e-6)


def test_a_face_that_is_hidden_for_a_moment_keeps_its_baseline():
    pipeline = _corrected(FakeClassifier(SAD, HAPPY), baseline_s=0.5)
    pipeline.analyse(_frame((100, 80, 60)), 0.0)
    assert pipeline.analyse(_frame(), 0.4) == []
    (reading,) = pipeline.analyse(_frame((100, 80, 60)), 0.8)
    np.testing.assert_allclose(reading.probs, correct(HAPPY, SAD, UNIFORM), atol=1e-6)


def test_a_face_that_was_forgotten_begins_its_baseline_anew():
    pipeline = _corrected(FakeClassifier(SAD, HAPPY), baseline_s=0.5)
    pipeline.analyse(_frame((100, 80, 60)), 0.0)
    for now in (0.5, 1.0, 1.5):
        pipeline.analyse(_frame(), now)
    (first,) = pipeline.analyse(_frame((100, 80, 60)), 2.0)
    (second,) = pipeline.analyse(_frame((100, 80, 60)), 2.5)
    np.testing.assert_allclose(first.probs, HAPPY, atol=1e-7)
    np.testing.assert_allclose(second.probs, correct(HAPPY, HAPPY, UNIFORM), atol=1e-6)


def test_what_cannot_be_read_is_no_part_of_a_baseline_and_does_not_begin_it():
    pipeline = _corrected(FakeClassifier(SAD, HAPPY), baseline_s=1.0)
    (far,) = pipeline.analyse(_frame((100, 80, int(MIN_FACE_PX) - 4)), 0.0)
    near = [pipeline.analyse(_frame((100, 80, 60)), now)[0] for now in (0.5, 1.0, 1.5)]
    assert far.label == UNCERTAIN and _ids([far, *near]) == [0] * 4
    np.testing.assert_allclose([reading.probs for reading in near[:2]], [HAPPY, HAPPY], atol=1e-7)
    np.testing.assert_allclose(near[2].probs, correct(HAPPY, HAPPY, UNIFORM), atol=1e-6)


@pytest.mark.parametrize("options", [Options(half_life_s=0.0), Options.of(Settings(half_life_s=0.0), _card())])
def test_unless_it_is_asked_for_nothing_is_corrected(options: Options):
    pipeline = Pipeline(SpotDetector(), FakeClassifier(SAD, SAD, HAPPY), options)
    shown = [pipeline.analyse(_frame((100, 80, 60)), 30.0 * i)[0].probs for i in range(6)]
    np.testing.assert_array_equal(shown, [SAD, SAD] + [HAPPY] * 4)


def test_a_face_is_cropped_as_its_detector_asks():
    frame, face, detector = _frame((100, 80, 60)), square(100, 80, 60), FakeDetector()
    detector.crop_scale, detector.crop_dy = 1.2, -0.1
    np.testing.assert_array_equal(cut(frame, [face], detector), crop(frame, face, 1.2, -0.1))


def test_the_face_of_a_real_scene_is_followed_as_it_moves(scene: Frame, astronaut_face: Face):
    pipeline = Pipeline(Cascade(Settings()), FakeClassifier(), Options())
    for i in range(4):
        shown = np.roll(scene, 10 * i, axis=1)
        (reading,) = pipeline.analyse(shown, i * 0.5)
        assert iou(reading.face.xyxy, moved(astronaut_face, 240 / 512, 40.0 + 10 * i).xyxy) > 0.4
        assert (reading.face_id, reading.label) == (0, "happy")
