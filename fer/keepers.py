"""Simulated keepers of journals: what a model of one's own is worth, measured on labelled faces.

A keeper meets faces that show each expression as often, names them, and learns after so many corrections. Then
the general model and the keeper's own (where it is in use) read all the other faces, each expression weighing alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from fer import personal
from fer.labels import LABELS
from fer.personal import Floats, Ints

CORRECTIONS = 40
KEEPERS = 30
RENAMED = {"fear": "surprise", "disgust": "angry"}
SHIFT = 3.0  # of the log-odds; half of such a keeper's faces are read wrongly

# From the faces' labels, their readings and chance: the keeper's labels, the readings of the keeper's face, and
# the labels by which both models are judged.
Kind: TypeAlias = Callable[[Ints, Floats, np.random.Generator], tuple[Ints, Floats, Ints]]


@dataclass(frozen=True)
class Gain:
    """What `n` keepers of a kind gained, as shares: on average, the median, the worst; how many use their own model."""

    n: int
    entries: float
    general: float
    own: float
    mean: float
    median: float
    worst: float
    in_use: float


def _renames(labels: Ints, probs: Floats, rng: np.random.Generator) -> tuple[Ints, Floats, Ints]:
    """Calls fear surprise, and disgust angry."""
    new = np.array([LABELS.index(RENAMED.get(label, label)) for label in LABELS])
    return new[labels], probs, new[labels]


def _looks_angry(labels: Ints, probs: Floats, rng: np.random.Generator) -> tuple[Ints, Floats, Ints]:
    """Has a face that the network reads as angrier than it is."""
    shifted = probs * np.exp(SHIFT * (np.arange(len(LABELS)) == LABELS.index("angry")))
    return labels, shifted / shifted.sum(1, keepdims=True), labels


def _agrees(labels: Ints, probs: Floats, rng: np.random.Generator) -> tuple[Ints, Floats, Ints]:
    """Names expressions as everybody does: there is nothing to learn but the model's own mistakes."""
    return labels, probs, labels


def _slips(labels: Ints, probs: Floats, rng: np.random.Generator) -> tuple[Ints, Floats, Ints]:
    """Accepts what is right, and corrects at random what is wrong."""
    right = probs.argmax(1) == labels
    return np.where(right, labels, rng.integers(0, len(LABELS), len(labels))), probs, labels


def _guesses(labels: Ints, probs: Floats, rng: np.random.Generator) -> tuple[Ints, Floats, Ints]:
    """Presses any button."""
    return rng.integers(0, len(LABELS), len(labels)), probs, labels


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "renames two": _renames,
        "looks angry": _looks_angry,
        "agrees": _agrees,
        "corrects at random": _slips,
        "labels at random": _guesses,
    }
)


def gain(kind: str, labels: Ints, probs: Floats, keepers: int = KEEPERS) -> Gain:
    """What keepers of a kind of KINDS gain after `CORRECTIONS` corrections; the same every time.

    `labels` (n,) are those of faces, `probs` (n, 7) their readings by the general model.
    """
    rows = np.array([_one(KINDS[kind], labels, probs, np.random.default_rng(i)) for i in range(keepers)])
    entries, general, own, in_use = rows.mean(0).tolist()
    gains = rows[:, 2] - rows[:, 1]
    return Gain(keepers, entries, general, own, own - general, float(np.median(gains)), float(gains.min()), in_use)


def _one(kind: Kind, labels: Ints, probs: Floats, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """One keeper: entries, the general model's and their own share of other faces named right, whether it is in use."""
    said, read, judged = kind(labels, probs, rng)
    order = _in_turn(labels, rng)
    general = read.argmax(1)
    kept = order[: int(np.searchsorted(np.cumsum(said[order] != general[order]), CORRECTIONS)) + 1]
    head = personal.learn(read[kept], said[kept], 0.0)
    rest = np.setdiff1d(np.arange(len(labels)), kept)
    own = personal.read(head, read[rest]).argmax(1)
    weight = 1 / np.bincount(labels[rest], minlength=len(LABELS))[labels[rest]]
    shares = [float(np.average(named == judged[rest], weights=weight)) for named in (general[rest], own)]
    return float(len(kept)), shares[0], shares[1], float(head.in_use)


def _in_turn(labels: Ints, rng: np.random.Generator) -> Ints:
    """The faces in an order in which each label comes as often, until the rarest is used up."""
    rounds = int(np.bincount(labels, minlength=len(LABELS)).min())
    of = [rng.permutation(np.flatnonzero(labels == label))[:rounds] for label in range(len(LABELS))]
    return np.concatenate([rng.permutation(row) for row in np.array(of).T])
