"""Training of the detector, on a handful of lessons: it ends, it resumes, and what it exports can be run."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer import lessons
from fer.config import Settings
from fer.dataset import Dataset
from fer.errors import DataError, ModelError
from fer.lessons import Surroundings
from fer.types import Face, Frame
from tests.fakes import FakeClassifier, square
from tests.test_lessons import _lesson

pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("default")]


@pytest.fixture
def crop48(astronaut: Frame, astronaut_face: Face) -> np.ndarray:
    """The astronaut as FER2013 would have framed her.  # (48, 48) uint8"""
    x1, y1, x2, y2 = (int(v) for v in astronaut_face.xyxy)
    grey = cv2.cvtColor(astronaut[y1 : y2 + 1, x1 - 5 : x2 + 5], cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture
def data(crop48: np.ndarray) -> Dataset:
    blank = np.full((48, 48), 90, np.uint8)
    return Dataset(np.stack([crop48, crop48[:, ::-1], blank]), np.array([3, 3, 6]), ("a", "b", "c"))


@pytest.fixture
def backgrounds(tmp_path: Path, astronaut: Frame) -> Path:
    """Noise in several sizes, something see-through, a portrait and a file that is no picture."""
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    (folder / "deep").mkdir(parents=True)
    for i in range(4):
        noise = rng.integers(0, 256, (200 + i, 300, 3), np.uint8)
        cv2.imwrite(str(folder / "deep" / f"{i}.png"), noise)
    cv2.imwrite(str(folder / "again.png"), noise)
    cv2.imwrite(str(folder / "thing.png"), rng.integers(0, 256, (60, 60, 4), np.uint8))
    cv2.imwrite(str(folder / "portrait.jpg"), astronaut)
    (folder / "notes.png").write_text("no picture")
    return folder


def test_yunet_says_where_the_faces_of_the_images_are(data: Dataset, yunet_path: Path) -> None:
    from fer import tiny_training

    faces = tiny_training.annotated(data, yunet_path)
    assert faces.known.tolist() == [True, True, False]
    x1, y1, x2, y2 = faces.boxes[0]
    assert -6 < x1 < 10 and -8 < y1 < 8 and 38 < x2 < 54 and 40 < y2 < 56
    left, right, nose, *mouth = faces.points[0]
    assert left[0] < nose[0] < right[0] and max(left[1], right[1]) < nose[1] < min(corner[1] for corner in mouth)
    np.testing.assert_allclose(47 - faces.points[1][[1, 0], 0], faces.points[0][:2, 0], atol=2)  # the mirror image
    np.testing.assert_allclose(faces.boxes[2], np.median(faces.boxes[:2], axis=0))


def test_without_a_teacher_or_a_face_there_is_a_sentence(data: Dataset, yunet_path: Path, tmp_path: Path) -> None:
    from fer import tiny_training

    with pytest.raises(ModelError, match=r"YuNet teaches .* python -m fer fetch"):
        tiny_training.annotated(data, tmp_path / "none.onnx")
    with pytest.raises(DataError, match="does not find a face"):
        tiny_training.annotated(replace(data, images=np.zeros((3, 48, 48), np.uint8)), yunet_path)


def test_surroundings_leave_out_people_and_what_looks_alike(
    backgrounds: Path, yunet_path: Path, tmp_path: Path
) -> None:
    from fer import tiny_training

    around = tiny_training.surroundings([backgrounds], yunet_path)
    assert len(around.photographs) == 4 and len(around.stamps) == 1
    grey, opacity = around.stamps[0]
    assert grey.shape == opacity.shape == (60, 60)
    with pytest.raises(DataError, match="There is no folder"):
        tiny_training.surroundings([tmp_path / "none"], yunet_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="None of the folders has a photograph"):
        tiny_training.surroundings([tmp_path / "empty"], yunet_path)


@pytest.fixture
def short() -> Iterator[None]:
    """Fewer frames to choose a floor upon, and to look for mistakes in."""
    from fer import tiny_training

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_training, "VIEWS", 20)
        patch.setattr(tiny_training, "_settle", lambda *_: None)
        patch.setattr(tiny_training, "mistaken", lambda *_: ())
        yield


