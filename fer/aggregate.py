"""From readings to the mood of a class: buckets per face, slots per class, the view an instructor gets."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer.labels import LABELS, UNCERTAIN, VALENCE
from fer.types import Bucket, Marker, Presence, Reading, Slot

SLOT_S = 5.0
HEADING = ("start_s", "n_faces", *LABELS, UNCERTAIN, "valence")  # of a timeline as a table
NOW_S = 10.0  # "now" is the last ten seconds, and who was not heard of for so long is not connected


class BucketFiller:
    """Gathers the readings of one stream into buckets of SLOT_S seconds.

    Faces are counted by seat: a face that is lost and found again under another id within a slot takes the
    seat that is free, so that one restless person is never counted as two. A face counts from its
    `sightings`-th sighting in a row: what a detector takes for a face in a single frame is no voice. What comes
    before `since`, POSIX seconds, fills nothing.
    """

    def __init__(self, class_id: int, stream_id: str, sightings: int = 2, since: float = -math.inf) -> None:
        self._class_id, self._stream_id, self._sightings = class_id, stream_id, sightings
        self._since = since
        self._seen: dict[int, int] = {}
        self._start = -math.inf
        self._seat_of: dict[int, int] = {}
        self._sums: dict[int, tuple[int, NDArray[np.float64]]] = {}

    def add(self, readings: Sequence[Reading], now: float) -> list[Bucket]:
        """Take in the readings of one frame; returns the buckets as they stand, the unfinished one included.

        Writing an unfinished bucket again with more readings replaces it, so nothing waits for its end. A
        clock that steps back within a slot stays in that slot.
        """
        start = math.floor(now / SLOT_S) * SLOT_S
        if start != self._start:
            self._start, self._sums, self._seat_of = start, {}, {}
        self._seen = {reading.face_id: self._seen.get(reading.face_id, 0) + 1 for reading in readings}
        counted = now >= self._since
        readings = [reading for reading in readings if counted and self._seen[reading.face_id] >= self._sightings]
        touched = []
        for seat, reading in zip(self._seats(readings), readings, strict=True):
            n, total = self._sums.get(seat, (0, np.zeros(len(LABELS))))
            certain = reading.probs if reading.label != UNCERTAIN else 0.0
            self._sums[seat] = (n + 1, total + certain)
            touched.append(seat)
        return [
            Bucket(self._class_id, self._stream_id, seat, self._start, *self._sums[seat]) for seat in sorted(touched)
        ]

    def _seats(self, readings: Sequence[Reading]) -> list[int]:
        """A seat for each face of the frame: the one it had in the last frame, else one of this slot that is free.

        So a slot has as many seats as there were faces at once, from 0 up.
        """
        seats = {r.face_id: self._seat_of[r.face_id] for r in readings if r.face_id in self._seat_of}
        for reading in readings:
            if reading.face_id not in seats:
                free = (s for s in (*sorted(self._sums), *range(len(readings))) if s not in seats.values())
                seats[reading.face_id] = next(free)
        self._seat_of = seats
        return [seats[reading.face_id] for reading in readings]


def next_slot(now: float) -> float:
    """When the slot after the one of `now` begins."""
    return (math.floor(now / SLOT_S) + 1) * SLOT_S


def merge(buckets: Iterable[Bucket]) -> list[Slot]:
    """The slots of one class, oldest first; every face weighs the same however many readings it has.

    A stream counts by its seat 0, which it has wherever it has any. Of several buckets with the same stream,
    face and start the one with the most readings counts.
    """
    newest: dict[tuple[float, str, int], Bucket] = {}
    for bucket in buckets:
        key = (bucket.start, bucket.stream_id, bucket.face_id)
        if bucket.n > 0 and (key not in newest or bucket.n > newest[key].n):
            newest[key] = bucket
    of_slot: dict[float, list[Bucket]] = {}
    for bucket in newest.values():
        of_slot.setdefault(bucket.start, []).append(bucket)
    return [
        Slot(start, len(rows), np.mean([b.prob_sum / b.n for b in rows], axis=0), sum(b.face_id == 0 for b in rows))
        for start, rows in sorted(of_slot.items())
    ]


def above_floor(slots: Iterable[Slot], min_group: int) -> list[Slot]:
    """The slots to which at least `min_group` students contributed: the others are not to be shown or kept.

    Students are counted by their connections, not by their faces: one camera may show several faces, a poster
    among them, and a detector sees some where there are none.
    """
    return [slot for slot in slots if slot.n_streams >= min_group]


HOLD_SLOTS = 2
MOST_HELD = 6  # somebody whose connection flickers must not freeze the picture
LEAD_S = 60.0  # how much before the first slot that is to be shown `guarded` has to see


def guarded(slots: Iterable[Slot], now: float = math.inf) -> list[Slot]:
    """Slots as an instructor may see them: what one student shows is not to follow from subtracting two of them.

    - *Delay.* A slot is shown when it is over: while it fills, the mean moves by one student at a time, and who
      asks every second could subtract.
    - *Hold.* Where a slot has one student or face more or fewer than the one before, the last slot is shown on
      for HOLD_SLOTS: subtracting then compares moments apart, in which the others have changed as well.
    - *Round.* Shares are rounded to 10%, to 5% from ten students on, to 2% from twenty on.

    Rounding alone hides a mild face, not a strong one: see docs/architecture.md for what remains. To show a part
    of a class, hand over LEAD_S more of it and cut afterwards.
    """
    shown: list[Slot] = []
    before: Slot | None = None
    hold = held = 0
    for slot in slots:
        if slot.start + SLOT_S > now:
            break
        if before is not None and 1 in (abs(slot.n_streams - before.n_streams), abs(slot.n_faces - before.n_faces)):
            hold = HOLD_SLOTS
        near = bool(shown) and slot.start - shown[-1].start < 1.5 * SLOT_S
        if hold and near and held < MOST_HELD:
            shown.append(replace(shown[-1], start=slot.start))
            held += 1
        elif not hold or held >= MOST_HELD:
            step = 0.1 if slot.n_streams < 10 else 0.05 if slot.n_streams < 20 else 0.02
            shown.append(replace(slot, mean_probs=rounded(slot.mean_probs, step)))
            held = 0
        hold, before = max(0, hold - 1), slot
    return shown


def top(mean_probs: NDArray[np.float64]) -> str:
    """The most frequent of LABELS, or "uncertain" where no reading was certain more often."""
    return (*LABELS, UNCERTAIN)[int(np.append(mean_probs, uncertain_share(mean_probs)).argmax())]


def rounded(mean_probs: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Shares (7,) in multiples of `step`; with the uncertain rest they still sum to 1 (largest remainders)."""
    shares = np.append(mean_probs, uncertain_share(mean_probs)) / max(1.0, float(mean_probs.sum())) / step
    units = np.floor(shares + 1e-9)
    missing = round(1 / step) - int(units.sum())
    units[np.argsort(units - shares, kind="stable")[:missing]] += 1
    return np.asarray(units[:-1] * step)


