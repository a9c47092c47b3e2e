from pathlib import Path

import numpy as np
import pytest

from fer import classify, dataset, keepers
from fer.config import Settings
from fer.personal import Floats, Ints


@pytest.fixture(scope="module")
def read(fer2013_zip: Path) -> tuple[Ints, Floats]:
    """Every second face of PublicTest, and its reading by the shipped model."""
    data = dataset.load(fer2013_zip, "test")
    probs = classify.load(Settings().model).probs(data.images[::2, :, :, None])
    return data.labels[::2], probs.astype(np.float64)


@pytest.mark.parametrize("kind", ["renames two", "looks angry"])
def test_keepers_with_a_way_of_their_own_gain_ten_points_by_forty_corrections(kind: str, read: tuple[Ints, Floats]):
    gain = keepers.gain(kind, *read, keepers=4)
    assert gain.median >= 0.10 and gain.worst >= -0.01


@pytest.mark.parametrize("corrections", [10, keepers.CORRECTIONS])
@pytest.mark.parametrize("kind", ["agrees", "corrects at random", "labels at random"])
def test_corrections_without_a_signal_lose_nobody_a_point(
    kind: str, corrections: int, read: tuple[Ints, Floats], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keepers, "CORRECTIONS", corrections)
    assert keepers.gain(kind, *read, keepers=3).worst >= -0.01


def test_simulated_keepers_are_the_same_every_time(read: tuple[Ints, Floats]):
    assert keepers.gain("renames two", *read, keepers=2) == keepers.gain("renames two", *read, keepers=2)
