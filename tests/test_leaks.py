import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fer import leaks
from fer.leaks import MIN_CORRELATION, Leak, find
from fer.types import Frame

NOBODY = np.random.default_rng(9).integers(0, 256, (3, 48, 48), np.uint8)


@pytest.fixture
def face(face_crop: Frame) -> np.ndarray:
    """The astronaut's face as FER2013 would hold it.  # (48, 48) uint8"""
    grey = cv2.cvtColor(face_crop, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture
def people() -> np.ndarray:
    """A hundred photographs of faces.  # (100, 48, 48) uint8"""
    small = np.round(255 * skimage.data.lfw_subset()[:100]).astype(np.uint8)
    return np.stack([cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC) for image in small])


def _textures(n: int, seed: int = 0) -> np.ndarray:
    """Clouds: as smooth as faces, and no two alike.  # (n, 48, 48) uint8"""
    noise = np.random.default_rng(seed).normal(0, 1, (n, 48, 48))
    clouds = np.stack([cv2.GaussianBlur(image, (0, 0), 3.0) for image in noise])
    return np.clip(128 + 45 * clouds / clouds.std((1, 2), keepdims=True), 0, 255).astype(np.uint8)


def _noisy(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE))


def _lit(image: np.ndarray, gain: float, offset: float) -> np.ndarray:
    return np.clip(np.rint(image * gain + offset), 0, 255).astype(np.uint8)


def _nudged(image: np.ndarray) -> np.ndarray:
    """Once larger and back: what a second crop or another download makes of a picture."""
    return np.asarray(cv2.resize(cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC), (48, 48)))


TWINS = {
    "as it is": lambda image: image,
    "JPEG quality 30": lambda image: _jpeg(image, 30),
    "JPEG quality 80": lambda image: _jpeg(image, 80),
    "half the light": lambda image: _lit(image, 0.5, 0),
    "faded": lambda image: _lit(image, 0.4, 100),
    "a little noise": lambda image: _noisy(image, 5.0),
    "resized and back": _nudged,
    "a spot of dust": lambda image: cv2.circle(image.copy(), (10, 40), 2, 255, -1),
}


@pytest.mark.parametrize("mirrored", [False, True], ids=["upright", "mirrored"])
@pytest.mark.parametrize("change", TWINS.values(), ids=TWINS)
def test_a_twin_is_found_whatever_a_copy_went_through(change: object, mirrored: bool, face: np.ndarray):
    twin = change(face[:, ::-1] if mirrored else face)  # type: ignore[operator]
    (leak,) = find(twin[None], np.stack([*NOBODY, face]))
    assert (leak.test, leak.train, leak.mirrored) == (0, 3, mirrored)
    assert MIN_CORRELATION <= leak.correlation <= 1


def test_an_exact_twin_correlates_by_one(face: np.ndarray):
    assert find(face[None], face[None]) == [Leak(0, 0, 1.0, False)]
    assert find(face[None, :, ::-1], face[None]) == [Leak(0, 0, 1.0, True)]


def test_the_astronaut_has_no_twin_among_other_people(face: np.ndarray, people: np.ndarray):
    assert find(face[None], people) == []
    assert find(people, face[None]) == []


def test_different_people_are_no_twins_of_each_other(people: np.ndarray):
    assert find(people[:50], people[50:]) == []


def test_each_of_a_hundred_people_finds_itself_and_nobody_else(people: np.ndarray):
    order = np.random.default_rng(3).permutation(100)
    copies = np.stack([_noisy(_jpeg(image, 80), 3.0, seed) for seed, image in enumerate(people)])
    found = find(people, copies[order])
    assert [(leak.test, int(order[leak.train]), leak.mirrored) for leak in found] == [(i, i, False) for i in range(100)]


@pytest.mark.parametrize("make", [_textures, lambda n, seed: np.random.default_rng(seed).integers(0, 256, (n, 48, 48))])
def test_textures_and_noise_are_no_twins_of_each_other(make: object):
    some, others = (make(150, seed).astype(np.uint8) for seed in (1, 2))  # type: ignore[operator]
    assert find(some, others) == []


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda image: 255 - image, id="its negative"),
        pytest.param(lambda image: image[::-1], id="upside down"),
        pytest.param(lambda image: image.T, id="on its side"),
        pytest.param(lambda image: np.roll(image, 24, axis=0), id="cut in two"),
        pytest.param(lambda image: _noisy(image, 80.0), id="lost in noise"),
    ],
)
def test_what_is_made_of_a_face_but_is_not_the_same_picture_is_no_twin(other: object, face: np.ndarray):
    assert find(np.ascontiguousarray(other(face))[None], face[None]) == []  # type: ignore[operator]


