import csv
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer import dataset
from fer.dataset import Dataset, balance, draw, load, load_votes, majority
from fer.errors import DataError
from fer.labels import LABELS

Row = tuple[str, int, np.ndarray, str]  # name, label, image (48, 48), Usage

FOLDER_OF = {"Training": "train", "PublicTest": "test", "PrivateTest": "private"}


def _rows(n: int = 24, usages: tuple[str, ...] = ("Training", "Training", "PublicTest", "PrivateTest")) -> list[Row]:
    """Rows of fer2013.csv: noise, each label and usage in turn."""
    images = np.random.default_rng(5).integers(0, 256, (n, 48, 48), np.uint8)
    return [(f"fer{i:07d}.png", i % len(LABELS), image, usages[i % len(usages)]) for i, image in enumerate(images)]


def _png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])


def _entries(rows: list[Row]) -> list[tuple[str, bytes]]:
    return [(f"{FOLDER_OF[usage]}/{LABELS[label]}/{name}", _png(image)) for name, label, image, usage in rows]


def _folder(path: Path, rows: list[Row]) -> Path:
    for name, content in _entries(rows):
        (path / "faces" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "faces" / name).write_bytes(content)
    return path / "faces"


def _zip(path: Path, rows: list[Row], within: str = "") -> Path:
    with zipfile.ZipFile(path / "faces.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _entries(rows):
            archive.writestr(within + name, content)
    return path / "faces.zip"


def _csv(path: Path, rows: list[Row]) -> Path:
    lines = [[label, " ".join(map(str, image.ravel())), usage] for _, label, image, usage in rows]
    return _write(path / "fer2013.csv", [["emotion", "pixels", "Usage"], *lines])


def _write(path: Path, lines: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


def _by_name(data: Dataset) -> dict[str, tuple[int, bytes]]:
    faces = zip(data.names, data.labels.tolist(), data.images, strict=True)
    return {name: (label, image.tobytes()) for name, label, image in faces}


@pytest.mark.parametrize("form", [_folder, _zip, _csv])
@pytest.mark.parametrize("split, usage", [("train", "Training"), ("test", "PublicTest"), ("private", "PrivateTest")])
def test_each_form_holds_the_same_faces(
    tmp_path: Path, form: Callable[[Path, list[Row]], Path], split: str, usage: str
):
    rows = _rows()
    data = load(form(tmp_path, rows), split)
    assert _by_name(data) == {name: (label, image.tobytes()) for name, label, image, used in rows if used == usage}
    assert (data.images.dtype, data.labels.dtype, data.images.shape[1:]) == (np.uint8, np.int64, (48, 48))
    assert data.skipped == () and len(data) == len(data.names)


def test_a_zip_may_hold_its_folders_within_another(tmp_path: Path):
    assert len(load(_zip(tmp_path, _rows(), within="archive/"), "train")) == 12


def test_a_file_that_has_only_the_final_split_tests_on_that(tmp_path: Path):
    data = load(_csv(tmp_path, _rows(8, ("Training", "PrivateTest"))), "test")
    assert data.names == ("fer0000001.png", "fer0000003.png", "fer0000005.png", "fer0000007.png")


def test_a_picture_of_another_size_is_brought_to_48_pixels(tmp_path: Path):
    (tmp_path / "train" / "happy").mkdir(parents=True)
    (tmp_path / "train" / "happy" / "large.png").write_bytes(_png(np.full((96, 120), 50, np.uint8)))
    assert np.unique(load(tmp_path, "train").images).tolist() == [50]


BOMB_HEADER = b"IHDR" + struct.pack(">IIBBBBB", 2**21, 1, 8, 0, 0, 0, 0)
BROKEN = {
    "empty.png": b"",
    "half.png": _png(np.zeros((48, 48), np.uint8))[:40],
    "text.png": b"not a picture",
    "wide.png": b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + BOMB_HEADER + struct.pack(">I", zlib.crc32(BOMB_HEADER)),
    "huge.png": bytes(dataset.MAX_IMAGE_BYTES + 1),
}


@pytest.mark.parametrize("form", [_folder, _zip])
def test_pictures_that_cannot_be_read_are_left_out_and_named(tmp_path: Path, form: Callable[[Path, list[Row]], Path]):
    path = form(tmp_path, _rows())
    if path.is_dir():
        for name, content in BROKEN.items():
            (path / "train" / "sad" / name).write_bytes(content)
    else:
        with zipfile.ZipFile(path, "a") as archive:
            for name, content in BROKEN.items():
                archive.writestr(f"train/sad/{name}", content)
    data = load(path, "train")
    assert len(data) == 12
    assert sorted(line.split(":")[0] for line in data.skipped) == sorted(f"train/sad/{name}" for name in BROKEN)
    assert "train/sad/huge.png: larger than 4 MB" in data.skipped


@pytest.mark.parametrize("damage", [b"\xff" * 12, b"\x00" * 12])
def test_a_picture_that_is_damaged_within_a_zip_is_left_out_and_named(tmp_path: Path, damage: bytes):
    path = _zip(tmp_path, _rows())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/sad/flat.bmp", bytes(5000))
    content = path.read_bytes()
    begin = content.index(b"train/sad/flat.bmp") + len("train/sad/flat.bmp")
    path.write_bytes(content[:begin] + damage + content[begin + len(damage) :])
    data = load(path, "train")
    assert len(data) == 12
    assert [line.split(":")[0] for line in data.skipped] == ["train/sad/flat.bmp"]


PIXELS = " ".join(["7"] * 48 * 48)


@pytest.mark.parametrize(
    "row, why",
    [
        pytest.param(["7", PIXELS, "Training"], "emotion 7 is not in 0..6", id="a label too many"),
        pytest.param(["-1", PIXELS, "Training"], "emotion -1 is not in 0..6", id="a label below none"),
        pytest.param(["", PIXELS, "Training"], "", id="no label"),
        pytest.param(["happy", PIXELS, "Training"], "happy", id="a label in words"),
        pytest.param(["3", "1 2 3", "Training"], "3 pixels, expected 2304", id="too few pixels"),
        pytest.param(["3", "", "Training"], "0 pixels, expected 2304", id="no pixels"),
        pytest.param(["3", PIXELS + " 7", "Training"], "2305 pixels", id="a pixel too many"),
        pytest.param(["3", "256" + PIXELS[1:], "Training"], "a pixel is not in 0..255", id="too bright"),
        pytest.param(["3", "-1" + PIXELS[1:], "Training"], "a pixel is not in 0..255", id="too dark"),
        pytest.param(["3", "x" + PIXELS[1:], "Training"], "x", id="a pixel in letters"),
        pytest.param(["3", PIXELS[:100]], "", id="cut off before its usage"),
        pytest.param(["3", PIXELS, "Trainign"], "Trainign", id="a usage that there is not"),
    ],
)
def test_a_row_that_cannot_be_read_is_left_out_and_named(tmp_path: Path, row: list[object], why: str):
    good = [3, PIXELS, "Training"]
    data = load(_write(tmp_path / "fer2013.csv", [["emotion", "pixels", "Usage"], good, row, good]), "train")
    assert data.names == ("fer0000000.png", "fer0000002.png")
    (skipped,) = data.skipped
    assert skipped.startswith("row 1 (line 3)") and why in skipped


def _nothing(path: Path) -> Path:
    return path / "missing.zip"


def _empty_file(path: Path) -> Path:
    (path / "empty.csv").touch()
    return path / "empty.csv"


def _folder_without_labels(path: Path) -> Path:
    (path / "faces" / "train" / "glad").mkdir(parents=True)
    return path / "faces"


def _other_columns(path: Path) -> Path:
    return _write(path / "faces.csv", [["emotion", "image"], [3, PIXELS]])


def _headless_csv(path: Path) -> Path:
    return _write(path / "faces.csv", [[3, " ".join(["200"] * 60_000), "Training"]])


def _zip_cut_off(path: Path) -> Path:
    content = _zip(path, _rows()).read_bytes()
    (path / "half.zip").write_bytes(content[: len(content) // 2])
    return path / "half.zip"


def _zip_without_directory(path: Path) -> Path:
    content = _zip(path, _rows()).read_bytes()
    (path / "bad.zip").write_bytes(content.replace(b"PK\x01\x02", b"XXXX", 1))
    return path / "bad.zip"


def _all_rows_bad(path: Path) -> Path:
    return _write(path / "faces.csv", [["emotion", "pixels", "Usage"], [9, PIXELS, "Training"]])


@pytest.mark.parametrize(
    "make, why",
    [
        pytest.param(_nothing, "There is no file or folder", id="no file"),
        pytest.param(_empty_file, "has no column", id="empty file"),
        pytest.param(_folder_without_labels, "has no image for the split 'train'", id="folder without labels"),
        pytest.param(_other_columns, "has no column Usage, pixels", id="other columns"),
        pytest.param(_headless_csv, "", id="a CSV with no heading but pixels"),
        pytest.param(_zip_cut_off, "", id="half a zip"),
        pytest.param(_zip_without_directory, "", id="zip with a damaged directory"),
        pytest.param(_all_rows_bad, "emotion 9 is not in 0..6", id="no row readable"),
    ],
)
def test_what_holds_no_faces_is_refused_in_a_sentence_that_names_it(
    tmp_path: Path, make: Callable[[Path], Path], why: str
):
    path = make(tmp_path)
    with pytest.raises(DataError) as error:
        load(path, "train")
    assert path.name in str(error.value) and why in str(error.value) and str(error.value).endswith(".")


def test_a_split_that_there_is_not_is_refused_by_name(tmp_path: Path):
    with pytest.raises(DataError, match=r"no split 'validation'; the splits are train, test, private"):
        load(_csv(tmp_path, _rows()), "validation")


def test_a_split_without_images_is_refused_by_name(tmp_path: Path):
    with pytest.raises(DataError, match=r"fer2013.csv has no image for the split 'private'"):
        load(_csv(tmp_path, _rows(8, ("Training", "PublicTest"))), "private")


def test_the_balance_names_every_label_and_how_many_images_it_has(tmp_path: Path):
    counts = balance(load(_csv(tmp_path, _rows(9, ("Training",))), "train"))
    assert counts == {label: 2 if i < 2 else 1 for i, label in enumerate(LABELS)}


def _numbered(n: int) -> Dataset:
    """Faces whose grey, label and name all tell their number."""
    images = np.tile(np.arange(n, dtype=np.uint8)[:, None, None], (1, 48, 48))
    return Dataset(images, np.arange(n) % len(LABELS), tuple(f"fer{i:07d}.png" for i in range(n)), ("row 7: damaged",))


def test_what_is_drawn_are_faces_with_their_own_labels_and_names_and_none_twice():
    drawn = draw(_numbered(200), 60)
    numbers = drawn.images[:, 0, 0].tolist()
    assert len(drawn) == len(set(numbers)) == 60
    assert drawn.labels.tolist() == [i % len(LABELS) for i in numbers]
    assert drawn.names == tuple(f"fer{i:07d}.png" for i in numbers)
    assert drawn.skipped == ("row 7: damaged",)
    assert (drawn.images.dtype, drawn.labels.dtype) == (np.uint8, np.int64)


def test_faces_are_drawn_from_everywhere_and_the_same_every_time():
    numbers = draw(_numbered(200), 60).images[:, 0, 0]
    np.testing.assert_array_equal(numbers, draw(_numbered(200), 60).images[:, 0, 0])
    assert 70 < numbers.mean() < 130, "the files lie in the order of their labels: the first would be of one label"
    np.testing.assert_array_equal(numbers[:20], draw(_numbered(200), 20).images[:, 0, 0])


@pytest.mark.parametrize("n", [5, 6, 1000])
def test_there_is_no_more_to_draw_than_there_is(n: int):
    data = _numbered(5)
    assert _by_name(draw(data, n)) == _by_name(data)
    np.testing.assert_array_equal(data.images, _numbered(5).images)


# The heading of FER+'s own file: its labels have other names and another order.
HEADING = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF".split(",")


def _votes(path: Path, *rows: list[object]) -> Path:
    return _write(path / "fer2013new.csv", [HEADING, *rows])


def test_votes_come_in_the_order_of_the_labels_and_images_without_a_name_are_passed_over(tmp_path: Path):
    votes = load_votes(_votes(tmp_path, ["Training", "fer0000000.png", *range(10)], ["Training", "", *range(10)]))
    assert list(votes) == ["fer0000000.png"]
    counted = dict(zip((*LABELS, "contempt", "unknown", "NF"), votes["fer0000000.png"].tolist(), strict=True))
    assert counted == {
        **{"neutral": 0, "happy": 1, "surprise": 2, "sad": 3, "angry": 4, "disgust": 5, "fear": 6},
        **{"contempt": 7, "unknown": 8, "NF": 9},
    }


def _bad_vote(path: Path) -> Path:
    return _votes(path, ["Training", "fer0000000.png", "ten", *range(9)])


def _row_cut_off(path: Path) -> Path:
    return _votes(path, ["Training", "fer0000000.png", 1, 2])


@pytest.mark.parametrize(
    "make, why",
    [
        pytest.param(_nothing, "There is no file", id="no file"),
        pytest.param(_other_columns, "Image name", id="other columns"),
        pytest.param(_headless_csv, "", id="no heading but pixels"),
        pytest.param(_bad_vote, "line 2: a vote is not a whole number", id="a vote in words"),
        pytest.param(_row_cut_off, "line 2: a vote is not a whole number", id="a row cut off"),
    ],
)
def test_votes_that_cannot_be_read_are_refused_in_a_sentence_that_names_the_file(
    tmp_path: Path, make: Callable[[Path], Path], why: str
):
    path = make(tmp_path)
    with pytest.raises(DataError) as error:
        load_votes(path)
    assert path.name in str(error.value) and why in str(error.value)


@pytest.mark.parametrize(
    "votes, label",
    [
        pytest.param([0, 0, 0, 8, 0, 0, 2, 0, 0, 0], LABELS.index("happy"), id="clear"),
        pytest.param([0, 0, 0, 5, 0, 0, 5, 0, 0, 0], None, id="a tie of two labels"),
        pytest.param([0, 0, 0, 5, 0, 0, 0, 5, 0, 0], None, id="a tie with contempt"),
        pytest.param([1, 0, 0, 2, 0, 0, 0, 7, 0, 0], None, id="contempt"),
        pytest.param([0, 0, 0, 0, 0, 0, 0, 0, 0, 10], None, id="not a face"),
        pytest.param([0] * 10, None, id="no votes"),
        pytest.param([0, 0, 0, 0, 0, 0, 1, 0, 0, 0], LABELS.index("neutral"), id="a single vote"),
    ],
)
def test_the_majority_is_the_one_label_with_the_most_votes(votes: list[int], label: int | None):
    assert majority(np.array(votes)) == label


@pytest.mark.parametrize(
    "damage", [(b"PK\x01\x02", 6, b"\x40"), (b"PK\x01\x02", 45, b"\x7f"), (b"PK\x05\x06", 19, b"\x7f")]
)
def test_an_archive_with_a_damaged_table_of_contents_is_a_data_error(tmp_path: Path, damage: tuple[bytes, int, bytes]):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("test/happy/1.png", b"no picture")
    content, (where, offset, new) = bytearray(path.read_bytes()), damage
    at = content.index(where) + offset
    content[at : at + 1] = new
    path.write_bytes(content)
    with pytest.raises(DataError):
        dataset.load(path, "test")


def test_fer2013_itself_is_read_whole(fer2013_zip: Path):
    data = load(fer2013_zip, "test")
    assert (len(data), data.skipped, sum(balance(data).values())) == (3579, (), 3579)
    assert len(set(data.names)) == 3579 and all(name.startswith("fer00") for name in data.names)
