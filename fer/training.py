"""Training: FER2013 in, a `.keras`, a `.tflite` and a card out. The only module that imports Keras.

The network is plain Keras 3 and trains on any backend (KERAS_BACKEND); exporting needs TensorFlow.
"""

import json
import logging
import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from fer import classify, evaluation, metrics
from fer.augment import augment
from fer.dataset import Dataset, balance
from fer.labels import LABELS
from fer.preprocess import CROP_PX

log = logging.getLogger(__name__)

HEADS = ("fer2013", "ferplus")
PerHead: TypeAlias = dict[str, NDArray[np.float32]]
BLOCKS = ((48, 1), (96, 2), (96, 1), (192, 2), (192, 1))  # channels, stride
INT8_COST = 0.003  # the accuracy that quantising may cost


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; `precision` "bfloat16" halves the time on processors that have it."""

    epochs: int = 56
    batch_size: int = 128
    max_lr: float = 0.1
    weight_decay: float = 5e-3
    label_smoothing: float = 0.1
    ema_momentum: float = 0.999
    dropout: float = 0.3
    seed: int = 1
    precision: str = "bfloat16"


@keras.saving.register_keras_serializable("fer")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Linear warm-up over `warmup` of the steps, then a cosine down to nothing (Smith & Topin 2018)."""

    def __init__(self, max_lr: float, steps: int, warmup: float = 0.15) -> None:
        self.max_lr, self.steps, self.warmup = max_lr, steps, warmup

    def __call__(self, step: Any) -> Any:
        done = keras.ops.cast(step, "float32") / self.steps
        rise = 0.04 + 0.96 * done / self.warmup
        fall = 0.5 + 0.5 * keras.ops.cos(math.pi * (done - self.warmup) / (1 - self.warmup))
        return self.max_lr * keras.ops.where(done < self.warmup, rise, fall)

    def get_config(self) -> dict[str, Any]:
        return {"max_lr": self.max_lr, "steps": self.steps, "warmup": self.warmup}


def build(dropout: float = 0.3, precision: str = "float32") -> keras.Model:
    """The network: a stem, five residual blocks (He et al. 2016), one head per labelling of the same faces.

    Input (n, 48, 48, 1) float32 in 0..255; outputs "fer2013" and "ferplus", (n, 7) float32 each.
    """
    policy = keras.DTypePolicy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    image = keras.Input((CROP_PX, CROP_PX, 1), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, dtype=policy)(image)
    x = _conv(x, 32, 3, 2, policy)
    for channels, stride in BLOCKS:
        x = _residual(x, channels, stride, policy)
    x = layers.GlobalAveragePooling2D(dtype=policy)(x)
    x = layers.Dropout(dropout, dtype=policy)(x)
    # The heads stay in float32: a softmax in 8 bits of mantissa cannot tell 0.996 from 1.
    heads = {name: layers.Dense(len(LABELS), activation="softmax", dtype="float32", name=name)(x) for name in HEADS}
    return keras.Model(image, heads, name="classmood")


def _conv(x: Any, channels: int, kernel: int, stride: int, policy: Any, relu: bool = True) -> Any:
    x = layers.Conv2D(channels, kernel, stride, "same", use_bias=False, dtype=policy)(x)
    x = layers.BatchNormalization(dtype=policy)(x)
    return layers.ReLU(dtype=policy)(x) if relu else x


