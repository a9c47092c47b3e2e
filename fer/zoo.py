"""What our network is compared with: from guessing the commonest label to a ResNet-50, on the same split."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from fer import classify, evaluation, metrics, training
from fer.dataset import Dataset
from fer.errors import DataError
from fer.labels import LABELS
from fer.preprocess import CROP_PX
from fer.types import Crops

Read: TypeAlias = Callable[[Crops], NDArray[np.float64]]  # (n, 48, 48, 1) uint8 → (n, 7)


@dataclass(frozen=True)
class Entry:
    """One row of the comparison; `parameters` is None where a model has none to count."""

    name: str
    accuracy: float
    low: float
    high: float
    macro_f1: float
    parameters: int | None
    ms_per_face: float
    train_s: float


def compare(name: str, train: Dataset, test: Dataset, recipe: training.Recipe, imagenet: Path | None = None) -> Entry:
    """Train the model `name` of ZOO on `train`, with the same recipe as the others, and measure it on `test`.

    `imagenet` is a file of ResNet-50's ImageNet weights without its top (Keras's own); without it the weights
    begin at random. Raises DataError where it cannot be used.
    """
    begun = time.monotonic()
    read, parameters = ZOO[name](train, recipe, imagenet)
    taken = time.monotonic() - begun
    return _measured(name, read, parameters, taken, test)


def shipped(classifier: classify.LiteRTClassifier, test: Dataset) -> Entry:
    """The row of a model that is ready; its training took the seconds that its card knows nothing of: 0."""
    read: Read = lambda crops: classifier.probs(crops).astype(np.float64)  # noqa: E731
    return _measured(f"shipped: {classifier.card.name}", read, classifier.card.parameters, 0.0, test)


def _measured(name: str, read: Read, parameters: int | None, train_s: float, test: Dataset) -> Entry:
    crops = evaluation.crops(test.images)
    result = metrics.evaluate(test.labels, read(crops))
    ms = _ms_per_face(read, crops)
    return Entry(name, result.accuracy, *result.interval, result.macro_f1, parameters, ms, round(train_s, 1))


def _ms_per_face(read: Read, crops: Crops) -> float:
    """The median time of one face alone, in milliseconds."""
    taken = []
    for i in range(min(60, len(crops))):
        begin = time.perf_counter()
        read(crops[i : i + 1])
        taken.append(1e3 * (time.perf_counter() - begin))
    return round(statistics.median(taken), 3)


def _majority(train: Dataset, recipe: training.Recipe, imagenet: Path | None) -> tuple[Read, int | None]:
    """Always the commonest label."""
    shares = np.bincount(train.labels, minlength=len(LABELS)) / len(train)
    return (lambda crops: np.tile(shares, (len(crops), 1))), None


def _hog(crops: Crops) -> NDArray[np.float32]:
    """Histograms of oriented gradients (Dalal & Triggs 2005), cells of 8 px in blocks of 16.  # (n, 900)"""
    descriptor = cv2.HOGDescriptor((CROP_PX, CROP_PX), (16, 16), (8, 8), (8, 8), 9)
    return np.stack([np.asarray(descriptor.compute(crop[..., 0]), np.float32).ravel() for crop in crops])


def _svm(train: Dataset, recipe: training.Recipe, imagenet: Path | None) -> tuple[Read, int | None]:
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=0.03, random_state=recipe.seed).fit(_hog(train.images[..., None]), train.labels)
    return _by_labels(model), int(model.coef_.size + model.intercept_.size)


def _forest(train: Dataset, recipe: training.Recipe, imagenet: Path | None) -> tuple[Read, int | None]:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(200, random_state=recipe.seed, n_jobs=-1)
    model.fit(_hog(train.images[..., None]), train.labels)
    model.n_jobs = 1  # one face at a time, threads only cost
    return _by_labels(model), None


def _by_labels(model: Any) -> Read:
    """A reading that is sure of whatever label the model predicts."""
    return lambda crops: np.eye(len(LABELS))[model.predict(_hog(crops))]


