import numpy as np
import pytest

from fer import learning, personal
from fer.errors import JournalError
from fer.labels import LABELS
from fer.types import Entry


def entries(n: int) -> list[Entry]:
    """Entries of a keeper who calls fear surprise."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(n):
        read = LABELS[i % 7]
        probs = 0.7 * np.eye(7)[i % 7] + 0.3 * rng.dirichlet(np.ones(7))
        label = "surprise" if read == "fear" else read
        made.append(Entry(f"{i:032x}", float(i), label, tuple(probs.tolist())))
    return made


def test_another_process_learns_what_this_one_would():
    kept = entries(84)
    seen: list[float] = []
    head = learning.learn(kept, 9.0, seen.append)
    labels = np.array([LABELS.index(entry.label) for entry in kept])
    assert head == personal.learn(np.array([entry.probs for entry in kept]), labels, 9.0)
    assert head.in_use and seen[-1] == 1.0 and seen == sorted(seen)


def test_too_little_is_said_before_anything_is_started():
    with pytest.raises(JournalError, match="too little"):
        learning.learn(entries(6), 0.0)


def test_a_process_that_dies_changes_nothing_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(JournalError, match="Nothing has changed"):
        learning.learn(entries(84), 0.0)
