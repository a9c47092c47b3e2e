"""Where classes and their buckets are kept: one protocol, one SQL adapter, one writer off the frame path."""

from collections.abc import Sequence
from typing import Protocol

from fer.types import Bucket, Classroom, Marker, Presence, Signal, Slot


class Store(Protocol):
    """What the app keeps. Any thread may call any method; each raises StoreError where the store is out of reach.

    `put` may be repeated with the same values without changing anything, and counts the fullest version of
    each bucket; what belongs to a class that has ended or been deleted is passed over.
    """

    def create_class(self, title: str, camera: bool, now: float) -> tuple[Classroom, str]:
        """A new class and its instructor key, which is not kept and cannot be shown again."""
        ...

    def find_class(self, code: str) -> Classroom | None: ...

    def open_class(self, code: str, key: str, now: float | None = None) -> Classroom:
        """The class of an instructor. Raises ClassError where code and key do not belong together.

        With `now`, the try is kept in the class's log, whether it succeeds or not.
        """
        ...

    def end_class(self, class_id: int, now: float) -> None: ...

    def set_class(self, class_id: int, paused: bool | None = None, pulse: bool | None = None) -> None:
        """Pause the class or let it go on; choose whether its class view shows the pulse. None leaves it as it is."""
        ...

    def delete_class(self, class_id: int) -> None:
        """Delete the class and every row that belongs to it."""
        ...

    def delete_stream(self, class_id: int, stream_id: str) -> None:
        """Delete everything that one connection contributed."""
        ...

    def put(self, buckets: Sequence[Bucket], presences: Sequence[Presence], left: Sequence[str]) -> None:
        """Write buckets and who is connected, and remove the streams that `left`, in one transaction."""
        ...

    def slots(self, class_id: int, since: float) -> list[Slot]:
        """The merged slots that start at or after `since`, oldest first."""
        ...

    def latest(self, class_id: int, since: float) -> Slot | None:
        """All slots from `since` on as one, over the streams that are still connected; None where there are none."""
        ...

    def presences(self, class_id: int, since: float) -> list[Presence]:
        """The streams heard of at or after `since`."""
        ...

    def give(self, signal: Signal, instead_of: Sequence[str] = ()) -> None:
        """Keep what a student says, in the place of what still stands of the same kind and of `instead_of`."""
        ...

    def take_back(self, class_id: int, stream_id: str, kinds: Sequence[str], now: float) -> None:
        """What the student says of these kinds stands no longer."""
        ...

    def signals(self, class_id: int, since: float) -> list[Signal]:
        """What was said and stood at or after `since`, in the order in which it was said."""
        ...

    def mark(self, marker: Marker) -> None:
        """Keep a marked moment; of two at the same time the first one stays. The text is cut to 120 signs."""
        ...

    def unmark(self, marker: Marker) -> None: ...

    def markers(self, class_id: int) -> list[Marker]:
        """The marked moments of a class, oldest first."""
        ...

    def logins(self, class_id: int) -> list[tuple[float, bool]]:
        """When somebody tried to open the class, and whether the key was right; oldest first, a bounded number."""
        ...

    def purge(self, before: float) -> int:
        """Delete the classes made before that time; returns how many."""
        ...
