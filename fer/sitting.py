"""Five seconds before a camera: readings in; out what the main face showed, and the picture of its best moment."""

from dataclasses import dataclass

import cv2
import numpy as np

from fer import journal
from fer.pipeline import MIN_FACE_PX
from fer.types import Frame, Probs, Reading

LENGTH_S = 5.0
LATE_S = 2.0  # the slowest pace has a reading every 1.7 s: a last one so long before the end was not to be the last
LOST_S = 3.0  # so long without a reading, the connection is lost
SHARP_PX = 96  # sharpness is compared at one size: a face that comes nearer is not sharper for it


@dataclass(frozen=True)
class Likeness:
    """What one face showed: `probs` (n, 7), a row per reading, n ≥ 1, and its best `picture` (h, w, 3) BGR.

    It was the main one of `faces` that were seen at once.
    """

    picture: Frame
    probs: Probs
    faces: int = 1


@dataclass(frozen=True)
class _Sight:
    """One face in one picture."""

    picture: Frame
    probs: Probs
    area_px: float


class Sitting:
    """Collects what faces show from the first picture on, for `LENGTH_S` seconds: what comes later changes nothing.

    `now` is in seconds; a clock that steps back ends the sitting rather than prolong it. It has no lock of its own.
    """

    def __init__(self) -> None:
        self._faces: dict[int, list[_Sight]] = {}
        self._most = 0
        self._begun_at: float | None = None
        self._last_at = 0.0

    def add(self, frame: Frame, readings: list[Reading], now: float) -> None:
        """Take in the readings of a picture (H, W, 3) BGR; of faces too small to be read none is kept."""
        if self._begun_at is None:
            self._begun_at = now
        if self.left_s(now) == 0:
            return
        self._last_at = now
        seen = [reading for reading in readings if reading.face.side_px >= MIN_FACE_PX]
        self._most = max(self._most, len(seen))
        for reading in seen:
            sight = _Sight(journal.portrait(frame, reading.face), reading.probs, reading.face.area_px)
            self._faces.setdefault(reading.face_id, []).append(sight)

    @property
    def begun(self) -> bool:
        return self._begun_at is not None

    def left_s(self, now: float) -> float:
        """How many of the seconds are still to come: all before the first picture."""
        return LENGTH_S if self._begun_at is None else max(0.0, LENGTH_S - abs(now - self._begun_at))

    def over(self, now: float) -> bool:
        """Whether nothing more is to come: the seconds are over, or pictures have stopped."""
        return self.begun and (self.left_s(now) == 0 or abs(now - self._last_at) > LOST_S)

    @property
    def lasted_s(self) -> float:
        """The seconds from the first picture to the last."""
        return 0.0 if self._begun_at is None else abs(self._last_at - self._begun_at)

    @property
    def cut_short(self) -> bool:
        """Whether it was stopped, or the connection lost, before its end."""
        return self.lasted_s < LENGTH_S - LATE_S

    def likeness(self) -> Likeness | None:
        """What the main face showed, None where none was seen: the one that was there largest and longest.

        Readings of two faces are never mixed. The best moment is sharp, and sure of what all of them say on average.
        """
        if not self._faces:
            return None
        main = max(self._faces.values(), key=lambda sights: sum(sight.area_px for sight in sights))
        probs = np.array([sight.probs for sight in main], np.float32)
        top = int(probs.mean(0).argmax())
        best = max(main, key=lambda sight: sharpness(sight.picture) * float(sight.probs[top]))
        return Likeness(best.picture, probs, self._most)


def sharpness(picture: Frame) -> float:
    """How sharp a picture (h, w, 3) BGR is: the variance of its Laplacian (Pech-Pacheco et al. 2000) at one size."""
    small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (SHARP_PX, SHARP_PX), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(small, cv2.CV_64F).var())
