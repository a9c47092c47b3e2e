"""Geometry of face boxes."""

from collections.abc import Iterable

from fer.types import Box, Face


def iou(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    return _overlap(a, b)[0]


def giou(a: Box, b: Box) -> float:
    """Generalised IoU, −1..1: below 0 it still says how far apart two boxes lie (Rezatofighi et al. 2019)."""
    share, union = _overlap(a, b)
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return share - (hull - union) / hull if hull > 0 else share


def _overlap(a: Box, b: Box) -> tuple[float, float]:
    """Intersection over union, and the union in square pixels."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return (both / union if union > 0 else 0.0), union


def suppress(faces: Iterable[Face], overlap: float = 0.4) -> list[Face]:
    """The surest of every heap of faces that overlap by more than `overlap` IoU, the largest face first."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: -f.score):
        if all(iou(face.xyxy, other.xyxy) <= overlap for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda f: -f.area_px)


def moved(face: Face, scale: float, dx: float = 0.0, dy: float = 0.0) -> Face:
    """The face scaled about the origin, then shifted: from a resized cut-out back to its frame."""
    x1, y1, x2, y2 = face.xyxy
    box = (x1 * scale + dx, y1 * scale + dy, x2 * scale + dx, y2 * scale + dy)
    if face.eyes is None:
        return Face(box, face.score)
    (ax, ay), (bx, by) = face.eyes
    return Face(box, face.score, ((ax * scale + dx, ay * scale + dy), (bx * scale + dx, by * scale + dy)))
