import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer.boxes import giou, iou, moved, suppress
from fer.types import Box, Face

SQUARE = (0.0, 0.0, 10.0, 10.0)
spots = st.floats(-1000, 1000)
sides = st.floats(1, 500)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), spots, spots, sides, sides)
faces = st.builds(Face, boxes, st.floats(0, 1))


@pytest.mark.parametrize(
    "other, share, general",
    [
        pytest.param(SQUARE, 1.0, 1.0, id="the same"),
        pytest.param((0.0, 0.0, 10.0, 20.0), 0.5, 0.5, id="one half of the other"),
        pytest.param((5.0, 5.0, 15.0, 15.0), 25 / 175, 25 / 175 - 50 / 225, id="a quarter in common"),
        pytest.param((10.0, 0.0, 20.0, 10.0), 0.0, 0.0, id="side by side"),
        pytest.param((20.0, 0.0, 30.0, 10.0), 0.0, -1 / 3, id="one side apart"),
        pytest.param((10.0, 10.0, 20.0, 20.0), 0.0, -0.5, id="corner to corner"),
        pytest.param((3.0, 3.0, 3.0, 3.0), 0.0, 0.0, id="a point within"),
    ],
)
def test_overlap_and_distance_are_those_worked_out_by_hand(other: Box, share: float, general: float):
    assert iou(SQUARE, other) == pytest.approx(share)
    assert giou(SQUARE, other) == pytest.approx(general)


def test_two_points_in_one_place_do_not_overlap():
    point = (3.0, 3.0, 3.0, 3.0)
    assert iou(point, point) == giou(point, point) == 0.0


@given(boxes, boxes)
def test_neither_measure_depends_on_which_box_comes_first(a: Box, b: Box):
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert giou(a, b) == pytest.approx(giou(b, a))


@given(boxes, boxes)
def test_the_generalised_measure_is_never_above_the_plain_one(a: Box, b: Box):
    assert 0 <= iou(a, b) <= 1 + 1e-9
    assert -1 <= giou(a, b) <= iou(a, b) + 1e-9


@given(boxes, st.floats(1, 300), st.floats(1, 300))
def test_the_farther_away_a_box_is_the_lower_its_generalised_measure(box: Box, near: float, more: float):
    def to_the_right(px: float) -> Box:
        return moved(Face(box, 1.0), 1.0, box[2] - box[0] + px).xyxy

    assert giou(box, to_the_right(near + more)) < giou(box, to_the_right(near)) < 0


@given(st.lists(faces, max_size=12))
def test_no_two_faces_that_are_kept_overlap_much_and_each_dropped_one_has_a_surer_rival(found: list[Face]):
    kept = suppress(found)
    assert all(face in found for face in kept)
    assert all(iou(a.xyxy, b.xyxy) <= 0.4 for i, a in enumerate(kept) for b in kept[:i])
    for face in found:
        assert face in kept or any(iou(face.xyxy, k.xyxy) > 0.4 and k.score >= face.score for k in kept)


@given(st.lists(faces, max_size=12))
def test_the_largest_face_comes_first(found: list[Face]):
    areas = [face.area_px for face in suppress(found)]
    assert areas == sorted(areas, reverse=True)


def test_of_two_boxes_of_one_face_the_surer_one_is_kept():
    sure, unsure = Face((0.0, 0.0, 10.0, 10.0), 0.9), Face((1.0, 1.0, 12.0, 12.0), 0.6)
    assert suppress([unsure, sure]) == [sure]


def test_a_face_within_a_cut_out_goes_back_to_its_frame_with_its_eyes():
    face = Face((1.0, 2.0, 3.0, 4.0), 0.5, ((1.5, 2.5), (2.5, 2.5)))
    assert moved(face, 2.0, 10.0, 20.0) == Face((12.0, 24.0, 16.0, 28.0), 0.5, ((13.0, 25.0), (15.0, 25.0)))


@given(faces, st.floats(0.1, 10), spots, spots)
def test_moving_keeps_the_score_and_scales_the_side(face: Face, scale: float, dx: float, dy: float):
    there = moved(face, scale, dx, dy)
    assert (there.score, there.eyes) == (face.score, None)
    assert there.side_px == pytest.approx(face.side_px * scale, rel=1e-6)
