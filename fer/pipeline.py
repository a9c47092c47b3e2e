"""The pipeline: (frame, now) → readings. One instance per stream; no thread, no clock, no interface."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer import detect
from fer.classify import Card, Classifier
from fer.config import Settings
from fer.detect import Detector
from fer.labels import LABELS
from fer.preprocess import CROP_PX, crop
from fer.smoothing import Baseline, Smoother
from fer.track import Track, Tracker
from fer.types import Crops, Face, Frame, Reading

MIN_FACE_PX = 20.0  # smaller faces are followed, but what they show is a guess
MIN_CONTRAST = 6.0  # the standard deviation of grey below which a crop shows nothing
UNIFORM = (1 / len(LABELS),) * len(LABELS)
MAX_REGIONS = 4  # around more faces than that a full search is cheaper


@dataclass(frozen=True, slots=True)
class Options:
    """How readings are steadied: see Smoother, and Baseline where `baseline_s` is above 0.

    `resting` is what the model says of neutral faces on average (7,).
    """

    half_life_s: float = 1.0
    floor: float = 0.4
    baseline_s: float = 0.0
    resting: tuple[float, ...] = UNIFORM

    @classmethod
    def of(cls, settings: Settings, card: Card) -> "Options":
        resting = tuple(card.metrics.get("resting") or UNIFORM)
        return cls(settings.half_life_s, settings.confidence_floor, settings.baseline_s, resting)


class Pipeline:
    """Finds, follows, reads and steadies every face of a stream of frames."""

    def __init__(self, detector: Detector, classifier: Classifier, options: Options) -> None:
        self._detector, self._classifier, self._options = detector, classifier, options
        self._tracker = Tracker()
        self._smoothers: dict[int, Smoother] = {}
        self._baselines: dict[int, Baseline] = {}
        self._full_at = -np.inf

    def analyse(self, frame: Frame, now: float) -> list[Reading]:
        """The readings of a frame, (H, W, 3) BGR or (H, W) grey, taken at `now`, the largest face first."""
        tracks = self._tracker.update(self._find(frame, now), now)
        if not tracks:
            self._forget()
            return []
        crops = cut(frame, [track.face for track in tracks], self._detector)
        probs = self._classifier.probs(crops)
        good = [is_readable(track.face, c) for track, c in zip(tracks, crops, strict=True)]
        readings = [self._steady(t, p, g, now) for t, p, g in zip(tracks, probs, good, strict=True)]
        self._forget()
        return readings

    def _find(self, frame: Frame, now: float) -> list[Face]:
        """Around the known faces, or everywhere: about once a second, and when a known face is not where it was."""
        known = [track.face for track in self._tracker.tracks]
        if 0 < len(known) <= MAX_REGIONS and abs(now - self._full_at) < self._detector.full_every_s:
            faces = detect.search_around(self._detector, frame, known)
            if len(faces) >= len(known):
                return faces
        self._full_at = now
        return detect.search(self._detector, frame)

    def _steady(self, track: Track, probs: np.ndarray, good: bool, now: float) -> Reading:
        if good and self._options.baseline_s > 0:
            fresh = Baseline(self._options.baseline_s, self._options.resting)
            probs = self._baselines.setdefault(track.face_id, fresh).update(probs, now)
        new = Smoother(self._options.half_life_s, self._options.floor)
        smoother = self._smoothers.setdefault(track.face_id, new)
        steady, label = smoother.update(probs, now, good)
        return Reading(track.face_id, track.face, steady, label)

    def _forget(self) -> None:
        alive = {track.face_id for track in self._tracker.tracks}
        self._smoothers = {i: smoother for i, smoother in self._smoothers.items() if i in alive}
        self._baselines = {i: baseline for i, baseline in self._baselines.items() if i in alive}


def cut(frame: Frame, faces: Sequence[Face], detector: Detector) -> Crops:
    """The crops of `faces` as this detector's boxes ask for.  # (n, 48, 48, 1) uint8"""
    none = np.empty((0, CROP_PX, CROP_PX, 1), np.uint8)
    return np.concatenate([none, *(crop(frame, face, detector.crop_scale, detector.crop_dy) for face in faces)])


def is_readable(face: Face, crop: Crops) -> bool:
    """Whether the face is large enough and its crop shows anything at all."""
    return face.side_px >= MIN_FACE_PX and float(crop.std()) >= MIN_CONTRAST
