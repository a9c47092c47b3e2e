"""What a webcam and a room do to a face, one at a time: the conditions under which a model is measured again."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fer.preprocess import CROP_PX

Images: TypeAlias = NDArray[np.uint8]  # (n, 48, 48) uint8
Change: TypeAlias = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]  # one face and its number → the face changed


def darkened(image: NDArray[np.uint8], light: float, number: int) -> NDArray[np.uint8]:
    """The share `light` of the light, and the noise that a camera adds to it; `number` draws it.  # (h, w) uint8"""
    return _noisy_by(np.asarray(image * light, np.float32), 4.0, number)


def blurred(image: NDArray[np.uint8], sigma_px: float) -> NDArray[np.uint8]:
    """Out of focus, by a Gaussian.  # (h, w) uint8"""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), np.uint8)


def compressed(image: NDArray[np.uint8], number: int, quality: int = 30) -> NDArray[np.uint8]:
    """As a JPEG of this quality, 0..100, shows it; the same for every `number`.  # (h, w) uint8"""
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


def _noisy(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    return _noisy_by(image.astype(np.float32), 15.0, number)


def _noisy_by(image: NDArray[np.float32], sigma: float, number: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(number).normal(0, sigma, image.shape)
    return np.asarray(np.clip(np.rint(image + noise), 0, 255), np.uint8)


def _turned(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """By 15°, every second face to the other side."""
    middle = ((CROP_PX - 1) / 2, (CROP_PX - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, 15.0 if number % 2 else -15.0, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, image.shape, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _small(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """As from a face of 24 pixels."""
    small = cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, image.shape, interpolation=cv2.INTER_LINEAR), np.uint8)


def _masked(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A mask, light grey, over the lower half."""
    masked = image.copy()
    masked[CROP_PX // 2 :] = 200
    return masked


CONDITIONS: Mapping[str, Change] = MappingProxyType(
    {
        "low light": lambda image, number: darkened(image, 0.25, number),
        "blur": lambda image, _: blurred(image, 1.5),
        "JPEG quality 30": compressed,
        "noise": _noisy,
        "turned by 15°": _turned,
        "24-pixel face": _small,
        "lower half masked": _masked,
    }
)


def apply(condition: str, images: Images) -> Images:
    """Each image under a condition of CONDITIONS; the same every time.  # (n, 48, 48) uint8"""
    change = CONDITIONS[condition]
    return np.stack([change(image, number) for number, image in enumerate(images)])
