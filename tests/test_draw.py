import numpy as np
import pytest

from fer.draw import EMOJI_DIR, annotate, chip, heat, paste, shrink
from fer.labels import COLORS, LABELS, UNCERTAIN
from fer.types import Box, Face, Reading
from tests.fakes import probs_of

SHOWN = (*LABELS, UNCERTAIN)


def _reading(box: Box, label: str = "happy") -> Reading:
    return Reading(0, Face(box, 0.9), probs_of("happy"), label)


def _blank(height: int = 240, width: int = 320) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def test_drawing_leaves_the_frame_as_it_was():
    frame = _blank()
    drawn = annotate(frame, [_reading((100, 80, 180, 160))])
    assert not frame.any() and drawn.any() and drawn.shape == frame.shape


def test_without_faces_the_picture_is_a_copy():
    frame = _blank() + 9
    drawn = annotate(frame, [])
    np.testing.assert_array_equal(drawn, frame)
    assert not np.shares_memory(drawn, frame)


@pytest.mark.parametrize("label", SHOWN)
def test_a_box_has_the_colour_of_its_label(label: str):
    drawn = annotate(_blank(), [_reading((100, 80, 180, 160), label)])
    red, green, blue = (int(COLORS[label][i : i + 2], 16) for i in (1, 3, 5))
    assert drawn[159, 140].tolist() == [blue, green, red]


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize(
    "box",
    [
        pytest.param((0, 0, 80, 80), id="upper left corner"),
        pytest.param((240, 160, 320, 240), id="lower right corner"),
        pytest.param((300, -40, 380, 40), id="half outside"),
        pytest.param((-500, -500, -400, -400), id="outside"),
        pytest.param((500, 500, 600, 600), id="outside below"),
        pytest.param((0, 0, 320, 240), id="the whole picture"),
        pytest.param((-1000, -1000, 2000, 2000), id="larger than the picture"),
        pytest.param((10, 10, 10, 10), id="a point"),
        pytest.param((10.4, 10.6, 12.5, 13.5), id="tiny and between pixels"),
    ],
)
@pytest.mark.parametrize("height, width", [(240, 320), (1, 1), (5, 200), (200, 5), (17, 16)])
def test_a_label_fits_into_any_picture(box: Box, height: int, width: int, numbered: bool):
    drawn = annotate(_blank(height, width), [_reading(box), _reading(box, UNCERTAIN)], numbered)
    assert drawn.shape == (height, width, 3)


def test_a_label_stands_above_its_face_and_below_it_where_there_is_no_room():
    above = annotate(_blank(), [_reading((100, 100, 180, 180))])
    assert above[75:95, 110:140].any() and not above[190:].any()
    below = annotate(_blank(), [_reading((100, 0, 180, 80))])
    assert below[85:105, 110:140].any()


def test_numbers_tell_faces_apart():
    readings = [_reading((20, 100, 100, 180)), _reading((200, 100, 280, 180))]
    assert (annotate(_blank(), readings, numbered=True) != annotate(_blank(), readings)).any()


@pytest.mark.parametrize("x, y", [(0, 0), (-50, -50), (300, 230), (5000, 5000)])
def test_a_picture_that_is_pasted_at_an_edge_is_moved_inside(x: int, y: int):
    frame, white = _blank(), np.full((20, 60, 4), 255, np.uint8)
    paste(frame, white, x, y)
    assert (frame == 255).all(axis=2).sum() == 20 * 60


def test_a_picture_that_is_larger_than_the_frame_is_cut_off():
    frame = _blank(10, 10)
    paste(frame, np.full((20, 60, 4), 255, np.uint8), 3, 3)
    assert (frame == 255).all()


def test_what_is_half_transparent_mixes_with_what_is_below():
    frame = _blank() + 100
    paste(frame, np.full((10, 10, 4), (200, 200, 200, 127), np.uint8), 0, 0)
    assert frame[5, 5].tolist() == [149, 149, 149]


def test_every_label_has_an_emoji_and_a_chip():
    for label in SHOWN:
        assert (EMOJI_DIR / f"{label}.png").is_file()
        tag = chip(label, label, 24)
        assert tag.shape[0] == 24 and tag.shape[1] > 24 and tag.shape[2] == 4


@pytest.mark.parametrize(
    "width, height, shown", [(2560, 1440, (1280, 720)), (1000, 4000, (320, 1280)), (640, 480, (640, 480))]
)
def test_a_large_picture_is_shrunk(width: int, height: int, shown: tuple[int, int]):
    assert shrink(_blank(height, width)).shape[:2] == shown[::-1]


def test_a_heat_map_is_orange_where_it_is_positive_and_blue_where_it_is_negative():
    crop, change = np.full((1, 48, 48, 1), 128, np.uint8), np.zeros((48, 48), np.float32)
    change[8:16, 8:16], change[32:40, 32:40] = 0.5, -0.5
    drawn = heat(crop, change, 48).astype(int)
    assert drawn[24, 24].tolist() == [128] * 3
    assert drawn[12, 12, 2] > 180 > 60 > drawn[12, 12, 0] and drawn[36, 36, 0] > 150 > 60 > drawn[36, 36, 2]


def test_a_heat_map_of_noise_stays_pale():
    crop, change = np.full((1, 48, 48, 1), 128, np.uint8), np.full((48, 48), 0.01, np.float32)
    assert np.abs(heat(crop, change).astype(int) - 128).max() < 15
