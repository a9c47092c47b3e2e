"""The one alert of the instructor's page: an EWMA control chart with hysteresis over the class's own baseline.

Roberts 1959 ("Control Chart Tests Based on Geometric Moving Averages"): z = λx + (1 − λ)z is compared with the
baseline's mean, and is out of control beyond `threshold` times its standard deviation σ·√(λ/(2 − λ)). The
baseline is learnt from the class itself and stands still while it is out of control. An alarm speaks once the
value itself has been that high for PERSIST_S, and ends when z is back within half of the limit: no flicker.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fer import signals
from fer.aggregate import SLOT_S
from fer.labels import LABELS
from fer.types import Signal, Slot

LAMBDA = 0.25  # the weight of a new slot: it has its say for about 20 s
BASELINE = 0.02  # the weight of a new slot in the baseline: about four minutes
LEARN_SLOTS = 24  # two minutes before anything is called unusual
SIGMA_LEAST = 0.05  # a quiet class must not be alarmed by a whisper
PERSIST_S = 30.0
THRESHOLD = 3.0
NEGATIVE = tuple(LABELS.index(label) for label in ("angry", "disgust", "fear", "sad"))
GAP_S = 60.0  # after such a gap in the slots the average begins anew


@dataclass(frozen=True)
class Alarm:
    """`what` was unusual from `since` until `until`, None while it lasts; times in POSIX seconds."""

    what: str
    since: float
    until: float | None


def alarms(what: str, times: Sequence[float], values: Sequence[float], threshold: float = THRESHOLD) -> list[Alarm]:
    """The alarms of a series with one value per slot, oldest first; only the last may still last.

    `threshold` is in standard deviations of the average: 3 is the usual one, fewer alarm earlier.
    """
    found: list[Alarm] = []
    mean, variance, average, seen = 0.0, 0.0, 0.0, 0
    since: float | None = None
    strong, last = 0, -math.inf  # slots of this alarm that were above the limit themselves, not by what came before
    for at, value in zip(times, values, strict=True):
        if seen == 0:
            mean = average = value
        if at - last > GAP_S:
            average = value
            if since is not None:
                found, since = _closed(found, what, since, last + SLOT_S, strong), None
        average += LAMBDA * (value - average)
        limit = threshold * max(SIGMA_LEAST, math.sqrt(variance)) * math.sqrt(LAMBDA / (2 - LAMBDA))
        above = average - mean
        if since is None and seen >= LEARN_SLOTS and above > limit:
            since, strong = at, 0
        elif since is not None and above < limit / 2:
            found, since = _closed(found, what, since, at, strong), None
        if since is None:
            weight = max(BASELINE, 1 / (seen + 1))
            variance = (1 - weight) * (variance + weight * (value - mean) ** 2)
            mean += weight * (value - mean)
        elif value - mean > limit:
            strong += 1
        seen, last = seen + 1, at
    return found if since is None else _closed(found, what, since, None, strong)


def _closed(found: list[Alarm], what: str, since: float, until: float | None, strong: int) -> list[Alarm]:
    """The alarms with one more, if what raised it has persisted."""
    return [*found, Alarm(what, since, until)] if strong * SLOT_S >= PERSIST_S else found


def of_class(
    slots: Sequence[Slot],
    said: Iterable[Signal],
    connected: int,
    begin: float,
    until: float,
    threshold: float = THRESHOLD,
) -> list[Alarm]:
    """The alarms between two times: negative expressions in `slots`, and "lost" among the `connected` students."""
    negative = [float(sum(slot.mean_probs[i] for i in NEGATIVE)) for slot in slots]
    found = alarms("negative expressions", [slot.start for slot in slots], negative, threshold)
    lost = [one for one in said if one.kind == "lost"]
    if lost:
        times = [begin + SLOT_S * i for i in range(math.ceil((until - begin) / SLOT_S))]
        shares = signals.courses(lost, np.array(times))["lost"] / max(1, connected)
        found += alarms("students saying that they are lost", times, shares.tolist(), threshold)
    return sorted(found, key=lambda alarm: alarm.since)
