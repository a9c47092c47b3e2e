"""Frames with known faces in them, drawn at random: what our own face detector learns from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer.preprocess import CROP_PX
from fer.tiny import LEVELS, Level

Grey = NDArray[np.uint8]  # (H, W) uint8
Floats = NDArray[np.float32]
Rng = np.random.Generator

LESSON_PX = 224  # the side of a lesson: a multiple of every stride
LEAST_PX, MOST_PX = 14.0, 208.0  # the sides of the squares that FER2013's images are drawn to
MOST_FACES = 12
APART = 0.75  # of half the sum of two sides: how close the centres of two faces may come
CORE, DOUBT = 0.2, 0.4  # of the side, from its middle: cells that are to see the face, and that may
NEARLY = 1.5  # a face so much smaller or larger than a level is made for may be seen by it
SHOWN = 0.7  # of a face lies in the frame at least, or it is not asked for


@dataclass(frozen=True)
class Faces:
    """Images of faces, and where in them the face is.

    `boxes` are x1, y1, x2, y2 and `points` both eyes, the tip of the nose and both corners of the mouth, each pair
    from the left of the picture to its right, in pixels of the image. Where `known` is False the box is what is
    usual and the points are a guess.
    """

    images: NDArray[np.uint8]  # (n, 48, 48) uint8
    boxes: Floats  # (n, 4) float32
    points: Floats  # (n, 5, 2) float32
    known: NDArray[np.bool_]  # (n,)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Surroundings:
    """What stands behind and beside the faces, and shows none: photographs, and things cut out of some.

    `stamps` are pairs of a picture and its opacity, both (H, W) uint8; `hard` are frames without a face in which a
    network thought it saw one.
    """

    photographs: tuple[Grey, ...]
    stamps: tuple[tuple[Grey, Grey], ...] = ()
    hard: tuple[Grey, ...] = ()


def part(around: Surroundings, nth: int) -> tuple[Surroundings, Surroundings]:
    """All but every `nth` photograph, and those."""
    rest = tuple(picture for i, picture in enumerate(around.photographs) if i % nth or len(around.photographs) < nth)
    return replace(around, photographs=rest), Surroundings(around.photographs[::nth])


@dataclass(frozen=True)
class Lesson:
    """A frame and its faces. Those in `doubtful` show too little to be asked for, and too much to be denied."""

    frame: Grey  # (LESSON_PX, LESSON_PX) uint8
    boxes: Floats  # (k, 4) float32: x1, y1, x2, y2 in pixels of the frame
    points: Floats  # (k, 5, 2) float32
    known: NDArray[np.bool_]  # (k,): whether the points are
    doubtful: Floats  # (d, 4) float32


def draw(faces: Faces, around: Surroundings, rng: Rng, empty: float = 0.25) -> Lesson:
    """A lesson with one to MOST_FACES of `faces`; without any for the share `empty` of them."""
    frame = _backdrop(around, rng)
    for _ in range(int(rng.integers(0, 4))):
        _distract(frame, faces, around, rng)
    boxes, points, known, doubtful = [], [], [], []
    placed = [_Placed.at(*place, faces, rng) for place in (_places(rng) if rng.random() > empty else [])]
    for one in placed:  # before any face, or shoulders would hide some
        if one.soft and rng.random() < 0.75:
            _person(frame, one.box, around, float(faces.images[one.row, 16:32, 16:32].mean()), rng)
    for one in placed:
        _paint(frame, faces.images[one.row], one, rng)
        if (shown := _shown(one.box)) >= SHOWN:
            boxes.append(one.box)
            points.append(one.points)
            known.append(faces.known[one.row])
        elif shown > 0.2:
            doubtful.append(one.box)
    return Lesson(
        _degrade(frame, rng),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(points, np.float32).reshape(-1, 5, 2),
        np.array(known, bool),
        np.array(doubtful, np.float32).reshape(-1, 4),
    )


def empty(around: Surroundings, rng: Rng) -> Grey:
    """A frame without any face, and without what is drawn to look like one."""
    frame = _backdrop(around, rng)
    return _degrade(frame, rng) if rng.random() < 0.5 else frame


def _places(rng: Rng) -> list[tuple[float, float, float]]:
    """Centres and sides of squares that do not hide each other."""
    wanted = int(rng.choice([1, 2, 3, MOST_FACES], p=[0.55, 0.2, 0.1, 0.15]))
    wanted = int(rng.integers(4, MOST_FACES + 1)) if wanted == MOST_FACES else wanted
    most = MOST_PX if wanted < 4 else 80.0
    places: list[tuple[float, float, float]] = []
    for _ in range(3 * wanted):
        side = math.exp(rng.uniform(math.log(LEAST_PX), math.log(most)))
        x, y = (
            rng.uniform(0.15 * side, LESSON_PX - 0.15 * side, 2) if side < LESSON_PX / 1.5 else rng.uniform(70, 154, 2)
        )
        if all(max(abs(x - a), abs(y - b)) > APART * (side + other) / 2 for a, b, other in places):
            places.append((float(x), float(y), side))
        if len(places) == wanted:
            break
    return places


def _backdrop(around: Surroundings, rng: Rng) -> Grey:
    chance = rng.random()
    if around.hard and chance < 0.12:
        return np.ascontiguousarray(_flipped(around.hard[rng.integers(len(around.hard))], rng))
    if chance < 0.75:
        return _view(around, rng)
    if chance < 0.85:
        return np.full((LESSON_PX, LESSON_PX), rng.integers(0, 256), np.uint8)
    return _pattern(rng)


def _view(around: Surroundings, rng: Rng, side_px: int = LESSON_PX) -> Grey:
    """A square of a photograph, near or far."""
    photograph = around.photographs[rng.integers(len(around.photographs))]
    most = min(photograph.shape)
    side = int(math.exp(rng.uniform(math.log(min(64, most)), math.log(most))))
    y, x = (int(rng.integers(0, limit - side + 1)) for limit in photograph.shape)
    how = cv2.INTER_AREA if side > side_px else cv2.INTER_LINEAR
    view = cv2.resize(photograph[y : y + side, x : x + side], (side_px, side_px), interpolation=how)
    return np.ascontiguousarray(_flipped(np.asarray(view, np.uint8), rng))


def _flipped(image: Grey, rng: Rng) -> Grey:
    return image[:, ::-1] if rng.random() < 0.5 else image


def _pattern(rng: Rng) -> Grey:
    """A gradient, and lines, boxes, discs and letters upon it: shelves, screens, walls and prints."""
    ramp = _ramp(rng.uniform(0, 255, 2), LESSON_PX)
    frame = np.broadcast_to(ramp, (LESSON_PX, LESSON_PX)).astype(np.uint8)
    frame = np.ascontiguousarray(frame.T if rng.random() < 0.5 else frame)
    for _ in range(int(rng.integers(0, 40))):
        (x, y), grey = rng.integers(0, LESSON_PX, 2).tolist(), int(rng.integers(0, 256))
        w, h = (int(v) for v in np.exp(rng.uniform(1, 4.5, 2)))
        kind, thick = rng.integers(4), int(rng.choice([-1, 1, 2, 4]))
        if kind == 0:
            cv2.rectangle(frame, (x, y), (x + w, y + h), grey, thick)
        elif kind == 1:
            cv2.ellipse(frame, (x, y), (w, h), float(rng.uniform(0, 180)), 0, 360, grey, thick, cv2.LINE_AA)
        elif kind == 2:
            cv2.line(frame, (x, y), tuple(rng.integers(0, LESSON_PX, 2).tolist()), grey, max(1, thick), cv2.LINE_AA)
        else:
            text = "".join(chr(c) for c in rng.integers(48, 123, 6))
            cv2.putText(frame, text, (x, y), int(rng.integers(0, 8)), w / 40, grey, max(1, thick), cv2.LINE_AA)
    return frame


def _distract(frame: Grey, faces: Faces, around: Surroundings, rng: Rng) -> None:
    """Something that is no face but could be taken for one."""
    chance = rng.random()
    side = int(math.exp(rng.uniform(math.log(20), math.log(160))))
    x, y = rng.integers(-side // 3, LESSON_PX - side // 2, 2).tolist()
    if chance < 0.5 and around.stamps:
        grey, opacity = around.stamps[rng.integers(len(around.stamps))]
        scale = side / max(grey.shape)
        size = (max(2, round(grey.shape[1] * scale)), max(2, round(grey.shape[0] * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        _blend(
            frame, cv2.resize(grey, size, interpolation=how), cv2.resize(opacity, size, interpolation=how) / 255, x, y
        )
    elif chance < 0.75:
        face = (x + side / 2 - 0.38 * side, y + 0.1 * side, x + side / 2 + 0.38 * side, y + 0.9 * side)
        _person(frame, face, around, float(rng.uniform(40, 230)), rng)  # as seen from behind
    elif chance < 0.9:
        tiles = faces.images[rng.integers(len(faces))].reshape(3, 16, 3, 16).swapaxes(1, 2).reshape(9, 16, 16)
        mixed = tiles[_derangement(rng)].reshape(3, 3, 16, 16).swapaxes(1, 2).reshape(CROP_PX, CROP_PX)
        how = cv2.INTER_AREA if side < CROP_PX else cv2.INTER_LINEAR
        _blend(frame, cv2.resize(mixed, (side, side), interpolation=how), np.ones((side, side)), x, y)
    else:
        view = _view(around, rng, side)
        _blend(frame, view, np.ones(view.shape), x, y)


def _ramp(ends: NDArray[np.float64], n: int) -> Floats:
    return np.linspace(float(ends[0]), float(ends[1]), n).astype(np.float32)


def _derangement(rng: Rng) -> NDArray[np.int64]:
    """An order of nine tiles in which none is where it was."""
    while True:
        order = rng.permutation(9)
        if (order != np.arange(9)).all():
            return order


def _blend(frame: Grey, patch: NDArray[Any], opacity: NDArray[Any], x: int, y: int) -> None:
    """Lay `patch` over the frame with its upper left corner at x, y, wherever that is."""
    h, w = patch.shape
    x1, y1, x2, y2 = max(0, x), max(0, y), min(LESSON_PX, x + w), min(LESSON_PX, y + h)
    if x1 >= x2 or y1 >= y2:
        return
    part = (slice(y1 - y, y2 - y), slice(x1 - x, x2 - x))
    under, over, share = frame[y1:y2, x1:x2].astype(np.float32), patch[part], opacity[part]
    frame[y1:y2, x1:x2] = np.clip(under + (over - under) * share, 0, 255).astype(np.uint8)


def _person(frame: Grey, box: Sequence[float] | Floats, around: Surroundings, skin: float, rng: Rng) -> None:
    """Shoulders, neck and hair of somebody whose face is at `box`: shapes of one grey or cut out of a photograph."""
    (x1, y1, x2, y2) = box
    cx, cy, w, h = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1

    def ellipse(x: float, y: float, a: float, b: float, grey: float | None) -> None:
        left, top, right, bottom = (int(v) for v in (x - a, y - b, x + a + 2, y + b + 2))
        left, top, right, bottom = max(0, left), max(0, top), min(LESSON_PX, right), min(LESSON_PX, bottom)
        if left >= right or top >= bottom:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.ellipse(mask, (round(x - left), round(y - top)), (round(a), round(b)), 0, 0, 360, 255, -1, cv2.LINE_AA)
        filling = np.full(mask.shape, grey or 0.0) if grey is not None else _view(around, rng, max(mask.shape))
        _blend(frame, filling[: mask.shape[0], : mask.shape[1]], mask / 255, left, top)

    cloth = None if rng.random() < 0.6 else float(rng.uniform(0, 255))
    ellipse(cx, cy + rng.uniform(1.3, 1.7) * h, rng.uniform(1.0, 1.9) * w, rng.uniform(0.7, 1.0) * h, cloth)
    ellipse(cx, cy + 0.6 * h, rng.uniform(0.3, 0.5) * w, 0.4 * h, skin * rng.uniform(0.6, 1.0))
    hair = None if rng.random() < 0.3 else float(rng.choice([rng.uniform(0, 70), rng.uniform(0, 255)], p=[0.7, 0.3]))
    long = rng.uniform(0.0, 0.5) if rng.random() < 0.4 else 0.0
    ellipse(cx, cy + (long - 0.15) * h, rng.uniform(0.5, 0.8) * w, (rng.uniform(0.5, 0.75) + long) * h, hair)
    if rng.random() < 0.6:  # forehead, cheeks and chin, as far as they go
        ellipse(
            cx,
            cy,
            rng.uniform(0.45, 0.6) * w,
            rng.uniform(0.48, 0.62) * h,
            float(np.clip(skin * rng.uniform(0.8, 1.1), 0, 255)),
        )


@dataclass(frozen=True)
class _Placed:
    """A face about to be drawn: `matrix` (2, 3) takes pixels of its image to those of the frame."""

    row: int
    matrix: NDArray[np.float64]
    box: Floats
    points: Floats
    soft: bool  # without the edges of its square

    @classmethod
    def at(cls, x: float, y: float, side: float, faces: Faces, rng: Rng) -> "_Placed":
        row = int(rng.integers(len(faces)))
        angle = math.radians(float(np.clip(rng.normal(0, 14), -38, 38)))
        wide = rng.uniform(0.82, 1.12) * (-1.0 if rng.random() < 0.5 else 1.0)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        turn = turn @ np.diag([wide, 1.0]) * (side / CROP_PX)
        matrix = np.column_stack([turn, np.array([x, y]) - turn @ np.full(2, (CROP_PX - 1) / 2)])
        points = faces.points[row] @ turn.T + matrix[:, 2]
        if wide < 0:
            points = points[[1, 0, 2, 4, 3]]
        return cls(row, matrix, _turned(faces.boxes[row], matrix, angle), points.astype(np.float32), rng.random() < 0.7)


def _paint(frame: Grey, image: Grey, placed: _Placed, rng: Rng) -> None:
    scale = float(np.hypot(*placed.matrix[:, 1]))
    face = _relit(_shrunk(image, scale), rng)
    mask = _mask(rng) if placed.soft else np.ones((CROP_PX, CROP_PX), np.float32)
    centre = placed.matrix @ np.array([CROP_PX / 2, CROP_PX / 2, 1.0])
    reach = 0.85 * scale * CROP_PX + 2
    x, y = (int(v - reach) for v in centre)
    size = (int(2 * reach) + 2,) * 2
    matrix = placed.matrix - np.array([[0, 0, x], [0, 0, y]])
    how = cv2.INTER_CUBIC if scale > 1 and rng.random() < 0.7 else cv2.INTER_LINEAR
    patch = np.asarray(cv2.warpAffine(face, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE), np.float32)
    share = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR)
    if scale > 1.5 and rng.random() < 0.6:  # a face so close has edges and pores that FER2013's pixels have lost
        patch = _sharper(patch, scale, rng)
    _blend(frame, patch, share, x, y)


def _turned(box: Floats, matrix: NDArray[np.float64], angle: float) -> Floats:
    """The upright box about the ellipse of a turned face."""
    x, y = matrix[:, :2] @ np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]) + matrix[:, 2]
    w = (box[2] - box[0]) * np.hypot(*matrix[:, 0]) / 2
    h = (box[3] - box[1]) * np.hypot(*matrix[:, 1]) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    w, h = math.hypot(w * cos, h * sin), math.hypot(w * sin, h * cos)
    return np.array([x - w, y - h, x + w, y + h], np.float32)


def _shrunk(image: Grey, scale: float) -> Floats:
    """The image without what a face so small cannot show: a warp would alias it."""
    if scale >= 0.9:
        return image.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.45 / scale), np.float32)


def _mask(rng: Rng) -> Floats:
    """A soft ellipse about a face: all of it, or little more than eyes and mouth."""
    cx, cy = 23.5 + rng.uniform(-2, 2, 2)
    a, b = rng.uniform(0.36, 0.6) * CROP_PX, rng.uniform(0.42, 0.62) * CROP_PX
    y, x = np.mgrid[:CROP_PX, :CROP_PX].astype(np.float32)
    out = np.sqrt(((x - cx) / a) ** 2 + ((y - cy) / b) ** 2)
    return np.asarray(np.clip((1 - out) / rng.uniform(0.02, 0.3) + 0.5, 0, 1), np.float32)


def _relit(face: Floats, rng: Rng) -> Floats:
    """Any skin in any light, from any side, and now and then a part of it covered."""
    mean, deviation = float(face.mean()), float(face.std()) + 1e-3
    if rng.random() < 0.7:
        light = rng.uniform(25, 225)
        contrast = min(rng.uniform(0.25, 0.6) * min(light, 265 - light), 70.0)
        face = (face - mean) * (contrast / deviation) + light
    if rng.random() < 0.4:
        ramp = _ramp(rng.uniform(0.35, 1.3, 2), CROP_PX)
        face = face * (ramp[None, :] if rng.random() < 0.7 else ramp[:, None])
    chance = rng.random()
    if chance < 0.05:  # a mask
        face = face.copy()
        face[int(rng.uniform(24, 30)) : int(rng.uniform(44, 48)), 6:42] = rng.uniform(20, 250)
    elif chance < 0.09:  # dark glasses
        face = face.copy()
        y = int(rng.uniform(13, 17))
        for x in (int(rng.uniform(7, 10)), int(rng.uniform(25, 28))):
            cv2.ellipse(face, (x + 6, y + 4), (7, 5), 0, 0, 360, float(rng.uniform(0, 60)), -1)
    elif chance < 0.20:  # a hand, a cup, a lock of hair
        face = face.copy()
        cv2.ellipse(
            face,
            tuple(rng.integers(0, CROP_PX, 2).tolist()),
            tuple(rng.integers(4, 13, 2).tolist()),
            float(rng.uniform(0, 180)),
            0,
            360,
            float(rng.uniform(0, 255)),
            -1,
            cv2.LINE_AA,
        )
    return np.asarray(np.clip(face, 0, 255), np.float32)


def _sharper(patch: Floats, scale: float, rng: Rng) -> Floats:
    fine = cv2.GaussianBlur(rng.standard_normal(patch.shape, np.float32), (0, 0), rng.uniform(0.5, 1.5))
    blurred = cv2.GaussianBlur(patch, (0, 0), 0.5 * scale)
    return np.asarray(patch + rng.uniform(0.3, 1.8) * (patch - blurred) + rng.uniform(0, 8) * fine, np.float32)


def _shown(box: Floats) -> float:
    """The share of the box that lies in the frame."""
    inside = np.clip(box, 0, LESSON_PX)
    return float((inside[2] - inside[0]) * (inside[3] - inside[1]) / ((box[2] - box[0]) * (box[3] - box[1])))


def _degrade(frame: Grey, rng: Rng) -> Grey:
    """What a webcam and a video coder do: far or out of focus, dark, grainy, in blocks."""
    if rng.random() < 0.15:
        small = int(LESSON_PX * rng.uniform(0.4, 0.9))
        frame = np.asarray(cv2.resize(frame, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
        frame = np.asarray(cv2.resize(frame, (LESSON_PX, LESSON_PX), interpolation=cv2.INTER_LINEAR), np.uint8)
    if rng.random() < 0.25:
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.4, 1.8)), np.uint8)
    light = frame.astype(np.float32)
    if rng.random() < 0.4:
        light = np.asarray(255 * (light / 255) ** rng.uniform(0.5, 1.8), np.float32)
    dark = rng.random() < 0.2
    if dark:
        light *= rng.uniform(0.06, 0.5)
    if dark or rng.random() < 0.4:
        light += rng.standard_normal(light.shape, np.float32) * rng.uniform(0, 6 if dark else 12)
    frame = np.asarray(np.clip(light, 0, 255), np.uint8)
    if rng.random() < 0.35:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 80))]
        frame = np.asarray(cv2.imdecode(cv2.imencode(".jpg", frame, quality)[1], cv2.IMREAD_GRAYSCALE), np.uint8)
    return frame


def wanted(lesson: Lesson) -> Floats:
    """What the network should say of a lesson, cell by cell, level after level.  # (cells, 18) float32

    Each row: is it a face (0 or 1), how much that counts, how much the box does and the points do, then the
    logarithms of the distances to the left, upper, right and lower side, and the five points' offsets, x and y, all
    in strides.
    """
    return np.concatenate([_wanted(lesson, level) for level in LEVELS])


def _wanted(lesson: Lesson, level: Level) -> Floats:
    n = LESSON_PX // level.stride
    y, x = (np.mgrid[:n, :n].reshape(2, -1) + 0.5) * level.stride
    rows = np.zeros((n * n, 18), np.float32)
    rows[:, 1] = 1.0
    for x1, y1, x2, y2 in lesson.doubtful:
        rows[(x > x1) & (x < x2) & (y > y1) & (y < y2), 1] = 0.0
    sides = (lesson.boxes[:, 2:] - lesson.boxes[:, :2]).max(1)
    least, most = level.sides_px
    for i in np.argsort(-sides):  # where two faces want a cell, the smaller one has it
        side, box = sides[i], lesson.boxes[i]
        if not least / NEARLY < side < most * NEARLY:
            continue
        far = np.maximum(np.abs(x - (box[0] + box[2]) / 2), np.abs(y - (box[1] + box[3]) / 2)) / side
        rows[far < DOUBT, 1] = 0.0
        if not least <= side <= most:
            continue
        inside = (x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])
        cells = np.flatnonzero(inside & ((far < CORE) | (far == far.min())))
        middles = np.column_stack([x, y])[cells]
        rows[cells, :3] = 1.0
        rows[cells, 3] = float(lesson.known[i])
        rows[cells, 4:8] = np.log(np.abs(np.tile(middles, 2) - box) / level.stride + 1e-3)
        rows[cells, 8:] = (lesson.points[i].reshape(-1) - np.tile(middles, 5)) / level.stride
    return rows


_worker: list[tuple[Faces, Surroundings]] = []  # of a process that draws lessons


def prepare(faces: Faces, around: Surroundings) -> None:
    """Make this process one that answers `batch`."""
    cv2.setNumThreads(1)
    _worker[:] = [(faces, around)]


def batch(seed: tuple[int, ...], n: int) -> tuple[Grey, Floats]:
    """Frames (n, LESSON_PX, LESSON_PX, 1) and what is wanted of them (n, cells, 18); the same for the same seed."""
    (faces, around), rng = _worker[0], np.random.default_rng(seed)
    lessons = [draw(faces, around, rng) for _ in range(n)]
    return np.stack([lesson.frame for lesson in lessons])[..., None], np.stack([wanted(lesson) for lesson in lessons])
