"""Five seconds before a camera: what is collected, when it is over, and which moment is kept."""

import cv2
import numpy as np
import pytest

from fer import sitting
from fer.labels import LABELS
from fer.pipeline import MIN_FACE_PX
from fer.sitting import LATE_S, LENGTH_S, LOST_S, Sitting
from fer.types import Frame, Reading
from tests.fakes import probs_of, square

BEGIN = 1000.0


def grain(level: int = 128) -> Frame:
    """A picture with fine detail, of a brightness by which it is known again."""
    noise = np.random.default_rng(0).integers(-40, 41, (240, 320, 3))
    return np.asarray(np.clip(level + noise, 0, 255), np.uint8)


def blurred(picture: Frame) -> Frame:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 4), np.uint8)


def of(label: str = "happy", face_id: int = 0, side_px: float = 100.0, share: float = 0.94, x: float = 50.0) -> Reading:
    return Reading(face_id, square(x, 50, side_px), probs_of(label, share), label)


def filled(*pictures: tuple[Frame, list[Reading]], every_s: float = 0.5) -> Sitting:
    made = Sitting()
    for i, (frame, readings) in enumerate(pictures):
        made.add(frame, readings, BEGIN + i * every_s)
    return made


def test_before_the_first_picture_all_the_seconds_are_to_come_and_nothing_is_over():
    made = Sitting()
    assert made.left_s(BEGIN) == LENGTH_S and not made.begun and not made.over(BEGIN + 100)
    assert made.lasted_s == 0 and made.likeness() is None


def test_the_seconds_count_from_the_first_picture():
    made = filled(*[(grain(), [of()])] * 10)
    assert made.left_s(BEGIN + 1) == LENGTH_S - 1 and not made.over(BEGIN + LENGTH_S - 0.01)
    assert made.over(BEGIN + LENGTH_S) and made.left_s(BEGIN + 99) == 0
    assert made.lasted_s == 4.5 and not made.cut_short


def test_what_comes_after_the_end_changes_nothing():
    made = filled(*[(grain(), [of("happy")])] * 10)
    made.add(grain(), [of("sad"), of("sad", 1)], BEGIN + LENGTH_S)
    seen = made.likeness()
    assert seen and seen.probs.shape == (10, 7) and seen.faces == 1


@pytest.mark.parametrize(("pictures", "short"), [(1, True), (4, True), (7, False)])
def test_a_connection_that_is_lost_ends_it_and_what_was_seen_stays(pictures: int, short: bool):
    made = filled(*[(grain(), [of()])] * pictures)
    last = BEGIN + 0.5 * (pictures - 1)
    assert not made.over(last + min(LOST_S, LENGTH_S - made.lasted_s) - 0.01)
    assert made.over(last + LOST_S + 0.01)
    assert made.cut_short is short is (made.lasted_s < LENGTH_S - LATE_S)
    seen = made.likeness()
    assert seen and len(seen.probs) == pictures


def test_a_clock_that_steps_back_does_not_hold_the_camera_for_an_hour():
    assert filled((grain(), [of()])).over(BEGIN - 3600)


def test_without_a_face_there_is_no_likeness():
    assert filled(*[(grain(), [])] * 10).likeness() is None
    assert filled(*[(grain(), [of(side_px=MIN_FACE_PX - 1)])] * 10).likeness() is None


def test_the_readings_of_the_main_face_are_kept_one_by_one():
    made = filled((grain(), [of("happy")]), (grain(), []), (grain(), [of("sad")]))
    seen = made.likeness()
    assert seen
    np.testing.assert_allclose(seen.probs, [probs_of("happy"), probs_of("sad")])


def test_the_main_face_is_the_one_that_was_there_largest_and_longest_and_no_other_is_mixed_in():
    own, friend = of("happy", 3, 90), of("angry", 5, 60, x=200)
    passing = of("fear", 8, 120, x=150)
    made = filled((grain(), [own, friend]), (grain(), [passing, own, friend]), *[(grain(), [own, friend])] * 6)
    seen = made.likeness()
    assert seen and seen.faces == 3
    np.testing.assert_allclose(seen.probs, [probs_of("happy")] * 8)


@pytest.mark.parametrize("sharp_at", [0, 3, 7])
def test_the_best_moment_is_the_sharpest(sharp_at: int):
    pictures = [(grain(100 + 10 * i) if i == sharp_at else blurred(grain(100 + 10 * i)), [of()]) for i in range(8)]
    seen = filled(*pictures).likeness()
    assert seen and seen.picture.mean() == pytest.approx(100 + 10 * sharp_at, abs=3)


def test_of_moments_as_sharp_the_best_is_the_surest_of_what_all_say():
    shown = [of("happy", share=0.6), of("happy", share=0.9), of("sad", share=0.99), of("happy", share=0.7)]
    seen = filled(*[(grain(100 + 20 * i), [reading]) for i, reading in enumerate(shown)]).likeness()
    assert seen and LABELS[int(seen.probs.mean(0).argmax())] == "happy"
    assert seen.picture.mean() == pytest.approx(120, abs=3)


def test_sharpness_falls_with_blur_and_says_nothing_of_size():
    face = cv2.resize(grain(), (96, 96), interpolation=cv2.INTER_AREA)
    assert sitting.sharpness(face) > 4 * sitting.sharpness(blurred(face))
    larger = cv2.resize(face, (192, 192), interpolation=cv2.INTER_NEAREST)
    assert sitting.sharpness(larger) == pytest.approx(sitting.sharpness(face), rel=0.05)
