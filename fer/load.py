"""The live path under load: real peers on one side, the server's side of the student page on the other."""

import asyncio
import logging
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from aiortc.contrib.media import MediaRelay

from fer import classify, detect, live, peers
from fer.aggregate import NOW_S, mood
from fer.classify import Classifier
from fer.config import Settings
from fer.detect import Detector, PerThread
from fer.errors import FerError
from fer.peers import Began, Call, Film, Rate, Spent
from fer.pipeline import Options, Pipeline
from fer.store.sql import SqlStore
from fer.store.writer import Writer
from fer.types import Bucket, Crops, Face, Frame, Presence, Probs

CONNECT_S = 120.0  # for all peers of a number
AT_ONCE = 5
# The threads of the server by what they do; what has no place here is the rest.
STAGES = {
    "fer-bench-loop": "receive",
    "video-decoder": "decode",
    "async_media_processor": "analyse",
    "fer-analyse": "analyse",
    "fer-writer": "store",
    "fer-bench-reader": "query",
}


@dataclass(frozen=True)
class Load:
    """What a number of students cost over `seconds`, and what they got.

    `cpu_ms` is processor time of the server per student and second by stage; `detect` and `classify` are parts of
    `analyse`. `latency_s`, `stall_ms` and `peer_stall_ms` are 50th, 95th and 99th percentile: from the moment a
    picture was due to be sent to its reading in the store, and how much later than asked the event loop woke up, here
    and in the peers' process. Where the peers' is the later one, what is measured is the peers.
    """

    students: int
    seconds: float
    frames_per_s: float  # arrived, per student
    analyses_per_s: float  # per student
    least_analyses_per_s: float  # of the student with the fewest
    late: int  # analyses that were due and were not made
    rate_per_s: float  # what the governor allowed at the end
    latency_s: tuple[float, float, float]
    stall_ms: tuple[float, float, float]
    cpu_ms: dict[str, float]
    cpu_ms_per_analysis: float
    peer_cpu_ms: float
    peer_stall_ms: tuple[float, float, float]
    rss_mb: tuple[float, ...]
    queries: int
    lost: int  # connections that have ended by themselves so far
    errors: int  # of queries and analyses


class _Meter:
    """Adds up what several threads do: each adds under the lock, for microseconds."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.cpu_s: dict[str, float] = defaultdict(float)
        self.waiting: dict[str, dict[float, float]] = defaultdict(dict)  # stream → analysed at → sent at
        self.latency_s: list[float] = []
        self.stall_s: list[float] = []
        self.rss_mb: list[float] = []
        self.queries = self.errors = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.thread_time()
        yield
        with self.lock:
            self.cpu_s[name] += time.thread_time() - begin

    def stored(self, presence: Presence, at: float) -> None:
        """A reading is in the store, and with it all earlier ones of its stream."""
        with self.lock:
            waiting = self.waiting[presence.stream_id]
            for analysed_at in [when for when in waiting if when <= presence.seen_at]:
                self.latency_s.append(at - waiting.pop(analysed_at))


class _Detector:
    """A detector whose time is measured."""

    def __init__(self, detector: Detector, meter: _Meter) -> None:
        self._detector, self._meter = detector, meter
        self.crop_scale, self.crop_dy = detector.crop_scale, detector.crop_dy
        self.working_px, self.full_every_s = detector.working_px, detector.full_every_s

    def detect(self, frame: Frame, min_face_px: float = 0.0) -> list[Face]:
        with self._meter.stage("detect"):
            return self._detector.detect(frame, min_face_px)


class _Classifier:
    """A classifier whose time is measured."""

    def __init__(self, classifier: Classifier, meter: _Meter) -> None:
        self._classifier, self._meter = classifier, meter

    def probs(self, crops: Crops, head: str = "fer2013") -> Probs:
        with self._meter.stage("classify"):
            return self._classifier.probs(crops, head)


class _Store(SqlStore):
    """A store that tells when a reading has reached it."""

    def __init__(self, url: str, meter: _Meter) -> None:
        super().__init__(url)
        self._meter = meter

    def put(self, new: Sequence[Bucket], here: Sequence[Presence], left: Sequence[str]) -> None:
        super().put(new, here, left)
        now = time.time()
        for presence in here:
            self._meter.stored(presence, now)


class _Stream(live.StudentStream):
    """A student's stream that notes when each picture that it analyses was sent. `began` is of the first picture."""

    meter: _Meter
    began = 0.0
    analysed = 0

    def _read(self, newest: Any) -> None:
        super()._read(newest)
        self.analysed += 1
        frame = newest.frame
        with self.meter.lock:
            self.meter.waiting[self.stream_ids[-1]][newest.at] = self.began + float(frame.pts * frame.time_base)


