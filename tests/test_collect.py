"""A folder of photos becomes a data set: which faces are kept, where they go, and that a kill loses nothing."""

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import lfw_subset

from fer import collect, dataset
from fer.__main__ import main
from fer.collect import Kept, Outcome, arrange, inspect
from fer.config import Settings
from fer.detect import Cascade
from fer.errors import DataError
from fer.labels import LABELS
from fer.types import Face, Frame
from tests.fakes import FakeDetector, square

GOOD = square(60, 60, 180)


def png(frame: np.ndarray) -> bytes:
    return cv2.imencode(".png", frame)[1].tobytes()


def textured(seed: int, side: int = 300) -> Frame:
    """Patches of light and dark, others for each seed."""
    patches = np.random.default_rng(seed).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    return cv2.resize(patches, (side, side), interpolation=cv2.INTER_CUBIC)


def people(n: int) -> list[np.ndarray]:
    """Faces of different people.  # (48, 48) uint8 each"""
    small = np.round(255 * lfw_subset()[:n]).astype(np.uint8)
    return [np.asarray(cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC), np.uint8) for image in small]


def nothing(done: float, total: float) -> None:
    """No progress is shown."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty different pictures: ten happy, six sad, four in a folder of no label."""
    for i in range(20):
        folder = tmp_path / "photos" / ("happy" if i < 10 else "party/Sad" if i < 16 else "beach")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").write_bytes(png(textured(i)))
    return tmp_path / "photos"


def tables(out: Path, name: str) -> list[dict[str, str]]:
    with (out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def tree(out: Path) -> dict[str, bytes]:
    """Every file of the data set but the notes of progress."""
    files = [file for file in out.rglob("*") if file.is_file() and file.name != collect.PROGRESS]
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in files}


def test_a_real_face_is_cut_out_as_the_app_does_it(astronaut: Frame) -> None:
    from fer.photo import read_faces
    from tests.fakes import FakeClassifier

    detector = Cascade(Settings())
    outcome = inspect(png(astronaut), detector)
    assert outcome.reason == "" and outcome.face is not None
    np.testing.assert_array_equal(outcome.face, read_faces(astronaut, detector, FakeClassifier(), 0.4)[1][0, :, :, 0])


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        pytest.param([], "no face", id="none"),
        pytest.param([square(60, 60, 180, 0.7)], "no sure face: score 0.70, at least 0.80", id="unsure"),
        pytest.param([square(25 + 60 * (i % 4), 60 * (i // 4), 50) for i in range(12)], "12 faces", id="twelve"),
        pytest.param([square(100, 100, 40)], "a face of 40 px, at least 48", id="small"),
    ],
)
def test_a_picture_without_a_single_good_face_is_left_out(faces: list[Face], reason: str) -> None:
    assert inspect(png(textured(0)), FakeDetector(faces)) == Outcome(reason)


def test_a_face_beside_one_that_is_hardly_one_is_kept() -> None:
    assert inspect(png(textured(0)), FakeDetector([GOOD, square(0, 0, 50, 0.65)])).reason == ""


def test_a_blurred_face_is_left_out() -> None:
    blurred = cv2.GaussianBlur(textured(0), (0, 0), 30)
    assert inspect(png(blurred), FakeDetector([GOOD])).reason.startswith("blurred or flat: sharpness ")
    assert inspect(png(np.full((300, 300, 3), 90, np.uint8)), FakeDetector([GOOD])).reason.startswith("blurred or flat")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"no picture", "not a picture", id="text"),
        pytest.param(png(textured(0))[:2000], "damaged", id="cut off"),
        pytest.param(cv2.imencode(".png", np.zeros((6000, 8000), np.uint8))[1].tobytes(), "8000 × 6000", id="huge"),
    ],
)
def test_a_file_that_cannot_be_read_is_left_out_with_its_reason(content: bytes, reason: str) -> None:
    assert reason in inspect(content, FakeDetector([GOOD])).reason


