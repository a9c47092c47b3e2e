"""Several pictures at once: every face in them, what they show on average, and an archive to take away."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer.boxes import moved
from fer.classify import Classifier
from fer.detect import Detector
from fer.draw import annotate, jpeg, shrink
from fer.labels import LABELS, UNCERTAIN
from fer.photo import as_records, decode, interpret, read_faces
from fer.types import Crops, Frame, Reading

MOST = 20  # pictures at once
QUALITY = 92


@dataclass(frozen=True)
class Photo:
    """A picture that was read.

    `readings` are in pixels of the picture as it was given, `crops` (n, 48, 48, 1) what the model saw of each.
    `shown` is a JPEG of the picture, at most 1280 px: `scale` times as large as it was given.
    """

    name: str
    readings: list[Reading]
    crops: Crops
    shown: bytes
    scale: float


Albums = Mapping[str, Sequence[Photo]]  # by the name of the model that read them, the same pictures in each


def read(name: str, content: bytes, detector: Detector, classifier: Classifier, floor: float) -> Photo:
    """Find and read every face of the picture in `content`. Raises ImageError where it cannot be read."""
    frame = decode(content)
    readings, crops = read_faces(frame, detector, classifier, floor)
    small = shrink(frame)
    return Photo(name, readings, crops, jpeg(small, QUALITY), small.shape[1] / frame.shape[1])


def reread(photo: Photo, classifier: Classifier, floor: float) -> Photo:
    """What another model says of the same crops."""
    faces = [reading.face for reading in photo.readings]
    return replace(photo, readings=interpret(faces, photo.crops, classifier, floor))


def annotated(photo: Photo) -> Frame:
    """The picture at most 1280 px large, with its faces numbered and labelled."""
    frame = np.asarray(cv2.imdecode(np.frombuffer(photo.shown, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    readings = [replace(reading, face=moved(reading.face, photo.scale)) for reading in photo.readings]
    return annotate(frame, readings, numbered=True)


def mean_probs(photos: Sequence[Photo]) -> NDArray[np.float64]:
    """What all faces show on average (7,): it sums to 1 less the share of uncertain faces, 0 without a face."""
    rows = [
        reading.probs if reading.label != UNCERTAIN else np.zeros(len(LABELS))
        for photo in photos
        for reading in photo.readings
    ]
    return np.asarray(np.mean(rows, 0) if rows else np.zeros(len(LABELS)), np.float64)


def documents(photos: Sequence[Photo]) -> list[dict[str, Any]]:
    """The pictures as a JSON document names them."""
    return [{"path": photo.name, "faces": as_records(photo.readings)} for photo in photos]


def table(albums: Albums) -> Iterator[list[Any]]:
    """A row per model and face to write, the heading first; `label` is the likeliest of the seven."""
    yield ["picture", "face", "x1", "y1", "x2", "y2", "score", "model", "label", *LABELS]
    for model, photos in albums.items():
        for photo in photos:
            for number, record in enumerate(as_records(photo.readings), 1):
                where = [photo.name, number, *record["xyxy"], record["score"]]
                yield [*where, model, record["label"], *record["probs"].values()]


def archive(albums: Albums, left_out: Sequence[str] = ()) -> bytes:
    """A ZIP, made in memory: faces.csv, faces.json, the annotated pictures, and left_out.txt where there is any.

    The pictures and the JSON are those of the first model.
    """
    photos = next(iter(albums.values()))
    rows, out = io.StringIO(), io.BytesIO()
    csv.writer(rows).writerows(table(albums))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("faces.csv", rows.getvalue())
        packed.writestr("faces.json", json.dumps(documents(photos), indent=1))
        if left_out:
            packed.writestr("left_out.txt", "\n".join(left_out) + "\n")
        for number, photo in enumerate(photos, 1):
            packed.writestr(_entry(number, photo.name), jpeg(annotated(photo), QUALITY))
    return out.getvalue()


def _entry(number: int, name: str) -> str:
    """A name in the archive that is its own and safe to unpack: a picture's may be another's, or a path."""
    plain = re.sub(r"[^\w-]+", "_", Path(name).stem)[:60]
    return f"pictures/{number:02d}-{plain}.jpg"
