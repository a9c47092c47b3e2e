"""Face detectors behind one registry, and how a frame is searched with any of them."""

import hashlib
import http.client
import logging
import math
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from fer.boxes import moved, suppress
from fer.config import Settings
from fer.errors import ModelError
from fer.tiny import Tiny
from fer.types import Face, Frame

log = logging.getLogger(__name__)

MIN_SIDE_PX = 16  # no face fits into a thinner picture
MOST_NETS = 6  # of a thread: for whole pictures, for surroundings, and for those at an edge
REGION_PX = 128  # the size at which the surroundings of a known face are searched
REGION_SCALE = 2.0  # of the face: how far they reach: a head moves less than half its size between two analyses

CASCADE = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"

YUNET_URL = (
    "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"


class Detector(Protocol):
    """Finds faces. An instance belongs to one stream: OpenCV's objects must not be shared between threads.

    `crop_scale` and `crop_dy` say how FER2013 would have framed a face for which this detector gives a box
    (see `preprocess.crop`): the medians that `python -m fer faces` prints for 96 px of the training split. A
    whole frame is searched on a copy `working_px` wide, about every `full_every_s` seconds; between, only the
    surroundings of known faces are.
    """

    crop_scale: float
    crop_dy: float
    working_px: int
    full_every_s: float

    def detect(self, frame: Frame, min_face_px: float = 0.0) -> list[Face]:
        """The faces of a frame, in its pixels, in no order; `min_face_px` may spare it the search for smaller ones."""
        ...


class YuNet:
    """OpenCV's FaceDetectorYN with the YuNet network (Wu et al. 2023), which knows both eyes."""

    crop_scale, crop_dy = 1.01, -0.03
    working_px, full_every_s = 320, 0.9

    def __init__(self, settings: Settings) -> None:
        if not settings.yunet_model.is_file():
            raise ModelError(f"YuNet's file {settings.yunet_model} is missing")
        cv2.setNumThreads(1)
        self._path = settings.yunet_model
        self._nets: dict[tuple[int, int], Any] = {}
        self._net(320, 256)

    def detect(self, frame: Frame, min_face_px: float = 0.0) -> list[Face]:
        frame = frame if frame.ndim == 3 else np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), np.uint8)
        # Of a picture with a side of 32 pixels or less OpenCV 4.14 reads beyond the end, and finds boxes of 1e30.
        down, right = (max(0, 64 - side) for side in frame.shape[:2])
        padded = cv2.copyMakeBorder(frame, 0, down, 0, right, cv2.BORDER_REPLICATE) if down or right else frame
        # FaceDetectorYN fills up with black to multiples of 32 as well: done here, there are fewer sizes.
        down, right = (-side % 32 for side in padded.shape[:2])
        padded = cv2.copyMakeBorder(padded, 0, down, 0, right, cv2.BORDER_CONSTANT) if down or right else padded
        rows = self._net(padded.shape[1], padded.shape[0]).detect(padded)[1]
        return [] if rows is None else [self._face(row.tolist()) for row in rows]

    def _net(self, width: int, height: int) -> Any:
        """A network for pictures of this size: one that changes its input size takes 2 ms longer."""
        if (size := (width, height)) not in self._nets:
            if len(self._nets) >= MOST_NETS:
                self._nets.pop(next(iter(self._nets)))
            try:
                self._nets[size] = cv2.FaceDetectorYN.create(str(self._path), "", size, 0.6, 0.3, 200)
            except cv2.error as error:
                raise ModelError(f"YuNet's file {self._path} cannot be used: {error.err}") from error
        return self._nets[size]

    @staticmethod
    def _face(row: list[float]) -> Face:
        x, y, w, h, right_x, right_y, left_x, left_y = row[:8]  # the person's right eye is on the picture's left
        return Face((x, y, x + w, y + h), min(1.0, row[14]), ((right_x, right_y), (left_x, left_y)))


class Cascade:
    """OpenCV's `alt2` Haar cascade (Viola & Jones 2001), which ships with OpenCV 4."""

    crop_scale, crop_dy = 1.04, 0.01
    # At scale factor 1.2 with 2 neighbours a copy 240 px wide takes less than half the time that 320 px take at
    # 1.1 with 3, which found 4% more faces of 96 px and a third more of 32 px in a sweep by hand.
    working_px, full_every_s = 240, 1.4

    def __init__(self, settings: Settings) -> None:
        cv2.setNumThreads(1)
        self._cascade = cv2.CascadeClassifier(str(CASCADE))

    def detect(self, frame: Frame, min_face_px: float = 0.0) -> list[Face]:
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else frame
        least = (max(20, round(min_face_px)),) * 2  # the cascade's own window has 20 pixels
        boxes, neighbours = self._cascade.detectMultiScale2(grey, scaleFactor=1.2, minNeighbors=2, minSize=least)
        # A cascade has no probability: the more neighbouring windows agree, the surer it is.
        return [
            Face((float(x), float(y), float(x + w), float(y + h)), 1 - math.exp(-n / 5))
            for (x, y, w, h), n in zip(np.asarray(boxes).tolist(), np.asarray(neighbours).ravel().tolist(), strict=True)
        ]


