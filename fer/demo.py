"""A class of simulated students over a scripted lesson: for first visitors, tests, benches and pictures."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer import signals
from fer.aggregate import SLOT_S
from fer.labels import LABELS
from fer.types import Bucket, Presence, Signal

STUDENTS = 30
PAST_S = 600.0  # how much of its lesson a demo class has behind it when it is opened
TITLE = "Demo lesson (simulated)"
USUAL = np.array([1, 0.3, 0.6, 4, 1.2, 1, 7], float)  # how often each of LABELS is seen in a quiet class


@dataclass(frozen=True)
class Moment:
    """What happens `at` a minute of the lesson, which repeats: `label` rises `by` times, for about `for_min`."""

    at: float
    for_min: float
    label: str
    by: float
    says: str = ""


LESSON_MIN = 12.0
LESSON = (
    Moment(1.5, 0.8, "happy", 3.0, "got it"),
    Moment(4.0, 0.4, "surprise", 8.0),
    Moment(6.5, 1.2, "sad", 6.0, "lost"),
    Moment(6.8, 1.0, "angry", 4.0, "slower"),
    Moment(8.6, 0.8, "happy", 4.0, "got it"),
    Moment(10.5, 0.8, "neutral", 2.0, "faster"),
)


def student_id(number: int) -> str:
    """The stream of a simulated student: none of a real one, which are hexadecimal, can be like it."""
    return f"simulated{number:03d}"


def lesson(
    class_id: int, begin: float, since: float, until: float, students: int = STUDENTS
) -> tuple[list[Bucket], list[Presence], list[Signal]]:
    """What happens in a class that began at `begin`, from `since` up to `until`: always the same for the same times.

    Two students in fifteen have no camera; each of the others shows one face.
    """
    faces = np.random.default_rng(3).dirichlet(USUAL, students)
    rows: list[Bucket] = []
    said: list[Signal] = []
    for start in _slots(since, until):
        rng = np.random.default_rng(round(start / SLOT_S))
        minute = (start - begin) / 60
        mood = _mood(minute)
        for i in range(students):
            if _has_camera(i):
                probs = rng.dirichlet(faces[i] * mood / (faces[i] @ mood) * 40 + 0.05)
                rows.append(Bucket(class_id, student_id(i), 0, start, 10, probs * rng.binomial(10, 0.9)))
        said += _said(class_id, minute, start, students, rng)
    here = [Presence(class_id, student_id(i), until, int(_has_camera(i))) for i in range(students)]
    return rows, here, said


def _slots(since: float, until: float) -> Iterator[float]:
    start = math.floor(since / SLOT_S) * SLOT_S
    while start < until:
        yield start
        start += SLOT_S


def _has_camera(number: int) -> bool:
    return number % 15 > 1


def _mood(minute: float) -> NDArray[np.float64]:
    """By how much each of LABELS is likelier than usual.  # (7,)"""
    mood = np.ones(len(LABELS))
    mood[LABELS.index("happy")] += 0.6 * math.sin(1.2 * minute)
    for moment in LESSON:
        mood[LABELS.index(moment.label)] += (moment.by - 1) * _strength(moment, minute)
    return mood


def _strength(moment: Moment, minute: float) -> float:
    return math.exp(
        -((((minute - moment.at) % LESSON_MIN + LESSON_MIN / 2) % LESSON_MIN - LESSON_MIN / 2) ** 2)
        / (0.5 * moment.for_min**2)
    )


def _said(class_id: int, minute: float, start: float, students: int, rng: np.random.Generator) -> list[Signal]:
    """Every student taps now and then, most where the lesson makes them; what would hold is let go in a minute."""
    said = []
    for moment in LESSON:
        if not moment.says:
            continue
        for i in np.flatnonzero(rng.random(students) < 0.012 + 0.05 * _strength(moment, minute)):
            if rng.random() < _strength(moment, minute) + 0.05:
                given = signals.signal(class_id, student_id(int(i)), moment.says, start)
                said.append(Signal(class_id, given.stream_id, given.kind, start, start + signals.FADE_S))
    if rng.random() < 0.01:
        said.append(signals.signal(class_id, student_id(int(rng.integers(students))), "help", start))
    return said
