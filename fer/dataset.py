"""FER2013 in each form it is passed around in, and the FER+ votes for it."""

import csv
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from fer.errors import DataError
from fer.labels import LABELS
from fer.preprocess import CROP_PX

SPLITS = ("train", "test", "private")
MAX_IMAGE_BYTES = 4_000_000
# What zipfile raises for damaged bytes, as `python -m fer bench fuzz` found.
DAMAGED = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, OSError, OverflowError, struct.error)
# The challenge called its validation split PublicTest. A file cut down to the final split still has a test.
USAGES = {"train": ("Training",), "test": ("PublicTest", "PrivateTest"), "private": ("PrivateTest",)}
# FER+ names its columns differently (Barsoum et al. 2016); this is their order in LABELS.
FERPLUS_COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
FERPLUS_OTHERS = ("contempt", "unknown", "NF")


@dataclass(frozen=True)
class Dataset:
    """Labelled faces. `names[i]` is the file name, ferNNNNNNN.png, by which FER+ knows the image.

    `skipped` names each entry that could not be read and says why: nothing is dropped in silence.
    """

    images: NDArray[np.uint8]  # (n, 48, 48) uint8
    labels: NDArray[np.int64]  # (n,) int64, index into LABELS
    names: tuple[str, ...]
    skipped: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.labels)


def load(path: Path, split: str) -> Dataset:
    """The `split` ("train", "test" or "private") of the zip, Kaggle folder or fer2013.csv at `path`.

    Raises DataError where there is no such file, or no readable image of that split in it.
    """
    if split not in SPLITS:
        raise DataError(f"There is no split {split!r}; the splits are {', '.join(SPLITS)}.")
    if not path.exists():
        raise DataError(f"There is no file or folder {path}.")
    if path.is_dir():
        return _collect(_folder_entries(path, split), path, split)
    if zipfile.is_zipfile(path):
        try:
            return _collect(_zip_entries(path, split), path, split)
        except DAMAGED as error:
            raise DataError(f"{path} is a damaged zip: {error}.") from error
    return _load_csv(path, split)


def _collect(entries: Iterable[tuple[str, str, bytes | str]], path: Path, split: str) -> Dataset:
    """Decode (name, label, content) entries; a content of type str is the reason why there is none."""
    images, labels, names, skipped = [], [], [], []
    for name, label, content in entries:
        image = None if isinstance(content, str) else decode_grey(content)
        if image is None:
            reason = content if isinstance(content, str) else "not a readable image"
            skipped.append(f"{split}/{label}/{name}: {reason}")
            continue
        images.append(image)
        labels.append(LABELS.index(label))
        names.append(name)
    return _dataset(images, labels, names, skipped, path, split)


def _dataset(
    images: list[NDArray[np.uint8]],
    labels: list[int],
    names: list[str],
    skipped: list[str],
    path: Path,
    split: str,
) -> Dataset:
    if not images:
        why = f" ({len(skipped)} entries were unreadable, the first {skipped[0]})" if skipped else ""
        raise DataError(
            f"{path} has no image for the split {split!r}{why}; expected {split}/<label>/*.png with the labels "
            f"{', '.join(LABELS)}, or a CSV with the columns emotion, pixels and Usage."
        )
    return Dataset(np.stack(images), np.array(labels, np.int64), tuple(names), tuple(skipped))


def draw(data: Dataset, n: int) -> Dataset:
    """At most `n` images of `data`, drawn at random, the same every time."""
    rows = np.random.default_rng(0).permutation(len(data))[:n]
    return Dataset(data.images[rows], data.labels[rows], tuple(data.names[i] for i in rows), data.skipped)


