"""Speed, memory and steadiness on this machine: medians over repeats, one thread, never a timed test."""

import importlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np

from fer import classify, dataset, demo, detect, keepers
from fer.aggregate import SLOT_S
from fer.config import ROOT, Settings
from fer.errors import FerError
from fer.labels import LABELS
from fer.pipeline import Options, Pipeline
from fer.preprocess import CROP_PX
from fer.types import Bucket, Frame, Presence

Figures = dict[str, float]
Bench = Callable[[Settings, int], dict[str, Figures]]


def run(
    names: Sequence[str], settings: Settings, repeats: int, minutes: float = 10.0, data: Path | None = None
) -> dict[str, Figures]:
    """The figures of the benches `names`, of all that measure time where there are none.

    `minutes` is how long growth and fuzz take, `data` is FER2013 for the bench that needs it.
    """
    benches: dict[str, Bench] = {**BENCHES, "journal": partial(_journal, data)}
    if unknown := set(names) - set(benches):
        raise FerError(f"There is no bench {sorted(unknown)[0]!r}; there are {', '.join(benches)}.")
    cv2.setNumThreads(1)
    results: dict[str, Figures] = {}
    for name in names or [name for name in BENCHES if name not in ("growth", "memory", "fuzz")]:
        results |= benches[name](settings, round(60 * minutes) if name in ("growth", "fuzz") else repeats)
    return results


def times(
    call: Callable[[int], Any], n: int, warm_up: int = 5, clock: Callable[[], float] = time.perf_counter
) -> Figures:
    """Median and 95th percentile of `n` calls, in milliseconds of `clock`, which counts seconds."""
    for i in range(warm_up):
        call(i)
    taken = []
    for i in range(n):
        begin = clock()
        call(i)
        taken.append((clock() - begin) * 1e3)
    return _summary(taken)


def _summary(taken: Sequence[float]) -> Figures:
    """Median and 95th percentile of milliseconds."""
    return {
        "median_ms": round(statistics.median(taken), 3),
        "p95_ms": round(float(np.percentile(taken, 95)), 3),
        "n": len(taken),
    }


def astronaut() -> Frame:
    """A real face (Eileen Collins, NASA, public domain).  # (512, 512, 3) uint8 BGR"""
    try:
        from skimage import data
    except ImportError:
        raise FerError("This bench needs a face: pip install scikit-image (./setup.sh test does it).") from None
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


def _scene(width: int = 320, height: int = 240) -> Frame:
    """A face as a student sits before a camera."""
    return np.ascontiguousarray(cv2.resize(astronaut()[:384], (width, height), interpolation=cv2.INTER_AREA))


def panned(frame: Frame, i: int) -> Frame:
    """The frame moved by some pixels and with noise: a student moves, and no two pictures are equal."""
    shift = (round(6 * np.sin(i / 5)), round(3 * np.cos(i / 7)))
    noise = np.random.default_rng(i).integers(0, 6, frame.shape, np.uint8)
    return np.asarray(np.roll(frame, shift, (1, 0)) // 2 * 2 + noise // 2, np.uint8)


def _analysis(settings: Settings, repeats: int) -> dict[str, Figures]:
    """One analysis in steady state: two a second, so that every second one searches the whole frame."""
    detector, classifier = detect.choose(settings).create(settings), classify.load(settings.model)
    pipeline = Pipeline(detector, classifier, Options.of(settings, classifier.card))
    frames = [panned(_scene(), i) for i in range(40)]
    interval_s = 1 / settings.analyses_per_s
    if not pipeline.analyse(frames[0], 0.0):
        raise FerError("The detector does not find the face of this bench.")
    calls = iter(range(10**9))
    return {"analysis": times(lambda i: pipeline.analyse(frames[i % 40], next(calls) * interval_s), repeats)}


def moved(frame: Frame, at: float) -> Frame:
    """The frame as a student moves and the light changes, `at` seconds on: panned, scaled by 0.75..1.25, relit."""
    height, width = frame.shape[:2]
    zoom = 1 + 0.25 * np.sin(at / 3.1)
    shift = (0.08 * width * np.sin(at / 2.3), 0.08 * height * np.cos(at / 1.7))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 8 * float(np.sin(at / 4.3)), float(zoom))
    matrix[:, 2] += shift
    still = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT).astype(np.float32)
    noise = np.random.default_rng(int(at * 1000)).normal(0, 3, still.shape)
    return np.asarray(np.clip(still * (0.95 + 0.35 * np.sin(at / 1.9)) + noise, 0, 255), np.uint8)