@pytest.mark.usefixtures("short")
def test_training_exports_a_detector_with_its_card_and_resumes_after_a_kill(
    data: Dataset, backgrounds: Path, yunet_path: Path, tmp_path: Path
) -> None:
    from fer import tiny, tiny_training

    class Killed(Exception):
        pass

    stream, drawn = tiny_training._stream, list[int]()

    def here(faces: lessons.Faces, around: Surroundings, recipe: tiny_training.Recipe, turn: int) -> Iterator[object]:
        lessons.prepare(faces, around)
        drawn.append(turn)
        if drawn == [0, 1]:
            raise Killed
        yield from (lessons.batch((recipe.seed, turn, i), recipe.batch_size) for i in range(recipe.steps))

    around = tiny_training.surroundings([backgrounds], yunet_path)
    recipe = tiny_training.Recipe(rounds=2, steps=2, batch_size=2, precision="float32", workers=1)
    (first,) = [
        len(x) for x, _ in stream(tiny_training.annotated(data, yunet_path), around, replace(recipe, steps=1), 0)
    ]
    assert first == 2  # by a process of its own
    out = tmp_path / "made" / "own"
    arguments = (data, data, around, recipe, out, yunet_path, FakeClassifier())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_training, "_stream", here)
        with pytest.raises(Killed):
            tiny_training.train(*arguments)  # type: ignore[arg-type]
        assert (out.parent / "own.checkpoint.keras").exists()
        card = tiny_training.train(*arguments)  # type: ignore[arg-type]
    assert drawn == [0, 1, 1] and len(card.rounds) == 2
    assert {path.name for path in out.parent.iterdir()} == {"own.keras", "own.tflite", "own.json"}
    assert card == tiny.Card.load(out.with_suffix(".json"))
    found = tiny.Tiny(replace(Settings(), tiny_model=out)).detect(np.zeros((240, 320, 3), np.uint8))
    assert isinstance(found, list)

    again = tiny_training._fresh(replace(recipe, start=str(out.with_suffix(".keras"))))
    kept = tiny_training.build()
    kept.set_weights(tiny_training._unflat(again).get_weights())
    x = lessons.batch((1,), 1)[0].astype(np.float32)
    other = tiny_training.keras.models.load_model(out.with_suffix(".keras"), compile=False)
    np.testing.assert_allclose(kept(x)["points_16"], other(x)["points_16"], atol=1e-4)
    (tmp_path / "broken.keras").write_text("none")
    with pytest.raises(ModelError, match=r"The start .*broken\.keras cannot be used"):
        tiny_training._fresh(replace(recipe, start=str(tmp_path / "broken.keras")))


def test_the_loss_is_least_for_what_is_wanted() -> None:
    from fer import tiny_training

    wanted = lessons.wanted(_lesson((60, 50, 140, 158), (10, 10, 34, 36)))[None]
    right = np.concatenate([np.where(wanted[..., :1] > 0, 9.0, -9.0), wanted[..., 4:]], axis=-1).astype(np.float32)
    best = float(tiny_training.loss(wanted, right))
    assert best < 0.01
    for part in (slice(0, 1), slice(1, 5), slice(5, 15)):
        worse = right.copy()
        worse[..., part] += 0.7
        worse[..., 0] = np.where(wanted[..., 0] > 0, worse[..., 0], right[..., 0] + 9.5 * (part.start == 0))
        assert float(tiny_training.loss(wanted, worse)) > best + 0.05


def test_the_floor_is_the_least_at_which_hardly_any_view_shows_a_face() -> None:
    from fer import tiny_training

    class Scripted:
        def __init__(self, *scores: float) -> None:
            self._left = list(scores)

        def candidates(self, frame: Frame) -> list[Face]:
            return [square(0, 0, score=score) for score in [self._left.pop(0)] if score]

    many = round(2 / tiny_training.FALSE_SHARE)  # two of them may show a face
    views = [np.zeros((224, 224), np.uint8)] * many
    some, none = Scripted(0.9, 0.8, 0.7, *[0.1] * (many - 3)), Scripted(*[0.0] * many)
    assert tiny_training._floor(some, views) == pytest.approx(0.701)  # type: ignore[arg-type]
    assert tiny_training._floor(none, views) == tiny_training.LEAST_FLOOR  # type: ignore[arg-type]
