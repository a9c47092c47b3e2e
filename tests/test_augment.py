import numpy as np
import pytest

from fer.augment import augment


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (40, 48, 48), np.uint8)


def _seeded(images: np.ndarray, seed: int) -> np.ndarray:
    return augment(images, np.random.default_rng(seed))


def test_augmented_faces_have_the_shape_type_and_range_of_the_network(images: np.ndarray):
    out = _seeded(images, 0)
    assert (out.shape, out.dtype) == ((40, 48, 48, 1), np.float32)
    assert out.min() >= 0 and out.max() <= 255


def test_the_same_seed_gives_the_same_faces(images: np.ndarray):
    np.testing.assert_array_equal(_seeded(images, 7), _seeded(images, 7))


def test_another_seed_gives_other_faces(images: np.ndarray):
    assert (_seeded(images, 7) != _seeded(images, 8)).any(axis=(1, 2, 3)).all()


def test_the_images_that_go_in_are_not_changed(images: np.ndarray):
    before = images.copy()
    _seeded(images, 0)
    np.testing.assert_array_equal(images, before)


def test_one_image_many_times_comes_out_different_each_time(images: np.ndarray):
    out = _seeded(np.repeat(images[:1], 20, axis=0), 0)
    assert len(np.unique(out.reshape(20, -1), axis=0)) == 20


def test_about_half_of_the_faces_are_mirrored():
    lit_from_the_left = np.tile(np.linspace(255, 0, 48, dtype=np.uint8), (400, 48, 1))
    out = _seeded(lit_from_the_left, 0)[..., 0]
    mirrored = out[:, :, :20].mean((1, 2)) < out[:, :, 28:].mean((1, 2))
    assert 0.4 < mirrored.mean() < 0.6


def test_a_face_stays_in_the_picture():
    white_middle = np.zeros((200, 48, 48), np.uint8)
    white_middle[:, 18:30, 18:30] = 255
    out = _seeded(white_middle, 0)[..., 0]
    middle = out[:, 12:36, 12:36].mean((1, 2))
    assert (middle > out.mean((1, 2))).mean() > 0.9
