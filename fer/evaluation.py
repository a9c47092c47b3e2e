"""The benchmark: the shipped model on labelled faces, through the crop function of the live app."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fer import metrics
from fer.classify import Classifier
from fer.dataset import Dataset, majority
from fer.preprocess import CROP_PX, crop
from fer.types import Crops, Face

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
