"""Near duplicates: which images of a test split are, nearly, in the training split as well."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (n, 48, 48) uint8
MAX_BITS = 8  # of 63: how far the hashes of two candidates may differ
MIN_CORRELATION = 0.95  # of their pixels, for the two to be the same photograph


@dataclass(frozen=True)
class Leak:
    """Image `test` of one split shows what image `train` of the other does, maybe mirrored; equal ones have 1."""

    test: int
    train: int
    correlation: float
    mirrored: bool


def find(test: Images, train: Images) -> list[Leak]:
    """The nearest twin in `train` of each image of `test` that has one, as it is or mirrored.

    Candidates have perceptual hashes (DCT signs; Zauner 2010) that differ in at most MAX_BITS of 63 bits; a
    twin's pixels then correlate by MIN_CORRELATION at least. Seconds for FER2013.
    """
    best: dict[int, Leak] = {}
    train_hashes, train_pixels = hashes(train), _normal(train)
    for mirrored, images in ((False, test), (True, test[:, :, ::-1])):
        pixels = _normal(images)
        for i, j in _candidates(hashes(images), train_hashes):
            correlation = min(0.9999, round(float(pixels[i] @ train_pixels[j]), 4))
            if correlation >= MIN_CORRELATION and (images[i] == train[j]).all():
                correlation = 1.0  # products of floats cannot tell equal from nearly equal
            if correlation >= MIN_CORRELATION and (i not in best or correlation > best[i].correlation):
                best[i] = Leak(i, j, correlation, mirrored)
    return [best[i] for i in sorted(best)]


def groups(images: Images) -> list[int]:
    """For each image, the number of the first one that is the same photograph, maybe mirrored or by way of others."""
    first = list(range(len(images)))

    def head(i: int) -> int:
        while first[i] != i:
            i = first[i]
        return i

    all_hashes, all_pixels = hashes(images), _normal(images)
    for turned in (images, images[:, :, ::-1]):
        pixels = _normal(turned)
        for i, j in _candidates(hashes(turned), all_hashes):
            if i != j and float(pixels[i] @ all_pixels[j]) >= MIN_CORRELATION:
                one, other = sorted((head(i), head(j)))
                first[other] = one
    return [head(i) for i in first]


def hashes(images: Images) -> NDArray[np.uint64]:
    """A perceptual hash of each image: which of its 63 lowest frequencies lie above their median.  # (n,) uint64"""
    low = np.stack([cv2.dct(image.astype(np.float32))[:8, :8].ravel()[1:] for image in images])
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.asarray(bits @ (np.uint64(1) << np.arange(63, dtype=np.uint64)), np.uint64)


def _candidates(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    for i, value in enumerate(some):
        for j in np.flatnonzero(np.bitwise_count(others ^ value) <= MAX_BITS):
            yield i, int(j)


def _normal(images: Images) -> NDArray[np.float32]:
    """Each image as a vector of mean 0 and length 1, so that products are correlations; 0 where it is flat."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)
