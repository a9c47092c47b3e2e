"""The crop: the one function by which a face gets from a frame to the classifier, in training and live."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fer.types import Crops, Face, Frame

CROP_PX = 48


def crop(frame: Frame, face: Face, scale: float = 1.0, dy: float = 0.0) -> Crops:
    """The face as the classifier expects it.  # (1, 48, 48, 1) uint8

    The square's side is `scale` times the longer side of the box, its centre `dy` sides below the centre
    of the box; where the eyes are known it is turned so that they lie level. What lies outside the frame
    repeats the frame's edge.
    """
    x1, y1, x2, y2 = face.xyxy
    box_px, side_px = face.side_px, max(2.0, scale * face.side_px)
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) + dy * box_px * np.array([-_axis(face)[1], _axis(face)[0]])
    patch, origin = _patch(frame, centre, side_px)
    # A warp samples single points: beyond 2:1 the patch is shrunk by area first, or the crop would alias.
    shrink = _shrink(patch, 2 * CROP_PX / side_px)
    if shrink.min() < 1.0:
        small = np.rint(shrink * patch.shape[1::-1]).astype(int).tolist()
        patch = np.asarray(cv2.resize(patch, small, interpolation=cv2.INTER_AREA), np.uint8)
    cos, sin = _axis(face) * (side_px / CROP_PX)
    turn = shrink[:, None] * np.array([[cos, -sin], [sin, cos]])  # takes steps in the crop to steps in the patch
    middle = (centre - origin) * shrink - turn @ np.full(2, CROP_PX / 2)
    # Pixel centres lie at half pixels, and warpAffine counts from the centre of the first.
    matrix = np.column_stack([turn, middle + turn @ np.full(2, 0.5) - 0.5])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    grey = cv2.warpAffine(patch, matrix, (CROP_PX, CROP_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(grey, np.uint8)[None, :, :, None]


def _axis(face: Face) -> NDArray[np.float64]:
    """The unit vector from the left eye of the picture to the right one; level where no eyes are known."""
    if face.eyes is None:
        return np.array([1.0, 0.0])
    step = np.subtract(face.eyes[1], face.eyes[0])
    length = float(np.hypot(*step))
    # Eyes closer than a tenth of the face are a profile or a mistake: their line says nothing about tilt.
    return step / length if step[0] > 0.1 * face.side_px else np.array([1.0, 0.0])


def _shrink(patch: NDArray[np.uint8], wanted: float) -> NDArray[np.float64]:
    """The factors across and down, near `wanted` and at most 1, that make whole pixels, one at least.  # (2,)"""
    size = np.array(patch.shape[1::-1], float)
    return np.asarray(np.maximum(1.0, np.rint(size * min(1.0, wanted))) / size)


def _patch(frame: Frame, centre: NDArray[np.float64], side_px: float) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The grey part of the frame that a turned square of `side_px` can touch, and where it begins."""
    height, width = frame.shape[:2]
    reach = 0.75 * side_px + 2  # half the diagonal of the square, and a pixel to interpolate with
    x1, y1 = (int(np.clip(c - reach, 0, limit - 1)) for c, limit in zip(centre, (width, height), strict=True))
    x2, y2 = (int(np.clip(c + reach, 1, limit)) for c, limit in zip(centre, (width, height), strict=True))
    patch = frame[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    grey = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else patch
    return np.asarray(grey, np.uint8), np.array([x1, y1], float)
