"""Figures of a classifier: labels and probabilities in, numbers out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer.labels import LABELS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """How well `probs` name the labels of a test set; shares are in 0..1, `interval` holds 95% confidence."""

    n: int
    accuracy: float
    interval: tuple[float, float]
    macro_recall: float
    macro_f1: float
    ece: float
    recall: dict[str, float]
    precision: dict[str, float]
    confusion: list[list[int]]  # rows: truth, columns: reading, both in the order of LABELS
    reliability: list[tuple[float, float, int]]  # mean confidence, accuracy and n of each bin that has any
    ferplus_n: int | None = None
    ferplus_accuracy: float | None = None


def evaluate(
    labels: Ints, probs: Floats, majority: Ints | None = None, ferplus_probs: Floats | None = None
) -> Evaluation:
    """Compare `probs` (n, 7) with `labels` (n,).

    `majority` (n,) holds FER+'s top label, −1 where the votes name none; it is compared with
    `ferplus_probs`, the network's own FER+ head, or with `probs` where it has no such head.
    """
    counts = confusion(labels, probs.argmax(1))
    recall = _ratio(counts.diagonal(), counts.sum(1))
    precision = _ratio(counts.diagonal(), counts.sum(0))
    f1 = _ratio(2 * recall * precision, recall + precision)
    present = counts.sum(1) > 0
    right = int(counts.diagonal().sum())
    result = {
        "n": len(labels),
        "accuracy": right / max(1, len(labels)),
        "interval": wilson(right, len(labels)),
        "macro_recall": float(recall[present].mean()),
        "macro_f1": float(f1[present].mean()),
        "ece": expected_calibration_error(labels, probs),
        "recall": dict(zip(LABELS, recall.tolist(), strict=True)),
        "precision": dict(zip(LABELS, precision.tolist(), strict=True)),
        "confusion": counts.tolist(),
        "reliability": reliability(labels, probs),
    }
    if majority is None:
        return Evaluation(**result)
    known = majority >= 0
    votes = (probs if ferplus_probs is None else ferplus_probs)[known].argmax(1)
    agreed = float((votes == majority[known]).mean()) if known.any() else 0.0
    return Evaluation(**result, ferplus_n=int(known.sum()), ferplus_accuracy=agreed)


def confusion(truth: Ints, reading: Ints) -> Ints:
    """How often each label (row) was read as each label (column).  # (7, 7) int64"""
    k = len(LABELS)
    return np.asarray(np.bincount(truth * k + reading, minlength=k * k).reshape(k, k))


def most_confused(counts: Sequence[Sequence[int]], most: int = 3) -> list[tuple[str, str, float]]:
    """The commonest mistakes of a confusion matrix: label, reading, share of the label's faces."""
    shares = np.asarray(counts, float) / np.maximum(np.sum(counts, axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0.0)
    order = np.argsort(-shares, axis=None, kind="stable")[: min(most, np.count_nonzero(shares))]
    pairs = [divmod(int(i), len(LABELS)) for i in order]
    return [(LABELS[truth], LABELS[reading], float(shares[truth, reading])) for truth, reading in pairs]


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95% confidence interval of the share `right` of `n` (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    z, share = 1.96, right / n
    middle, spread = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (middle - spread) / (1 + z**2 / n), (middle + spread) / (1 + z**2 / n)
    return max(0.0, min(low, share)), min(1.0, max(high, share))  # rounding is not to leave the share outside


def expected_calibration_error(labels: Ints, probs: Floats, bins: int = 15) -> float:
    """How far confidence and accuracy lie apart, weighed over equal bins (Guo et al. 2017)."""
    gaps = [n * abs(confidence - accuracy) for confidence, accuracy, n in reliability(labels, probs, bins)]
    return sum(gaps) / max(1, len(labels))


def reliability(labels: Ints, probs: Floats, bins: int = 15) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and number of the readings in each of `bins` equal bins of confidence."""
    confidence, correct = probs.max(1), probs.argmax(1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    sizes = np.bincount(which, minlength=bins)
    means = [_ratio(np.bincount(which, weights, bins), sizes) for weights in (confidence, correct)]
    return [(float(means[0][i]), float(means[1][i]), int(sizes[i])) for i in np.flatnonzero(sizes)]


def record(bins: Sequence[Sequence[float]], confidence: float) -> tuple[float, int] | None:
    """How often readings about as sure as `confidence` were right, and how many there were: of `reliability`'s bins."""
    near = min(bins, key=lambda one: abs(one[0] - confidence), default=None)
    return None if near is None else (float(near[1]), int(near[2]))


def temper(probs: Floats, temperature: float) -> Floats:
    """Probabilities sharpened (below 1) or softened (above 1) by temperature scaling (Guo et al. 2017)."""
    logits = np.log(np.maximum(probs, 1e-12)) / temperature
    scaled = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(scaled / scaled.sum(-1, keepdims=True))


def fit_temperature(labels: Ints, probs: Floats) -> float:
    """The temperature in 0.5..4 at which the labels are likeliest."""
    grid = np.geomspace(0.5, 4.0, 200)
    rows = np.arange(len(labels))
    losses = [-np.log(np.maximum(temper(probs, t)[rows, labels], 1e-12)).mean() for t in grid]
    return round(float(grid[int(np.argmin(losses))]), 3)


def _ratio(part: NDArray[np.generic], whole: NDArray[np.generic]) -> Floats:
    """Element by element, 0 where the whole is 0."""
    parts, wholes = np.asarray(part, float), np.asarray(whole, float)
    return np.asarray(np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0))
