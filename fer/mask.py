"""Emoji that go with faces: readings now and then in, a smooth picture out. No thread, no clock."""

import math
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer.draw import emoji
from fer.labels import LABELS, UNCERTAIN
from fer.types import Face, Frame, Reading

SHOWN = (*LABELS, UNCERTAIN)
LARGEST_PX = 192
COVER = 1.35  # of the face: detectors leave out hair and chin
FOLLOW = 0.7
PLACE_S, SHOW_S = 0.05, 0.1  # half-lives: of the way to a face's place, and of the change to another emoji
GONE = 0.02  # the share of an emoji below which it is not drawn

Look = NDArray[np.float64]  # (12,): x, y and side in pixels, tilt in radians, the share of each emoji of SHOWN
HALF_LIVES_S = np.array([PLACE_S] * 4 + [SHOW_S] * len(SHOWN))


class Mask:
    """Lays the emoji of each face's expression over it, or above it, and eases both from one analysis to the next.

    Each picture takes the look of an emoji a part of the way to the newest reading of its face, by the time that has
    passed (exponentially). A face that is not found any more fades away where it was.
    """

    def __init__(self) -> None:
        self._readings: Sequence[Reading] = ()
        self._looks: dict[int, Look] = {}
        self._at = 0.0

    def aim(self, readings: Sequence[Reading]) -> None:
        """Take in the newest analysis."""
        self._readings = readings

    def draw(self, frame: Frame, now: float, cover: bool) -> Frame:
        """A copy of the frame with an emoji on each face, or above it where they are not to `cover` it."""
        keep = 0.5 ** (max(0.0, now - self._at) / HALF_LIVES_S)
        self._at = now
        found = {reading.face_id: _target(reading, frame, cover) for reading in self._readings}
        looks: dict[int, Look] = {}
        for face_id, target in ({i: _faded(look) for i, look in self._looks.items()} | found).items():
            look = target + keep * (self._looks.get(face_id, _faded(target)) - target)
            if face_id in found or look[4:].sum() >= GONE:
                looks[face_id] = look
        self._looks = looks
        out = frame.copy()
        for _, look in sorted(self._looks.items(), reverse=True):  # the face that came first lies on top
            _lay(out, look)
        return out


def _target(reading: Reading, frame: Frame, cover: bool) -> Look:
    """How the emoji of a reading is to look in the end; one above a head stays within the frame."""
    x1, y1, x2, y2 = reading.face.xyxy
    side = (COVER if cover else FOLLOW) * reading.face.side_px
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    if not cover:
        height, width = frame.shape[:2]
        x = min(max(x, side / 2), max(side / 2, width - side / 2))
        y = min(max(y1 - 0.7 * side, side / 2), max(side / 2, height - side / 2))
    shares = [float(label == reading.label) for label in SHOWN]
    return np.array([x, y, side, _tilt(reading.face), *shares])


def _tilt(face: Face) -> float:
    """The angle of the line through the eyes, in radians clockwise; 0 where they are not known."""
    if face.eyes is None:
        return 0.0
    (ax, ay), (bx, by) = face.eyes
    return math.atan2(by - ay, max(bx - ax, 0.1 * face.side_px))


def _faded(look: Look) -> Look:
    return np.where(np.arange(len(look)) < 4, look, 0.0)


def _lay(frame: Frame, look: Look) -> None:
    """Blend an emoji into the frame, in place; what lies outside of it is cut off."""
    (x, y, side, tilt), shares = look[:4], look[4:]
    reach = 0.75 * side + 2  # half the diagonal, and a pixel to interpolate with
    x0, x1 = (int(np.clip(v, 0, frame.shape[1])) for v in (x - reach, x + reach))
    y0, y1 = (int(np.clip(v, 0, frame.shape[0])) for v in (y - reach, y + reach))
    seen = [(label, share) for label, share in zip(SHOWN, shares, strict=True) if share >= GONE]
    if x0 >= x1 or y0 >= y1 or not seen:
        return
    size = _size(side)
    picture = np.sum([np.float32(share) * _sprite(label, size) for label, share in seen], axis=0)
    cos, sin = (f(tilt) * side / size for f in (math.cos, math.sin))
    turn = np.array([[cos, -sin], [sin, cos]])
    shift = np.array([x - x0, y - y0]) - turn @ np.full(2, (size - 1) / 2)
    matrix = np.column_stack([turn, shift])
    laid = cv2.warpAffine(picture, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    below = frame[y0:y1, x0:x1]
    below[:] = np.rint(laid[:, :, :3] + (1 - laid[:, :, 3:]) * below).clip(0, 255).astype(np.uint8)


def _size(side_px: float) -> int:
    """The size of the picture to draw from, below twice the side: a warp to far smaller would flicker."""
    size = LARGEST_PX
    while size > 12 and size / 2 >= side_px:
        size //= 2
    return size


@cache
def _sprite(label: str, size: int) -> NDArray[np.float32]:
    """The emoji with its colours multiplied by its opacity, BGR and opacity 0..1.  # (size, size, 4) float32"""
    picture = np.asarray(emoji(label).resize((size, size), Image.Resampling.LANCZOS), np.float32)
    opacity = picture[:, :, 3:] / 255
    return np.asarray(np.concatenate([picture[:, :, 2::-1] * opacity, opacity], 2), np.float32)