@dataclass
class _Server:
    """The server's side: an event loop in a thread, a store, a writer, the streams, and a reader."""

    settings: Settings
    meter: _Meter
    store: _Store
    class_id: int
    make_pipeline: Callable[[], Pipeline]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    streams: list[_Stream] = field(default_factory=list)
    workers: list[Any] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.writer = Writer(lambda: self.store)
        self.watch, self.pace = live.Watch(), live.Pace(self.settings.analyses_per_s, self.settings.camera_fps)
        self.watch.add(self.pace)
        self.threads = [
            threading.Thread(target=self._run_loop, name="fer-bench-loop", daemon=True),
            threading.Thread(target=self._read, name="fer-bench-reader", daemon=True),
        ]
        for thread in self.threads:
            thread.start()
        self.relay = asyncio.run_coroutine_threadsafe(self._new_relay(), self.loop).result()

    def answer(self, sdp: str) -> str:
        """Take a student's offer as the student page does."""
        stream = _Stream(self.make_pipeline, self.writer, self.class_id, self.pace)
        stream.meter = self.meter
        self.watch.add(stream)
        worker, answer = live.answer(stream, sdp, self.settings, self.loop, self.relay)
        self.streams.append(stream)
        self.workers.append(worker)
        return answer

    def close(self) -> None:
        self.ended.set()
        for worker in self.workers:
            worker.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        for thread in self.threads:
            thread.join(10)
        self.watch.stop()
        self.writer.close()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self.loop)
        peers.watch(self.loop, self.meter.stall_s)
        self.loop.run_forever()

    @staticmethod
    async def _new_relay() -> MediaRelay:
        return MediaRelay()

    def _read(self) -> None:
        """What the instructor's page asks, once a second."""
        while not self.ended.wait(1.0):
            now = time.time()
            try:
                here = self.store.presences(self.class_id, now - NOW_S)
                mood(here, self.store.latest(self.class_id, now - NOW_S), self.settings.min_group, now)
                self.store.slots(self.class_id, now - 300)
                self.meter.queries += 1
            except Exception:
                self.meter.errors += 1
            self.meter.rss_mb.append(_rss_mb())


def run(settings: Settings, film: Film, students: Sequence[int], seconds: float) -> Iterator[Load]:
    """One Load for each number of students, the fewest first; the peers of one stay for the next."""
    process, pipe = peers.start(film)
    try:
        with _server(settings) as server:
            for n in sorted(students):
                _connect(server, pipe, n)
                yield _measure(server, pipe, seconds)
            pipe.send(None)
            process.wait(10)
    finally:
        process.kill()


@contextmanager
def _server(settings: Settings) -> Iterator[_Server]:
    for name in ("scriptrunner_utils.script_run_context", "caching.cache_data_api"):
        logging.getLogger(f"streamlit.runtime.{name}").disabled = True  # that no page runs this, for every student
    meter, choice, model = _Meter(), detect.choose(settings), classify.load(settings.model)
    classifier, options = _Classifier(model, meter), Options.of(settings, model.card)
    detector = _Detector(PerThread(lambda: choice.create(settings)), meter)
    make = lambda: Pipeline(detector, classifier, options)  # noqa: E731
    with tempfile.TemporaryDirectory() as folder:
        store = _Store(f"sqlite:///{folder}/load.sqlite3", meter)
        room, _ = store.create_class("load", True, time.time())
        server = _Server(settings, meter, store, room.class_id, make)
        try:
            yield server
        finally:
            server.close()


