"""Lessons of the detector: what is drawn is where the lesson says, and cells are told what is there."""

from dataclasses import replace

import numpy as np
import pytest

from fer import lessons
from fer.lessons import LESSON_PX, Faces, Lesson, Surroundings
from fer.tiny import LEVELS


@pytest.fixture(scope="module")
def faces() -> Faces:
    """Dark squares with a bright spot at each point."""
    points = np.array([[14, 18], [33, 18], [24, 28], [17, 36], [31, 36]], np.float32)
    image = np.full((48, 48), 60, np.uint8)
    for x, y in points.astype(int):
        image[y - 1 : y + 2, x - 1 : x + 2] = 250
    box = np.array([[5, 0, 43, 47]], np.float32)
    return Faces(image[None].repeat(2, 0), box.repeat(2, 0), points[None].repeat(2, 0), np.array([True, False]))


@pytest.fixture(scope="module")
def around() -> Surroundings:
    rng = np.random.default_rng(0)
    pictures = tuple(rng.integers(0, 256, (300, 260 + i), np.uint8) for i in range(20))
    return Surroundings(pictures, ((pictures[0][:40, :30], pictures[1][:40, :30]),))


def _many(faces: Faces, around: Surroundings, n: int = 60) -> list[Lesson]:
    return [lessons.draw(faces, around, np.random.default_rng(i), empty=0.1) for i in range(n)]


def test_a_seed_draws_the_same_lesson_again(faces: Faces, around: Surroundings):
    one, other = (lessons.draw(faces, around, np.random.default_rng(7), empty=0) for _ in range(2))
    np.testing.assert_array_equal(one.frame, other.frame)
    np.testing.assert_array_equal(one.boxes, other.boxes)


def test_lessons_have_what_the_network_is_to_meet(faces: Faces, around: Surroundings):
    many = _many(faces, around, 150)
    sides = np.concatenate([(one.boxes[:, 3] - one.boxes[:, 1]) for one in many])
    counts = [len(one.boxes) for one in many]
    assert sides.min() < 20 and sides.max() > 150
    assert min(counts) == 0 and max(counts) >= 6
    assert all(one.frame.shape == (LESSON_PX, LESSON_PX) and one.frame.dtype == np.uint8 for one in many)
    assert any(len(one.doubtful) for one in many)
    assert {bool(k) for one in many for k in one.known} == {True, False}


def test_points_lie_in_their_box_and_eyes_above_the_mouth_from_left_to_right(faces: Faces, around: Surroundings):
    for one in _many(faces, around):
        low, high = one.boxes[:, None, :2] - 8, one.boxes[:, None, 2:] + 8
        assert ((one.points >= low) & (one.points <= high)).all()
        assert (one.points[:, 0, 0] < one.points[:, 1, 0]).all()  # at ±38° at most they never change places
        assert (one.points[:, :2, 1].mean(1) < one.points[:, 3:, 1].mean(1)).all()


def test_most_of_a_face_that_is_asked_for_is_in_the_frame(faces: Faces, around: Surroundings):
    for one in _many(faces, around):
        inside = np.clip(one.boxes, 0, LESSON_PX)
        area = (one.boxes[:, 2:] - one.boxes[:, :2]).prod(1)
        assert ((inside[:, 2:] - inside[:, :2]).prod(1) >= 0.69 * area).all()


def _lesson(*boxes: tuple[float, float, float, float], doubtful: tuple[float, ...] = ()) -> Lesson:
    n = len(boxes)
    points = np.zeros((n, 5, 2), np.float32) + 50
    none = np.array(doubtful, np.float32).reshape(-1, 4)
    frame = np.zeros((LESSON_PX, LESSON_PX), np.uint8)
    return Lesson(frame, np.array(boxes, np.float32).reshape(-1, 4), points, np.ones(n, bool), none)


def _levels(rows: np.ndarray) -> list[np.ndarray]:
    sizes = [(LESSON_PX // level.stride) ** 2 for level in LEVELS]
    return np.split(rows, np.cumsum(sizes)[:-1])


@pytest.mark.parametrize("side, seen_by", [(24, [0]), (44, [0, 1]), (80, [1]), (104, [1, 2]), (180, [2])])
def test_a_face_is_seen_by_the_levels_that_are_made_for_its_size(side: int, seen_by: list[int]):
    box = (100 - side / 2, 100 - side / 2, 100 + side / 2, 100 + side / 2)
    maps = _levels(lessons.wanted(_lesson(box)))
    assert [i for i, rows in enumerate(maps) if rows[:, 0].any()] == seen_by


def test_each_cell_that_sees_a_face_leads_back_to_its_box_and_points():
    lesson = _lesson((60, 50, 140, 158), (10, 10, 30, 32))
    for level, rows in zip(LEVELS, _levels(lessons.wanted(lesson)), strict=True):
        columns = LESSON_PX // level.stride
        for cell in np.flatnonzero(rows[:, 0]):
            x, y = (cell % columns + 0.5) * level.stride, (cell // columns + 0.5) * level.stride
            left, upper, right, lower = np.exp(rows[cell, 4:8]) * level.stride
            box = np.array([x - left, y - upper, x + right, y + lower])
            assert np.abs(box - lesson.boxes).max(1).min() < 0.1
            offsets = rows[cell, 8:].reshape(5, 2) * level.stride
            np.testing.assert_allclose(offsets + np.array([x, y]), 50, atol=1e-3)


def test_of_a_face_that_shows_too_little_nothing_is_said():
    rows = lessons.wanted(_lesson(doubtful=(200, 200, 260, 260)))
    assert not rows[:, 0].any() and (rows[:, 1] == 0).any() and (rows[:, 1] == 1).any()


def test_photographs_held_back_are_not_drawn(around: Surroundings):
    kept, held = lessons.part(around, 10)
    assert (len(kept.photographs), len(held.photographs)) == (18, 2)
    assert not {id(p) for p in kept.photographs} & {id(p) for p in held.photographs}
    few = replace(around, photographs=around.photographs[:3])
    assert len(lessons.part(few, 10)[0].photographs) == 3


def test_a_process_that_was_prepared_draws_batches(faces: Faces, around: Surroundings):
    lessons.prepare(faces, around)
    frames, rows = lessons.batch((1, 2), 3)
    cells = sum((LESSON_PX // level.stride) ** 2 for level in LEVELS)
    assert frames.shape == (3, LESSON_PX, LESSON_PX, 1) and rows.shape == (3, cells, 18)
    np.testing.assert_array_equal(frames, lessons.batch((1, 2), 3)[0])
