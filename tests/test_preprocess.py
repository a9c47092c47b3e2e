import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer.evaluation import crops
from fer.preprocess import CROP_PX, crop
from fer.types import Face, Frame, Point

WHOLE = Face((0.0, 0.0, 48.0, 48.0), 1.0)


def _noise(height: int, width: int) -> Frame:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


def _grey(frame: Frame) -> np.ndarray:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """How many grey levels two crops lie apart on average."""
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_a_face_that_fills_the_frame_passes_unchanged():
    frame = _noise(CROP_PX, CROP_PX)
    assert crop(frame, WHOLE).shape == (1, CROP_PX, CROP_PX, 1)
    np.testing.assert_array_equal(crop(frame, WHOLE)[0, :, :, 0], _grey(frame))


def test_a_grey_picture_passes_unchanged_too():
    images = np.random.default_rng(3).integers(0, 256, (5, CROP_PX, CROP_PX), np.uint8)
    np.testing.assert_array_equal(crops(images)[:, :, :, 0], images)


def test_a_face_of_the_very_size_is_cut_out_as_it_is():
    frame = _noise(100, 120)
    cut = crop(frame, Face((30.0, 20.0, 78.0, 68.0), 1.0))
    np.testing.assert_array_equal(cut[0, :, :, 0], _grey(frame)[20:68, 30:78])


def test_the_square_about_a_box_has_its_longer_side():
    frame = _noise(100, 120)
    tall, wide = Face((44.0, 20.0, 64.0, 68.0), 1.0), Face((30.0, 34.0, 78.0, 54.0), 1.0)
    np.testing.assert_array_equal(crop(frame, tall), crop(frame, wide))


def test_the_frame_is_not_written_to():
    frame = _noise(100, 120)
    before = frame.copy()
    crop(frame, Face((10.0, 10.0, 60.0, 90.0), 1.0), 1.2, 0.1)
    np.testing.assert_array_equal(frame, before)


def test_what_lies_outside_the_frame_repeats_its_edge():
    frame = _noise(CROP_PX, CROP_PX)
    half = crop(frame, Face((-24.0, 0.0, 24.0, 48.0), 1.0))[0, :, :, 0]
    np.testing.assert_array_equal(half[:, 24:], _grey(frame)[:, :24])
    np.testing.assert_array_equal(half[:, :24], np.repeat(_grey(frame)[:, :1], 24, axis=1))


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((-500.0, 0.0, -400.0, 100.0), id="left of it"),
        pytest.param((700.0, 0.0, 1700.0, 1000.0), id="right of it and large"),
        pytest.param((0.0, -5000.0, 1000.0, -4000.0), id="far above it"),
        pytest.param((9000.0, 9000.0, 9001.0, 9001.0), id="far away and tiny"),
    ],
)
def test_a_face_wholly_outside_the_frame_shows_nothing_but_the_edge(box: tuple[float, float, float, float]):
    assert np.unique(crop(np.full((90, 120, 3), 77, np.uint8), Face(box, 1.0))).tolist() == [77]


@given(
    st.tuples(st.integers(1, 80), st.integers(1, 80)),
    st.tuples(st.floats(-5000, 5000), st.floats(-5000, 5000), st.floats(0, 5000), st.floats(0, 5000)),
    st.floats(0.5, 2),
    st.floats(-0.5, 0.5),
)
def test_any_box_on_any_frame_gives_a_crop(
    shape: tuple[int, int], box: tuple[float, float, float, float], scale: float, dy: float
):
    x, y, width, height = box
    cut = crop(_noise(*shape), Face((x, y, x + width, y + height), 1.0), scale, dy)
    assert (cut.shape, cut.dtype) == ((1, CROP_PX, CROP_PX, 1), np.uint8)


@pytest.mark.parametrize("times", [2, 3, 4.5])
def test_a_face_looks_the_same_in_a_larger_picture(astronaut: Frame, astronaut_face: Face, times: float):
    large = cv2.resize(astronaut, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    there = Face(tuple(times * v for v in astronaut_face.xyxy), 1.0)
    here = Face(astronaut_face.xyxy, 1.0)
    assert _difference(crop(large, there), crop(astronaut, here)) < 3


def test_a_fine_pattern_in_a_large_face_becomes_grey_and_does_not_alias():
    stripes = np.zeros((960, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    cut = crop(stripes, Face((101.0, 101.0, 859.0, 859.0), 1.0))
    assert cut.std() < 3 and 120 < cut.mean() < 135


@pytest.mark.parametrize("degrees", [-35, -20, -8, 8, 20, 35])
def test_a_head_that_is_tilted_comes_out_level(astronaut: Frame, astronaut_face: Face, degrees: float):
    x1, y1, x2, y2 = astronaut_face.xyxy
    middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = np.column_stack([turn, (middle - 0.5) - turn @ (middle - 0.5)])
    tilted = cv2.warpAffine(astronaut, matrix, (512, 512), flags=cv2.INTER_CUBIC)

    def turned(point: Point) -> Point:
        x, y = middle + turn @ (np.array(point) - middle)
        return float(x), float(y)

    assert astronaut_face.eyes is not None
    left, right = astronaut_face.eyes
    level = crop(astronaut, astronaut_face)
    levelled = crop(tilted, Face(astronaut_face.xyxy, 1.0, (turned(left), turned(right))))
    as_it_is = crop(tilted, Face(astronaut_face.xyxy, 1.0))
    assert _difference(levelled, level) < 3
    assert _difference(as_it_is, level) > 10


@pytest.mark.parametrize(
    "eyes",
    [
        pytest.param(((224.0, 100.0), (224.0, 100.0)), id="in one place"),
        pytest.param(((224.0, 90.0), (228.0, 120.0)), id="one above the other"),
        pytest.param(((245.0, 100.0), (203.0, 110.0)), id="the wrong way round"),
    ],
)
def test_eyes_that_cannot_be_a_pair_do_not_turn_the_picture(
    astronaut: Frame, astronaut_face: Face, eyes: tuple[Point, Point]
):
    there = Face(astronaut_face.xyxy, 1.0, eyes)
    np.testing.assert_array_equal(crop(astronaut, there), crop(astronaut, Face(astronaut_face.xyxy, 1.0)))


def test_a_scale_cuts_out_a_larger_square_about_the_same_middle(astronaut: Frame):
    twice = crop(astronaut, Face((200.0, 100.0, 250.0, 150.0), 1.0), scale=2.0)
    np.testing.assert_array_equal(twice, crop(astronaut, Face((175.0, 75.0, 275.0, 175.0), 1.0)))


def test_dy_moves_the_square_down_by_that_share_of_the_box(astronaut: Frame):
    lower = crop(astronaut, Face((200.0, 100.0, 264.0, 164.0), 1.0), dy=0.25)
    np.testing.assert_array_equal(lower, crop(astronaut, Face((200.0, 116.0, 264.0, 180.0), 1.0)))


def test_dy_goes_down_the_face_and_not_down_the_picture(astronaut: Frame):
    # The eye on the right lies below the one on the left by 45°: down the face is down and to the left.
    eyes = ((200.0, 100.0), (240.0, 140.0))
    step = 64 * 0.25 / np.sqrt(2)
    moved = Face((200 - step, 100 + step, 264 - step, 164 + step), 1.0, eyes)
    assert (
        _difference(crop(astronaut, Face((200.0, 100.0, 264.0, 164.0), 1.0, eyes), dy=0.25), crop(astronaut, moved))
        < 0.1
    )
