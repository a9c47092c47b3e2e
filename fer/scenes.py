"""Made-up frames of which it is known where a face is, and that there is none: what detectors are measured with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray

from fer.errors import DataError
from fer.preprocess import CROP_PX
from fer.robustness import CONDITIONS as OF_FACES
from fer.robustness import Change, blurred, compressed, darkened
from fer.types import Face, Frame

WIDTH, HEIGHT = 320, 240
GREY = 128
MARGIN_PX = 20  # between a face and the frame's edge, so that one that is turned keeps its corners
# The samples of scikit-image that come with it and show no face of a person: not the astronaut, the cameraman, the
# coins of Pompeii with their emperors, nor Shepp and Logan's drawing of a head.
SAMPLES = (
    *("brick", "chelsea", "clock", "coffee", "colorwheel", "grass", "gravel", "hubble_deep_field"),
    *("immunohistochemistry", "microaneurysms", "moon", "page", "rocket", "stereo_motorcycle", "text"),
)


@dataclass(frozen=True)
class Scene:
    """A frame (240, 320, 3) BGR, the three channels alike, and the square of its only face."""

    frame: Frame
    face: Face


def _same(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    return image


def _barred(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A black bar over the eyes, as wide as sunglasses, where FER2013 has them."""
    covered = image.copy()
    covered[13:23, 4:44] = 15
    return covered


@dataclass(frozen=True)
class Condition:
    """How a face meets a camera: so large, on a photograph or on plain grey, turned, and what else becomes of it.

    `of_face` changes the face (48, 48) before it is pasted, `of_frame` the grey frame (240, 320) afterwards. Every
    second face is turned to the other side.
    """

    group: str
    name: str
    side_px: int = 96
    on_photo: bool = False
    degrees: float = 0.0
    of_face: Change = _same
    of_frame: Change = _same


def _dark(light: float) -> Change:
    return lambda image, number: darkened(image, light, number)


BASE = Condition("size, on grey", "96 px")
CONDITIONS: tuple[Condition, ...] = (
    *(Condition("size, on grey", f"{px} px", px) for px in (200, 128)),
    BASE,
    *(Condition("size, on grey", f"{px} px", px) for px in (64, 48, 32, 24, 20)),
    *(Condition("size, on a photograph", f"{px} px", px, True) for px in (200, 128, 96, 64, 48, 32, 24, 20)),
    *(Condition("turned in the plane", f"{angle}°", degrees=angle) for angle in (10, 20, 35)),
    *(Condition("light, with noise", f"{light:g} of it", of_frame=_dark(light)) for light in (0.5, 0.25, 0.12)),
    *(Condition("blur", f"{s} px", of_frame=lambda image, _, s=s: blurred(image, s)) for s in (1, 2, 3)),  # type: ignore[misc]
    *(Condition("JPEG", f"quality {q}", of_frame=partial(compressed, quality=q)) for q in (50, 30, 10)),
    Condition("covered", "lower half", of_face=OF_FACES["lower half masked"]),
    Condition("covered", "eyes", of_face=_barred),
)


def make(condition: Condition, image: NDArray[np.uint8], number: int) -> Scene:
    """The face `image` (48, 48) under a condition; `number` draws its place and what lies behind it, always alike."""
    rng = np.random.default_rng(number)
    behind = _view(_samples(), rng, colour=False)[:, :, 0] if condition.on_photo else None
    frame, face = _pasted(condition.of_face(image, number), condition.side_px, rng, behind, MARGIN_PX)
    if condition.degrees:
        frame = _turned(frame, face, condition.degrees if number % 2 else -condition.degrees)
    return Scene(_bgr(condition.of_frame(frame, number)), face)


def paste(image: NDArray[np.uint8], side_px: int, rng: np.random.Generator) -> Scene:
    """The face `image` (48, 48), `side_px` large, somewhere in a grey frame."""
    frame, face = _pasted(image, side_px, rng)
    return Scene(_bgr(frame), face)


