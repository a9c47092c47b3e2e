"""The benchmark: the shipped model on labelled faces, through the crop function of the live app."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer import leaks, metrics, robustness, scenes
from fer.classify import Classifier
from fer.coverage import covers
from fer.dataset import Dataset, majority
from fer.detect import Detector, search
from fer.labels import LABELS
from fer.pipeline import cut
from fer.preprocess import CROP_PX, crop
from fer.smoothing import correct
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


def resting(classifier: Classifier, data: Dataset) -> list[float]:
    """What the model says of neutral faces on average (7,): what `smoothing.Baseline` compares a face with."""
    neutral = data.images[data.labels == LABELS.index("neutral")]
    if not len(neutral):
        return [1 / len(LABELS)] * len(LABELS)
    return [round(float(p), 4) for p in classifier.probs(crops(neutral)).mean(0)]


@dataclass(frozen=True)
class Condition:
    """The accuracy under one of robustness.CONDITIONS, what it lost, and what a neutral baseline makes of it."""

    name: str
    accuracy: float
    drop: float
    with_baseline: float


N_BASELINE = 20  # readings of a neutral face: the ten first seconds of a stream


def conditions(classifier: Classifier, data: Dataset, most: int = 10_000) -> list[Condition]:
    """The accuracy on (at most `most` images of) `data` as it is and under every condition, the same every time.

    For `with_baseline`, N_BASELINE neutral faces under the same condition stand for the first seconds of a
    stream, and all others are corrected by their mean reading. They are other people's faces: this measures
    what a baseline does for a camera and its light, not for a physiognomy.
    """
    rows = np.random.default_rng(0).permutation(len(data))[:most]
    images, labels = data.images[rows], data.labels[rows]
    usual = np.array(resting(classifier, data), np.float32)
    first = np.flatnonzero(labels == LABELS.index("neutral"))[:N_BASELINE]
    others = np.setdiff1d(np.arange(len(labels)), first)
    found: list[Condition] = []
    for name in ("as they are", *robustness.CONDITIONS):
        changed = images if name == "as they are" else robustness.apply(name, images)
        probs = classifier.probs(crops(changed))
        accuracy = float((probs.argmax(1) == labels).mean())
        corrected = correct(probs[others], probs[first].mean(0), usual) if len(first) else probs[others]
        with_baseline = float((corrected.argmax(1) == labels[others]).mean()) if len(others) else 0.0
        drop = found[0].accuracy - accuracy if found else 0.0
        found.append(Condition(name, accuracy, drop, with_baseline))
    return found


@dataclass(frozen=True)
class Mistake:
    """Image `row` of a dataset, read as `reading` with probability `p` although its label is `label`."""

    row: int
    name: str
    label: str
    reading: str
    p: float


def mistakes(classifier: Classifier, data: Dataset, most: int = 48) -> list[Mistake]:
    """The wrong readings that the model is surest of, the surest first."""
    probs = classifier.probs(crops(data.images))
    reading, p = probs.argmax(1), probs.max(1)
    wrong = np.flatnonzero(reading != data.labels)
    surest = wrong[np.argsort(-p[wrong], kind="stable")][:most]
    return [
        Mistake(int(i), data.names[i], LABELS[data.labels[i]], LABELS[reading[i]], round(float(p[i]), 4))
        for i in surest
    ]


@dataclass(frozen=True)
class Audit:
    """How many of `n` test images are in the training split as well, and the accuracy with and without them.

    `exact` of the `twins` are the same picture pixel by pixel, `mirrored` are mirror images, `relabelled`
    carry another label in the training split.
    """

    n: int
    twins: int
    exact: int
    mirrored: int
    relabelled: int
    accuracy: float
    without_twins: float
    interval: tuple[float, float]


def audit(classifier: Classifier, test: Dataset, train: Dataset) -> Audit:
    """Look for near-duplicates of `test` in `train`, and measure `classifier` on what has none."""
    found = leaks.find(test.images, train.images)
    right = classifier.probs(crops(test.images)).argmax(1) == test.labels
    alone = np.setdiff1d(np.arange(len(test)), [leak.test for leak in found])
    n_right = int(right[alone].sum())
    return Audit(
        n=len(test),
        twins=len(found),
        exact=sum(bool((test.images[leak.test] == train.images[leak.train]).all()) for leak in found),
        mirrored=sum(leak.mirrored for leak in found),
        relabelled=sum(bool(test.labels[leak.test] != train.labels[leak.train]) for leak in found),
        accuracy=float(right.mean()),
        without_twins=n_right / max(1, len(alone)),
        interval=metrics.wilson(n_right, len(alone)),
    )


@dataclass(frozen=True)
class Finding:
    """What a detector makes of faces pasted at `side_px` into a grey 320×240 frame.

    `found` is the share of `n` faces of which it found one box at least that covers the face (`coverage.covers`);
    `scale` and `dy` are the medians by which `preprocess.crop` would have to scale and shift its boxes to frame the
    face as FER2013 does. `direct` and `through` are the accuracies on the found faces, classified as they are and
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
        scene = scenes.paste(data.images[row], side_px, rng)
        face = next((f for f in search(detector, scene.frame) if covers(f, scene.face)), None)
        if face is not None:
            kept.append(row)
            fits.append((side_px / face.side_px, (_middle_y(scene.face) - _middle_y(face)) / face.side_px))
            found_crops.append(cut(scene.frame, [face], detector))
    if not kept:
        return Finding(side_px, len(rows), 0.0, 0.0, 0.0, 0.0, 0.0)
    labels, (scale, dy) = data.labels[kept], np.median(fits, axis=0)
    direct = classifier.probs(crops(data.images[kept])).argmax(1) == labels
    through = classifier.probs(np.concatenate(found_crops)).argmax(1) == labels
    figures = (len(kept) / len(rows), float(scale), float(dy), float(direct.mean()), float(through.mean()))
    return Finding(side_px, len(rows), *figures)


def _middle_y(face: Face) -> float:
    return (face.xyxy[1] + face.xyxy[3]) / 2