def label_changes(pipeline: Pipeline, frame: Frame, interval_s: float, length_s: float = 60.0) -> tuple[float, float]:
    """How often per second the shown label and the likeliest label change while `frame` is moved and relit.

    The likeliest is that of the smoothed probabilities; the shown one also has a floor and a margin to pass.
    """
    shown, likeliest = [], []
    for at in np.arange(0, length_s, interval_s):
        if readings := pipeline.analyse(moved(frame, float(at)), float(at)):
            shown.append(readings[0].label)
            likeliest.append(int(readings[0].probs.argmax()))
    if not shown:
        raise FerError("The detector does not find the face of this bench.")
    changes = [sum(a != b for a, b in itertools.pairwise(labels)) for labels in (shown, likeliest)]
    return changes[0] / length_s, changes[1] / length_s


def _steadiness(settings: Settings, repeats: int) -> dict[str, Figures]:
    """Changes of the label of a face that does not change its expression, smoothed and not."""
    detector, classifier = detect.choose(settings).create(settings), classify.load(settings.model)
    options = Options.of(settings, classifier.card)
    results: dict[str, Figures] = {}
    for name, half_life_s in (("label_changes", options.half_life_s), ("label_changes_raw", 0.0)):
        pipeline = Pipeline(detector, classifier, replace(options, half_life_s=half_life_s))
        shown, likeliest = label_changes(pipeline, _scene(), 1 / settings.analyses_per_s)
        results[name] = {"median_per_s": round(shown if half_life_s else likeliest, 3), "n": 60}
    return results


def _searches(settings: Settings, repeats: int) -> dict[str, Figures]:
    """A full search, and one around a known face, by each detector that can be made here."""
    results: dict[str, Figures] = {}
    frames = [panned(_scene(), i) for i in range(40)]
    for name, make in detect.DETECTORS.items():
        try:
            detector = make(settings)
        except FerError:
            continue
        results[f"search_{name}"] = times(lambda i, d=detector: detect.search(d, frames[i % 40]), repeats)  # type: ignore[misc]
        known = detect.search(detector, frames[0])[:1]
        around = lambda i, d=detector, k=known: detect.search_around(d, frames[i % 40], k)  # noqa: E731
        results[f"around_{name}"] = times(around, repeats)
    return results


def _classifier(settings: Settings, repeats: int) -> dict[str, Figures]:
    classifier = classify.load(settings.model)
    crops = np.random.default_rng(0).integers(0, 256, (8, CROP_PX, CROP_PX, 1), np.uint8)
    return {
        f"classify_{n}": times(lambda _, faces=crops[:n]: classifier.probs(faces), repeats)  # type: ignore[misc]
        for n in (1, 8)
    }


def _import(settings: Settings, repeats: int) -> dict[str, Figures]:
    """`import fer` in a fresh interpreter, less the interpreter's own start."""
    program = "import time; t = time.perf_counter(); import fer; print(time.perf_counter() - t)"
    taken = [
        1e3 * float(subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True).stdout)
        for _ in range(min(repeats, 9))
    ]
    return {
        "import_fer": {"median_ms": round(statistics.median(taken), 3), "p95_ms": round(max(taken), 3), "n": len(taken)}
    }


def _query(settings: Settings, repeats: int) -> dict[str, Figures]:
    """What the instructor page asks of the store, for the whole of three hours with 50 students."""
    from fer.store.sql import SqlStore

    with tempfile.TemporaryDirectory() as folder:
        store = SqlStore(f"sqlite:///{folder}/bench.sqlite3")
        room, _ = store.create_class("bench", True, 0.0)
        end = 3 * 3600.0
        for buckets in _class_buckets(room.class_id, 50, end):
            store.put(buckets, [], [])
        store.put([], [Presence(room.class_id, f"{i:032x}", end, 1) for i in range(50)], [])

        def ask(_: int) -> None:
            store.presences(room.class_id, end - 10)
            store.latest(room.class_id, end - 10)
            store.slots(room.class_id, 0.0)

        return {"instructor_query": times(ask, min(repeats, 20), warm_up=1)}


