"""Collecting faces: a folder of photos in, a data set in Kaggle's layout out."""

import base64
import csv
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer import leaks
from fer.detect import Detector
from fer.draw import png
from fer.errors import DataError, ImageError
from fer.labels import LABELS
from fer.photo import MAX_BYTES, decode, find_faces
from fer.pipeline import cut

MIN_SCORE = 0.8
MIN_FACE_PX = 48  # a smaller face would be blown up
# The variance of the Laplacian (Pech-Pacheco et al. 2000) of the crop: of FER2013's faces 99.9% have more, and
# of the same faces blurred by 1.5 pixels 4%.
MIN_SHARPNESS = 100.0
TEST_SHARE = 0.2
UNLABELLED = "unlabelled"
PROGRESS = "progress.jsonl"

Image = NDArray[np.uint8]  # (48, 48) uint8
Progress = Callable[[float, float], None]  # files done, files in all


@dataclass(frozen=True)
class Outcome:
    """What a picture gave: a face, or the reason why it is left out."""

    reason: str
    face: Image | None = None


@dataclass(frozen=True)
class Kept:
    """A face in the collection; `name` is the beginning of its pixels' sha256, `file` the picture it was cut from."""

    name: str
    split: str  # train, test or unlabelled
    label: str  # one of LABELS, or empty
    file: str
    face: Image

    @property
    def path(self) -> Path:
        return Path(self.split, self.label, f"{self.name}.png")


@dataclass(frozen=True)
class Collection:
    """The faces that were kept, and (file, reason) of each file that was not."""

    kept: list[Kept]
    left_out: list[tuple[str, str]]


def collect(source: Path, out: Path, detector: Detector, progress: Progress) -> Collection:
    """Find the faces of all pictures below `source` and write them into `out`.

    The nearest folder that is named as a label says what a picture is labelled; the others are set aside. Every
    picture's outcome is kept in PROGRESS as soon as it is known, so that the same call goes on where a killed one
    stopped, and looks at new pictures only. Raises DataError where the folders cannot be used or no face is kept.
    """
    files = _files(source, out)
    out.mkdir(parents=True, exist_ok=True)
    outcomes: list[tuple[str, str, Outcome]] = []
    header = {"detector": type(detector).__name__, "limits": [MIN_SCORE, MIN_FACE_PX, MIN_SHARPNESS]}
    known = _resume(out / PROGRESS, header)
    with (out / PROGRESS).open("a", encoding="utf-8") as notes:
        for done, file in enumerate(files, 1):
            name = file.relative_to(source).as_posix()
            outcomes.append((name, _label(file.relative_to(source)), _look(file, detector, known, notes)))
            progress(done, len(files))
    collection = arrange(outcomes)
    _write(collection, out)
    if not collection.kept:
        raise DataError(f"No picture in {source} holds a single good face; {out / 'left_out.csv'} says why.")
    return collection


def _files(source: Path, out: Path) -> list[Path]:
    """The files below `source`, hidden ones aside; DataError where that or writing to `out` makes no sense."""
    if not source.is_dir():
        raise DataError(f"There is no folder {source}.")
    here, there = source.resolve(), out.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise DataError(f"{source} and {out} lie in each other; name a folder elsewhere.")
    if out.is_dir() and any(out.iterdir()) and not (out / PROGRESS).is_file():
        raise DataError(f"{out} holds files that this command has not made; name a new folder.")
    files = [file for file in sorted(source.rglob("*")) if file.is_file()]
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(source).parts)]
    if not files:
        raise DataError(f"There is no file in {source}.")
    return files


def _label(file: Path) -> str:
    """The label that the nearest folder with one names, or nothing."""
    return next((part.lower() for part in reversed(file.parts[:-1]) if part.lower() in LABELS), "")


def _resume(path: Path, header: Mapping[str, Any]) -> dict[str, Outcome]:
    """What an earlier call with the same `header` found, by each picture's sha256; else the file begins anew."""
    lines = list(_lines(path))
    if not lines or lines[0] != header:
        path.write_text(json.dumps(header) + "\n", encoding="utf-8")
        return {}
    if not path.read_bytes().endswith(b"\n"):  # killed in the middle of a line
        with path.open("a") as file:
            file.write("\n")
    return {line["sha256"]: Outcome(line["reason"], _unpacked(line["face"])) for line in lines[1:]}


def _lines(path: Path) -> Iterator[Any]:
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _look(file: Path, detector: Detector, known: dict[str, Outcome], notes: IO[str]) -> Outcome:
    """The outcome of a picture, from `known` or by looking; what is new is written to `notes`."""
    try:
        if file.stat().st_size > MAX_BYTES:
            return Outcome(f"larger than {MAX_BYTES / 1e6:.0f} MB")
        content = file.read_bytes()
    except OSError as error:
        return Outcome(error.strerror or "cannot be read")
    digest = hashlib.sha256(content).hexdigest()
    if digest not in known:
        known[digest] = inspect(content, detector)
        packed = {"sha256": digest, "reason": known[digest].reason, "face": _packed(known[digest].face)}
        notes.write(json.dumps(packed) + "\n")
        notes.flush()
    return known[digest]


