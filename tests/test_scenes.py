"""Scenes: the face is where it is said to be, and a frame without one has none."""

import cv2
import numpy as np
import pytest

from fer import scenes
from fer.types import Frame


@pytest.fixture
def face(face_crop: Frame) -> np.ndarray:
    """The astronaut's face as FER2013 would hold it.  # (48, 48) uint8"""
    grey = cv2.cvtColor(face_crop, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("condition", scenes.CONDITIONS, ids=lambda c: f"{c.group} {c.name}")
def test_every_condition_makes_a_frame_with_the_face_in_it(condition: scenes.Condition, face: np.ndarray) -> None:
    scene = scenes.make(condition, face, 3)
    assert scene.frame.shape == (240, 320, 3) and scene.frame.dtype == np.uint8
    x1, y1, x2, y2 = scene.face.xyxy
    assert scene.face.side_px == x2 - x1 == y2 - y1 == condition.side_px
    assert x1 >= 20 and y1 >= 20 and x2 <= 300 and y2 <= 220
    np.testing.assert_array_equal(scenes.make(condition, face, 3).frame, scene.frame)


def test_names_are_said_once() -> None:
    names = [(condition.group, condition.name) for condition in scenes.CONDITIONS]
    assert len(set(names)) == len(names)
    assert scenes.BASE in scenes.CONDITIONS


def test_a_face_on_grey_is_as_it_was_and_nothing_else_is_there(face: np.ndarray) -> None:
    scene = scenes.paste(face, 48, np.random.default_rng(0))
    x, y = (int(v) for v in scene.face.xyxy[:2])
    np.testing.assert_array_equal(scene.frame[y : y + 48, x : x + 48, 1], face)
    scene.frame[y : y + 48, x : x + 48] = scenes.GREY
    assert (scene.frame == scenes.GREY).all()


def test_on_a_photograph_the_edge_of_the_face_is_soft(face: np.ndarray) -> None:
    condition = scenes.Condition("", "", 96, on_photo=True)
    with_face, bright = scenes.make(condition, face, 5), scenes.make(condition, 0 * face + 255, 5)
    x, y = (int(v) for v in with_face.face.xyxy[:2])
    changed = (with_face.frame != bright.frame)[y : y + 96, x : x + 96, 0]
    assert changed[48, 48] and not changed[0, 0] and not changed[95, 95]


def test_every_second_face_is_turned_to_the_other_side(face: np.ndarray) -> None:
    sides = []
    for number in (0, 1):
        scene = scenes.make(scenes.Condition("", "", degrees=20), face, number)
        straight = scenes.make(scenes.BASE, face, number)
        x1, y1, x2, y2 = scene.face.xyxy
        for degrees in (-20, 20):
            matrix = cv2.getRotationMatrix2D(((x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2), degrees, 1.0)
            turned = cv2.warpAffine(straight.frame, matrix, (320, 240), borderValue=(128, 128, 128))
            if np.abs(turned.astype(int) - scene.frame).mean() < 0.1:
                sides.append(degrees)
    assert sides == [-20, 20]


def test_the_same_frames_without_a_face_come_every_time() -> None:
    first, again = list(scenes.empty(20)), list(scenes.empty(20))
    assert len(first) == 20 and all(frame.shape == (240, 320, 3) and frame.dtype == np.uint8 for frame in first)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not any((a == b).all() for a, b in zip(first, scenes.empty(20, seed=1), strict=True))


@pytest.mark.parametrize("size", [(1, 1), (5, 900), (240, 320), (900, 7)])
def test_a_picture_of_any_size_fills_a_frame(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 100, np.uint8)
    assert all(frame.shape == (240, 320, 3) for frame in scenes.empty(4, [picture]))