def _network(body: training.Body) -> Callable[[Dataset, training.Recipe, Path | None], tuple[Read, int | None]]:
    def train_network(train: Dataset, recipe: training.Recipe, imagenet: Path | None) -> tuple[Read, int | None]:
        model = training.fit(train, {}, recipe, body)
        return _litert(model), model.count_params()

    return train_network


def _litert(model: keras.Model) -> Read:
    """The network as the app would run it: LiteRT, int8 weights, one thread."""
    card = classify.Card("zoo", list(LABELS), classify.INPUT, ["fer2013"], 1.0, 0, {}, {}, {}, {})
    classifier = classify.LiteRTClassifier(training.to_litert(model, int8=True), card)
    return lambda crops: classifier.probs(crops).astype(np.float64)


def classic(x: Any, recipe: training.Recipe, policy: Any) -> Any:
    """The four-convolution network of many a course: convolution, normalisation, pooling, two dense layers."""
    for channels in (64, 128, 256, 256):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu", dtype=policy)(x)
        x = training.FusedBatchNormalization(dtype=policy)(x)
        x = layers.MaxPooling2D(dtype=policy)(x)
    x = layers.Flatten(dtype=policy)(x)
    return layers.Dense(256, activation="relu", dtype=policy)(x)


def mini_xception(x: Any, recipe: training.Recipe, policy: Any) -> Any:
    """Residual depthwise-separable convolutions (mini-Xception; Arriaga et al. 2017)."""

    def normalised(y: Any) -> Any:
        return training.FusedBatchNormalization(dtype=policy)(y)

    for _ in range(2):
        x = normalised(layers.Conv2D(8, 3, padding="same", use_bias=False, dtype=policy)(x))
        x = layers.ReLU(dtype=policy)(x)
    for channels in (16, 32, 64, 128):
        around = normalised(layers.Conv2D(channels, 1, 2, "same", use_bias=False, dtype=policy)(x))
        x = normalised(layers.SeparableConv2D(channels, 3, padding="same", use_bias=False, dtype=policy)(x))
        x = layers.ReLU(dtype=policy)(x)
        x = normalised(layers.SeparableConv2D(channels, 3, padding="same", use_bias=False, dtype=policy)(x))
        x = layers.Add(dtype=policy)([layers.MaxPooling2D(3, 2, "same", dtype=policy)(x), around])
    return layers.GlobalAveragePooling2D(dtype=policy)(x)


def _resnet50(train: Dataset, recipe: training.Recipe, imagenet: Path | None) -> tuple[Read, int | None]:
    """ResNet-50 (He et al. 2016) fine-tuned as a whole, on grey faces in three channels."""
    from keras.applications import ResNet50

    def body(x: Any, recipe: training.Recipe, policy: Any) -> Any:
        # The scaled picture is in -1..1; ImageNet's weights expect about -123..132.
        three = layers.Concatenate()([layers.Rescaling(127.5)(x)] * 3)
        try:
            weights = str(imagenet) if imagenet else None
            network = ResNet50(include_top=False, weights=weights, input_shape=(CROP_PX, CROP_PX, 3), pooling="avg")
        except (OSError, ValueError) as error:
            raise DataError(f"{imagenet} does not hold ResNet-50's weights without its top: {error}.") from error
        return network(three)

    # A hundredth of the learning rate keeps what ImageNet taught; at random there is nothing to keep.
    lower = replace(recipe, precision="float32", max_lr=recipe.max_lr / (100 if imagenet else 4))
    model = training.fit(train, {}, lower, body)
    return _litert(model), model.count_params()


ZOO: dict[str, Callable[[Dataset, training.Recipe, Path | None], tuple[Read, int | None]]] = {
    "majority": _majority,
    "HOG + linear SVM": _svm,
    "HOG + random forest": _forest,
    "classic 4-conv CNN": _network(classic),
    "mini-Xception": _network(mini_xception),
    "ResNet-50": _resnet50,
    "ours": _network(training.residual),
}