def test_the_result_is_a_data_set_in_both_of_its_layouts(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = collect.collect(photos, out, FakeDetector([GOOD]), nothing)
    assert len(found.kept) == 20 and found.left_out == []
    splits = {split: dataset.load(out, split) for split in ("train", "test")}
    assert sum(len(data) for data in splits.values()) == 16 and min(len(data) for data in splits.values()) > 0
    for split, data in splits.items():
        flat = dataset.load(out / "fer2013.csv", split)
        assert sorted(map(bytes, flat.images)) == sorted(map(bytes, data.images))
        assert {LABELS[label] for label in data.labels} <= {"happy", "sad"}
    assert len(list((out / "unlabelled").iterdir())) == 4
    rows = tables(out, "faces.csv")
    assert {row["file"]: row["label"] for row in rows}["party/Sad/12.png"] == "sad"
    assert all((out / row["face"]).is_file() for row in rows)


def test_the_split_follows_from_the_pixels_and_not_from_names_or_order(photos: Path, tmp_path: Path) -> None:
    collect.collect(photos, tmp_path / "one", FakeDetector([GOOD]), nothing)
    (photos / "happy" / "3.png").rename(photos / "happy" / "another name.png")
    (photos / "party" / "Sad").rename(photos / "sad")
    collect.collect(photos, tmp_path / "two", FakeDetector([GOOD]), nothing)
    faces = [{row["face"] for row in tables(tmp_path / name, "faces.csv")} for name in ("one", "two")]
    assert faces[0] == faces[1]


def test_about_a_fifth_is_for_testing() -> None:
    outcomes = [
        (str(i), "happy", Outcome("", np.random.default_rng(i).integers(0, 256, (48, 48), np.uint8)))
        for i in range(400)
    ]
    n = sum(kept.split == "test" for kept in arrange(outcomes).kept)
    assert 50 < n < 110


def test_near_duplicates_are_in_one_split() -> None:
    outcomes = []
    for i, face in enumerate(people(40)):
        lighter = np.clip(face * 0.9 + 20, 0, 255).astype(np.uint8)
        for way, copy in enumerate((face, lighter, np.ascontiguousarray(face[:, ::-1]))):
            outcomes.append((f"{i}-{way}", "happy", Outcome("", copy)))
    kept = arrange(outcomes).kept
    splits = [{one.split for one in kept if one.file.split("-")[0] == str(i)} for i in range(40)]
    assert len(kept) == 120 and all(len(of_one) == 1 for of_one in splits)
    assert {"train", "test"} == set.union(*splits)


def test_the_same_face_is_kept_once_and_not_at_all_under_two_labels() -> None:
    one, other, third = people(3)
    found = arrange(
        [
            ("happy/a", "happy", Outcome("", one)),
            ("happy/b", "happy", Outcome("", one)),
            ("c", "", Outcome("", one)),
            ("happy/d", "happy", Outcome("", other)),
            ("sad/e", "sad", Outcome("", other)),
            ("f", "", Outcome("", third)),
            ("g", "", Outcome("no face")),
        ]
    )
    assert sorted((kept.file, kept.label) for kept in found.kept) == [("f", ""), ("happy/a", "happy")]
    twice = "the same face is labelled happy and sad"
    assert dict(found.left_out) == {
        "happy/b": "the same face as in happy/a",
        "c": "the same face as in happy/a",
        "happy/d": twice,
        "sad/e": twice,
        "g": "no face",
    }


def test_a_killed_run_goes_on_where_it_stopped_and_ends_as_if_it_had_not(photos: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    collect.collect(photos, whole, FakeDetector([GOOD]), nothing)

    def killed(done: float, total: float) -> None:
        if done == 7:
            raise KeyboardInterrupt

    first = FakeDetector([GOOD])
    with pytest.raises(KeyboardInterrupt):
        collect.collect(photos, out, first, killed)
    with (out / collect.PROGRESS).open("a") as file:
        file.write('{"sha256": "torn')  # killed within a line
    second = FakeDetector([GOOD])
    collect.collect(photos, out, second, nothing)
    assert tree(out) == tree(whole)
    assert len(first.asked) + len(second.asked) == 2 * 20  # each picture is searched at two sizes
    third = FakeDetector([GOOD])
    collect.collect(photos, out, third, nothing)
    assert third.asked == [] and tree(out) == tree(whole)


def test_another_detector_begins_anew(photos: Path, tmp_path: Path) -> None:
    class Other(FakeDetector):
        pass

    collect.collect(photos, tmp_path / "out", FakeDetector([GOOD]), nothing)
    other = Other([square(80, 80, 150)])
    collect.collect(photos, tmp_path / "out", other, nothing)
    assert len(other.asked) == 2 * 20
    assert sum(name.endswith(".png") for name in tree(tmp_path / "out")) == 20  # those of the first run are gone


def test_a_picture_that_was_taken_away_or_sorted_is_so_in_the_data_set(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    collect.collect(photos, out, FakeDetector([GOOD]), nothing)
    (photos / "happy" / "0.png").unlink()
    (photos / "beach" / "16.png").rename(photos / "happy" / "16.png")
    again = FakeDetector([GOOD])
    found = collect.collect(photos, out, again, nothing)
    assert again.asked == [] and len(found.kept) == 19
    assert len(list((out / "unlabelled").iterdir())) == 3
    assert sorted(name for name in tree(out) if name.endswith(".png")) == sorted(
        kept.path.as_posix() for kept in found.kept
    )


def test_what_a_run_left_that_was_killed_while_writing_is_taken_away(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    collect.collect(photos, out, FakeDetector([GOOD]), nothing)
    before = tree(out)
    (out / "train" / "fear").mkdir()
    (out / "train" / "fear" / f"{'0' * 16}.png").touch()
    collect.collect(photos, out, FakeDetector([GOOD]), nothing)
    assert tree(out) == before


def test_hidden_files_are_passed_over_and_others_are_named(photos: Path, tmp_path: Path) -> None:
    (photos / ".DS_Store").write_text("x")
    (photos / "happy" / "notes.txt").write_text("x")
    found = collect.collect(photos, tmp_path / "out", FakeDetector([GOOD]), nothing)
    assert [file for file, _ in found.left_out] == ["happy/notes.txt"]
    assert tables(tmp_path / "out", "left_out.csv")[0]["reason"].startswith("This is not a picture")


def _inside(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path, tmp_path / "out"


def _around(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "out" / "unlabelled", tmp_path / "out"


def _absent(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "absent", tmp_path / "out"


def _a_file(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "file").touch()
    return tmp_path / "file", tmp_path / "out"


def _empty(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty", tmp_path / "out"


def _others(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    (tmp_path / "out" / "train").mkdir(parents=True)
    return tmp_path / "photos", tmp_path / "out"


@pytest.mark.parametrize(
    ("places", "why"),
    [
        (_inside, "lie in each other"),
        (_around, "There is no folder|lie in each other"),
        (_absent, "There is no folder"),
        (_a_file, "There is no folder"),
        (_empty, "There is no file in"),
        (_others, "has not made"),
    ],
)
def test_a_wrong_folder_is_one_sentence_and_nothing_is_written(
    places: Callable[[Path], tuple[Path, Path]], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = places(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=why):
        collect.collect(source, out, FakeDetector([GOOD]), nothing)
    assert main(["dataset", "faces", str(source), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("fer: ") and captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_any_good_face_is_a_sentence_and_its_reasons_are_written(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "wall.png").write_bytes(png(textured(1)))
    with pytest.raises(DataError, match=r"holds a single good face.*left_out\.csv says why"):
        collect.collect(tmp_path / "photos", tmp_path / "out", FakeDetector(), nothing)
    assert tables(tmp_path / "out", "left_out.csv") == [{"file": "wall.png", "reason": "no face"}]


def test_the_command_says_what_it_made(
    tmp_path: Path, astronaut: Frame, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_DETECTOR", "cascade")
    (tmp_path / "photos" / "happy").mkdir(parents=True)
    (tmp_path / "photos" / "happy" / "me.png").write_bytes(png(astronaut))
    (tmp_path / "photos" / "wall.png").write_bytes(png(np.full((300, 300, 3), 90, np.uint8)))
    assert main(["dataset", "faces", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "100%" in captured.err and "There is no labelled face for" in captured.err
    assert "1 left out" in captured.out and "0 without a label" in captured.out
    assert [row["label"] for row in tables(tmp_path / "out", "faces.csv")] == ["happy"]


def test_a_face_is_named_by_its_pixels() -> None:
    (face,) = people(1)
    (kept,) = arrange([("a", "happy", Outcome("", face))]).kept
    assert kept.name == hashlib.sha256(face.tobytes()).hexdigest()[:16]
    assert kept == Kept(kept.name, kept.split, "happy", "a", face)