def inspect(content: bytes, detector: Detector) -> Outcome:
    """The face of an encoded picture with exactly one good face in it, cut out as the app does it."""
    try:
        frame = decode(content)
    except ImageError as error:
        return Outcome(str(error))
    faces = find_faces(frame, detector)
    sure = [face for face in faces if face.score >= MIN_SCORE]
    if not faces:
        return Outcome("no face")
    if not sure:
        return Outcome(f"no sure face: score {max(face.score for face in faces):.2f}, at least {MIN_SCORE:.2f}")
    if len(sure) > 1:
        return Outcome(f"{len(sure)} faces")
    if sure[0].side_px < MIN_FACE_PX:
        return Outcome(f"a face of {sure[0].side_px:.0f} px, at least {MIN_FACE_PX}")
    face = np.asarray(cut(frame, sure, detector)[0, :, :, 0], np.uint8)
    sharpness = float(cv2.Laplacian(face, cv2.CV_32F).var())
    if sharpness < MIN_SHARPNESS:
        return Outcome(f"blurred or flat: sharpness {sharpness:.0f}, at least {MIN_SHARPNESS:.0f}")
    return Outcome("", face)


def arrange(outcomes: Sequence[tuple[str, str, Outcome]]) -> Collection:
    """Which faces of (file, label, outcome) are kept, and in which split; the order of the files does not matter.

    Of the same face twice one is kept, and none where the labels contradict each other. A face's split follows from
    its pixels; near duplicates have that of one of them.
    """
    left_out = [(file, outcome.reason) for file, _, outcome in outcomes if outcome.face is None]
    by_name: dict[str, list[tuple[str, str, Image]]] = defaultdict(list)
    for file, label, outcome in sorted(outcomes, key=lambda one: (not one[1], one[0])):  # the labelled first
        if outcome.face is not None:
            by_name[hashlib.sha256(outcome.face.tobytes()).hexdigest()[:16]].append((file, label, outcome.face))
    chosen: dict[str, tuple[str, str, Image]] = {}
    for name, same in sorted(by_name.items()):
        labels = sorted({label for _, label, _ in same if label})
        if len(labels) > 1:
            left_out += [(file, f"the same face is labelled {' and '.join(labels)}") for file, _, _ in same]
            continue
        chosen[name], *again = same
        left_out += [(file, f"the same face as in {chosen[name][0]}") for file, _, _ in again]
    splits = _splits({name: face for name, (_, label, face) in chosen.items() if label})
    kept = [Kept(name, splits.get(name, UNLABELLED), label, file, face) for name, (file, label, face) in chosen.items()]
    return Collection(kept, sorted(left_out))


def _splits(faces: Mapping[str, Image]) -> dict[str, str]:
    """The split of each face by its name; the first of near duplicates, in the order of names, decides for all."""
    if not faces:
        return {}
    names = list(faces)
    deciding = [names[i] for i in leaks.groups(np.stack(list(faces.values())))]
    return {
        name: "test" if int(first[:8], 16) < TEST_SHARE * 16**8 else "train"
        for name, first in zip(names, deciding, strict=True)
    }


def _write(collection: Collection, out: Path) -> None:
    """The pictures, the tables, and fer2013.csv; what an earlier call wrote and this one would not is taken away."""
    for old in _written(out) - {kept.path for kept in collection.kept}:
        (out / old).unlink(missing_ok=True)
    for kept in collection.kept:
        (out / kept.path).parent.mkdir(parents=True, exist_ok=True)
        (out / kept.path).write_bytes(png(kept.face))
    faces = [[kept.path.as_posix(), kept.split, kept.label, kept.file] for kept in collection.kept]
    _table(out / "faces.csv", ["face", "split", "label", "file"], faces)
    _table(out / "left_out.csv", ["file", "reason"], collection.left_out)
    usages = {"train": "Training", "test": "PublicTest"}
    rows = (
        [LABELS.index(kept.label), " ".join(map(str, kept.face.ravel().tolist())), usages[kept.split]]
        for kept in collection.kept
        if kept.label
    )
    _table(out / "fer2013.csv", ["emotion", "pixels", "Usage"], rows)


def _written(out: Path) -> set[Path]:
    """The pictures that an earlier call wrote, by their names; even one that was killed while it wrote them."""
    return {file.relative_to(out) for file in out.rglob("*.png") if re.fullmatch("[0-9a-f]{16}", file.stem)}


def _table(path: Path, heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file).writerows([heading, *rows])
    part.replace(path)


def counts(collection: Collection) -> dict[str, Counter[str]]:
    """How many faces of each label each split has; those without a label are counted under nothing."""
    found: dict[str, Counter[str]] = {split: Counter() for split in ("train", "test", UNLABELLED)}
    for kept in collection.kept:
        found[kept.split][kept.label] += 1
    return found


def _packed(face: Image | None) -> str:
    return "" if face is None else base64.b64encode(png(face)).decode()


def _unpacked(text: str) -> Image | None:
    if not text:
        return None
    content = np.frombuffer(base64.b64decode(text), np.uint8)
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)