def _pasted(
    image: NDArray[np.uint8],
    side_px: int,
    rng: np.random.Generator,
    behind: NDArray[np.uint8] | None = None,
    margin_px: int = 0,
) -> tuple[NDArray[np.uint8], Face]:
    """A grey frame (240, 320) with the image in it: a square on plain grey, an ellipse with soft edges on `behind`."""
    frame = np.full((HEIGHT, WIDTH), GREY, np.uint8) if behind is None else behind.copy()
    room_px = side_px + margin_px - 1
    x, y = int(rng.integers(margin_px, WIDTH - room_px)), int(rng.integers(margin_px, HEIGHT - room_px))
    how = cv2.INTER_AREA if side_px < CROP_PX else cv2.INTER_CUBIC
    large = np.asarray(cv2.resize(image, (side_px, side_px), interpolation=how), np.uint8)
    place = frame[y : y + side_px, x : x + side_px]
    share = np.ones((side_px, side_px)) if behind is None else _ellipse(side_px)
    place[:] = np.rint(share * large + (1 - share) * place)
    return frame, Face((float(x), float(y), float(x + side_px), float(y + side_px)), 1.0)


@cache
def _ellipse(side_px: int) -> NDArray[np.float64]:
    """1 within an ellipse that nearly fills the square, 0 outside, a tenth of the side between.  # (side, side)"""
    at = (np.arange(side_px) + 0.5) / side_px * 2 - 1
    radius = np.hypot(at[None, :] / 0.9, at[:, None])
    return np.asarray(np.clip((1 - radius) / 0.2, 0, 1))


def _turned(frame: NDArray[np.uint8], face: Face, degrees: float) -> NDArray[np.uint8]:
    """The frame turned about the middle of the face; what comes in at its edges is grey."""
    x1, y1, x2, y2 = face.xyxy
    matrix = cv2.getRotationMatrix2D(((x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(frame, matrix, (WIDTH, HEIGHT), borderValue=GREY), np.uint8)


def _bgr(grey: NDArray[np.uint8]) -> Frame:
    return np.repeat(grey[:, :, None], 3, axis=2)


@cache
def _samples() -> tuple[Frame, ...]:
    """Photographs and textures without a face. Raises DataError where scikit-image is not installed."""
    try:
        from skimage import data
    except ImportError:
        raise DataError(
            "Pictures without faces come from scikit-image: pip install it (./setup.sh test does)."
        ) from None
    return tuple(_as_bgr(getattr(data, name)()) for name in SAMPLES)


def _as_bgr(picture: object) -> Frame:
    """A sample as a frame; of the stereo pair the left picture."""
    values = np.asarray(picture[0] if isinstance(picture, tuple) else picture)
    levels = values if values.dtype == np.uint8 else np.asarray(255 * values, np.uint8)
    return _bgr(levels) if levels.ndim == 2 else np.ascontiguousarray(levels[:, :, 2::-1])


def empty(n: int, pictures: Sequence[Frame] = (), seed: int = 0) -> Iterator[Frame]:
    """`n` frames (240, 320, 3) BGR cut out of `pictures`, by default of scikit-image's; the same for a `seed`.

    Each is a part of the next picture in turn, of a size drawn at random, mirrored or not, its colours shifted.
    Raises DataError where scikit-image is needed and not installed.
    """
    pictures = pictures or _samples()
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        yield _view([pictures[number % len(pictures)]], rng, colour=True)


def _view(pictures: Sequence[Frame], rng: np.random.Generator, colour: bool) -> Frame:
    """A part of one of the pictures, as wide as a frame."""
    picture = pictures[int(rng.integers(len(pictures)))]
    height, width = picture.shape[:2]
    most = min(width / WIDTH, height / HEIGHT)
    scale = most * float(rng.uniform(0.35, 1.0))
    w, h = max(1, int(WIDTH * scale)), max(1, int(HEIGHT * scale))
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    how = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    view = np.asarray(cv2.resize(picture[y : y + h, x : x + w], (WIDTH, HEIGHT), interpolation=how), np.uint8)
    view = view[:, ::-1] if rng.random() < 0.5 else view
    if not colour:
        return _bgr(np.asarray(cv2.cvtColor(view, cv2.COLOR_BGR2GRAY), np.uint8))
    tinted = view * rng.uniform(0.85, 1.15, 3) * rng.uniform(0.6, 1.2)
    return np.asarray(np.clip(tinted, 0, 255), np.uint8)