def _residual(x: Any, channels: int, stride: int, policy: Any) -> Any:
    y = _conv(x, channels, 3, stride, policy)
    y = _conv(y, channels, 3, 1, policy, relu=False)
    if stride > 1 or x.shape[-1] != channels:
        x = _conv(x, channels, 1, stride, policy, relu=False)
    return layers.ReLU(dtype=policy)(layers.Add(dtype=policy)([x, y]))


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled, augmented batches; epoch e of a resumed run is epoch e of the run that was killed."""

    def __init__(self, data: Dataset, votes: Mapping[str, NDArray[np.int64]], recipe: Recipe) -> None:
        super().__init__()
        self._images, self._recipe = data.images, recipe
        self._targets, self._weights = targets(data, votes, recipe.label_smoothing)
        self.start(0)

    def start(self, epoch: int) -> None:
        self._rng = np.random.default_rng((self._recipe.seed, epoch))
        self._order = self._rng.permutation(len(self._images))

    def __len__(self) -> int:
        return max(1, len(self._images) // self._recipe.batch_size)

    def __getitem__(self, i: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        rows = self._order[i * self._recipe.batch_size : (i + 1) * self._recipe.batch_size]
        x = augment(self._images[rows], self._rng)
        y, weights = ({head: of[head][rows] for head in HEADS} for of in (self._targets, self._weights))
        return x, y, weights


def targets(data: Dataset, votes: Mapping[str, NDArray[np.int64]], smoothing: float = 0.0) -> tuple[PerHead, PerHead]:
    """What each head should say of `data` (n, 7), and how much each image counts for it (n,).

    "ferplus" wants the shares of FER+'s votes for the seven labels; an image without any counts nothing.
    """
    onehot = np.eye(len(LABELS), dtype=np.float32)[data.labels]
    none = np.zeros(len(LABELS), np.int64)
    counts = np.stack([votes.get(name, none)[: len(LABELS)] for name in data.names]).astype(np.float32)
    total = counts.sum(1, keepdims=True)
    wanted = {"fer2013": onehot * (1 - smoothing) + smoothing / len(LABELS), "ferplus": counts / np.maximum(total, 1)}
    weights = {"fer2013": np.ones(len(data), np.float32), "ferplus": (total[:, 0] > 0).astype(np.float32)}
    return wanted, weights


def train(
    data: Dataset,
    validation: Dataset,
    votes: Mapping[str, NDArray[np.int64]],
    recipe: Recipe,
    out: Path,
    source: str,
) -> classify.Card:
    """Train on `data`, export beside `out` and measure the exported model on `validation`.

    A checkpoint is kept beside `out` after every epoch: the same call goes on where a killed one stopped.
    Without `votes` the FER+ head is left out of the loss and of the card.
    """
    keras.utils.set_random_seed(recipe.seed)
    batches = Batches(data, votes, recipe)
    checkpoint = out.with_name(out.name + ".checkpoint.keras")
    model, first_epoch = _start(recipe, len(batches), bool(votes), checkpoint)
    held = validation.images[..., None].astype(np.float32)
    truth, weights = targets(validation, votes)
    history = out.with_name(out.name + ".history.csv")
    model.fit(
        batches,
        initial_epoch=first_epoch,
        epochs=recipe.epochs,
        validation_data=(held, truth, weights),
        validation_batch_size=256,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.start(epoch)),
            keras.callbacks.SwapEMAWeights(),
            keras.callbacks.CSVLogger(history, append=first_epoch > 0),
            keras.callbacks.ModelCheckpoint(checkpoint),
        ],
        verbose="auto",
    )
    final = build(recipe.dropout)
    final.set_weights(model.get_weights())
    settle(final, data, recipe)
    if not votes:
        final = keras.Model(final.input, {"fer2013": final.output["fer2013"]}, name="classmood")
    described = {
        "source": source,
        "train": {"n": len(data), "balance": balance(data), "skipped": len(data.skipped)},
        "validation": {"split": "test (PublicTest)", "n": len(validation), "balance": balance(validation)},
        "ferplus_votes": bool(votes),
    }
    card = export(final, validation, votes, out, described, asdict(recipe))
    for kept in (checkpoint, checkpoint.with_suffix(".json")):
        kept.unlink(missing_ok=True)
    return card


def settle(model: keras.Model, data: Dataset, recipe: Recipe, batches: int = 120) -> None:
    """Gather the statistics of batch normalisation anew, for averaged weights and faces without augmentation.

    `fit` ends with the moving average of the weights, but with the statistics of the last ones (as in
    stochastic weight averaging; Izmailov et al. 2018): that costs more than the averaging gains.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.95
    rng = np.random.default_rng(recipe.seed)
    for _ in range(batches):
        rows = rng.choice(len(data), min(256, len(data)), replace=False)
        model(data.images[rows][..., None].astype(np.float32), training=True)


