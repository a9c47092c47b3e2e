"""Drawing on pictures: a box per face, and a chip with its emoji and label."""

from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fer.labels import COLORS
from fer.types import Crops, Frame, Reading

SHOWN_PX = 1280
LEAST_CHANGE = 0.1  # of a probability
EMOJI_DIR = Path(__file__).parent / "emoji"
Rgba = NDArray[np.uint8]  # (h, w, 4) uint8


def annotate(frame: Frame, readings: Sequence[Reading], numbered: bool = False) -> Frame:
    """A copy of the frame with a box, the label and its emoji on each face; `numbered` adds 1, 2, 3…"""
    out = frame.copy()
    thick = max(2, round(max(frame.shape[:2]) / 400))
    for number, reading in enumerate(readings, 1):
        x1, y1, x2, y2 = (round(v) for v in reading.face.xyxy)
        cv2.rectangle(out, (x1, y1), (x2, y2), _bgr(COLORS[reading.label]), thick, cv2.LINE_AA)
        text = f"{number}  {reading.label}" if numbered else reading.label
        badge = chip(reading.label, text, _chip_height(reading.face.side_px, frame))
        above = y1 - badge.shape[0] - thick
        paste(out, badge, x1, above if above >= 0 else y2 + thick)
    return out


def shrink(frame: Frame, side_px: int = SHOWN_PX) -> Frame:
    """The frame with its longer side at most `side_px`: what a page shows need not be larger."""
    scale = min(1.0, side_px / max(frame.shape[:2]))
    return (
        frame if scale == 1 else np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    )


def heat(crop: Crops, change: NDArray[np.float32], side_px: int = 240) -> Frame:
    """A crop (1, 48, 48, 1) in grey, tinted by `change` (48, 48): orange above 0, blue below it.

    The strongest change has the full tint, but one below LEAST_CHANGE stays pale: noise is not to look like a finding.
    """
    most = max(LEAST_CHANGE, float(np.abs(change).max()))
    size = (side_px, side_px)
    strength = cv2.resize(change / most, size, interpolation=cv2.INTER_CUBIC).clip(-1, 1)[:, :, None]
    grey = cv2.resize(crop[0, :, :, 0], size, interpolation=cv2.INTER_CUBIC)[:, :, None].astype(np.float32)
    tint = np.where(strength > 0, _bgr(COLORS["angry"]), _bgr(COLORS["sad"]))
    share = 0.75 * np.abs(strength)
    return np.asarray((1 - share) * grey + share * tint, np.uint8)


def captioned(frame: Frame, text: str) -> Frame:
    """A copy of the frame with `text`, small and white, upon its lower edge."""
    image = Image.fromarray(np.ascontiguousarray(frame[:, :, ::-1]))
    ImageDraw.Draw(image).text((3, frame.shape[0] - 2), text, "white", ImageFont.load_default(11), anchor="lb")
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def sheet(tiles: Sequence[Frame], columns: int) -> Frame:
    """Tiles of one size, one at least, in rows of so many; what is left of the last row is black."""
    height, width = tiles[0].shape[:2]
    out = np.zeros((-(-len(tiles) // columns) * height, columns * width, 3), np.uint8)
    for i, tile in enumerate(tiles):
        y, x = i // columns * height, i % columns * width
        out[y : y + height, x : x + width] = tile
    return out


def paste(frame: Frame, picture: Rgba, x: int, y: int) -> None:
    """Lay `picture` upon the frame at (x, y), moved so that as much as fits is within; in place."""
    height, width = frame.shape[:2]
    picture = picture[:height, :width]
    h, w = picture.shape[:2]
    x, y = max(0, min(x, width - w)), max(0, min(y, height - h))
    alpha = picture[:, :, 3:].astype(np.float32) / 255
    below = frame[y : y + h, x : x + w]
    below[:] = (alpha * picture[:, :, 2::-1] + (1 - alpha) * below).astype(np.uint8)


def png(frame: Frame) -> bytes:
    """The frame as a PNG file."""
    return bytes(cv2.imencode(".png", frame)[1])


def jpeg(frame: Frame, quality: int) -> bytes:
    """The frame as a JPEG file without anything that a camera writes beside it; `quality` is 0..100."""
    return bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


@lru_cache(maxsize=128)
def chip(label: str, text: str, height_px: int) -> Rgba:
    """A rounded tag in the colour of `label` with its emoji and `text`.  # (height_px, w, 4) uint8"""
    font = ImageFont.load_default(height_px * 0.58)
    pad, side = round(height_px * 0.2), round(height_px * 0.8)
    width = pad + side + pad + round(font.getlength(text)) + 2 * pad
    image = Image.new("RGBA", (width, height_px))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, width - 1, height_px - 1), height_px * 0.3, fill=COLORS[label])
    picture = emoji(label).resize((side, side), Image.Resampling.LANCZOS)
    image.alpha_composite(picture, (pad, (height_px - side) // 2))
    # Black reads on every colour of the palette but the darkest two.
    ink = "white" if label in ("sad", "angry") else "black"
    draw.text((2 * pad + side, height_px / 2), text, ink, font, anchor="lm")
    return np.asarray(image)


@cache
def emoji(label: str) -> Image.Image:
    """The emoji of `label` or of "uncertain", RGBA, 96 pixels wide; not to be changed."""
    return Image.open(EMOJI_DIR / f"{label}.png").convert("RGBA")


def _bgr(color: str) -> tuple[int, int, int]:
    """ "#RRGGBB" as OpenCV orders it."""
    r, g, b = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return b, g, r


def _chip_height(face_px: float, frame: Frame) -> int:
    """A quarter of the face, but legible, and no banner on a large picture; in steps of 4, to be cached."""
    low, high = 18, max(24, max(frame.shape[:2]) / 16)
    return int(np.clip(face_px / 4, low, high)) // 4 * 4