def live(
    settings: Settings, students: Sequence[int], seconds: float, codec: str, fps: int | None, kbps: int | None
) -> Iterator[Any]:
    """A load.Load for each number of students on camera, each sending a film of a real face, eight seconds in a loop.

    By default it has the pictures and the bits per second that browsers are asked for.
    """
    from fer import load, peers, rtc

    settings = replace(settings, camera_fps=fps or settings.camera_fps)
    width, fps = settings.camera_width, settings.camera_fps
    scene = _scene(width, width * 3 // 4)
    frames = [moved(scene, i / fps) for i in range(8 * fps)]
    film = peers.encode(frames, codec, fps, kbps or rtc.most_bps(width, fps) // 1000)
    yield from load.run(settings, film, students, seconds)


def _class_buckets(class_id: int, students: int, length_s: float) -> Iterator[list[Bucket]]:
    rng = np.random.default_rng(0)
    for start in np.arange(0, length_s, SLOT_S * 20):
        probs = rng.dirichlet(np.ones(len(LABELS)), (20, students))
        yield [
            Bucket(class_id, f"{i:032x}", 0, float(start + SLOT_S * k), 10, 10 * probs[k, i])
            for k in range(20)
            for i in range(students)
        ]


def _page(settings: Settings, repeats: int) -> dict[str, Figures]:
    """Server time of a refresh of the instructor's page, for the whole of an hour with 200 simulated students."""
    import streamlit
    from streamlit.testing.v1 import AppTest

    from fer.store.sql import SqlStore

    end, taken = time.time(), list[float]()
    fragment = streamlit.fragment

    def timed(**options: Any) -> Callable[[Callable[[], None]], Any]:
        def of(refresh: Callable[[], None]) -> Any:
            @wraps(refresh)
            def measured() -> None:
                begin = time.perf_counter()
                refresh()
                taken.append((time.perf_counter() - begin) * 1e3)

            return fragment(**options)(measured)

        return of

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.sqlite3"
        store = SqlStore(url)
        room, _ = store.create_class("bench", True, end - 3600)

        def teach(since: float, until: float) -> None:
            rows, here, said = demo.lesson(room.class_id, room.created_at, since, until, students=200)
            store.put(rows, here, [])
            for one in said:
                store.give(one)

        teach(room.created_at, end)
        page = AppTest.from_file(str(ROOT / "pages" / "teach.py"), default_timeout=60)
        page.session_state.class_room = room
        with patch.object(streamlit, "fragment", timed), patch.dict(os.environ, FER_DATABASE_URL=url):
            page.run()
            page.segmented_control[0].set_value("All").run()  # the whole of the hour
            taken.clear()
            for _ in range(min(repeats, 20)):
                teach(end - SLOT_S, end := time.time())
                page.run()
        if page.exception or len(page.get("vega_lite_chart")) < 4:
            raise FerError("The instructor's page did not show its charts.")
    return {"instructor_page": _summary(taken)}


def _growth(settings: Settings, repeats: int) -> dict[str, Figures]:
    """DOM nodes and script memory of the instructor's page in Chromium, for some seconds."""
    with tempfile.TemporaryDirectory() as folder:
        samples = _browser().instructor_page_samples(Path(folder), repeats)
    quarter = max(1, len(samples) // 4)
    results: dict[str, Figures] = {}
    for name, unit, values in zip(("nodes", "heap"), ("nodes", "mb"), zip(*samples, strict=True), strict=True):
        for when, part in (("first", values[:quarter]), ("last", values[-quarter:])):
            figures = {f"median_{unit}": round(statistics.median(part), 1), f"p95_{unit}": round(max(part), 1)}
            results[f"page_{name}_{when}"] = {**figures, "n": len(part)}
    return results


def _browser() -> Any:
    """What the tests drive Chromium with."""
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module("tests.browser")
    except ImportError as error:
        raise FerError(f"This bench drives a browser and needs {error.name}: ./setup.sh test installs it.") from None


def _memory(settings: Settings, repeats: int) -> dict[str, Figures]:
    """Resident memory of the app with one student on camera: a real server, a real Chromium."""
    with tempfile.TemporaryDirectory() as folder:
        values = _browser().one_student_rss_mb(Path(folder))
    return {
        "app_rss": {"median_mb": round(statistics.median(values), 1), "p95_mb": round(max(values), 1), "n": len(values)}
    }


def _fuzz(settings: Settings, seconds: int) -> dict[str, Figures]:
    """How long damaged pictures, videos and archives take to be read or refused; an error that is not ours ends it."""
    from fer import fuzz

    found = fuzz.run(settings, seconds)
    return {f"fuzz_{name}": _summary([1e3 * s for s in taken_s]) for name, taken_s in found.items()}


def _journal(data: Path | None, settings: Settings, repeats: int) -> dict[str, Figures]:
    """What simulated keepers of journals gain by a model of their own, in points."""
    if data is None:
        raise FerError("This bench needs labelled faces: name FER2013 with --data.")
    classifier, faces = classify.load(settings.model), dataset.load(data, "test")
    probs = classifier.probs(faces.images[..., None]).astype(np.float64)
    found = {kind: keepers.gain(kind, faces.labels, probs) for kind in keepers.KINDS}
    return {
        f"keeper: {kind}": {
            "median_points": round(100 * gain.median, 1),
            "mean_points": round(100 * gain.mean, 1),
            "worst_points": round(100 * gain.worst, 1),
            "general_percent": round(100 * gain.general, 1),
            "own_percent": round(100 * gain.own, 1),
            "in_use_percent": round(100 * gain.in_use),
            "entries": round(gain.entries),
            "n": gain.n,
        }
        for kind, gain in found.items()
    }


BENCHES: dict[str, Bench] = {
    "analysis": _analysis,
    "search": _searches,
    "classify": _classifier,
    "import": _import,
    "query": _query,
    "steadiness": _steadiness,
    "page": _page,
    "growth": _growth,
    "memory": _memory,
    "fuzz": _fuzz,
}