def coarsen(slots: Sequence[Slot], most: int = 240) -> list[Slot]:
    """At most about `most` slots, neighbours merged by their number of faces; n_faces becomes their mean."""
    if len(slots) <= most:
        return list(slots)
    width = math.ceil((slots[-1].start - slots[0].start + SLOT_S) / most / SLOT_S) * SLOT_S
    bins: dict[float, list[Slot]] = {}
    for slot in slots:
        bins.setdefault(math.floor(slot.start / width) * width, []).append(slot)
    return [
        Slot(
            start,
            round(sum(slot.n_faces for slot in group) / len(group)),
            overall(group),
            min(slot.n_streams for slot in group),
        )
        for start, group in sorted(bins.items())
    ]


def overall(slots: Sequence[Slot]) -> NDArray[np.float64]:
    """The mean over time of one slot or more, each weighing by its faces.  # (7,)"""
    return np.asarray(np.average([slot.mean_probs for slot in slots], axis=0, weights=[s.n_faces for s in slots]))


@dataclass(frozen=True)
class Change:
    """A minute, `at` POSIX seconds, in which the mood turned: the valence before and after, and what rose most."""

    at: float
    before: float
    after: float
    label: str
    rise: float


CHANGE = 0.15  # of valence, which goes from −1 to 1


