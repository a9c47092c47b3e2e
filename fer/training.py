"""Training: FER2013 in, a `.keras`, a `.tflite` and a card out. The only module that imports Keras.

The network is plain Keras 3 and trains on any backend (KERAS_BACKEND); exporting needs TensorFlow.
"""

import csv
import json
import logging
import math
import os
import platform
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
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
from fer.errors import ModelError
from fer.labels import LABELS
from fer.preprocess import CROP_PX

log = logging.getLogger(__name__)

HEADS = ("fer2013", "ferplus")
PerHead: TypeAlias = dict[str, NDArray[np.float32]]
Votes: TypeAlias = Mapping[str, NDArray[np.int64]]
Body: TypeAlias = Callable[[Any, "Recipe", Any], Any]  # scaled images, recipe, dtype policy → features (n, c)
BLOCKS = ((1, 1), (2, 2), (2, 1), (4, 2), (4, 1))  # channels in widths, stride
TAUGHT = 0.5  # the share of a target that comes from the teacher, where there is one
INT8_COST = 0.003  # the accuracy that quantising may cost
MANTISSA_BITS = 11  # of the weights that are kept: what half precision has, and what lets the file be packed
NOTES = (
    "The app shows the head fer2013: it has the higher recall of the rare labels angry, disgust and fear, and its "
    "temperature is fitted. The head ferplus answers the FER+ benchmark and calls more faces neutral.",
)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; `precision` "bfloat16" halves the time on processors that have it.

    The readings of the `teachers`, on average, are half of every target. `start` is the network whose weights it
    begins with, so that it is tuned further, and `keep` the share that these have in the result (Wortsman et al. 2022:
    between the two lies a network that is better than either). Both are .keras files; without them it learns from
    labels, from scratch.
    """

    epochs: int = 80
    batch_size: int = 128
    width: int = 64
    max_lr: float = 0.1
    weight_decay: float = 5e-3
    label_smoothing: float = 0.1
    ema_momentum: float = 0.999
    dropout: float = 0.3
    seed: int = 1
    precision: str = "bfloat16"
    teachers: tuple[str, ...] = ()
    start: str = ""
    keep: float = 0.0


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


@keras.saving.register_keras_serializable("fer")
class FusedBatchNormalization(layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation that trains with TensorFlow's fused kernel, where that is the backend.

    Keras composes it from single operations, which took as long as all of the convolutions (docs/architecture.md).
    The same weights, and elsewhere the same code, as its parent.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            exponential_avg_factor=1.0,
        )
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1 - self.momentum))
        return y


def residual(x: Any, recipe: Recipe, policy: Any) -> Any:
    """A stem and five residual blocks (He et al. 2016)."""
    x = conv(x, 32, 3, 2, policy)
    for widths, stride in BLOCKS:
        x = _residual(x, widths * recipe.width, stride, policy)
    return layers.GlobalAveragePooling2D(dtype=policy)(x)


def build(recipe: Recipe, body: Body = residual, both_heads: bool = True, portable: bool = False) -> keras.Model:
    """A network: a body, and one head per labelling of the same faces.

    Input (n, 48, 48, 1) float32 in 0..255; outputs "fer2013" and "ferplus", (n, 7) float32 each. A `portable`
    one computes in float32, is made of Keras's own layers and takes the weights of one that is not.
    """
    lower = recipe.precision == "bfloat16" and not portable
    policy = keras.DTypePolicy("mixed_bfloat16" if lower else "float32")
    image = keras.Input((CROP_PX, CROP_PX, 1), name="image")
    x = body(layers.Rescaling(1 / 127.5, offset=-1, dtype=policy)(image), recipe, policy)
    x = layers.Dropout(recipe.dropout, dtype=policy)(x)
    # The heads stay in float32: a softmax in 8 bits of mantissa cannot tell 0.996 from 1.
    heads = {name: layers.Dense(len(LABELS), activation="softmax", dtype="float32", name=name)(x) for name in HEADS}
    model = keras.Model(image, heads if both_heads else {HEADS[0]: heads[HEADS[0]]}, name="classmood")
    return with_plain_layers(model) if portable else model


def with_plain_layers(model: keras.Model) -> keras.Model:
    """The same network without layers of our own, so that its file opens wherever Keras is."""

    def plain(layer: Any) -> Any:
        config = layer.get_config()
        fused = isinstance(layer, FusedBatchNormalization)
        return (layers.BatchNormalization if fused else layer.__class__).from_config(config)

    copy = keras.models.clone_model(model, clone_function=plain)
    copy.set_weights(model.get_weights())
    return copy


def conv(x: Any, channels: int, kernel: int, stride: int, policy: Any, relu: bool = True) -> Any:
    """A convolution with batch normalisation (Ioffe & Szegedy 2015) and, unless told otherwise, a rectifier."""
    x = layers.Conv2D(channels, kernel, stride, "same", use_bias=False, dtype=policy)(x)
    x = FusedBatchNormalization(dtype=policy)(x)
    return layers.ReLU(dtype=policy)(x) if relu else x


def _residual(x: Any, channels: int, stride: int, policy: Any) -> Any:
    y = conv(x, channels, 3, stride, policy)
    y = conv(y, channels, 3, 1, policy, relu=False)
    if stride > 1 or x.shape[-1] != channels:
        x = conv(x, channels, 1, stride, policy, relu=False)
    return layers.ReLU(dtype=policy)(layers.Add(dtype=policy)([x, y]))


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled, augmented batches; epoch e of a resumed run is epoch e of the run that was killed."""

    def __init__(self, data: Dataset, votes: Votes, recipe: Recipe) -> None:
        super().__init__()
        self._images, self._recipe = data.images, recipe
        self._heads = HEADS if votes else HEADS[:1]
        self._targets, self._weights = targets(data, votes, recipe.label_smoothing)
        lessons = [taught(Path(teacher), data) for teacher in recipe.teachers]
        for head in HEADS:
            if said := [lesson[head] for lesson in lessons if head in lesson]:
                self._targets[head] = (1 - TAUGHT) * self._targets[head] + TAUGHT * np.mean(said, 0)
        self.start(0)

    def start(self, epoch: int) -> None:
        self._rng = np.random.default_rng((self._recipe.seed, epoch))
        self._order = self._rng.permutation(len(self._images))

    def __len__(self) -> int:
        return max(1, len(self._images) // self._recipe.batch_size)

    def __getitem__(self, i: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        rows = self._order[i * self._recipe.batch_size : (i + 1) * self._recipe.batch_size]
        x = augment(self._images[rows], self._rng)
        y, weights = ({head: of[head][rows] for head in self._heads} for of in (self._targets, self._weights))
        return x, y, weights


def targets(data: Dataset, votes: Votes, smoothing: float = 0.0) -> tuple[PerHead, PerHead]:
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


def taught(teacher: Path, data: Dataset) -> PerHead:
    """What a trained model says of each image and of its mirror image, on average (n, 7): softer, less noisy labels.

    Born-again networks (Furlanello et al. 2018): a network that also learns from one before it becomes better.
    Raises ModelError where the file is no such model.
    """
    model = _open(teacher, "teacher")
    images = data.images[..., None].astype(np.float32)
    ways = [model.predict(x, batch_size=256, verbose=0) for x in (images, images[:, :, ::-1])]
    return {head: (ways[0][head] + ways[1][head]) / 2 for head in HEADS if head in model.output}


def _open(path: Path, role: str) -> keras.Model:
    """A network of this project from its .keras file, or ModelError."""
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"The {role} {path} cannot be used: {str(error).splitlines()[0]}") from error
    heads = getattr(model, "output", None)  # a model that was never called has none
    if not isinstance(heads, dict) or HEADS[0] not in heads or model.input_shape[1:] != (CROP_PX, CROP_PX, 1):
        raise ModelError(f"The {role} {path} is not a model of this project: it lacks the head {HEADS[0]!r}.")
    return model


def train(data: Dataset, validation: Dataset, votes: Votes, recipe: Recipe, out: Path, source: str) -> classify.Card:
    """Train on `data`, export beside `out` and measure the exported model on `validation`.

    A checkpoint is kept beside `out` after every epoch: the same call goes on where a killed one stopped.
    Without `votes` there is no FER+ head.
    """
    checkpoint, history = (out.with_name(out.name + ending) for ending in (".checkpoint.keras", ".history.csv"))
    model = fit(data, votes, recipe, validation=validation, checkpoint=checkpoint, history=history)
    described = {
        "source": source,
        "train": {"n": len(data), "balance": balance(data), "skipped": len(data.skipped)},
        "validation": {"split": "test (PublicTest)", "n": len(validation), "balance": balance(validation)},
        "ferplus_votes": bool(votes),
    }
    card = export(model, validation, votes, out, described, asdict(recipe))
    _note_run(out, card, history)
    for kept in (checkpoint, checkpoint.with_suffix(".json"), history):
        kept.unlink(missing_ok=True)
    return card


def fit(
    data: Dataset,
    votes: Votes,
    recipe: Recipe,
    body: Body = residual,
    validation: Dataset | None = None,
    checkpoint: Path | None = None,
    history: Path | None = None,
) -> keras.Model:
    """A network trained on `data`: its averaged weights, in float32 and of plain layers.

    What the progress bar says of `validation` is said of the last weights: the average comes at the end.
    With `checkpoint`, its state is written there after each epoch, and read from there by the same recipe.
    """
    keras.utils.set_random_seed(recipe.seed)
    batches = Batches(data, votes, recipe)
    model, first_epoch = _start(recipe, body, len(batches), bool(votes), checkpoint)
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.start(epoch))]
    if history:
        callbacks += [_Clock(), keras.callbacks.CSVLogger(history, append=first_epoch > 0)]
    if checkpoint:
        callbacks.append(keras.callbacks.ModelCheckpoint(checkpoint))
    held = None
    if validation is not None:
        held = (validation.images[..., None].astype(np.float32), *_for_heads(model, *targets(validation, votes)))
    model.fit(
        batches,
        initial_epoch=first_epoch,
        epochs=recipe.epochs,
        validation_data=held,
        validation_batch_size=256,
        callbacks=callbacks,
        verbose="auto",
    )
    final = build(recipe, body, bool(votes), portable=True)
    final.set_weights(model.get_weights())
    if recipe.keep:
        _mix(final, Path(recipe.start), recipe.keep)
    settle(final, data, recipe)
    return final


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the seconds that an epoch took to what the history keeps of it."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs is not None:
            logs["seconds"] = round(time.monotonic() - self._begun, 1)


