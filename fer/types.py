"""The frozen values that modules hand each other."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Frame: TypeAlias = NDArray[np.uint8]  # (H, W, 3) uint8, BGR; where it is only read, also (H, W), grey
Crops: TypeAlias = NDArray[np.uint8]  # (n, 48, 48, 1) uint8, grey
Probs: TypeAlias = NDArray[np.float32]  # (n, 7) or (7,) float32, rows sum to 1, order of LABELS
Box: TypeAlias = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the frame
Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Face:
    """A face found in a frame.

    `xyxy` is in pixels of the frame and may reach beyond its edges; `score` is in 0..1. `eyes` are the
    centres of the eye on the left and the eye on the right of the picture, where the detector knows them.
    """

    xyxy: Box
    score: float
    eyes: tuple[Point, Point] | None = None

    @property
    def side_px(self) -> float:
        """The longer side of the box."""
        x1, y1, x2, y2 = self.xyxy
        return max(x2 - x1, y2 - y1)

    @property
    def area_px(self) -> float:
        x1, y1, x2, y2 = self.xyxy
        return max(0.0, x2 - x1) * max(0.0, y2 - y1)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one face shows at one moment.

    `probs` (7,) float32 sums to 1; `label` is one of LABELS, or "uncertain" where the face is too small
    or no expression is likely enough.
    """

    face_id: int
    face: Face
    probs: Probs
    label: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """The readings of one face over one slot of `aggregate.SLOT_S` seconds.

    `n` counts all readings, `prob_sum` (7,) float64 adds up only those that were certain: what is missing
    from `n` is the uncertain share.
    """

    class_id: int
    stream_id: str
    face_id: int
    start: float
    n: int
    prob_sum: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Slot:
    """The mood of a class over one slot: every face weighs the same however many frames it sent.

    `mean_probs` (7,) sums to 1 less the uncertain share. The faces came from `n_streams` connections.
    """

    start: float
    n_faces: int
    mean_probs: NDArray[np.float64]
    n_streams: int


@dataclass(frozen=True, slots=True)
class Presence:
    """A student's live connection: `n_faces` faces of its last analysed frame counted, at `seen_at`."""

    class_id: int
    stream_id: str
    seen_at: float
    n_faces: int


@dataclass(frozen=True, slots=True)
class Signal:
    """What a student said by a tap: one of signals.KINDS, given at `at` and standing until `until`, POSIX seconds.

    `name` is what the student typed with it, or empty.
    """

    class_id: int
    stream_id: str
    kind: str
    at: float
    until: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Marker:
    """A moment that the instructor marked, `at` POSIX seconds, with a text that may be empty."""

    class_id: int
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Classroom:
    """A class as students and instructor know it. `ended_at` is None while it is open.

    While `paused`, no picture is analysed; `pulse` is whether the class view shows the group's valence.
    """

    class_id: int
    code: str
    title: str
    created_at: float
    ended_at: float | None
    camera: bool
    paused: bool = False
    pulse: bool = False


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who keeps a journal. `salt` is what their pictures' key is derived with; None who has no passphrase here."""

    keeper_id: int
    name: str
    salt: bytes | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a journal, made `at`: what its keeper says that the face shows, one of LABELS.

    `probs` (7,) is what the general model read, whatever a keeper's own model makes of it. `entry_id` is 32 hex digits.
    """

    entry_id: str
    at: float
    label: str
    probs: tuple[float, ...]
    note: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """A keeper's own model against the general one, on `n` of their labels that neither had learned from.

    `general` and `personal` are the shares they name right; `won` entries only the own model names right, `lost` only
    the general one. `p` is the chance of winning so many if both were as good (one-sided exact sign test).
    """

    n: int
    general: float
    personal: float
    won: int
    lost: int
    p: float


@dataclass(frozen=True, slots=True)
class Head:
    """A keeper's own model, made `at`: what it adds to the general reading; `in_use` where its trial was passed.

    `weights` is (7, 7) and `bias` (7,), as tuples: log-probabilities of the general model in, logits out.
    """

    at: float
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    trial: Trial
    in_use: bool