def _start(recipe: Recipe, steps: int, both_heads: bool, checkpoint: Path) -> tuple[keras.Model, int]:
    """A fresh model, or the checkpoint of the same recipe, and the first epoch still to run."""
    note = checkpoint.with_suffix(".json")
    if checkpoint.exists() and note.exists() and json.loads(note.read_text()) == asdict(recipe):
        model = keras.models.load_model(checkpoint)
        epoch = int(model.optimizer.iterations) // steps
        log.info("going on with epoch %d of %d", epoch + 1, recipe.epochs)
        return model, epoch
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(asdict(recipe)))
    model = build(recipe.dropout, recipe.precision)
    optimizer = keras.optimizers.SGD(
        OneCycle(recipe.max_lr, steps * recipe.epochs),
        momentum=0.9,
        nesterov=True,
        weight_decay=recipe.weight_decay,
        use_ema=True,
        ema_momentum=recipe.ema_momentum,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(
        optimizer,
        loss={head: keras.losses.CategoricalCrossentropy() for head in HEADS},
        loss_weights={"fer2013": 1.0, "ferplus": 1.0 if both_heads else 0.0},
        weighted_metrics={head: ["accuracy"] for head in HEADS},
        jit_compile=False,
    )
    return model, 0


def export(
    model: keras.Model,
    validation: Dataset,
    votes: Mapping[str, NDArray[np.int64]],
    out: Path,
    data: dict[str, Any],
    recipe: dict[str, Any],
) -> classify.Card:
    """Write `out`.keras, .tflite and .json. The card's figures are those of the `.tflite` on `validation`.

    The `.tflite` has int8 weights (dynamic range) unless they cost more than INT8_COST of accuracy.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    model.save(out.with_suffix(".keras"))
    draft = classify.Card(
        name=out.name,
        labels=list(LABELS),
        input=classify.INPUT,
        outputs=[head for head in HEADS if head in model.output],
        temperature=1.0,
        parameters=model.count_params(),
        data=data,
        recipe={**recipe, "keras": keras.version(), "backend": keras.backend.backend()},
        metrics={},
        sha256={"keras": classify.sha256(out.with_suffix(".keras"))},
    )
    kinds = {kind: _convert(model, int8=kind == "int8") for kind in ("float32", "int8")}
    results = {kind: _measure(content, draft, validation, votes) for kind, content in kinds.items()}
    cost = results["float32"][1].accuracy - results["int8"][1].accuracy
    kind = "int8" if cost <= INT8_COST else "float32"
    temperature, result = results[kind]
    out.with_suffix(".tflite").write_bytes(kinds[kind])
    card = replace(
        draft,
        temperature=temperature,
        recipe={**draft.recipe, "weights": kind, "int8_cost": round(cost, 4)},
        metrics=asdict(result),
        sha256={**draft.sha256, "tflite": classify.sha256(out.with_suffix(".tflite"))},
    )
    card.save(out.with_suffix(".json"))
    return card


def _convert(model: keras.Model, int8: bool) -> bytes:
    """The model as LiteRT, by way of a SavedModel: it keeps the names of the heads in its signature."""
    import tensorflow as tf

    folder = Path(tempfile.mkdtemp(prefix="fer-export-"))
    try:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", model.call, input_signature=[tf.TensorSpec((1, CROP_PX, CROP_PX, 1), tf.float32)])
        archive.write_out(str(folder), verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serve"])
        converter.optimizations = [tf.lite.Optimize.DEFAULT] if int8 else []
        return bytes(converter.convert())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(
    content: bytes, draft: classify.Card, validation: Dataset, votes: Mapping[str, NDArray[np.int64]]
) -> tuple[float, metrics.Evaluation]:
    """The temperature of an exported model and its figures with it, run as the app runs it."""
    raw = classify.LiteRTClassifier(content, draft).probs(evaluation.crops(validation.images))
    temperature = metrics.fit_temperature(validation.labels, raw.astype(np.float64))
    classifier = classify.LiteRTClassifier(content, replace(draft, temperature=temperature))
    return temperature, evaluation.evaluate(classifier, validation, votes, tuple(draft.outputs))