def _connect(server: _Server, pipe: Connection, students: int) -> None:
    """Let so many peers in all be connected, a few at a time, as people join; each with a reading.

    Raises FerError where that does not happen.
    """
    deadline = time.monotonic() + CONNECT_S
    while (here := len(server.streams)) < students:
        wanted = min(students, here + AT_ONCE)
        pipe.send(Rate(server.pace.fps))
        pipe.send(wanted)
        while here < wanted:
            if not pipe.poll(max(0.0, deadline - time.monotonic())):
                raise FerError(f"Only {here} of {students} peers were connected within {CONNECT_S:g} s.")
            said = pipe.recv()
            if isinstance(said, Call):
                pipe.send((said.peer, server.answer(said.sdp)))
            elif isinstance(said, Began):
                server.streams[said.peer].began = said.at
                here += 1
    while not all(stream.analysed for stream in server.streams):
        if time.monotonic() > deadline:
            raise FerError("A peer's pictures were not analysed.")
        time.sleep(0.05)


def _measure(server: _Server, pipe: Connection, seconds: float) -> Load:
    meter, streams = server.meter, server.streams
    with meter.lock:
        meter.waiting.clear()
        meter.stall_s.clear()
        meter.latency_s, meter.rss_mb, meter.queries, meter.errors = [], [], 0, 0
    counts, frames, errors = zip(*[(s.analysed, s.arrived, s.snapshot.errors) for s in streams], strict=True)
    cpu, peers_before, begin = _cpu_s(meter), _spent(pipe), time.monotonic()
    while (left := begin + seconds - time.monotonic()) > 0:
        pipe.send(Rate(server.pace.fps))  # as a student's page tells its browser
        server.ended.wait(min(1.0, left))
    took = time.monotonic() - begin
    spent = {name: value - cpu.get(name, 0.0) for name, value in _cpu_s(meter).items()}
    peers_after = _spent(pipe)
    done = [s.analysed - n for s, n in zip(streams, counts, strict=True)]
    per_student = 1000 / took / len(streams)
    with meter.lock:
        latency_s, stall_s = list(meter.latency_s), list(meter.stall_s)
    return Load(
        students=len(streams),
        seconds=round(took, 1),
        frames_per_s=round(sum(s.arrived - n for s, n in zip(streams, frames, strict=True)) / took / len(streams), 2),
        analyses_per_s=round(sum(done) / took / len(streams), 3),
        least_analyses_per_s=round(min(done) / took, 3),
        late=sum(max(0, int(took * server.settings.analyses_per_s) - n) for n in done),
        rate_per_s=round(server.pace.per_s, 3),
        latency_s=_rounded(latency_s),
        stall_ms=_rounded([1000 * s for s in stall_s]),
        cpu_ms={name: round(value * per_student, 3) for name, value in spent.items()},
        cpu_ms_per_analysis=round(1000 * spent["all"] / max(1, sum(done)), 2),
        peer_cpu_ms=round((peers_after.cpu_s - peers_before.cpu_s) * per_student, 3),
        peer_stall_ms=_rounded([1000 * s for s in peers_after.late_s]),
        rss_mb=tuple(meter.rss_mb),
        queries=meter.queries,
        lost=sum(worker.pc.connectionState != "connected" for worker in server.workers),
        errors=meter.errors + sum(s.snapshot.errors - n for s, n in zip(streams, errors, strict=True)),
    )


def _spent(pipe: Connection) -> Spent:
    pipe.send("spent")
    while not isinstance(said := pipe.recv(), Spent):
        pass
    return said


def _cpu_s(meter: _Meter) -> dict[str, float]:
    """Processor seconds of this process so far, by stage and in all."""
    spent: dict[str, float] = dict.fromkeys((*STAGES.values(), "rest"), 0.0)
    for thread in threading.enumerate():
        stage = next((stage for name, stage in STAGES.items() if thread.name.startswith(name)), "rest")
        with suppress(OSError):  # it has ended meanwhile
            spent[stage] += int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]) / 1e9
    with meter.lock:
        return {**spent, **meter.cpu_s, "all": time.process_time()}


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * 4096 / 2**20, 1)


def _rounded(values: Sequence[float]) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentile; nan where there are no values."""
    if not values:
        return (float("nan"),) * 3
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return round(float(p50), 3), round(float(p95), 3), round(float(p99), 3)