def test_pictures_that_are_alike_from_afar_only_are_no_twins():
    coarse, fine = _textures(30, 1).astype(float), np.random.default_rng(2).normal(0, 20, (2, 30, 48, 48))
    some, others = np.clip(coarse + fine, 0, 255).astype(np.uint8)
    assert np.bitwise_count(leaks.hashes(some) ^ leaks.hashes(others)).min() <= leaks.MAX_BITS
    assert find(some, others) == []


@pytest.mark.parametrize("grey", [0, 77, 255])
def test_a_flat_image_shows_nothing_and_is_nobodys_twin(grey: int, face: np.ndarray):
    flat = np.full((2, 48, 48), grey, np.uint8)
    assert find(flat, np.stack([*flat, face])) == []
    assert find(face[None], flat) == []


def test_two_almost_flat_images_are_told_apart_by_their_pixels():
    flat = np.full((2, 48, 48), 100, np.uint8)
    flat[0, 10, 10] = flat[1, 30, 30] = 101
    assert find(flat[:1], flat[1:]) == []


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_the_nearest_of_several_twins_is_named(order: tuple[int, ...], face: np.ndarray):
    twins = [_noisy(face, sigma) for sigma in (8.0, 4.0, 2.0)]
    (leak,) = find(face[None], np.stack([twins[i] for i in order]))
    assert order[leak.train] == 2


def test_an_upright_twin_and_a_mirrored_one_are_compared_by_nearness(face: np.ndarray):
    far, near = _noisy(face, 8.0), _noisy(face, 2.0)
    assert find(face[None], np.stack([far, near[:, ::-1]]))[0].mirrored
    assert not find(face[None], np.stack([far[:, ::-1], near]))[0].mirrored


def test_each_image_of_a_test_split_is_reported_once_and_in_order():
    some, others = _textures(6, 1), _textures(4, 2)
    near, far = _noisy(some[4], 2.0), _noisy(some[4], 6.0)
    train = np.stack([others[0], far, some[1][:, ::-1], others[1], near, far])
    assert [(leak.test, leak.train, leak.mirrored) for leak in find(some, train)] == [(1, 2, True), (4, 4, False)]


def test_a_twin_in_train_may_be_that_of_several_test_images(face: np.ndarray):
    found = find(np.stack([face, NOBODY[0], _noisy(face, 4.0), face[:, ::-1]]), face[None])
    assert [(leak.test, leak.train, leak.mirrored) for leak in found] == [(0, 0, False), (2, 0, False), (3, 0, True)]


def test_the_images_that_go_in_are_not_changed():
    some, others = _textures(4, 1), _textures(4, 1)
    find(some, others)
    np.testing.assert_array_equal(some, _textures(4, 1))
    np.testing.assert_array_equal(others, _textures(4, 1))


@given(hnp.arrays(np.uint8, (3, 48, 48), elements=st.integers(0, 255), fill=st.integers(0, 255)))
def test_hashes_are_stable_and_fit_63_bits(images: np.ndarray):
    found = leaks.hashes(images)
    assert (found.shape, found.dtype) == ((3,), np.uint64)
    assert all(value < 2**63 for value in found.tolist())
    np.testing.assert_array_equal(found, leaks.hashes(images.copy()))
    np.testing.assert_array_equal(found[1:2], leaks.hashes(images[1:2]))


def test_a_hash_uses_about_half_of_its_bits_and_different_people_differ_in_many(people: np.ndarray):
    found = leaks.hashes(people)
    assert np.bitwise_count(found).tolist() == [31] * 100
    apart = np.bitwise_count(found[:, None] ^ found)[np.triu_indices(100, 1)]
    assert np.median(apart) > 2 * leaks.MAX_BITS


@given(st.floats(0.3, 1.0), st.integers(0, 40))
def test_a_hash_does_not_ask_how_light_a_picture_is(gain: float, offset: int):
    textures = np.clip(_textures(5), 20, 210)
    apart = np.bitwise_count(leaks.hashes(textures) ^ leaks.hashes(_lit(textures, gain, offset)))
    assert apart.max() <= leaks.MAX_BITS


def test_of_two_twins_the_exact_one_wins_however_near_the_other_is():
    rng = np.random.default_rng(5)
    for _ in range(20):
        exact = cv2.GaussianBlur(rng.integers(0, 250, (48, 48)).astype(np.uint8), (0, 0), 4)
        exact = cv2.normalize(exact, None, 10, 240, cv2.NORM_MINMAX)
        near = exact.copy()
        near[0, 0] += 1
        (leak,) = find(exact[None], np.stack([near, exact, exact[:, ::-1], exact]))
        assert (leak.train, leak.correlation, leak.mirrored) == (1, 1.0, False)
