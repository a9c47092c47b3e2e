"""What students say themselves, by a tap: which signals there are, how long they stand, how many stand now."""

import math
import unicodedata
from collections.abc import Iterable
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fer.types import Signal

FADE_S = 60.0
# What a student may say, how it is shown, and what it takes back.
KINDS = MappingProxyType(
    {
        "got it": ("👍", "Got it", ("lost",)),
        "lost": ("🧭", "Lost", ("got it",)),
        "slower": ("🐢", "Slower", ("faster",)),
        "faster": ("🐇", "Faster", ("slower",)),
        "help": ("✋", "I'd like help", ()),
    }
)
HELD = ("slower", "faster")  # until they are cleared; the others fade
MOST_TAPS, TAPS_S = 8, 20.0
NAME_CHARS = 40
JOINER = "\u200d"  # holds the parts of one emoji together


def signal(class_id: int, stream_id: str, kind: str, now: float, name: str = "") -> Signal:
    """A signal of KINDS given at `now`; the name, which only "help" may carry, is cut to NAME_CHARS."""
    if kind not in KINDS:
        raise ValueError(f"there is no signal {kind!r}")
    until = math.inf if kind in HELD else now + FADE_S
    return Signal(class_id, stream_id, kind, now, until, _tidy(name) if kind == "help" else "")


def _tidy(name: str) -> str:
    """One line without control and invisible signs, at most NAME_CHARS long."""
    visible = "".join(c for c in name if c.isspace() or c == JOINER or not unicodedata.category(c).startswith("C"))
    return " ".join(visible.split())[:NAME_CHARS].rstrip()


def standing(given: Iterable[Signal], now: float) -> list[Signal]:
    """Those that stand at `now`: given, not taken back, not faded."""
    return [one for one in given if one.at <= now < one.until]


def counts(given: Iterable[Signal], now: float) -> dict[str, int]:
    """How many students say each of KINDS at `now`."""
    return {kind: int(of[0]) for kind, of in courses(given, np.array([now])).items()}


def courses(given: Iterable[Signal], times: NDArray[np.float64]) -> dict[str, NDArray[np.int64]]:
    """`counts` at each of `times` (t,), which rise: a row (t,) per kind."""
    changes = {kind: np.zeros(len(times) + 1, np.int64) for kind in KINDS}
    for (_, kind), spans in _spans(given).items():
        for begin, end in spans:
            first, last = np.searchsorted(times, (begin, end))
            changes[kind][first] += 1
            changes[kind][last] -= 1
    return {kind: of.cumsum()[:-1] for kind, of in changes.items()}


def _spans(given: Iterable[Signal]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """When each student said each kind, without overlaps: who taps again does not count twice."""
    spans: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for one in sorted(given, key=lambda one: one.at):
        mine = spans.setdefault((one.stream_id, one.kind), [])
        if mine and one.at <= mine[-1][1]:
            mine[-1] = (mine[-1][0], max(mine[-1][1], one.until))
        else:
            mine.append((one.at, one.until))
    return spans


class Taps:
    """Bounds how often one student may tap: MOST_TAPS within TAPS_S seconds."""

    def __init__(self) -> None:
        self._at: list[float] = []

    def allow(self, now: float) -> bool:
        """Whether a tap at `now` is let through; one that is not does not count. A clock may step back."""
        self._at = [at for at in self._at if 0 <= now - at < TAPS_S]
        if len(self._at) >= MOST_TAPS:
            return False
        self._at.append(now)
        return True