def decode_grey(content: bytes) -> NDArray[np.uint8] | None:
    """An encoded image as (48, 48) uint8, or None where it cannot be read."""
    if not content:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:  # more pixels than it allows
        return None
    if image is None:
        return None
    if image.shape != (CROP_PX, CROP_PX):
        image = cv2.resize(image, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(image, np.uint8)


def _folder_entries(root: Path, split: str) -> Iterator[tuple[str, str, bytes | str]]:
    for label in LABELS:
        for file in sorted((root / split / label).glob("*")):
            if file.is_file():
                large = file.stat().st_size > MAX_IMAGE_BYTES
                yield file.name, label, "larger than 4 MB" if large else file.read_bytes()


def _zip_entries(path: Path, split: str) -> Iterator[tuple[str, str, bytes | str]]:
    with zipfile.ZipFile(path) as archive:
        for info in sorted(archive.infolist(), key=lambda entry: entry.filename):
            parts = PurePosixPath(info.filename).parts
            if info.is_dir() or len(parts) < 3 or parts[-3] != split or parts[-2] not in LABELS:
                continue
            if info.file_size > MAX_IMAGE_BYTES:
                yield parts[-1], parts[-2], "larger than 4 MB"
                continue
            try:
                yield parts[-1], parts[-2], archive.read(info)
            except DAMAGED as error:
                yield parts[-1], parts[-2], str(error) or "damaged in the archive"


def _load_csv(path: Path, split: str) -> Dataset:
    """The original fer2013.csv: columns emotion, pixels (2,304 numbers), Usage; a row's number names it."""
    rows: dict[str, list[tuple[str, int, NDArray[np.uint8]]]] = {usage: [] for usage in USAGES[split]}
    skipped: list[tuple[str, str]] = []
    with _open_csv(path, ("emotion", "pixels", "Usage")) as reader:
        for number, row in enumerate(reader):
            usage = row["Usage"]
            try:
                if usage in rows:
                    rows[usage].append((f"fer{number:07d}.png", *_parse_row(row)))
                elif usage not in ("Training", "PublicTest", "PrivateTest"):
                    raise ValueError(f"the usage {usage!r} is none of Training, PublicTest, PrivateTest")
            except ValueError as error:
                skipped.append((usage, f"row {number} (line {reader.line_num}): {error}"))
    chosen = next((usage for usage, found in rows.items() if found), "")
    found = rows.get(chosen, [])
    names, labels, images = [row[0] for row in found], [row[1] for row in found], [row[2] for row in found]
    # Rows of another usage than the chosen one are no loss; rows of no known usage may be one.
    said = [line for usage, line in skipped if not chosen or usage not in rows or usage == chosen]
    return _dataset(images, labels, names, said, path, split)


@contextmanager
def _open_csv(path: Path, columns: Sequence[str]) -> Iterator["csv.DictReader[str]"]:
    """A reader of a CSV file with these columns. Raises DataError where it is none, or lacks one of them."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        try:
            if missing := set(columns) - set(reader.fieldnames or ()):
                names = ", ".join(sorted(missing))
                raise DataError(f"{path} has no column {names}; expected {', '.join(columns)}.")
            yield reader
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}, cannot be read as CSV: {error}.") from error


def _parse_row(row: dict[str, str]) -> tuple[int, NDArray[np.uint8]]:
    label = int(row["emotion"] or "none")
    if not 0 <= label < len(LABELS):
        raise ValueError(f"emotion {label} is not in 0..{len(LABELS) - 1}")
    pixels = np.array((row["pixels"] or "").split(), dtype=np.int64)
    if pixels.size != CROP_PX * CROP_PX:
        raise ValueError(f"{pixels.size} pixels, expected {CROP_PX * CROP_PX}")
    if pixels.min() < 0 or pixels.max() > 255:
        raise ValueError("a pixel is not in 0..255")
    return label, pixels.astype(np.uint8).reshape(CROP_PX, CROP_PX)


def load_votes(path: Path) -> dict[str, NDArray[np.int64]]:
    """FER+ votes by image name: (10,) int64, the seven LABELS, then contempt, unknown and not-a-face."""
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    columns = FERPLUS_COLUMNS + FERPLUS_OTHERS
    with _open_csv(path, ("Image name", *columns)) as reader:
        try:
            return {row["Image name"]: np.array([int(row[c]) for c in columns]) for row in reader if row["Image name"]}
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}, line {reader.line_num}: a vote is not a whole number.") from error


def majority(votes: NDArray[np.int64]) -> int | None:
    """The label with the unique top vote, or None where there is none among the seven LABELS."""
    top = int(votes.argmax())
    unique = int((votes == votes[top]).sum()) == 1
    return top if unique and top < len(LABELS) else None


def balance(data: Dataset) -> dict[str, int]:
    """How many images each label has, in the order of LABELS."""
    counts = Counter(data.labels.tolist())
    return {label: counts[i] for i, label in enumerate(LABELS)}
