"""Probes: a model asked about changed copies of one crop, to see what its reading hangs on, and how firmly."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from fer.classify import Classifier
from fer.labels import LABELS
from fer.preprocess import CROP_PX
from fer.types import Crops, Probs

PATCH_PX = 12  # a quarter of the crop: smaller ones move no sure reading
STRIDE_PX = 4
SHIFT_PX = 2.0  # by how much a detector's box may be off: 4% of the face
ZOOM = 1.06


def sensitivity(crop: Crops, classifier: Classifier, label: str) -> NDArray[np.float32]:
    """By how much the probability of `label` falls where the crop (1, 48, 48, 1) is covered.  # (48, 48) float32

    Occlusion sensitivity (Zeiler & Fergus 2014): a patch of the crop's mean grey is laid on every place, and a
    pixel has the mean of the patches that covered it; below 0 where covering it makes the label likelier. It asks
    the model 197 times, which takes about 80 ms.
    """
    starts = range(STRIDE_PX - PATCH_PX, CROP_PX, STRIDE_PX)  # beyond the edge: every pixel is covered as often
    places = [(slice(max(0, y), y + PATCH_PX), slice(max(0, x), x + PATCH_PX)) for y in starts for x in starts]
    copies = np.repeat(crop, len(places) + 1, axis=0)
    for copy, place in zip(copies, places, strict=False):
        copy[place] = round(float(crop.mean()))
    probs = classifier.probs(copies)[:, LABELS.index(label)]
    total, n = np.zeros((2, CROP_PX, CROP_PX), np.float32)
    for place, prob in zip(places, probs[:-1], strict=True):
        total[place] += probs[-1] - prob
        n[place] += 1
    return np.asarray(total / n, np.float32)


def spread(crop: Crops, classifier: Classifier) -> tuple[Probs, Probs]:
    """The lowest and the highest probability of each label among copies of the crop (1, 48, 48, 1).  # (7,), (7,)

    The copies are what a box a little off would have cut out: moved, larger, smaller, and each mirrored.
    """
    copies = np.stack([copy[:, :, None] for copy in _copies(crop[0, :, :, 0])])
    probs = classifier.probs(np.concatenate([copies, copies[:, :, ::-1]]))
    return probs.min(0), probs.max(0)


def _copies(image: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    middle = (CROP_PX - 1) / 2
    for zoom, dx, dy in ((1, 0, 0), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (ZOOM, 0, 0), (1 / ZOOM, 0, 0)):
        shift = [middle * (1 - zoom) + dx * SHIFT_PX, middle * (1 - zoom) + dy * SHIFT_PX]
        matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
        moved = cv2.warpAffine(image, matrix, image.shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(moved, np.uint8)
