"""What faces a detector covers: found, missed and made up, under conditions that are known."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fer import draw, scenes
from fer.boxes import iou
from fer.detect import Detector, search
from fer.photo import find_faces
from fer.types import Box, Face, Frame

SCORE, SIDE_PX = 0.8, 40.0  # the faces of a photograph on which detectors should agree: sure, and large enough
STREAM_PX, STREAM_SIDE_PX = 320, 24.0  # and large enough for a stream of this width
NOSE = 0.5  # how far the tip of a nose lies before the eyes, in distances between them: about that in most adults
YAWS = ((0, 15), (15, 30), (30, 90))  # degrees
EXAMPLES = 2  # faces that were missed, and as many that were found, of each condition
MOST = 12  # examples of false faces, and of photographs
TILE = (200, 150)
GREEN, ORANGE, RED = (80, 200, 60), (0, 140, 255), (40, 40, 230)

Find: TypeAlias = Callable[[Frame], Sequence[Face]]


@dataclass(frozen=True)
class Figure:
    """One figure: of `n` faces, frames or photographs. A `share` is 0..1; "per 1,000" counts false faces."""

    group: str
    name: str
    value: float
    unit: str
    n: int


@dataclass(frozen=True)
class Example:
    """A frame, the faces that were found in it, those that were missed, and those that are none."""

    caption: str
    frame: Frame
    found: tuple[Face, ...] = ()
    missed: tuple[Face, ...] = ()
    false: tuple[Face, ...] = ()


@dataclass(frozen=True)
class Trial:
    """What became of `n` faces under a condition.

    For each face whether it was `found` (n,) bool. For those that were, how well the square that the crop function
    would cut out fits: its `overlaps` (IoU) with the face's own, and how far its middle is `off`, in sides.
    """

    condition: scenes.Condition
    found: NDArray[np.bool_]
    overlaps: tuple[float, ...]
    off: tuple[float, ...]
    examples: tuple[Example, ...]


def trials(detector: Detector, images: NDArray[np.uint8]) -> Iterator[Trial]:
    """The faces `images` (n, 48, 48) under each of scenes.CONDITIONS, searched as the live app searches a frame."""
    for condition in scenes.CONDITIONS:
        yield trial(detector, images, condition)


def trial(detector: Detector, images: NDArray[np.uint8], condition: scenes.Condition) -> Trial:
    """The faces `images` (n, 48, 48) under one condition, the same scenes for every detector.

    Raises DataError where a condition needs scikit-image's pictures and it is not installed.
    """
    found: list[bool] = []
    fits: list[tuple[float, float]] = []
    examples: dict[bool, list[Example]] = {False: [], True: []}
    for number, image in enumerate(images):
        scene = scenes.make(condition, image, number)
        faces = search(detector, scene.frame)
        hit = tuple(face for face in faces if covers(face, scene.face))[:1]
        found.append(bool(hit))
        fits += [_fit(framed(face, detector), scene.face.xyxy) for face in hit]
        if len(examples[bool(hit)]) < EXAMPLES:
            false = tuple(face for face in faces if face not in hit)
            caption = f"{condition.group} {condition.name}"
            examples[bool(hit)].append(Example(caption, scene.frame, hit, () if hit else (scene.face,), false))
    overlaps, off = zip(*fits, strict=True) if fits else ((), ())
    return Trial(condition, np.array(found, bool), overlaps, off, (*examples[False], *examples[True]))


def covers(face: Face, whole: Face) -> bool:
    """Whether the box has its middle in the square of the face, and between half and twice its size."""
    x, y = _middle(face.xyxy)
    within = whole.xyxy[0] < x < whole.xyxy[2] and whole.xyxy[1] < y < whole.xyxy[3]
    return within and 0.5 <= face.side_px / whole.side_px <= 2


def framed(face: Face, detector: Detector) -> Box:
    """The square that the crop function cuts out of an upright face that this detector found.

    Detectors disagree about what belongs to a face: one box ends at the chin, the next at the ears. Their squares
    can be compared.
    """
    (x, y), side = _middle(face.xyxy), face.side_px
    y, half = y + detector.crop_dy * side, detector.crop_scale * side / 2
    return x - half, y - half, x + half, y + half


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _fit(box: Box, true: Box) -> tuple[float, float]:
    """The IoU of two boxes, and the distance of their middles in longer sides of the true one."""
    side = max(true[2] - true[0], true[3] - true[1])
    return iou(box, true), float(np.hypot(*np.subtract(_middle(box), _middle(true)))) / side


def recalls(measured: Sequence[Trial]) -> list[Figure]:
    """The share of faces found under each condition, and how well the crops fit those of 96 and of 32 px on grey."""
    figures = [Figure(t.condition.group, t.condition.name, _mean(t.found), "share", len(t.found)) for t in measured]
    for t in measured:
        if t.condition.group == scenes.BASE.group and t.condition.side_px in (96, 32) and t.overlaps:
            name = t.condition.name
            figures.append(Figure("the crop", f"IoU, {name}", float(np.median(t.overlaps)), "share", len(t.overlaps)))
            figures.append(Figure("the crop", f"middle off, {name}", float(np.median(t.off)), "share", len(t.off)))
    return figures


def by_luma(images: NDArray[np.uint8], found: NDArray[np.bool_]) -> list[Figure]:
    """The share found of each quarter of the faces, from the darkest, by the mean grey of the middle of the face.

    That is skin and the light upon it at once: it stands for skin tone in the mean only.
    """
    middle = images[:, 16:40, 12:36].reshape(len(images), -1).mean(1)
    quarters = np.array_split(np.argsort(middle, kind="stable"), 4)
    return [
        Figure("grey of the face", f"{middle[rows].min():.0f}–{middle[rows].max():.0f}", _mean(found[rows]), "share", n)
        for rows in quarters
        if (n := len(rows))
    ]


def by_yaw(yaws: NDArray[np.float64], found: NDArray[np.bool_]) -> list[Figure]:
    """The share found of the faces turned aside by so many degrees; `yaws` (n,) has nan where it is not known."""
    away = np.abs(yaws)
    bins = [(low, high, (away >= low) & (away < high)) for low, high in YAWS]
    return [
        Figure("turned aside", f"{low}–{high}°", _mean(found[rows]), "share", int(rows.sum()))
        for low, high, rows in bins
        if rows.any()
    ]


def yaws(images: NDArray[np.uint8], yunet_model: Path) -> NDArray[np.float64]:
    """How far the faces `images` (n, 48, 48) are turned aside, in degrees, as YuNet's landmarks tell.  # (n,)

    An estimate, from one picture: the offset of the nose from the middle between the eyes, along their line, over
    their distance is taken as NOSE · tan(yaw). Faces that YuNet does not find even at 200 px and a score of 0.3 are
    nan, so that the figures made of it do not count those that are hardest for YuNet.
    """
    net = cv2.FaceDetectorYN.create(str(yunet_model), "", (scenes.WIDTH, 256), 0.3, 0.3, 50)
    condition = scenes.CONDITIONS[0]
    found: list[float] = []
    for number, image in enumerate(images):
        scene = scenes.make(condition, image, number)
        rows = net.detect(cv2.copyMakeBorder(scene.frame, 0, 16, 0, 0, cv2.BORDER_CONSTANT))[1]
        marks = [] if rows is None else [row[4:10].reshape(3, 2) for row in rows]
        near = [m for m in marks if iou((*m.min(0), *m.max(0)), scene.face.xyxy) > 0]
        found.append(_yaw(near[0]) if near else np.nan)
    return np.array(found, np.float64)


def _yaw(marks: NDArray[np.float32]) -> float:
    """From (3, 2): the eye on the left of the picture, that on the right, the nose."""
    line = marks[1] - marks[0]
    length = max(1e-6, float(line @ line))
    aside = float((marks[2] - marks[:2].mean(0)) @ line) / length
    return float(np.degrees(np.arctan(aside / NOSE)))


def false_faces(find: Find, frames: Iterable[Frame], name: str) -> tuple[list[Figure], list[Example]]:
    """How many faces `find` makes up per 1,000 frames that show none, and the first frames in which it does."""
    n = false = 0
    examples: list[Example] = []
    for n, frame in enumerate(frames, 1):  # noqa: B007
        faces = tuple(find(frame))
        false += len(faces)
        if faces and len(examples) < MOST:
            examples.append(Example(f"none there, {name}", frame, false=faces))
    return [Figure("false faces", name, 1000 * false / max(1, n), "per 1,000", n)], examples


@dataclass(frozen=True)
class Shot:
    """A photograph and the squares of the faces that are known to be in it, as `framed` gives them."""

    frame: Frame
    squares: tuple[Box, ...]


def shot(photo: Frame, yunet: Detector) -> Shot:
    """The photograph with the faces that YuNet finds on it, is sure of, and that are large enough."""
    sure = [face for face in find_faces(photo, yunet) if face.score >= SCORE and face.side_px >= SIDE_PX]
    return Shot(photo, tuple(framed(face, yunet) for face in sure))


def streamed(photo: Shot) -> Shot:
    """The photograph as a stream of STREAM_PX would show it, with the faces that are STREAM_SIDE_PX large there."""
    scale = STREAM_PX / photo.frame.shape[1]
    small = cv2.resize(photo.frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes = [(scale * x1, scale * y1, scale * x2, scale * y2) for x1, y1, x2, y2 in photo.squares]
    return Shot(np.asarray(small, np.uint8), tuple(box for box in boxes if box[2] - box[0] >= STREAM_SIDE_PX))


def agreement(find: Find, detector: Detector, shots: Iterable[Shot], name: str) -> tuple[list[Figure], list[Example]]:
    """The share of known faces that `find`, which asks `detector`, finds with an IoU of 0.5 at least; how they fit.

    The squares that the crop function would cut out are compared. Photographs with a face that is missed are examples.
    """
    fits: list[tuple[float, float]] = []
    examples: list[Example] = []
    for one in shots:
        boxes = [framed(face, detector) for face in find(one.frame)]
        best = [max((_fit(box, true) for box in boxes), default=(0.0, 1.0)) for true in one.squares]
        fits += best
        if any(fit[0] < 0.5 for fit in best) and len(examples) < MOST:
            found, missed = (
                tuple(Face(true, 1.0) for true, fit in zip(one.squares, best, strict=True) if (fit[0] >= 0.5) is hit)
                for hit in (True, False)
            )
            examples.append(Example(f"YuNet's faces, {name}", one.frame, found, missed))
    near = np.array([fit for fit in fits if fit[0] >= 0.5] or [(0.0, 1.0)])
    figures = [Figure("YuNet's faces", name, _mean([fit[0] >= 0.5 for fit in fits]), "share", len(fits))]
    for what, value in zip(("IoU of the crops", "middle off"), np.median(near, axis=0).tolist(), strict=True):
        figures.append(Figure("YuNet's faces", f"{name}: {what}", value, "share", len(near)))
    return figures, examples


def sheet(examples: Sequence[Example], columns: int = 10) -> Frame:
    """The examples side by side: found faces framed green, missed ones red, and what is none orange."""
    return draw.sheet([_tile(example) for example in examples], columns)


def _tile(example: Example) -> Frame:
    scale = min(TILE[0] / example.frame.shape[1], TILE[1] / example.frame.shape[0])
    small = cv2.resize(example.frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.zeros((TILE[1] + 16, TILE[0], 3), np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small[: TILE[1]]
    for faces, color in ((example.found, GREEN), (example.false, ORANGE), (example.missed, RED)):
        for face in faces:
            x1, y1, x2, y2 = (round(scale * v) for v in face.xyxy)
            cv2.rectangle(tile, (x1, y1), (x2, y2), color, 1)
    return draw.captioned(tile, example.caption)


def _mean(values: Sequence[bool] | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