def changes(slots: Sequence[Slot], most: int = 5, width_s: float = 60.0) -> list[Change]:
    """The largest turns of the mood between one `width_s` and the next, at least CHANGE of valence, oldest first."""
    found: list[Change] = []
    starts = [slot.start for slot in slots]
    for i, slot in enumerate(slots):
        before = slots[bisect_left(starts, slot.start - width_s) : i]
        after = slots[i : bisect_left(starts, slot.start + width_s)]
        if min(len(before), len(after)) * SLOT_S < width_s / 2:
            continue
        old, new = overall(before), overall(after)
        rise = np.append(new - old, uncertain_share(new) - uncertain_share(old))
        rose = int(rise.argmax())
        label = (*LABELS, UNCERTAIN)[rose]
        found.append(Change(slot.start, valence(old), valence(new), label, float(rise[rose])))
    chosen: list[Change] = []
    for change in sorted(found, key=lambda c: -abs(c.after - c.before)):
        apart = all(abs(change.at - other.at) >= 2 * width_s for other in chosen)
        if abs(change.after - change.before) >= CHANGE and apart and len(chosen) < most:
            chosen.append(change)
    return sorted(chosen, key=lambda c: c.at)


@dataclass(frozen=True)
class Segment:
    """The mood between two marked moments, POSIX seconds; `mean_probs` (7,) is None where too few contributed."""

    title: str
    begin: float
    end: float
    mean_probs: NDArray[np.float64] | None


def segments(slots: Sequence[Slot], markers: Sequence[Marker], begin: float, end: float) -> list[Segment]:
    """What lies between the beginning of a class, its marked moments (oldest first) and its end."""
    marked = [(marker.at, marker.text or "marked") for marker in markers if begin < marker.at < end]
    bounds = [(begin, "from the start"), *marked, (end, "")]
    parts = []
    for (first, title), (last, _) in pairwise(bounds):
        inside = [slot for slot in slots if first <= slot.start < last]
        parts.append(Segment(title, first, last, overall(inside) if inside else None))
    return parts


def table(slots: Iterable[Slot], origin: float = 0.0) -> Iterator[list[Any]]:
    """The timeline as rows to write, the heading first; `start_s` counts from `origin`."""
    yield list(HEADING)
    for slot in slots:
        yield row(slot, origin)


def row(slot: Slot, origin: float = 0.0) -> list[Any]:
    """One line of `table`."""
    shares = [round(float(p), 4) for p in (*slot.mean_probs, uncertain_share(slot.mean_probs))]
    return [round(slot.start - origin, 3), slot.n_faces, *shares, round(valence(slot.mean_probs), 4)]


def valence(mean_probs: NDArray[np.float64]) -> float:
    """How pleasant the expressions are, −1..1; uncertain readings, surprise and neutral pull towards 0."""
    return float(mean_probs @ np.array(VALENCE))


def uncertain_share(mean_probs: NDArray[np.float64]) -> float:
    """The share of readings that named no expression, 0..1."""
    return float(np.clip(1 - mean_probs.sum(), 0, 1))


@dataclass(frozen=True)
class Mood:
    """What an instructor may know of a class at one moment.

    Both numbers count students, by their connections. `now` is None, and `withheld` says why in a sentence,
    while fewer than the group floor contribute.
    """

    connected: int
    contributing: int
    now: Slot | None
    withheld: str


def mood(presences: Sequence[Presence], latest: Slot | None, min_group: int, at: float) -> Mood:
    """The mood at time `at` of those who were heard of in the last NOW_S seconds."""
    here = [presence for presence in presences if at - presence.seen_at < NOW_S]
    contributing = sum(presence.n_faces > 0 for presence in here)
    shown = latest if latest and min(contributing, latest.n_streams) >= min_group else None
    return Mood(len(here), contributing, shown, "" if shown else _why_withheld(len(here), contributing, min_group))


def _why_withheld(connected: int, contributing: int, min_group: int) -> str:
    if not connected:
        return "Nobody is connected yet. Share the link; the mood appears here as soon as enough students contribute."
    if contributing < min_group:
        return (
            f"The mood is withheld: {contributing} of at least {min_group} students contribute. "
            "With fewer, it would say something about single students."
        )
    return "The first readings are being gathered."
