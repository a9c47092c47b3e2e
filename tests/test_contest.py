"""Detectors side by side: each is put through the same course, and who cannot be made is named."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer import contest, detect, draw, scenes
from fer.__main__ import main
from fer.config import Settings
from fer.errors import FerError, ModelError
from fer.types import Frame
from tests.fakes import FakeDetector, square

SETTINGS = Settings()
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 48, 48)).astype(np.uint8)
COURSE = contest.Course(IMAGES, None, {}, [])


def _absent(settings: Settings) -> detect.Detector:
    raise ModelError("its file is missing")


@pytest.fixture(autouse=True)
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "N_EMPTY", 5)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = {"absent": _absent, "blind": lambda _: FakeDetector([]), "eager": lambda _: FakeDetector([square(9, 9)])}
    monkeypatch.setattr(detect, "DETECTORS", made_up)


@pytest.fixture
def fer2013(tmp_path: Path) -> Path:
    """A fer2013.csv of four faces."""
    path = tmp_path / "fer2013.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["emotion", "pixels", "Usage"])
        table.writerows([3, " ".join(map(str, image.ravel())), "PublicTest"] for image in IMAGES)
    return path


@pytest.fixture
def photos(tmp_path: Path, astronaut: Frame) -> Path:
    """Three photographs, one of them broken."""
    for kind, frame in (("people", astronaut), ("empty", np.full((300, 400, 3), 90, np.uint8))):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "a.png").write_bytes(draw.png(frame))
    (tmp_path / "empty" / "broken.png").touch()
    return tmp_path


def _values(found: contest.Found, group: str) -> list[float]:
    return [figure.value for figure in found.figures if figure.group == group]


def test_every_detector_has_the_same_figures_and_who_cannot_be_made_a_reason(registry: None) -> None:
    absent, blind, eager = contest.run(SETTINGS, COURSE, repeats=1)
    assert (absent.name, absent.reason, absent.figures) == ("absent", "its file is missing", ())
    assert [(f.group, f.name) for f in blind.figures] == [
        (f.group, f.name) for f in eager.figures if f.group != "the crop"
    ]
    assert set(_values(blind, "size, on grey")) == {0.0} and _values(blind, "false faces") == [0.0]
    assert _values(eager, "false faces") == [1000.0]
    assert len(_values(blind, "time")) == 13


def test_only_those_asked_for_are_measured(registry: None) -> None:
    assert [found.name for found in contest.run(SETTINGS, COURSE, ["blind"], repeats=1)] == ["blind"]
    with pytest.raises(FerError, match="no detector 'yunet'; there are absent, blind, eager"):
        next(contest.run(SETTINGS, COURSE, ["yunet"]))


def test_photographs_without_yunet_count_for_false_faces_alone(fer2013: Path, photos: Path) -> None:
    course = contest.course(replace(SETTINGS, yunet_model=photos / "none"), fer2013, "test", photos)
    assert course.images.shape == (4, 48, 48) and course.yaws is None and course.known == {}
    figures, _ = contest.measure(FakeDetector([square(9, 9)]), course)
    found = [(f.name, f.value, f.n) for f in figures if f.group == "false faces"]
    assert found == [("samples", 1000.0, 5), ("cut from photographs", 1000.0, contest.CUTS), ("photo page", 1000.0, 1)]


def test_yunet_agrees_with_itself_on_the_photo_page(fer2013: Path, photos: Path, yunet_path: Path) -> None:
    settings = replace(SETTINGS, yunet_model=yunet_path)
    course = contest.course(settings, fer2013, "test", photos)
    assert [len(squares) for squares in course.known.values()] == [1] and np.isnan(course.yaws).all()  # type: ignore[arg-type]
    figures, _ = contest.measure(detect.YuNet(settings), course)
    shares = {figure.name: figure.value for figure in figures if figure.group == "YuNet's faces"}
    assert shares["photo page"] == 1.0 and shares["photo page: IoU of the crops"] == pytest.approx(1.0)


def test_a_folder_without_pictures_is_named(fer2013: Path, tmp_path: Path) -> None:
    with pytest.raises(FerError, match=r"no picture in .*people"):
        contest.course(SETTINGS, fer2013, "test", tmp_path)


@pytest.mark.parametrize("width", [160, 320, 640])
def test_the_frames_that_are_timed_have_a_face_of_one_size(width: int) -> None:
    frame = contest._sitting(width)
    assert frame.shape == (width * 3 // 4, width, 3)
    cascade = cv2.CascadeClassifier(str(detect.CASCADE))
    sides = [w for _, _, w, _ in cascade.detectMultiScale(frame, 1.05, 5)]
    assert len(sides) == 1 and 70 < sides[0] < 110


def test_the_command_prints_a_table_and_writes_a_picture_of_each(
    registry: None, fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "faces", "--data", str(fer2013), "--repeats", "1", "--out", str(tmp_path / "out")]
    assert main([*words, "--detectors", "absent,blind"]) == 0
    said = capsys.readouterr()
    assert said.err == "left out: its file is missing\n"
    assert said.out.splitlines()[0].split() == ["blind", "of"] and "0.0 ‰" in said.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["blind.png", "faces.csv"]
    picture = cv2.imread(str(tmp_path / "out" / "blind.png"))
    assert picture is not None and picture.shape[1] == 2000
    assert main([*words, "--detectors", "blind", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["blind"]) > len(scenes.CONDITIONS)
    assert set(document["blind"][0]) == {"group", "name", "value", "unit", "n"}


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (["bench", "faces"], "name FER2013 with --data"),
        (["bench", "faces", "import"], "runs alone"),
        (["bench", "faces", "--data", "{csv}", "--detectors", "absent"], "No detector can be made"),
        (["bench", "faces", "--data", "{csv}", "--split", "best"], "'best'"),
    ],
)
def test_what_it_lacks_is_a_sentence(
    words: list[str], culprit: str, registry: None, fer2013: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(csv=fer2013) for word in words]) == 2
    assert culprit in capsys.readouterr().err
