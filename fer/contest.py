"""Detectors side by side: what each finds, misses and makes up, and how fast. `python -m fer bench faces`."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer import bench, coverage, dataset, detect, draw, photo, scenes
from fer.config import Settings
from fer.coverage import Example, Figure, Find
from fer.detect import Detector
from fer.errors import FerError
from fer.labels import LABELS
from fer.pipeline import Options, Pipeline
from fer.types import Box, Crops, Frame, Probs

N_FACES, N_EMPTY = 300, 1000
CUTS = 2  # frames cut out of each photograph without a face
FACE_PX = 90  # of the frames that are timed


@dataclass(frozen=True)
class Found:
    """What was found about the detector `name`; with a `reason`, why it was left out."""

    name: str
    figures: tuple[Figure, ...] = ()
    examples: tuple[Example, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Course:
    """What every detector is put through.

    `images` (n, 48, 48) are faces, `yaws` (n,) how far they are turned aside, in degrees, where YuNet could tell;
    `known` has the squares of the faces that YuNet finds on each photograph, `empty` photographs without a face.
    """

    images: NDArray[np.uint8]
    yaws: NDArray[np.float64] | None
    known: dict[Path, tuple[Box, ...]]
    empty: list[Path]


def course(settings: Settings, data: Path, split: str, photos: Path | None = None, n_faces: int = N_FACES) -> Course:
    """`n_faces` of FER2013's `split`, always the same, and the photographs in `photos`: `people` and `empty`.

    Without YuNet's file nothing is known of turned faces and of photographs of people. Raises DataError where there
    is no FER2013 at `data`, or no file in one of the folders.
    """
    images = dataset.draw(dataset.load(data, split), n_faces).images
    people, empty = ([] if photos is None else _files(photos / kind) for kind in ("people", "empty"))
    try:
        yunet = detect.YuNet(settings)
    except FerError:
        return Course(images, None, {}, empty)
    known = {path: coverage.shot(frame, yunet).squares for path, frame in _frames(people)}
    return Course(images, coverage.yaws(images, settings.yunet_model), known, empty)


def run(settings: Settings, course: Course, names: Sequence[str] = (), repeats: int = 200) -> Iterator[Found]:
    """Each detector of `names`, by default of the whole registry, as soon as it is measured, on one thread.

    Raises FerError for a name that is not in the registry.
    """
    if unknown := set(names) - set(detect.DETECTORS):
        raise FerError(f"There is no detector {sorted(unknown)[0]!r}; there are {', '.join(detect.DETECTORS)}.")
    for name in names or detect.DETECTORS:
        try:
            detector = detect.DETECTORS[name](settings)
        except FerError as error:
            yield Found(name, reason=str(error))
            continue
        figures, examples = measure(detector, course)
        yield Found(name, (*figures, *times(detector, settings, repeats)), tuple(examples))


def measure(detector: Detector, course: Course) -> tuple[list[Figure], list[Example]]:
    """Everything but the time: recall, fit, false faces, agreement with YuNet."""
    trials = list(coverage.trials(detector, course.images))
    base = next(trial.found for trial in trials if trial.condition is scenes.BASE)
    figures = [*coverage.recalls(trials), *coverage.by_luma(course.images, base)]
    figures += [] if course.yaws is None else coverage.by_yaw(course.yaws, base)
    examples = [example for trial in trials for example in trial.examples]
    for more, seen in _on_pictures(detector, course):
        figures += more
        examples += seen
    return figures, examples


def _on_pictures(detector: Detector, course: Course) -> Iterator[tuple[list[Figure], list[Example]]]:
    """False faces and agreement: as a stream is searched, and as the photo page searches."""
    stream = partial(detect.search, detector)
    page = partial(photo.find_faces, detector=detector)
    yield coverage.false_faces(stream, scenes.empty(N_EMPTY), "samples")
    if course.empty:
        yield coverage.false_faces(stream, _cuts(course.empty), "cut from photographs")
        yield coverage.false_faces(page, (frame for _, frame in _frames(course.empty)), "photo page")
    if course.known:
        yield coverage.agreement(page, detector, _shots(course), "photo page")
        yield coverage.agreement(stream, detector, map(coverage.streamed, _shots(course)), "stream")


def _files(folder: Path) -> list[Path]:
    if not (paths := sorted(path for path in folder.glob("*") if path.is_file())):
        raise FerError(f"There is no picture in {folder}.")
    return paths


def _frames(paths: Sequence[Path]) -> Iterator[tuple[Path, Frame]]:
    """The pictures that can be read, no larger than the photo page searches them."""
    for path in paths:
        try:
            yield path, draw.shrink(photo.decode(path.read_bytes()), max(photo.SEARCH_WIDTHS))
        except FerError:
            continue


def _cuts(paths: Sequence[Path]) -> Iterator[Frame]:
    for number, (_, frame) in enumerate(_frames(paths)):
        yield from scenes.empty(CUTS, [frame], seed=number)


def _shots(course: Course) -> Iterator[coverage.Shot]:
    return (coverage.Shot(frame, course.known[path]) for path, frame in _frames(list(course.known)))


def times(detector: Detector, settings: Settings, repeats: int) -> Iterator[Figure]:
    """Milliseconds of processor: of whole frames, as the app searches them and as they are, and of a stream.

    Each has one face of FACE_PX. In the stream it moves a little and is looked for as `Pipeline` does: everywhere now
    and then, else around where it was. That figure is a mean, since few analyses cost most. Time of this thread alone
    is counted, so that other work on the machine disturbs it little; OpenCV is told to use no other thread.
    """
    cv2.setNumThreads(1)
    for width in (160, 320, 640):
        frames = [bench.panned(_sitting(width), i) for i in range(20)]
        for what, call in (("search", partial(detect.search, detector)), ("detector alone", detector.detect)):
            one = partial(_nth, call, frames)
            taken = bench.times(one, repeats, clock=time.thread_time)
            for kind in ("median", "p95"):
                name = f"{what}, {width}×{width * 3 // 4}, {kind}"
                yield Figure("time", name, taken[f"{kind}_ms"], "ms", repeats)
    yield Figure("time", "an analysis of a stream, mean", _stream_ms(detector, settings, repeats), "ms", repeats)


def _nth(call: Find, frames: Sequence[Frame], i: int) -> object:
    return call(frames[i % len(frames)])


def _sitting(width: int) -> Frame:
    """A person (Eileen Collins, NASA, public domain) in a frame of 4:3, the face FACE_PX high whatever its size."""
    picture = cv2.copyMakeBorder(bench.astronaut(), 0, 64, 128, 128, cv2.BORDER_REFLECT_101)
    w, h = round(width * 105 / FACE_PX), round(width * 3 / 4 * 105 / FACE_PX)  # the face has 105 px in the picture
    x, y = max(0, min(352 - w // 2, picture.shape[1] - w)), max(0, 115 - h // 2)
    return np.asarray(cv2.resize(picture[y : y + h, x : x + w], (width, width * 3 // 4)), np.uint8)


class _Unread:
    """Reads nothing, at once: what is left of an analysis is to find, to follow and to cut out."""

    def probs(self, crops: Crops, head: str = "fer2013") -> Probs:
        return np.full((len(crops), len(LABELS)), 1 / len(LABELS), np.float32)


def _stream_ms(detector: Detector, settings: Settings, repeats: int) -> float:
    pipeline = Pipeline(detector, _Unread(), Options())
    frames = [bench.panned(_sitting(320), i) for i in range(40)]
    pipeline.analyse(frames[0], -1.0)
    begin = time.thread_time()
    for i in range(repeats):
        pipeline.analyse(frames[i % 40], i / settings.analyses_per_s)
    return round((time.thread_time() - begin) * 1e3 / repeats, 3)
