"""Steady readings of one face: exponential smoothing, hysteresis on the label, its neutral look as a baseline."""

from collections.abc import Sequence

import numpy as np

from fer.labels import LABELS, UNCERTAIN
from fer.types import Probs

MARGIN = 0.08  # what a new label must be ahead by, and how far below the floor a label is held
FLOOR = 0.02  # shares below this are taken for it when a baseline is compared


class Smoother:
    """Smooths the probabilities of one face.

    A reading loses half of its weight every `half_life_s` seconds, however often readings come: the
    weights depend on time alone (exponential moving average of an irregular series; Eckner 2019).
    """

    def __init__(self, half_life_s: float = 1.0, floor: float = 0.4) -> None:
        self._half_life_s, self._floor = half_life_s, floor
        self._probs: Probs | None = None
        self._at = 0.0
        self._label = UNCERTAIN

    def update(self, probs: Probs, now: float, good: bool = True) -> tuple[Probs, str]:
        """Take in a reading (7,) made at `now`; returns the smoothed probabilities and the label.

        A reading that is not `good` (too small, too flat) moves nothing and is uncertain. A clock that
        steps back counts as no time passed.
        """
        if good:
            self._probs = self._blend(probs, now)
            self._at = now
        if self._probs is None or not good:
            return (probs if self._probs is None else self._probs), UNCERTAIN
        self._label = self._decide(self._probs)
        return self._probs, self._label

    def _blend(self, probs: Probs, now: float) -> Probs:
        if self._probs is None or self._half_life_s <= 0:
            return probs
        keep = 0.5 ** (max(0.0, now - self._at) / self._half_life_s)
        return np.asarray(keep * self._probs + (1 - keep) * probs, np.float32)

    def _decide(self, probs: Probs) -> str:
        top = int(probs.argmax())
        if self._label != UNCERTAIN:
            held = probs[LABELS.index(self._label)]
            if probs[top] - held < MARGIN and held >= self._floor - MARGIN:
                return self._label
        return LABELS[top] if probs[top] >= self._floor else UNCERTAIN


class Baseline:
    """What one face shows at rest, learnt from its first `length_s` seconds; later readings are corrected for it.

    For people whose resting face reads as sad, and for cameras whose light does: it assumes that a stream
    begins with a neutral face, and does harm where somebody begins it laughing.
    """

    def __init__(self, length_s: float, usual: Sequence[float]) -> None:
        self._length_s, self._usual = length_s, np.asarray(usual, np.float32)
        self._begun: float | None = None
        self._sum: Probs = np.zeros(len(LABELS), np.float32)
        self._n = 0

    def update(self, probs: Probs, now: float) -> Probs:
        """Take in a reading (7,) made at `now`; returns it as it is until the first seconds are over."""
        self._begun = now if self._begun is None else self._begun
        if abs(now - self._begun) < self._length_s or not self._n:
            self._sum, self._n = self._sum + probs, self._n + 1
            return probs
        return correct(probs, np.asarray(self._sum / self._n, np.float32), self._usual)


def correct(probs: Probs, own: Probs, usual: Probs) -> Probs:
    """Readings (…, 7) of a face whose neutral look reads `own` (7,), where neutral faces read `usual` (7,).

    The correction for shifted priors of Saerens et al. 2002, half of it: `own` is a mean over a few readings.
    """
    shifted = probs * np.sqrt(np.maximum(usual, FLOOR) / np.maximum(own, FLOOR))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True), np.float32)
