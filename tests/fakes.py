"""What tests make up: a detector and a model whose answers are known, and the values they are handed."""

from collections.abc import Sequence

import numpy as np

from fer.labels import LABELS
from fer.types import Bucket, Crops, Face, Frame, Presence, Probs, Reading, Slot


class FakeDetector:
    """Hands out scripted faces: one list per call, the last one from then on.

    `asked` keeps the width and height of each frame it was handed, and the least face it was asked for.
    """

    crop_scale, crop_dy = 1.0, 0.0
    working_px, full_every_s = 320, 0.9

    def __init__(self, *script: Sequence[Face]) -> None:
        self._script = script or ([],)
        self.asked: list[tuple[int, int, float]] = []

    def detect(self, frame: Frame, min_face_px: float = 0.0) -> list[Face]:
        self.asked.append((frame.shape[1], frame.shape[0], min_face_px))
        return list(self._script[min(len(self.asked), len(self._script)) - 1])


class FakeClassifier:
    """Reads every crop alike: one scripted row per call, the last one from then on. `calls` keeps the crops."""

    def __init__(self, *script: Probs) -> None:
        self._script = script or (probs_of("happy"),)
        self.calls: list[Crops] = []

    def probs(self, crops: Crops, head: str = "fer2013") -> Probs:
        self.calls.append(crops)
        row = self._script[min(len(self.calls), len(self._script)) - 1]
        return np.tile(row, (len(crops), 1)).astype(np.float32)


def probs_of(label: str, share: float = 0.94) -> Probs:
    """Probabilities that give `share` to one label, and the rest to the others alike.  # (7,) float32"""
    probs = np.full(len(LABELS), (1 - share) / (len(LABELS) - 1), np.float32)
    probs[LABELS.index(label)] = share
    return probs


def square(x: float, y: float, side_px: float = 100.0, score: float = 0.9) -> Face:
    """A face whose box has its upper left corner at (x, y)."""
    return Face((x, y, x + side_px, y + side_px), score)


def reading(face_id: int, label: str = "happy", probs: Probs | None = None) -> Reading:
    return Reading(face_id, square(0, 0), probs_of("happy") if probs is None else probs, label)


def bucket(
    stream_id: str,
    start: float,
    n: int = 1,
    label: str = "happy",
    face_id: int = 0,
    class_id: int = 1,
    certain: float = 1.0,
) -> Bucket:
    """`n` readings of one face that all showed `label`; the share `certain` of them was certain."""
    return Bucket(class_id, stream_id, face_id, start, n, n * certain * np.eye(len(LABELS))[LABELS.index(label)])


def slot_of(start: float, n: int, mean_probs: np.ndarray) -> Slot:
    """A slot of `n` students with one face each."""
    return Slot(start, n, mean_probs, n)


def present(stream_id: str, seen_at: float, n_faces: int = 1, class_id: int = 1) -> Presence:
    return Presence(class_id, stream_id, seen_at, n_faces)
