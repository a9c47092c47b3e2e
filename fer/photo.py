"""Still images: from untrusted bytes to a frame, and every face in it."""

import io
import struct
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fer.boxes import suppress
from fer.classify import Classifier
from fer.detect import Detector, search
from fer.errors import ImageError
from fer.labels import LABELS, UNCERTAIN
from fer.pipeline import cut, is_readable
from fer.types import Crops, Face, Frame, Probs, Reading

MAX_BYTES = 20_000_000
MAX_PIXELS = 40_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "BMP", "GIF", "TIFF")
MAX_FACES = 100
# A selfie fills the picture and a group photo holds faces of 2% of its width: no one size finds both.
SEARCH_WIDTHS = (320, 1280)
FINE_SCORE = 0.8  # of a face in the finer search, which has sixteen times as many places to be mistaken in


def decode(content: bytes) -> Frame:
    """The picture in `content`, upright, as (H, W, 3) uint8 BGR; of an animation the first picture.

    Raises ImageError for what is empty, too large, truncated or no picture. The size is read before any
    pixel is: a decompression bomb stays packed.
    """
    if not content:
        raise ImageError("The file is empty.")
    if len(content) > MAX_BYTES:
        raise ImageError(f"The file is too large: at most {MAX_BYTES / 1e6:.0f} MB can be read.")
    _register_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs at twice our limit, and of odd EXIF data
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width} × {image.height} pixels"
                raise ImageError(f"The picture has {size}; at most {MAX_PIXELS / 1e6:.0f} megapixels can be read.")
            return _to_frame(_upright(image))
    except UnidentifiedImageError:
        raise ImageError("This is not a picture that can be read; use JPEG, PNG, WebP or HEIC.") from None
    except Image.DecompressionBombError:
        raise ImageError(f"The picture has more than {MAX_PIXELS / 1e6:.0f} megapixels.") from None
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, MemoryError, OverflowError) as error:
        raise ImageError("The picture is damaged or incomplete and cannot be read.") from error


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data ask for; as it is where they make no sense."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except (TypeError, ValueError, KeyError, SyntaxError, OSError, struct.error):
        return image


def _register_heif() -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)


def _to_frame(image: Image.Image) -> Frame:
    if image.mode in ("I", "I;16", "I;16B", "F"):
        levels = np.asarray(image, np.float64)
        image = Image.fromarray((255 * (levels - levels.min()) / max(1e-9, np.ptp(levels))).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def read_faces(frame: Frame, detector: Detector, classifier: Classifier, floor: float) -> tuple[list[Reading], Crops]:
    """Every face of a still picture, and the crops that the model saw of them (n, 48, 48, 1).

    The main face comes first: the largest, nearest the middle.
    """
    faces = find_faces(frame, detector)
    crops = cut(frame, faces, detector)
    return interpret(faces, crops, classifier, floor), crops


def find_faces(frame: Frame, detector: Detector) -> list[Face]:
    """The faces of a still picture, the main one first."""
    return sorted(_find(frame, detector), key=lambda face: -_prominence(face, frame))[:MAX_FACES]


def interpret(faces: Sequence[Face], crops: Crops, classifier: Classifier, floor: float) -> list[Reading]:
    """What the model says of `crops`, one for each of `faces`; below `floor` it is uncertain."""
    return [
        Reading(i, face, probs, _label(probs, floor) if is_readable(face, crop) else UNCERTAIN)
        for i, (face, crop, probs) in enumerate(zip(faces, crops, classifier.probs(crops), strict=True))
    ]


def _find(frame: Frame, detector: Detector) -> list[Face]:
    """Faces at both search sizes; a frame is shrunk to the larger one first, never blown up to it."""
    found: list[Face] = []
    for size in SEARCH_WIDTHS:
        width = round(frame.shape[1] * min(1.0, size / max(frame.shape[:2])))
        least = FINE_SCORE if size == max(SEARCH_WIDTHS) else 0.0
        found += [face for face in search(detector, frame, max(1, width)) if face.score >= least]
    return [face for face in suppress(found) if _within(face, frame)]


def _within(face: Face, frame: Frame) -> bool:
    """Whether the middle of the box lies in the picture."""
    x, y = (face.xyxy[0] + face.xyxy[2]) / 2, (face.xyxy[1] + face.xyxy[3]) / 2
    return bool(0 <= x < frame.shape[1] and 0 <= y < frame.shape[0])


def _prominence(face: Face, frame: Frame) -> float:
    x, y = (face.xyxy[0] + face.xyxy[2]) / 2, (face.xyxy[1] + face.xyxy[3]) / 2
    off_centre = np.hypot(x / frame.shape[1] - 0.5, y / frame.shape[0] - 0.5)
    return float(face.area_px * (1 - 0.5 * off_centre))


def _label(probs: Probs, floor: float) -> str:
    return LABELS[int(probs.argmax())] if probs.max() >= floor else UNCERTAIN


def as_records(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """Readings as JSON documents name them: xyxy, score, label, probs.

    Here `label` is the likeliest of the seven even where a page says "uncertain": `probs` tell how sure it is.
    """
    return [
        {
            "xyxy": [round(v, 1) for v in reading.face.xyxy],
            "score": round(reading.face.score, 4),
            "label": LABELS[int(reading.probs.argmax())],
            "probs": {label: round(float(p), 4) for label, p in zip(LABELS, reading.probs, strict=True)},
        }
        for reading in readings
    ]
