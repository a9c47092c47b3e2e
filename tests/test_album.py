import csv
import io
import json
import zipfile

import cv2
import numpy as np
import pytest

from fer import album, classify
from fer.config import Settings
from fer.detect import Cascade
from fer.errors import ImageError
from fer.labels import LABELS, UNCERTAIN
from fer.types import Face, Frame
from tests.conftest import ROOT
from tests.fakes import FakeClassifier, FakeDetector, probs_of, square

FACES = [square(10, 20, 100), square(200, 200, 50)]


def png(frame: Frame) -> bytes:
    return cv2.imencode(".png", frame)[1].tobytes()


def textured(height: int = 300, width: int = 300) -> bytes:
    return png(np.random.default_rng(6).integers(0, 256, (height, width, 3)).astype(np.uint8))


def photo(name: str = "a.png", faces: list[Face] = FACES, label: str = "happy", share: float = 0.9) -> album.Photo:
    return album.read(name, textured(), FakeDetector(faces), FakeClassifier(probs_of(label, share)), 0.4)


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_twelve_faces_are_all_read(face_crop: Frame) -> None:
    group = np.full((3 * 160, 4 * 160, 3), 128, np.uint8)
    for i in range(12):
        y, x = 160 * (i // 4) + 25, 160 * (i % 4) + 30
        group[y : y + face_crop.shape[0], x : x + face_crop.shape[1]] = face_crop
    read = album.read("group.png", png(group), Cascade(Settings()), classify.load(ROOT / "models/classmood48"), 0.4)
    assert len(read.readings) == 12 and read.crops.shape == (12, 48, 48, 1)
    assert album.mean_probs([read]).argmax() == LABELS.index("happy")


def test_a_picture_without_a_face_is_read_as_such() -> None:
    empty = photo(faces=[])
    assert empty.readings == [] and album.annotated(empty).shape == (300, 300, 3)
    assert not album.mean_probs([empty]).any()


@pytest.mark.parametrize(("content", "why"), [(b"", "empty"), (b"no picture", "not a picture")])
def test_a_broken_file_is_refused_in_a_sentence(content: bytes, why: str) -> None:
    with pytest.raises(ImageError, match=why):
        album.read("bad.jpg", content, FakeDetector(), FakeClassifier(), 0.4)


def test_a_large_picture_is_shown_small_with_its_faces_where_they_are() -> None:
    content = textured(1920, 2560)
    read = album.read("large.png", content, FakeDetector([], [square(64, 64, 128)]), FakeClassifier(), 0.4)
    assert read.readings[0].face.xyxy == (128, 128, 384, 384) and read.scale == 0.5
    shown = album.annotated(read)
    assert shown.shape == (960, 1280, 3)
    assert np.abs(shown[191, 80:180].astype(int) - (25, 196, 240)).mean() < 40  # the lower edge, in happy's yellow


def test_another_model_reads_the_same_crops() -> None:
    first = photo()
    other = FakeClassifier(probs_of("sad"))
    second = album.reread(first, other, 0.4)
    assert [reading.label for reading in second.readings] == ["sad", "sad"]
    assert [reading.face for reading in second.readings] == [reading.face for reading in first.readings]
    np.testing.assert_array_equal(other.calls[0], first.crops)


def test_every_face_weighs_the_same_and_an_uncertain_one_shows_nothing() -> None:
    photos = [photo(share=0.9), photo(faces=FACES[:1], label="sad", share=0.3)]
    assert photos[1].readings[0].label == UNCERTAIN
    np.testing.assert_allclose(album.mean_probs(photos), 2 / 3 * probs_of("happy", 0.9), atol=1e-6)


def test_records_and_rows_say_the_same() -> None:
    albums = {"one": [photo()], "two": [album.reread(photo(), FakeClassifier(probs_of("sad")), 0.4)]}
    heading, *rows = album.table(albums)
    faces = [(name, face) for name, of in albums.items() for face in album.documents(of)[0]["faces"]]
    assert len(rows) == len(faces) == 4
    for line, number, (model, face) in zip(rows, (1, 2, 1, 2), faces, strict=True):
        named = dict(zip(heading, line, strict=True))
        assert (named["picture"], named["face"], named["model"]) == ("a.png", number, model)
        assert [named[v] for v in ("x1", "y1", "x2", "y2")] == face["xyxy"]
        assert (named["label"], named["score"]) == (face["label"], face["score"])
        assert {label: named[label] for label in LABELS} == face["probs"]


def test_the_archive_holds_the_rows_and_every_picture() -> None:
    files = unpacked(album.archive({"one": [photo(), photo("b.png", [])]}, ["c.png: The file is empty."]))
    assert list(files) == ["faces.csv", "faces.json", "left_out.txt", "pictures/01-a.jpg", "pictures/02-b.jpg"]
    assert [row["picture"] for row in csv.DictReader(files["faces.csv"].decode().splitlines())] == ["a.png"] * 2
    assert [len(one["faces"]) for one in json.loads(files["faces.json"])] == [2, 0]
    assert files["left_out.txt"].decode() == "c.png: The file is empty.\n"
    assert cv2.imdecode(np.frombuffer(files["pictures/01-a.jpg"], np.uint8), cv2.IMREAD_COLOR).shape == (300, 300, 3)


def test_names_that_are_paths_or_twice_the_same_are_safe_to_unpack() -> None:
    names = ["../../etc/passwd.png", "a.png", "a.png", "C:\\x.png", "größe ü.png", ".png", "x" * 300 + ".png"]
    files = unpacked(album.archive({"one": [photo(name, []) for name in names]}))
    pictures = [name for name in files if name.startswith("pictures/")]
    assert len(set(pictures)) == len(names)
    assert all(".." not in name and name.count("/") == 1 and "\\" not in name and len(name) < 100 for name in pictures)
