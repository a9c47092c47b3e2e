import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fer.robustness import CONDITIONS, apply
from fer.types import Frame


@pytest.fixture
def face(face_crop: Frame) -> np.ndarray:
    """The astronaut's face as FER2013 would hold it.  # (48, 48) uint8"""
    grey = cv2.cvtColor(face_crop, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture
def faces(face: np.ndarray) -> np.ndarray:
    """The same face six times, so that what differs is what a condition does to it.  # (6, 48, 48) uint8"""
    return np.stack([face] * 6)


def _flat(grey: int, n: int = 1) -> np.ndarray:
    return np.full((n, 48, 48), grey, np.uint8)


def _detail(image: np.ndarray) -> float:
    """How much of an image lies in its edges and its grain."""
    return float(cv2.Laplacian(image, cv2.CV_64F).var())


def test_the_conditions_are_those_of_a_webcam_in_a_room():
    assert list(CONDITIONS) == [
        "low light",
        "blur",
        "JPEG quality 30",
        "noise",
        "turned by 15°",
        "24-pixel face",
        "lower half masked",
    ]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_changes_a_face_and_keeps_its_shape_and_type(condition: str, faces: np.ndarray):
    changed = apply(condition, faces)
    assert (changed.shape, changed.dtype) == (faces.shape, np.uint8)
    assert (changed != faces).mean((1, 2)).min() > 0.2


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_leaves_what_it_is_handed_alone(condition: str, faces: np.ndarray):
    before = faces.copy()
    changed = apply(condition, faces)
    changed[:] = 0
    np.testing.assert_array_equal(faces, before)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_face_comes_out_the_same_every_time_whatever_follows_it(condition: str, faces: np.ndarray):
    np.testing.assert_array_equal(apply(condition, faces), apply(condition, faces))
    np.testing.assert_array_equal(apply(condition, faces)[:2], apply(condition, faces[:2]))


@pytest.mark.parametrize("condition", CONDITIONS)
@given(images=hnp.arrays(np.uint8, (1, 48, 48), elements=st.integers(0, 255), fill=st.integers(0, 255)))
def test_no_image_is_too_odd_for_a_condition(condition: str, images: np.ndarray):
    changed = apply(condition, images)
    assert (changed.shape, changed.dtype) == (images.shape, np.uint8)


@pytest.mark.parametrize("condition", [name for name in CONDITIONS if name not in ("low light", "lower half masked")])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_what_has_no_light_or_mask_to_do_with_it_keeps_the_brightness(condition: str, grey: int):
    # Noise is cut off at black and white: half of it is lost there.
    assert abs(apply(condition, _flat(grey)).mean() - grey) < 7


def test_low_light_leaves_a_quarter_of_it_and_adds_a_little_noise(faces: np.ndarray):
    dark = apply("low light", faces)
    assert dark.mean() == pytest.approx(faces.mean() / 4, abs=1)
    assert dark.max() < 90
    assert apply("low light", _flat(200)).std() == pytest.approx(4, abs=0.5)
    assert np.corrcoef(dark[0].ravel(), faces[0].ravel())[0, 1] > 0.9


def test_white_gets_dark_and_black_stays_so():
    dark = apply("low light", np.concatenate([_flat(255), _flat(0)]))
    assert 60 < dark[0].mean() < 67 and dark[1].mean() < 3


def test_blur_takes_detail_and_leaves_the_light(faces: np.ndarray):
    (blurred,) = apply("blur", faces[:1])
    assert _detail(blurred) < 0.1 * _detail(faces[0])
    assert blurred.mean() == pytest.approx(faces[0].mean(), abs=1)


def test_blur_spreads_a_point_evenly_to_all_sides():
    point = _flat(0)
    point[0, 24, 24] = 255
    (spot,) = apply("blur", point).astype(int)
    assert spot.argmax() == 24 * 48 + 24 and 0 < spot[24, 24] < 30
    np.testing.assert_array_equal(spot[:, 1:], spot[:, :0:-1])
    np.testing.assert_array_equal(spot, spot.T)


def test_jpeg_of_a_jpeg_changes_little_more(faces: np.ndarray):
    once = apply("JPEG quality 30", faces[:1]).astype(int)
    twice = apply("JPEG quality 30", once.astype(np.uint8)).astype(int)
    assert abs(once - faces[:1]).mean() > 5 * abs(twice - once).mean()


def _frequencies(image: np.ndarray) -> float:
    """How many of the 64 frequencies a block of 8 × 8 pixels has, beyond what rounding adds."""
    blocks = image.astype(np.float32).reshape(len(image) // 8, 8, -1, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    return float(np.mean([(abs(cv2.dct(block)) > 3).sum() for block in blocks]))


def test_jpeg_leaves_blocks_of_eight_few_frequencies(faces: np.ndarray):
    (shown,) = apply("JPEG quality 30", faces[:1])
    assert _frequencies(shown) < 0.5 * _frequencies(faces[0])
    assert _frequencies(shown) < 0.7 * _frequencies(shown[4:-4, 4:-4])


def test_noise_has_no_bias_and_a_spread_of_fifteen():
    noise = apply("noise", _flat(128, 8)).astype(float) - 128
    assert noise.std() == pytest.approx(15, abs=0.5) and abs(noise.mean()) < 1


@pytest.mark.parametrize("condition", ["noise", "low light"])
def test_every_face_has_its_own_noise(condition: str, faces: np.ndarray):
    noise = apply(condition, _flat(128, 2)).astype(float).reshape(2, -1)
    assert abs(np.corrcoef(noise)[0, 1]) < 0.1


def _lean(image: np.ndarray) -> float:
    """By how many degrees a bright line through the middle leans to the right."""
    across = np.arange(48)
    upper, lower = (float(across @ image[y].astype(float) / image[y].sum()) for y in (6, 41))
    return float(np.degrees(np.arctan2(upper - lower, 41 - 6)))


def test_every_second_face_is_turned_to_the_other_side():
    line = _flat(0, 4)
    line[:, :, 23:25] = 255
    assert [_lean(image) for image in line] == [0.0] * 4
    leans = [_lean(image) for image in apply("turned by 15°", line)]
    assert leans == pytest.approx([15, -15, 15, -15], abs=0.5)


def test_a_face_is_turned_about_its_middle_and_leaves_no_black_corner(faces: np.ndarray):
    point = _flat(100, 2)
    point[:, 23:25, 23:25] = 255
    turned = apply("turned by 15°", point)
    assert turned[:, 23:25, 23:25].min() > 200
    assert turned.min() >= 99
    bright = apply("turned by 15°", np.maximum(faces, 60))
    assert bright.min() >= 60


def test_a_mirrored_face_turned_to_the_other_side_is_the_turned_face_mirrored(face: np.ndarray):
    turned = apply("turned by 15°", np.stack([face, face[:, ::-1]])).astype(int)
    assert abs(turned[0] - turned[1][:, ::-1]).mean() < 1


def test_24_pixels_cannot_show_single_pixels(faces: np.ndarray):
    board = (np.indices((48, 48)).sum(0) % 2 * 255).astype(np.uint8)[None]
    assert np.ptp(apply("24-pixel face", board).astype(int)) <= 2
    (small,) = apply("24-pixel face", faces[:1])
    assert _detail(small) < 0.5 * _detail(faces[0])


def test_24_pixels_still_show_what_24_pixels_can(faces: np.ndarray):
    (small,) = apply("24-pixel face", faces[:1])
    seen, was = (cv2.resize(i, (12, 12), interpolation=cv2.INTER_AREA).astype(int) for i in (small, faces[0]))
    assert abs(seen - was).mean() < 4


def test_the_mask_is_one_grey_and_leaves_the_upper_half_untouched(faces: np.ndarray):
    masked = apply("lower half masked", faces)
    np.testing.assert_array_equal(masked[:, :24], faces[:, :24])
    assert np.unique(masked[:, 24:]).tolist() == [200]
