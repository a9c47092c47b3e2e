"""What benches measure is what they say: here the steadiness of a label, which a test can hold to a figure."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer import bench, classify, dataset, detect
from fer.config import Settings
from fer.detect import Detector
from fer.errors import FerError
from fer.pipeline import Options, Pipeline
from fer.types import Frame
from tests.fakes import FakeClassifier, FakeDetector, probs_of, square

SETTINGS = Settings()
FRAME: Frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)


def test_a_moved_frame_is_another_frame_of_the_same_size() -> None:
    frames = [bench.moved(FRAME, at) for at in (0.0, 0.5, 1.0)]
    assert all(frame.shape == FRAME.shape and frame.dtype == np.uint8 for frame in frames)
    assert not (frames[0] == frames[1]).all() and not (frames[1] == frames[2]).all()
    np.testing.assert_array_equal(bench.moved(FRAME, 0.5), frames[1])


def test_every_change_of_the_label_counts() -> None:
    flicker = [probs_of("happy" if i % 2 else "sad") for i in range(20)]
    found = bench.label_changes(
        Pipeline(FakeDetector([square(50, 50)]), FakeClassifier(*flicker), Options(0.0, 0.2)), FRAME, 0.5, 10.0
    )
    assert found == (1.9, 1.9)


def test_a_face_that_is_not_found_has_no_steadiness() -> None:
    with pytest.raises(FerError, match="does not find the face"):
        bench.label_changes(Pipeline(FakeDetector([]), FakeClassifier(), Options()), FRAME, 0.5, 5.0)


@pytest.fixture
def shipped() -> classify.LiteRTClassifier:
    return classify.load(SETTINGS.model)


@pytest.mark.parametrize("name", detect.DETECTORS)
def test_the_label_of_a_face_that_moves_in_changing_light_is_steady(
    name: str, scene: Frame, shipped: classify.LiteRTClassifier, yunet_path: Path
) -> None:
    detector = detect.DETECTORS[name](replace(SETTINGS, yunet_model=yunet_path))
    pipeline = Pipeline(detector, shipped, Options.of(SETTINGS, shipped.card))
    shown, _ = bench.label_changes(pipeline, scene, 1 / SETTINGS.analyses_per_s)
    assert shown < 0.2


def test_the_labels_of_benchmark_faces_are_steady_too(
    shipped: classify.LiteRTClassifier, fer2013_zip: Path, yunet_path: Path
) -> None:
    data = dataset.draw(dataset.load(fer2013_zip, "test"), 16)
    detector = detect.DETECTORS["yunet"](replace(SETTINGS, yunet_model=yunet_path))
    found = [_changes(image, detector, shipped) for image in data.images]
    changes = [shown for shown in found if shown is not None]
    assert len(changes) >= 10 and np.mean(changes) < 0.2


def _changes(image: np.ndarray, detector: Detector, classifier: classify.LiteRTClassifier) -> float | None:
    """Label changes per second of a face of FER2013, half as high as a grey frame; None where it is not found."""
    frame = np.full((240, 320, 3), 128, np.uint8)
    frame[60:180, 100:220] = cv2.resize(image, (120, 120), interpolation=cv2.INTER_CUBIC)[:, :, None]
    pipeline = Pipeline(detector, classifier, Options.of(SETTINGS, classifier.card))
    try:
        return bench.label_changes(pipeline, frame, 1 / SETTINGS.analyses_per_s, 20.0)[0]
    except FerError:
        return None
