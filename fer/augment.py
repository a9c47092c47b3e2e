"""Augmentation of 48×48 faces as array functions: what a webcam does to a face, and what a mirror does."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fer.preprocess import CROP_PX

Images = NDArray[np.uint8]  # (n, 48, 48) uint8


def augment(images: Images, rng: np.random.Generator) -> NDArray[np.float32]:
    """Each image turned, scaled, shifted, mirrored, relit, blurred and partly hidden at random.

    Returns (n, 48, 48, 1) float32 in 0..255.
    """
    out = np.stack([_degrade(_warp(image, rng), rng) for image in images]).astype(np.float32)
    out = _relight(out, rng)
    return _erase(out, rng)[..., None]


def _warp(image: Images, rng: np.random.Generator) -> Images:
    """Turned by up to ±20°, scaled by 0.85..1.2, shifted by up to 10% a side, mirrored half of the time."""
    angle, scale = np.deg2rad(rng.uniform(-20, 20)), rng.uniform(0.85, 1.2)
    mirror = rng.choice((-1.0, 1.0))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.array([[mirror * cos, -sin, 0.0], [mirror * sin, cos, 0.0]])
    middle = (CROP_PX - 1) / 2
    shift = rng.uniform(-0.1, 0.1, 2) * CROP_PX
    matrix[:, 2] = middle + shift - matrix[:, :2] @ np.full(2, middle)
    return np.asarray(cv2.warpAffine(image, matrix, (CROP_PX, CROP_PX), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _degrade(image: Images, rng: np.random.Generator) -> Images:
    """One face in four as a poor webcam sends it: far away, out of focus, grainy, or in the dark."""
    chance = rng.random()
    if chance < 0.08:
        small_px = int(rng.integers(20, 40))
        small = cv2.resize(image, (small_px, small_px), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR), np.uint8)
    if chance < 0.14:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.0)), np.uint8)
    if chance < 0.26:
        light = rng.uniform(0.2, 0.6) if chance < 0.20 else 1.0
        grain = rng.normal(0, rng.uniform(2, 6) if light < 1 else rng.uniform(5, 18), image.shape)
        return np.asarray(np.clip(image * light + grain, 0, 255), np.uint8)
    return image


def _relight(images: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Contrast by 0.7..1.3 about the mean, brightness by up to ±30, and a little sensor noise."""
    n = len(images)
    mean = images.mean((1, 2), keepdims=True)
    contrast = rng.uniform(0.7, 1.3, (n, 1, 1)).astype(np.float32)
    light = rng.uniform(-30, 30, (n, 1, 1)).astype(np.float32)
    noise = rng.standard_normal(images.shape, np.float32) * rng.uniform(0, 4, (n, 1, 1)).astype(np.float32)
    return np.asarray(np.clip((images - mean) * contrast + mean + light + noise, 0, 255), np.float32)


def _erase(images: NDArray[np.float32], rng: np.random.Generator, share: float = 0.4) -> NDArray[np.float32]:
    """Random erasing (Zhong et al. 2020) of 2..20% of the area, for `share` of the images; 5% wear a mask."""
    for i in np.flatnonzero(rng.random(len(images)) < share):
        area, aspect = rng.uniform(0.02, 0.2) * CROP_PX**2, np.exp(rng.uniform(-1, 1))
        h, w = (int(np.clip(np.sqrt(area * a), 1, CROP_PX)) for a in (aspect, 1 / aspect))
        y, x = rng.integers(0, CROP_PX - h + 1), rng.integers(0, CROP_PX - w + 1)
        images[i, y : y + h, x : x + w] = rng.uniform(0, 255)
    for i in np.flatnonzero(rng.random(len(images)) < 0.05):
        images[i, int(rng.uniform(0.45, 0.65) * CROP_PX) :] = rng.uniform(60, 255)
    return images
