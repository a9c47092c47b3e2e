"""Tracking: which face of this frame is which face of the last one."""

from dataclasses import dataclass

from fer.boxes import giou
from fer.types import Face

LOST_S = 1.0  # a face that was not found for so long is gone
REACH = -0.1  # the generalised IoU down to which a box may be the same face: at two analyses a second heads move


@dataclass(frozen=True, slots=True)
class Track:
    """A face with an id that stays its own while it is seen; `seen_at` is when it was last found."""

    face_id: int
    face: Face
    seen_at: float


class Tracker:
    """Gives faces stable ids by greedy matching of the closest boxes (IoU tracking; Bochinski et al. 2017).

    The generalised IoU also orders boxes that no longer overlap. Ids count up from 0 and are never reused.
    """

    def __init__(self, lost_s: float = LOST_S) -> None:
        self._lost_s = lost_s
        self._tracks: list[Track] = []
        self._next_id = 0

    @property
    def tracks(self) -> list[Track]:
        """The faces being followed, those just out of sight among them."""
        return list(self._tracks)

    def update(self, faces: list[Face], now: float) -> list[Track]:
        """The tracks of `faces`, in the same order."""
        pairs = sorted(
            ((giou(t.face.xyxy, f.xyxy), i, j) for i, t in enumerate(self._tracks) for j, f in enumerate(faces)),
            reverse=True,
        )
        old_of: dict[int, int] = {}
        for closeness, i, j in pairs:
            if closeness > REACH and i not in old_of.values() and j not in old_of:
                old_of[j] = i
        found = [self._follow(face, old_of.get(j), now) for j, face in enumerate(faces)]
        lost = [t for i, t in enumerate(self._tracks) if i not in old_of.values() and now - t.seen_at < self._lost_s]
        self._tracks = found + lost
        return found

    def _follow(self, face: Face, old: int | None, now: float) -> Track:
        if old is not None:
            return Track(self._tracks[old].face_id, face, now)
        self._next_id += 1
        return Track(self._next_id - 1, face, now)
