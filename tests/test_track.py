import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer.track import LOST_S, Tracker
from fer.types import Face
from tests.fakes import square

anywhere = st.builds(square, st.floats(-50, 640), st.floats(-50, 480), st.floats(5, 300))
crowds = st.lists(st.lists(anywhere, max_size=6), min_size=1, max_size=15)
steps_px = st.floats(-20, 20)


def _ids(tracker: Tracker, faces: list[Face], now: float) -> list[int]:
    return [track.face_id for track in tracker.update(faces, now)]


@given(crowds)
def test_no_two_faces_of_a_frame_share_an_id(crowd: list[list[Face]]):
    tracker = Tracker()
    for i, faces in enumerate(crowd):
        tracks = tracker.update(faces, i * 0.5)
        assert [track.face for track in tracks] == faces
        followed = [track.face_id for track in tracker.tracks]
        assert len(set(followed)) == len(followed)


@given(crowds, st.floats(0.1, 3))
def test_an_id_that_was_given_up_is_never_used_again(crowd: list[list[Face]], step_s: float):
    tracker, gone, before = Tracker(), set[int](), set[int]()
    for i, faces in enumerate(crowd):
        tracker.update(faces, i * step_s)
        followed = {track.face_id for track in tracker.tracks}
        gone |= before - followed
        before = followed
        assert not followed & gone


@given(st.data(), st.integers(1, 6), st.lists(st.tuples(steps_px, steps_px), min_size=1, max_size=10))
def test_faces_that_move_slowly_keep_their_ids_in_whatever_order_they_are_found(
    data: st.DataObject, n: int, steps: list[tuple[float, float]]
):
    tracker, at = Tracker(), [(300.0 * i, 100.0) for i in range(n)]
    first = _ids(tracker, [square(x, y) for x, y in at], 0.0)
    for i, (dx, dy) in enumerate(steps, 1):
        at = [(x + dx, y - dy) for x, y in at]
        order = data.draw(st.permutations(range(n)))
        found = _ids(tracker, [square(*at[k]) for k in order], i * 0.5)
        assert found == [first[k] for k in order]


def test_ids_count_up_from_zero():
    assert _ids(Tracker(), [square(0, 0), square(300, 0), square(600, 0)], 0.0) == [0, 1, 2]


def test_a_face_that_was_missed_for_a_moment_keeps_its_id():
    tracker = Tracker()
    tracker.update([square(0, 0)], 0.0)
    tracker.update([], LOST_S * 0.99)
    assert _ids(tracker, [square(5, 0)], LOST_S) == [0]


def test_a_face_that_was_not_found_for_longer_is_gone_and_comes_back_as_another():
    tracker = Tracker()
    tracker.update([square(0, 0)], 0.0)
    tracker.update([], LOST_S)
    assert tracker.tracks == []
    assert _ids(tracker, [square(0, 0)], LOST_S) == [1]


def test_with_an_analysis_every_five_seconds_a_face_that_stays_keeps_its_id():
    tracker = Tracker()
    assert [_ids(tracker, [square(0, 0)], 5.0 * i) for i in range(4)] == [[0]] * 4


def test_a_clock_that_steps_back_loses_nobody():
    tracker = Tracker()
    tracker.update([square(0, 0), square(300, 0)], 100.0)
    tracker.update([square(0, 0)], 40.0)
    assert _ids(tracker, [square(300, 0), square(0, 0)], 40.5) == [1, 0]


def test_the_face_that_was_closest_takes_the_id():
    tracker = Tracker()
    tracker.update([square(0, 0)], 0.0)
    assert _ids(tracker, [square(60, 0), square(10, 0)], 0.5) == [1, 0]


def test_a_face_near_two_that_were_there_takes_the_id_of_the_closer_one():
    tracker = Tracker()
    tracker.update([square(0, 0), square(60, 0)], 0.0)
    assert _ids(tracker, [square(10, 0)], 0.5) == [0]
    assert _ids(tracker, [square(55, 0), square(5, 0)], 0.6) == [1, 0]


@pytest.mark.parametrize(
    "jump_px, same",
    [
        pytest.param(90, True, id="a nod"),
        pytest.param(105, True, id="just past itself"),
        pytest.param(300, False, id="across the room"),
    ],
)
def test_a_face_is_the_same_one_as_far_as_a_head_can_move_between_two_analyses(jump_px: int, same: bool):
    tracker = Tracker()
    tracker.update([square(0, 0)], 0.0)
    assert (_ids(tracker, [square(jump_px, 0)], 0.5) == [0]) == same