def _note_run(out: Path, card: classify.Card, history: Path) -> None:
    """Write `out`.run.json: with which recipe, versions and machine a model was made, and each of its epochs."""
    with history.open(newline="") as file:
        epochs = [{key: round(float(value), 5) for key, value in row.items()} for row in csv.DictReader(file)]
    run = {
        "recipe": card.recipe,
        "versions": {"python": platform.python_version(), "keras": keras.version(), "numpy": np.__version__},
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "system": platform.system()},
        "seconds": round(sum(epoch.get("seconds", 0.0) for epoch in epochs)),
        "sha256": card.sha256,
        "epochs": epochs,
    }
    out.with_name(out.name + ".run.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _for_heads(model: keras.Model, wanted: PerHead, weights: PerHead) -> tuple[PerHead, PerHead]:
    """Targets and weights without those of heads that the network does not have."""
    return {h: wanted[h] for h in HEADS if h in model.output}, {h: weights[h] for h in HEADS if h in model.output}


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


def _start(
    recipe: Recipe, body: Body, steps: int, both_heads: bool, checkpoint: Path | None
) -> tuple[keras.Model, int]:
    """A fresh model, or the checkpoint of the same recipe, and the first epoch still to run."""
    note = checkpoint.with_suffix(".json") if checkpoint else None
    if checkpoint and note:
        if checkpoint.exists() and note.exists() and note.read_text() == json.dumps(asdict(recipe)):
            model = keras.models.load_model(checkpoint)
            epoch = int(model.optimizer.iterations) // steps
            log.info("going on with epoch %d of %d", epoch + 1, recipe.epochs)
            return model, epoch
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(asdict(recipe)))
    model = build(recipe, body, both_heads)
    if recipe.start:
        _mix(model, Path(recipe.start), 1.0)
    optimizer = keras.optimizers.SGD(
        OneCycle(recipe.max_lr, steps * recipe.epochs),
        momentum=0.9,
        nesterov=True,
        weight_decay=recipe.weight_decay,
        use_ema=True,
        ema_momentum=recipe.ema_momentum,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    heads = [head for head in HEADS if head in model.output]
    model.compile(
        optimizer,
        loss={head: keras.losses.CategoricalCrossentropy() for head in heads},
        weighted_metrics={head: ["accuracy"] for head in heads},
        jit_compile=False,
    )
    return model, 0


def _mix(model: keras.Model, start: Path, share: float) -> None:
    """Give each weight of `model` the `share` of what it is in another one of the same shape, or ModelError.

    The other one may have a head more: faces of one's own have no votes for the head ferplus.
    """
    other = _open(start, "start")
    heads = {head: other.output[head] for head in model.output if head in other.output}
    weights = keras.Model(other.input, heads).get_weights()
    if [w.shape for w in weights] != [w.shape for w in model.get_weights()]:
        raise ModelError(f"The start {start} has another shape than the network to train: give it the same --width.")
    model.set_weights([share * old + (1 - share) * new for old, new in zip(weights, model.get_weights(), strict=True)])


def export(
    model: keras.Model, validation: Dataset, votes: Votes, out: Path, data: dict[str, Any], recipe: dict[str, Any]
) -> classify.Card:
    """Write `out`.keras, .tflite and .json. The card's figures are those of the `.tflite` on `validation`.

    The `.tflite` has int8 weights (dynamic range) unless they cost more than INT8_COST of accuracy.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    balance_head(model, validation)
    save(model, out.with_suffix(".keras"))
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
        notes=list(NOTES) if len(model.output) > 1 else [],
    )
    kinds = {kind: to_litert(model, int8=kind == "int8") for kind in ("float32", "int8")}
    results = {kind: _measure(content, draft, validation, votes) for kind, content in kinds.items()}
    cost = results["float32"][1].accuracy - results["int8"][1].accuracy
    kind = "int8" if cost <= INT8_COST else "float32"
    temperature, result = results[kind]
    out.with_suffix(".tflite").write_bytes(kinds[kind])
    classifier = classify.LiteRTClassifier(kinds[kind], replace(draft, temperature=temperature))
    figures = {
        **asdict(result),
        "resting": evaluation.resting(classifier, validation),
        "conditions": [asdict(condition) for condition in evaluation.conditions(classifier, validation)],
    }
    card = replace(
        draft,
        temperature=temperature,
        recipe=_as_read_again({**draft.recipe, "weights": kind, "int8_cost": round(cost, 4)}),
        metrics=_as_read_again(figures),
        sha256={**draft.sha256, "tflite": classify.sha256(out.with_suffix(".tflite"))},
    )
    card.save(out.with_suffix(".json"))
    return card


def _as_read_again(figures: dict[str, Any]) -> dict[str, Any]:
    """What a card will hold of `figures` when it is loaded: lists where there are tuples."""
    read: dict[str, Any] = json.loads(json.dumps(figures))
    return read


def balance_head(model: keras.Model, validation: Dataset) -> None:
    """Shift the bias of the head fer2013 until each label is read about as often as `validation` has it.

    A network that is unsure of rare labels reads them too seldom: this is the step from its posteriors to ones
    with other priors (Saerens et al. 2002), fitted by the shares of the readings.
    """
    said = model.predict(validation.images[..., None].astype(np.float32), batch_size=256, verbose=0)
    probs = (said if isinstance(said, dict) else {HEADS[0]: said})[HEADS[0]]
    wanted = np.bincount(validation.labels, minlength=len(LABELS)) + 5.0  # the rarest are counted softly
    factors = np.ones(len(LABELS))
    for _ in range(60):
        read = np.bincount((probs * factors).argmax(1), minlength=len(LABELS)) + 5.0
        factors *= (wanted / read) ** 0.1
    weights, bias = model.get_layer(HEADS[0]).get_weights()
    shift = np.log(factors)
    model.get_layer(HEADS[0]).set_weights([weights, (bias + shift - shift.mean()).astype(np.float32)])


def save(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file with MANTISSA_BITS of each weight, packed: half the size, opened by any Keras 3."""
    unit = np.uint32(1 << (23 - MANTISSA_BITS))
    rounded = [(w.astype(np.float32).view(np.uint32) + unit // 2) // unit * unit for w in model.get_weights()]
    model.set_weights([w.view(np.float32) for w in rounded])
    model.save(path)
    packed = path.with_name(path.name + ".part")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    packed.replace(path)


def to_litert(
    model: keras.Model,
    int8: bool,
    shape: tuple[int, ...] = (CROP_PX, CROP_PX, 1),
    seen: NDArray[np.uint8] | None = None,
) -> bytes:
    """The model, for inputs of `shape`, as LiteRT, by way of a SavedModel: it keeps its outputs' names in a signature.

    With `int8` its weights are, and what it computes as well where `seen` (n, *shape) shows what that looks like:
    such a model takes uint8 and answers in int8.
    """
    import tensorflow as tf

    folder = Path(tempfile.mkdtemp(prefix="fer-export-"))
    try:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", model.call, input_signature=[tf.TensorSpec((1, *shape), tf.float32)])
        archive.write_out(str(folder), verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serve"])
        converter.optimizations = [tf.lite.Optimize.DEFAULT] if int8 else []
        if seen is not None:
            converter.representative_dataset = lambda: ({"inputs": one[None].astype(np.float32)} for one in seen)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type, converter.inference_output_type = tf.uint8, tf.int8
        return bytes(converter.convert())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(
    content: bytes, draft: classify.Card, validation: Dataset, votes: Votes
) -> tuple[float, metrics.Evaluation]:
    """The temperature of an exported model and its figures with it, run as the app runs it."""
    raw = classify.LiteRTClassifier(content, draft).probs(evaluation.crops(validation.images))
    temperature = metrics.fit_temperature(validation.labels, raw.astype(np.float64))
    classifier = classify.LiteRTClassifier(content, replace(draft, temperature=temperature))
    return temperature, evaluation.evaluate(classifier, validation, votes, tuple(draft.outputs))