class PerThread:
    """A detector for any number of streams: each thread that searches makes one for itself."""

    def __init__(self, make: Callable[[], Detector]) -> None:
        self._make, self._own = make, threading.local()
        first = self._mine()
        self.crop_scale, self.crop_dy = first.crop_scale, first.crop_dy
        self.working_px, self.full_every_s = first.working_px, first.full_every_s

    def detect(self, frame: Frame, min_face_px: float = 0.0) -> list[Face]:
        return self._mine().detect(frame, min_face_px)

    def _mine(self) -> Detector:
        if not hasattr(self._own, "detector"):
            self._own.detector = self._make()
        detector: Detector = self._own.detector
        return detector


DETECTORS: dict[str, Callable[[Settings], Detector]] = {"tiny": Tiny, "yunet": YuNet, "cascade": Cascade}


@dataclass(frozen=True)
class Choice:
    """The detector in use; where it is not the best one, a sentence for people and the reason for the log."""

    name: str
    notice: str = ""
    reason: str = ""

    def create(self, settings: Settings) -> Detector:
        return DETECTORS[self.name](settings)


def choose(settings: Settings) -> Choice:
    """The detector that the settings ask for; with "auto" the first of the registry that can be made.

    Raises ModelError where a detector was asked for by name and cannot be made, or there is none of that name.
    """
    if settings.detector != "auto":
        if settings.detector not in DETECTORS:
            raise ModelError(f"There is no detector {settings.detector!r}; there are auto, {', '.join(DETECTORS)}.")
        DETECTORS[settings.detector](settings)
        return Choice(settings.detector)
    missing = []
    for name, make in DETECTORS.items():
        try:
            make(settings)
        except ModelError as error:
            missing.append(str(error))
            continue
        if not missing:
            return Choice(name)
        notice = f"Faces are found with the {name} detector, which misses more of them: the best one is not at hand."
        return Choice(name, notice, "; ".join(missing))
    raise ModelError(f"No face detector can be used: {'; '.join(missing)}.")


def search(detector: Detector, frame: Frame, width_px: int | None = None, min_face_px: float = 0.0) -> list[Face]:
    """Every face of a frame, the largest first, found on a copy `width_px` (default: its working width) wide.

    Whatever size the browser sends, the search sees the same. Faces below `min_face_px` may be passed over.
    """
    width_px = width_px or detector.working_px
    scale = min(width_px / frame.shape[1], 2 * width_px / frame.shape[0])  # a ribbon is not blown up
    width_px, height_px = (max(1, round(side * scale)) for side in frame.shape[1::-1])
    if min(width_px, height_px) < MIN_SIDE_PX:
        return []
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = frame if scale == 1 else cv2.resize(frame, (width_px, height_px), interpolation=shrink)
    return suppress(
        moved(face, 1 / scale) for face in detector.detect(np.asarray(small, np.uint8), scale * min_face_px)
    )


def search_around(detector: Detector, frame: Frame, known: Iterable[Face]) -> list[Face]:
    """Every face near the `known` ones, the largest first."""
    return suppress(face for near in known for face in _search_region(detector, frame, near))


def _search_region(detector: Detector, frame: Frame, near: Face) -> list[Face]:
    reach = near.side_px * REGION_SCALE / 2
    cx, cy = (near.xyxy[0] + near.xyxy[2]) / 2, (near.xyxy[1] + near.xyxy[3]) / 2
    x1, y1 = max(0, int(cx - reach)), max(0, int(cy - reach))
    region = frame[y1 : max(y1 + 1, int(cy + reach)), x1 : max(x1 + 1, int(cx + reach))]
    if not region.size:
        return []
    return [moved(face, 1.0, x1, y1) for face in search(detector, region, _region_width(region), near.side_px * 0.6)]


def _region_width(region: Frame) -> int:
    """The width at which the longer side of the region has REGION_PX."""
    height, width = region.shape[:2]
    return int(max(1, round(REGION_PX * width / max(height, width))))


def fetch_yunet(target: Path, limit_s: float = 15.0, url: str = YUNET_URL) -> None:
    """Download YuNet's file within `limit_s` seconds; nothing is left behind unless its sha256 is right.

    Raises ModelError where it cannot be had.
    """
    deadline = time.monotonic() + limit_s
    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=limit_s) as response:
            while chunk := response.read(65536):
                content += chunk
                if time.monotonic() > deadline or len(content) > 2_000_000:
                    raise ModelError(f"YuNet could not be fetched within {limit_s:g} s.")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ModelError(f"YuNet could not be fetched from {url}: {getattr(error, 'reason', error)}.") from error
    if hashlib.sha256(content).hexdigest() != YUNET_SHA256:
        raise ModelError(f"What {url} sent is not YuNet's file (its sha256 differs); it was thrown away.")
    part = target.with_suffix(".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        raise ModelError(f"YuNet could not be written to {target}: {error.strerror}.") from error
