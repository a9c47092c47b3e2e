"""Guessing made slow: how many wrong codes or keys a visitor, and all visitors together, may try."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fer.errors import ClassError, ThrottleError

WINDOW_S = 60.0


@dataclass(frozen=True)
class _Level:
    """What stands against somebody: it runs out over WINDOW_S."""

    height: float
    at: float

    def at_time(self, now: float, most: int) -> "_Level":
        return _Level(max(0.0, self.height - (now - self.at) * most / WINDOW_S), now)

    def plus(self, tries: int) -> "_Level":
        return _Level(max(0.0, self.height + tries), self.at)


class Throttle:
    """A leaky bucket per visitor and one for all: `each` and `everyone` wrong tries at once, and per WINDOW_S after.

    Where there are `replicas`, each has one with its share of these tries, so that all together allow no more.

    Any thread may call it. `now` is of a monotonic clock. It remembers who was wrong within the last WINDOW_S, and
    the bound for all bounds those: they are at most twice `everyone`.
    """

    def __init__(self, each: int, everyone: int, replicas: int = 1) -> None:
        self._each, self._everyone = max(1, each // replicas), max(1, everyone // replicas)
        self._lock = threading.Lock()
        self._all = _Level(0.0, 0.0)
        self._visitors: dict[str, _Level] = {}  # who was wrong last stands last
        self.refused = 0

    @contextmanager
    def attempt(self, who: str, now: float) -> Iterator[None]:
        """A try by `who`, which was wrong where a ClassError comes out of it.

        Raises ThrottleError where it is one too many. It counts before it is made: many at once gain nothing.
        """
        self._take(who, now)
        try:
            yield
        except ClassError:
            raise
        except BaseException:
            self._give_back(who)
            raise
        self._give_back(who)

    def _take(self, who: str, now: float) -> None:
        with self._lock:
            self._forget(now)
            own = self._visitors.get(who, _Level(0.0, now)).at_time(now, self._each)
            everyone = self._all.at_time(now, self._everyone)
            if (wait_s := max(_wait_s(own, self._each), _wait_s(everyone, self._everyone))) > 0:
                self.refused += 1
                raise ThrottleError(f"There were too many wrong tries. Wait {math.ceil(wait_s)} seconds and try again.")
            self._visitors.pop(who, None)
            self._visitors[who], self._all = own.plus(1), everyone.plus(1)

    def _give_back(self, who: str) -> None:
        with self._lock:
            self._all = self._all.plus(-1)
            if who in self._visitors:
                self._visitors[who] = self._visitors[who].plus(-1)

    def _forget(self, now: float) -> None:
        """Drop those against whom nothing stands any more."""
        while self._visitors and now - (oldest := next(iter(self._visitors.items())))[1].at >= WINDOW_S:
            del self._visitors[oldest[0]]


def _wait_s(level: _Level, most: int) -> float:
    """Until one more fits below `most`."""
    return (level.height + 1 - most) * WINDOW_S / most
