"""The benchmark: the shipped model on labelled faces, through the crop function of the live app."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer import metrics
from fer.classify import Classifier
from fer.dataset import Dataset, majority
from fer.detect import Detector, search
from fer.pipeline import cut
from fer.preprocess import CROP_PX, crop
from fer.types import Crops, Face, Frame

WHOLE = Face((0.0, 0.0, float(CROP_PX), float(CROP_PX)), 1.0)


def crops(images: NDArray[np.uint8]) -> Crops:
    """FER2013 images (n, 48, 48) are faces that fill the frame: the crop function must leave them as they are."""
    return np.concatenate([crop(image, WHOLE) for image in images])


def evaluate(
    classifier: Classifier,
    data: Dataset,
    votes: Mapping[str, NDArray[np.int64]] | None = None,
    heads: tuple[str, ...] = ("fer2013",),
) -> metrics.Evaluation:
    """The figures of `classifier` on `data`; each benchmark is answered by its own head where there is one."""
    faces = crops(data.images)
    probs = classifier.probs(faces).astype(np.float64)
    if not votes:
        return metrics.evaluate(data.labels, probs)
    tops = [majority(votes[name]) if name in votes else None for name in data.names]
    top = np.array([-1 if label is None else label for label in tops])
    own = classifier.probs(faces, "ferplus").astype(np.float64) if "ferplus" in heads else None
    return metrics.evaluate(data.labels, probs, top, own)


@dataclass(frozen=True)
class Finding:
    """What a detector makes of faces pasted at `side_px` into a grey 320×240 frame.

    `found` is the share of `n` faces of which it found one box at least that overlaps the face; `scale` and
    `dy` are the medians by which `preprocess.crop` would have to scale and shift its boxes to frame the face
    as FER2013 does. `direct` and `through` are the accuracies on the found faces, classified as they are and
    through detection and crop.
    """

    side_px: int
    n: int
    found: float
    scale: float
    dy: float
    direct: float
    through: float


def finding(detector: Detector, classifier: Classifier, data: Dataset, side_px: int, most: int = 600) -> Finding:
    """The figures of `detector` on at most `most` faces of `data`, drawn and placed at random, always the same."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(data))[:most]
    kept, fits, found_crops = [], [], []
    for row in rows:
        frame, whole = _paste(data.images[row], side_px, rng)
        face = next((f for f in search(detector, frame) if _covers(f, whole)), None)
        if face is not None:
            kept.append(row)
            fits.append((side_px / face.side_px, (_middle_y(whole) - _middle_y(face)) / face.side_px))
            found_crops.append(cut(frame, [face], detector))
    if not kept:
        return Finding(side_px, len(rows), 0.0, 0.0, 0.0, 0.0, 0.0)
    labels, (scale, dy) = data.labels[kept], np.median(fits, axis=0)
    direct = classifier.probs(crops(data.images[kept])).argmax(1) == labels
    through = classifier.probs(np.concatenate(found_crops)).argmax(1) == labels
    figures = (len(kept) / len(rows), float(scale), float(dy), float(direct.mean()), float(through.mean()))
    return Finding(side_px, len(rows), *figures)


def _paste(image: NDArray[np.uint8], side_px: int, rng: np.random.Generator) -> tuple[Frame, Face]:
    """A grey frame with the image somewhere in it, and where."""
    frame = np.full((240, 320, 3), 128, np.uint8)
    x, y = int(rng.integers(0, 321 - side_px)), int(rng.integers(0, 241 - side_px))
    how = cv2.INTER_AREA if side_px < CROP_PX else cv2.INTER_CUBIC
    frame[y : y + side_px, x : x + side_px] = cv2.resize(image, (side_px, side_px), interpolation=how)[:, :, None]
    return frame, Face((float(x), float(y), float(x + side_px), float(y + side_px)), 1.0)


def _covers(face: Face, whole: Face) -> bool:
    """Whether the middle of the box lies in the face."""
    x, y = (face.xyxy[0] + face.xyxy[2]) / 2, _middle_y(face)
    return whole.xyxy[0] < x < whole.xyxy[2] and whole.xyxy[1] < y < whole.xyxy[3]


def _middle_y(face: Face) -> float:
    return (face.xyxy[1] + face.xyxy[3]) / 2
