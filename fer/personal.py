"""A keeper's own model: a small head on what the general model reads, learned from what the keeper says.

Its features are the general model's seven log-probabilities, as every entry keeps them. The second head's
probabilities or the network's 256 pooled features on top made it worse: after 40 corrections there is too little
to learn so much from, and a feature vector of a face would have to be kept.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer.labels import LABELS
from fer.types import Entry, Head, Trial

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Progress = Callable[[float], object]  # the share that is done, 0..1

MIN_CORRECTIONS = 5  # a trial that wins fewer than five times, and never loses, may be chance
PARTS = 10
C = 0.1  # the inverse of the strength of the L2 penalty
CLEAR_ENOUGH = 1e-3  # all smaller probabilities are alike: a logarithm would make much of them
MIDDLE, SPREAD = -3.5, 2.3  # of the log-probabilities of faces, so that the penalty weighs all features alike
# A new head should agree with the general model until told otherwise. These are 42 readings between two labels,
# each counting as an entry that was accepted: they hold all seven labels and their borders in place. Twice that
# weight does not hear five corrections of one kind; a quarter of it believes twenty random ones.
ANCHOR_WEIGHT, ANCHOR_TOP, ANCHOR_SECOND = 1.0, 0.5, 0.35
P_LIMIT = 0.05
LEAST_RIGHT = 0.5  # labels of which a model finds less than half carry no signal


def corrected(entry: Entry) -> bool:
    """Whether the keeper says otherwise than the general model."""
    return LABELS[int(np.argmax(entry.probs))] != entry.label


def missing(entries: Sequence[Entry]) -> str:
    """What is still missing before anything can be learned, as a sentence; empty where nothing is."""
    n = sum(map(corrected, entries))
    return "" if n >= MIN_CORRECTIONS else f"There is too little to learn from: {n} of {MIN_CORRECTIONS} corrections."


def fit(probs: Floats, labels: Ints) -> tuple[Floats, Floats]:
    """Weights (7, 7) and bias (7,) from readings (n, 7) and labels (n,), index into LABELS. Deterministic."""
    from sklearn.linear_model import LogisticRegression

    anchors, of = _anchors()
    x, y = _features(np.vstack([probs, anchors])), np.concatenate([labels, of])
    weight = np.concatenate([np.ones(len(labels)), np.full(len(of), ANCHOR_WEIGHT)])
    found = LogisticRegression(C=C, max_iter=1000).fit(x, y, sample_weight=weight)
    return np.asarray(found.coef_, np.float64), np.asarray(found.intercept_, np.float64)


def apply(weights: Floats, bias: Floats, probs: Floats) -> Floats:
    """What a head makes of the general model's readings (n, 7) or (7,).  # the same shape, sums to 1"""
    logits = _features(np.asarray(probs, np.float64)) @ weights.T + bias
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def read(head: Head | None, probs: NDArray[Any]) -> Floats:
    """Readings (n, 7) or (7,) as a keeper's head has them; as they are where there is none in use."""
    if head is None or not head.in_use:
        return np.asarray(probs, np.float64)
    return apply(np.array(head.weights), np.array(head.bias), np.asarray(probs, np.float64))


def learn(probs: Floats, labels: Ints, now: float, progress: Progress = lambda share: None) -> Head:
    """A head of all of a keeper's labels, and its trial on parts of them that heads like it did not learn from."""
    parts = _parts(labels)
    named = np.empty(len(labels), np.int64)
    for part in range(PARTS):
        held = parts == part
        named[held] = apply(*fit(probs[~held], labels[~held]), probs[held]).argmax(1)
        progress((part + 1) / (PARTS + 1))
    tried = trial(labels, probs.argmax(1), named)
    weights, bias = fit(probs, labels)
    progress(1.0)
    return Head(now, tuple(map(tuple, weights.tolist())), tuple(bias.tolist()), tried, passed(tried))


def as_json(head: Head) -> str:
    return json.dumps(asdict(head))


def from_json(text: str) -> Head:
    """A head as `as_json` wrote it: plain numbers, and nothing that could run."""
    kept = json.loads(text)
    weights, bias = tuple(tuple(row) for row in kept["weights"]), tuple(kept["bias"])
    return Head(kept["at"], weights, bias, Trial(**kept["trial"]), kept["in_use"])


def trial(labels: Ints, general: Ints, personal: Ints) -> Trial:
    """Both models' names for the same entries, compared in pairs."""
    right, own = general == labels, personal == labels
    won, lost = int((own & ~right).sum()), int((right & ~own).sum())
    return Trial(len(labels), float(right.mean()), float(own.mean()), won, lost, sign_test(won, lost))


def sign_test(won: int, lost: int) -> float:
    """The chance of at least `won` heads of won + lost tosses (McNemar's test, exact and one-sided)."""
    n = won + lost
    return float(sum(math.comb(n, k) for k in range(won, n + 1)) / 2**n)


def passed(tried: Trial) -> bool:
    return tried.p < P_LIMIT and tried.personal >= LEAST_RIGHT


def _parts(labels: Ints) -> Ints:
    """The part of the trial that each entry is held out in: every label is dealt out in turn, over all of them."""
    order = np.random.default_rng(0).permutation(len(labels))
    parts = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        parts[mine] = np.arange(len(mine)) % PARTS
    return parts


def _features(probs: Floats) -> Floats:
    return np.asarray((np.log(np.maximum(probs, CLEAR_ENOUGH)) - MIDDLE) / SPREAD)


def _anchors() -> tuple[Floats, Ints]:
    """Readings (42, 7) with a first and a second label, for each pair, and the first labels (42,)."""
    k = len(LABELS)
    pairs = [(first, second) for first in range(k) for second in range(k) if first != second]
    probs = np.full((len(pairs), k), (1 - ANCHOR_TOP - ANCHOR_SECOND) / (k - 2))
    for row, (first, second) in zip(probs, pairs, strict=True):
        row[first], row[second] = ANCHOR_TOP, ANCHOR_SECOND
    return probs, np.array([first for first, _ in pairs], np.int64)
