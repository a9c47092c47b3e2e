"""Training on a handful of faces: it ends, it resumes, and what it exports can be read."""

import json
from pathlib import Path

import numpy as np
import pytest

from fer.dataset import Dataset

pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("default")]


def faces(n: int) -> Dataset:
    """Patterns that differ by label."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 7
    images = (labels[:, None, None] * 30 + rng.integers(0, 30, (n, 48, 48))).astype(np.uint8)
    return Dataset(images, labels.astype(np.int64), tuple(f"fer{i:07d}.png" for i in range(n)))


def votes(data: Dataset) -> dict[str, np.ndarray]:
    return {name: np.eye(10, dtype=np.int64)[label] * 10 for name, label in zip(data.names, data.labels, strict=True)}


def test_training_exports_a_model_with_its_card_and_resumes_after_a_kill(tmp_path: Path) -> None:
    from fer import classify, training

    data, out = faces(16), tmp_path / "tiny"
    recipe = training.Recipe(epochs=2, batch_size=8, precision="float32")

    class Killed(Exception):
        pass

    original = training.Batches.start

    def killed_in_the_second_epoch(self: object, epoch: int) -> None:
        if epoch == 1:
            raise Killed
        original(self, epoch)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training.Batches, "start", killed_in_the_second_epoch)
        training.train(data, data, votes(data), recipe, out, "made up")
    assert (tmp_path / "tiny.checkpoint.keras").exists()

    card = training.train(data, data, votes(data), recipe, out, "made up")
    epochs = (tmp_path / "tiny.history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in epochs] == ["epoch", "0", "1"]
    assert not (tmp_path / "tiny.checkpoint.keras").exists()

    model = classify.load(out)
    assert model.card == card
    assert card.outputs == ["fer2013", "ferplus"]
    for head in card.outputs:
        probs = model.probs(data.images[..., None], head)
        assert probs.shape == (16, 7)
        np.testing.assert_allclose(probs.sum(1), 1, atol=1e-5)
    assert card.sha256["tflite"] == classify.sha256(out.with_suffix(".tflite"))
    assert json.loads(out.with_suffix(".json").read_text())["metrics"]["n"] == 16


def test_without_votes_the_network_has_one_head(tmp_path: Path) -> None:
    from fer import classify, training

    data = faces(8)  # fewer than one batch
    recipe = training.Recipe(epochs=1, precision="float32")
    card = training.train(data, data, {}, recipe, tmp_path / "one", "made up")
    assert card.outputs == ["fer2013"]
    assert classify.load(tmp_path / "one").probs(data.images[..., None]).shape == (8, 7)
