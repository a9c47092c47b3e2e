"""What several test modules share: a real face, and the files that are not part of the repository."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import settings
from streamlit.runtime.scriptrunner import script_runner

from fer.types import Face, Frame
from tests import postgres

ROOT = Path(__file__).resolve().parent.parent

# A busy machine stalls for longer than Hypothesis's deadline of 200 ms: what is slow shows in --durations.
settings.register_profile("classmood", deadline=None, max_examples=60)
settings.load_profile("classmood")


@pytest.fixture(scope="session", autouse=True)
def pages_without_keras() -> Iterator[None]:
    """After each run of a page Streamlit clears Keras's session, and collects all garbage, where Keras is loaded.

    Here it is, by tests of training; in the app it never is. A page test took seconds for it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script_runner, "_clean_problem_modules", lambda: None)
        yield


@pytest.fixture(autouse=True)
def the_same_main() -> Iterator[None]:
    """A page that AppTest has run is `__main__` after it: processes that are spawned later would run it again."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def astronaut() -> Frame:
    """A picture with one real face, `astronaut_face`.  # (512, 512, 3) uint8 BGR"""
    return np.ascontiguousarray(skimage.data.astronaut()[:, :, ::-1])


@pytest.fixture
def astronaut_face() -> Face:
    """Where the astronaut's face is."""
    return Face((176.0, 63.0, 272.0, 168.0), 1.0, ((203.4, 101.4), (245.2, 101.7)))


@pytest.fixture
def face_crop(astronaut: Frame, astronaut_face: Face) -> Frame:
    """The astronaut's face alone, to be put elsewhere.  # (105, 96, 3) uint8 BGR"""
    x1, y1, x2, y2 = (int(v) for v in astronaut_face.xyxy)
    return astronaut[y1:y2, x1:x2].copy()


@pytest.fixture
def scene(astronaut: Frame) -> Frame:
    """What a webcam sends: the astronaut between two grey walls.  # (240, 320, 3) uint8 BGR"""
    small = cv2.resize(astronaut, (240, 240), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.copyMakeBorder(small, 0, 0, 40, 40, cv2.BORDER_CONSTANT, value=(128, 128, 128)))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Server]:
    """A PostgreSQL server for the whole run, where one is installed."""
    if postgres.binary("initdb") is None:
        pytest.skip(postgres.ABSENT)
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def yunet_path() -> Path:
    """YuNet's file, where it has been fetched."""
    name = "face_detection_yunet_2023mar.onnx"
    named = [Path(os.environ["FER_YUNET_MODEL"])] if os.environ.get("FER_YUNET_MODEL") else []
    return _first([*named, ROOT / ".cache" / name, ROOT.parent / "shared" / "data" / name])


@pytest.fixture(scope="session")
def fer2013_zip() -> Path:
    """FER2013 in the Kaggle folder layout, where it is at hand."""
    return _first([ROOT.parent / "shared" / "data" / "fer2013" / "fer2013.zip"])


def _first(places: list[Path]) -> Path:
    for path in places:
        if path.is_file():
            return path
    pytest.skip(f"{places[-1].name} is not at hand")
