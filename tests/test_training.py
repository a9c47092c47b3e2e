"""Training on a handful of faces: it ends, it resumes, and what it exports can be read."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer.dataset import Dataset
from fer.labels import LABELS
from tests.fakes import FakeDetector, square

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
    recipe = training.Recipe(epochs=2, batch_size=8, width=8, precision="float32")

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
    run = json.loads((tmp_path / "tiny.run.json").read_text())
    assert [epoch["epoch"] for epoch in run["epochs"]] == [0, 1] and run["seconds"] > 0
    assert run["recipe"]["seed"] == 1 and run["sha256"] == card.sha256
    assert {path.name for path in tmp_path.iterdir()} == {f"tiny.{e}" for e in ("keras", "tflite", "json", "run.json")}

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
    recipe = training.Recipe(epochs=1, width=8, precision="float32")
    card = training.train(data, data, {}, recipe, tmp_path / "one", "made up")
    assert card.outputs == ["fer2013"]
    assert classify.load(tmp_path / "one").probs(data.images[..., None]).shape == (8, 7)


def test_the_fused_normalisation_does_what_keras_does() -> None:
    import keras

    from fer import training

    x = np.random.default_rng(0).normal(3, 2, (16, 4, 4, 5)).astype(np.float32)
    fused, plain = training.FusedBatchNormalization(), keras.layers.BatchNormalization()
    for _ in range(3):
        np.testing.assert_allclose(fused(x, training=True), plain(x, training=True), atol=1e-4)
    # The kernel estimates the variance of the population (n / (n - 1)), Keras that of the batch.
    for ours, theirs in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=5e-3)
    np.testing.assert_allclose(fused(x), plain(x), rtol=5e-3, atol=5e-3)


def test_a_portable_network_reads_as_the_one_it_was_made_of(tmp_path: Path) -> None:
    import keras

    from fer import training

    recipe = training.Recipe(width=8, precision="float32")
    data = faces(8)
    model, portable = training.build(recipe), training.build(recipe, portable=True)
    portable.set_weights(model.get_weights())
    assert not any(isinstance(layer, training.FusedBatchNormalization) for layer in portable.layers)
    x = data.images[..., None].astype(np.float32)
    np.testing.assert_allclose(model(x)["fer2013"], portable(x)["fer2013"], atol=1e-5)
    training.save(portable, tmp_path / "kept.keras")
    kept = keras.models.load_model(tmp_path / "kept.keras")
    np.testing.assert_allclose(kept(x)["fer2013"], portable(x)["fer2013"], atol=1e-6)
    np.testing.assert_allclose(kept(x)["fer2013"], model(x)["fer2013"], atol=2e-3)


def test_a_taught_network_learns_half_from_labels_and_half_from_its_teacher(tmp_path: Path) -> None:
    from fer import training

    data = faces(8)
    teacher = training.build(training.Recipe(width=8, precision="float32"), portable=True)
    teacher.save(tmp_path / "teacher.keras")
    said = training.taught(tmp_path / "teacher.keras", data)
    images = data.images[..., None].astype(np.float32)
    both = [teacher(x)["ferplus"].numpy() for x in (images, images[:, :, ::-1])]
    np.testing.assert_allclose(said["ferplus"], (both[0] + both[1]) / 2, atol=1e-5)
    recipe = training.Recipe(batch_size=8, teachers=(str(tmp_path / "teacher.keras"),) * 2)
    batches = training.Batches(data, votes(data), recipe)
    labels = training.targets(data, votes(data), recipe.label_smoothing)[0]["fer2013"]
    _, wanted, _ = batches[0]
    np.testing.assert_allclose(wanted["fer2013"], (labels / 2 + said["fer2013"] / 2)[batches._order], atol=1e-5)


def test_a_teacher_that_is_none_is_refused_in_a_sentence(tmp_path: Path) -> None:
    import keras

    from fer import training
    from fer.errors import ModelError

    (tmp_path / "broken.keras").write_bytes(b"no model")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    for name in ("absent", "broken", "other"):
        with pytest.raises(ModelError, match=f"The teacher .*{name}.keras"):
            training.taught(tmp_path / f"{name}.keras", faces(2))


def test_training_goes_on_from_another_networks_weights(tmp_path: Path) -> None:
    from fer import training
    from fer.errors import ModelError

    start = training.build(training.Recipe(width=8, precision="float32"), portable=True)
    start.save(tmp_path / "start.keras")
    recipe = training.Recipe(width=8, precision="float32", start=str(tmp_path / "start.keras"))
    model, first_epoch = training._start(recipe, training.residual, 1, True, None)
    assert first_epoch == 0
    for begun, given in zip(model.get_weights(), start.get_weights(), strict=True):
        np.testing.assert_array_equal(begun, given)
    one_head, _ = training._start(recipe, training.residual, 1, False, None)  # without the other one's second
    given = [w for layer in start.layers if layer.name != "ferplus" for w in layer.get_weights()]
    for begun, weight in zip([w for layer in one_head.layers for w in layer.get_weights()], given, strict=True):
        np.testing.assert_array_equal(begun, weight)
    with pytest.raises(ModelError, match=r"another shape.*--width"):
        training._start(replace(recipe, width=16), training.residual, 1, True, None)
    with pytest.raises(ModelError, match=r"The start .*absent\.keras"):
        training._start(replace(recipe, start=str(tmp_path / "absent.keras")), training.residual, 1, True, None)


def test_what_was_tuned_lies_between_where_it_began_and_where_it_went(tmp_path: Path) -> None:
    from fer import training

    recipe = training.Recipe(width=8, precision="float32")
    start, tuned = training.build(recipe, portable=True), training.build(recipe, portable=True)
    start.save(tmp_path / "start.keras")
    went = tuned.get_weights()
    training._mix(tuned, tmp_path / "start.keras", 0.25)
    for between, begun, end in zip(tuned.get_weights(), start.get_weights(), went, strict=True):
        np.testing.assert_allclose(between, 0.25 * begun + 0.75 * end, atol=1e-6)


def test_a_head_that_never_names_a_label_is_brought_to_read_it_as_often_as_it_is_labelled() -> None:
    from fer import training

    data = faces(140)
    model = training.build(training.Recipe(width=8, precision="float32"), portable=True)
    weights, bias = model.get_layer("fer2013").get_weights()
    bias[0] += 0.5
    model.get_layer("fer2013").set_weights([weights, bias])
    x = data.images[..., None].astype(np.float32)
    ferplus = model.predict(x, verbose=0)["ferplus"]
    before = np.bincount(model.predict(x, verbose=0)["fer2013"].argmax(1), minlength=7)
    training.balance_head(model, data)
    after = np.bincount(model.predict(x, verbose=0)["fer2013"].argmax(1), minlength=7)
    assert before.max() == 140
    assert np.abs(after - 20).sum() < np.abs(before - 20).sum()
    np.testing.assert_array_equal(model.predict(x, verbose=0)["ferplus"], ferplus)


def test_a_model_is_tuned_on_faces_of_ones_own_from_the_photos_to_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The route of docs/training.md: a network with two heads goes on with labels alone."""
    import cv2

    from fer import classify, detect, training
    from fer.__main__ import main

    rng = np.random.default_rng(0)
    for i in range(56):
        folder = tmp_path / "photos" / LABELS[i % 7]
        folder.mkdir(parents=True, exist_ok=True)
        patches = rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(patches, (300, 300), interpolation=cv2.INTER_CUBIC))
    monkeypatch.setenv("FER_DETECTOR", "cascade")
    monkeypatch.setitem(detect.DETECTORS, "cascade", lambda settings: FakeDetector([square(60, 60, 180)]))
    data = tmp_path / "collected"
    assert main(["dataset", "faces", str(tmp_path / "photos"), "--out", str(data)]) == 0

    start = training.build(training.Recipe(width=8, precision="float32"), portable=True)
    start.save(tmp_path / "start.keras")
    options = ["--start", str(tmp_path / "start.keras"), "--max-lr", "0.005", "--width", "8", "--epochs", "1"]
    command = ["train", "--data", str(data), "--out", str(tmp_path / "tuned"), *options, "--batch-size", "8"]
    assert main([*command, "--precision", "float32"]) == 0
    card = classify.load(tmp_path / "tuned").card
    assert card.outputs == ["fer2013"] and card.data["source"] == "collected"
    assert (card.recipe["start"], card.recipe["max_lr"]) == (str(tmp_path / "start.keras"), 0.005)
    assert card.data["train"]["n"] + card.data["validation"]["n"] == 56
    assert "tuned.tflite: accuracy" in capsys.readouterr().out

    from_csv = ["train", "--data", str(data / "fer2013.csv"), "--out", str(tmp_path / "csv"), *options]
    assert main([*from_csv, "--precision", "float32", "--width", "16"]) == 2
    assert "another shape" in capsys.readouterr().err.splitlines()[-1]
