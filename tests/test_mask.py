import numpy as np
import pytest

from fer.labels import LABELS, UNCERTAIN
from fer.mask import COVER, Mask
from fer.types import Box, Face, Frame, Reading
from tests.fakes import probs_of, square

GREY = 90


def blank(height: int = 240, width: int = 320) -> Frame:
    return np.full((height, width, 3), GREY, np.uint8)


def reading(face: Face, face_id: int = 0, label: str = "happy") -> Reading:
    return Reading(face_id, face, probs_of("happy"), label)


def settled(mask: Mask, readings: list[Reading], cover: bool = True, frame: Frame | None = None) -> Frame:
    """What is drawn when everything has come to rest."""
    mask.aim(readings)
    for now in (0.0, 100.0):
        drawn = mask.draw(blank() if frame is None else frame, now, cover)
    return drawn


def middle(drawn: Frame) -> tuple[float, float, float]:
    """x and y of the middle of what was drawn, and its width."""
    ys, xs = np.nonzero((drawn != GREY).any(axis=2))
    return (xs.min() + xs.max()) / 2, (ys.min() + ys.max()) / 2, xs.max() - xs.min() + 1


def test_the_frame_is_left_as_it_was():
    frame = blank()
    assert (settled(Mask(), [reading(square(100, 80, 80))], frame=frame) != GREY).any()
    assert (frame == GREY).all()


def test_a_face_is_covered_and_a_little_more():
    drawn = settled(Mask(), [reading(square(100, 80, 80))])
    assert middle(drawn) == pytest.approx((140, 120, COVER * 80), abs=2)
    assert (drawn[82:158, 110:170] != GREY).any(axis=2).all()


def test_an_emoji_that_does_not_cover_stands_above_the_head():
    drawn = settled(Mask(), [reading(square(100, 120, 80))], cover=False)
    assert (drawn[130:200] == GREY).all() and (drawn[:120] != GREY).any()


def test_where_there_is_no_room_above_the_head_the_emoji_stays_in_the_picture():
    _, y, width = middle(settled(Mask(), [reading(square(100, 0, 80))], cover=False))
    assert y >= width / 2 - 3


@pytest.mark.parametrize("label", [*LABELS, UNCERTAIN])
def test_each_expression_has_an_emoji_of_its_own(label: str):
    drawn = settled(Mask(), [reading(square(100, 80, 80), label=label)])
    others = [settled(Mask(), [reading(square(100, 80, 80), label=other)]) for other in LABELS if other != label]
    assert all((drawn != other).any() for other in others)


def test_several_faces_have_an_emoji_each_and_the_first_lies_on_top():
    first, second = reading(square(40, 80, 80)), reading(square(200, 80, 80), 1, "sad")
    drawn = settled(Mask(), [first, second])
    assert (drawn[120, [60, 100, 220, 260]] != GREY).any(axis=1).all()
    near = [reading(square(100, 80, 80)), reading(square(120, 80, 80), 1, "disgust")]
    alone = settled(Mask(), near[:1])
    np.testing.assert_array_equal(settled(Mask(), near)[110:130, 110:150], alone[110:130, 110:150])


def test_an_emoji_glides_to_where_the_face_has_gone():
    mask = Mask()
    settled(mask, [reading(square(20, 80, 80))])
    mask.aim([reading(square(220, 80, 80))])
    places = [middle(mask.draw(blank(), 100 + at, True))[0] for at in (0.0, 0.05, 0.1, 0.2, 1.0)]
    assert places == sorted(places) and places[0] == pytest.approx(60, abs=1)
    assert places[1] == pytest.approx(160, abs=2)  # half of the way after one half-life
    assert places[-1] == pytest.approx(260, abs=1)


def test_how_often_is_drawn_does_not_change_how_fast_it_glides():
    places = []
    for steps in (1, 10):
        mask = Mask()
        settled(mask, [reading(square(20, 80, 80))])
        mask.aim([reading(square(220, 80, 80))])
        drawn = [mask.draw(blank(), 100 + 0.1 * (i + 1) / steps, True) for i in range(steps)]
        places.append(middle(drawn[-1])[0])
    assert places[0] == pytest.approx(places[1], abs=1)


def test_one_emoji_turns_into_the_next_step_by_step():
    mask = Mask()
    happy = settled(mask, [reading(square(100, 80, 80))]).astype(int)
    mask.aim([reading(square(100, 80, 80), label="disgust")])
    away = [np.abs(mask.draw(blank(), 100 + at, True) - happy).sum() for at in (0.0, 0.05, 0.1, 0.3, 2.0)]
    assert away == sorted(away) and away[0] < away[2] < away[-1]


def test_a_face_that_is_gone_fades_where_it_was_and_is_forgotten():
    mask = Mask()
    whole = settled(mask, [reading(square(100, 80, 80))]).astype(int)
    mask.aim([])
    half = mask.draw(blank(), 100.1, True).astype(int)
    assert middle(half)[0] == pytest.approx(140, abs=1)
    assert np.abs(half - GREY).sum() == pytest.approx(np.abs(whole - GREY).sum() / 2, rel=0.05)
    assert (mask.draw(blank(), 101.0, True) == GREY).all()
    assert not mask._looks


def test_an_emoji_leans_as_the_head_does():
    level = Face((100, 80, 180, 160), 0.9, ((120, 110), (160, 110)))
    turned = Face((100, 80, 180, 160), 0.9, ((120, 120), (160, 100)))
    straight = settled(Mask(), [reading(square(100, 80, 80))])
    np.testing.assert_array_equal(settled(Mask(), [reading(level)]), straight)
    assert (settled(Mask(), [reading(turned)]) != straight).any()


def test_a_clock_that_steps_back_moves_nothing():
    mask = Mask()
    before = settled(mask, [reading(square(20, 80, 80))])
    mask.aim([reading(square(220, 80, 80))])
    np.testing.assert_array_equal(mask.draw(blank(), 50.0, True), before)


@pytest.mark.parametrize("cover", [True, False])
@pytest.mark.parametrize(
    "box",
    [
        pytest.param((0, 0, 80, 80), id="corner"),
        pytest.param((300, -40, 380, 40), id="half outside"),
        pytest.param((-500, -500, -400, -400), id="outside"),
        pytest.param((-1000, -1000, 2000, 2000), id="larger than the picture"),
        pytest.param((10, 10, 10, 10), id="a point"),
    ],
)
@pytest.mark.parametrize("height, width", [(240, 320), (1, 1), (5, 200)])
def test_an_emoji_can_be_drawn_on_any_picture(box: Box, height: int, width: int, cover: bool):
    drawn = settled(Mask(), [reading(Face(box, 0.9))], cover, blank(height, width))
    assert drawn.shape == (height, width, 3)
