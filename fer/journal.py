"""A private journal of expressions: entries in, what a page shows of them out."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

import cv2
import numpy as np
from numpy.typing import NDArray

from fer import draw
from fer.labels import LABELS
from fer.types import Entry, Face, Frame

MAX_NOTE = 2000
MAX_TAGS, MAX_TAG = 10, 30
PORTRAIT_PX = 192
AROUND = 1.5  # a picture to remember shows hair and chin as well; the classifier's crop is another, and grey
JPEG_QUALITY = 85

Days: TypeAlias = Mapping[date, Sequence[Entry]]


def clean(text: str) -> str:
    """What a person wrote, without control signs, no longer than a note may be."""
    return re.sub(r"(?:[^\S\n]|[\x00-\x08\x0b-\x1f\x7f])+", " ", text).strip()[:MAX_NOTE]


def tags(text: str) -> tuple[str, ...]:
    """Tags from a text with commas between them: each once, in small letters, in the order given."""
    named = (" ".join(clean(tag).lstrip("#").split())[:MAX_TAG].strip().lower() for tag in re.split(r"[,;\n]", text))
    return tuple(dict.fromkeys(tag for tag in named if tag))[:MAX_TAGS]


def search(entries: Sequence[Entry], text: str) -> list[Entry]:
    """The entries in which every word of the text is found: in the note, among the tags, or as the label."""
    words = text.lower().split()
    return [entry for entry in entries if all(word in _words(entry) for word in words)]


def _words(entry: Entry) -> str:
    return "\n".join((entry.note.lower(), entry.label, *entry.tags))


def days(entries: Iterable[Entry], zone: ZoneInfo) -> dict[date, list[Entry]]:
    """The entries by day as a calendar in that time zone has it."""
    found: dict[date, list[Entry]] = {}
    for entry in entries:
        found.setdefault(datetime.fromtimestamp(entry.at, zone).date(), []).append(entry)
    return found


def streaks(kept: Iterable[date], today: date) -> tuple[int, int]:
    """The days in a row with an entry: those up to today, or to yesterday while today has none; and the most ever."""
    longest = current = run = 0
    last = None
    for day in sorted(set(kept)):
        run = run + 1 if last is not None and day - last == timedelta(days=1) else 1
        longest, last = max(longest, run), day
    if last is not None and timedelta(0) <= today - last <= timedelta(days=1):
        current = run
    return current, longest


def months(kept: Iterable[date]) -> list[date]:
    """The first day of each month with an entry, newest first."""
    return sorted({day.replace(day=1) for day in kept}, reverse=True)


def calendar(kept: Days, month: date) -> list[tuple[date, int, str]]:
    """Each day of a month: how many entries it has, and their most frequent label, empty where there is none."""
    first = month.replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    every = (first + timedelta(days=i) for i in range(last.day))
    return [(day, len(kept.get(day, ())), _commonest(kept.get(day, ()))) for day in every]


def _commonest(entries: Sequence[Entry]) -> str:
    return Counter(entry.label for entry in entries).most_common(1)[0][0] if entries else ""


def shares(entries: Sequence[Entry]) -> NDArray[np.float64]:
    """How much of the entries each label has.  # (7,) float64, sums to 1, all 0 where there is no entry"""
    counts = Counter(entry.label for entry in entries)
    return np.array([counts[label] for label in LABELS]) / max(1, len(entries))


def portrait(frame: Frame, face: Face) -> Frame:
    """The face with some of what is around it, at most `PORTRAIT_PX` a side.  # (h, w, 3) uint8 BGR"""
    x1, y1, x2, y2 = face.xyxy
    x, y, half = (x1 + x2) / 2, (y1 + y2) / 2, AROUND * face.side_px / 2
    left, top = max(0, round(x - half)), max(0, round(y - half))
    cut = frame[top : max(top + 1, round(y + half)), left : max(left + 1, round(x + half))]
    scale = min(1.0, PORTRAIT_PX / max(cut.shape[:2]))
    size = [max(1, round(scale * side)) for side in cut.shape[1::-1]]
    return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)


def jpeg(picture: Frame) -> bytes:
    """The picture as a JPEG, without anything that a camera writes beside it."""
    return draw.jpeg(picture, JPEG_QUALITY)
