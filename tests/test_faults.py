"""What goes wrong in a term: a database that stops, a full disk, a process that is killed, a network that flaps.

Beside this file: locks, moved files and outages of any length in test_writer.py, clocks, broken frames and cameras
that change their size in test_live.py, slow clients and dead replicas in test_deploy.py, guessing in test_throttle.py.
"""

import asyncio
import gc
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.codecs import depayload, get_encoder
from aiortc.contrib.media import MediaRelay
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av import VideoFrame

from fer import live, rtc
from fer.aggregate import SLOT_S
from fer.config import Settings
from fer.live import LIVE, WAITING, Pace, StudentStream
from fer.pipeline import Options, Pipeline
from fer.store import database
from fer.store.sql import SqlStore
from fer.store.writer import Writer
from tests import postgres
from tests.conftest import ROOT
from tests.fakes import FakeClassifier, FakeDetector, bucket, present, square

NOW = 1_700_000_000.0


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    """A PostgreSQL of this test's own, to be stopped."""
    if postgres.binary("initdb") is None:
        pytest.skip(postgres.ABSENT)
    with postgres.running() as made:
        yield made


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_postgresql_that_is_stopped_in_the_middle_of_a_class_costs_nothing(server: postgres.Server, mode: str):
    store = SqlStore(server.url)
    room, _ = store.create_class("Algebra", True, NOW)
    writer = Writer(lambda: store, clock=lambda: NOW)
    writer.start = lambda: None  # type: ignore[method-assign]

    def read(slots: range) -> None:
        for i in slots:
            start = NOW + i * SLOT_S
            for n in (1, 2):
                writer.put(
                    [bucket("a", start, n=n, class_id=room.class_id)], present("a", start, class_id=room.class_id)
                )

    read(range(3))
    assert writer.flush()
    server.stop(mode)
    for minute in range(3):
        read(range(3 + 12 * minute, 3 + 12 * (minute + 1)))
        assert not writer.flush() and writer.problem
    server.start()
    assert writer.flush() and not writer.problem
    assert [slot.start for slot in store.slots(room.class_id, 0.0)] == [NOW + i * SLOT_S for i in range(39)]
    assert store.presences(room.class_id, 0.0) == [present("a", NOW + 38 * SLOT_S, class_id=room.class_id)]


def test_a_disk_that_is_full_costs_nothing_once_there_is_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = SqlStore(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    room, _ = store.create_class("Algebra", True, NOW)
    connect, pages = database._connect_sqlite, [16]

    def limited(path: str | None) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute(f"PRAGMA max_page_count={pages[0]}")
        return connection

    monkeypatch.setattr(database, "_connect_sqlite", limited)
    writer = Writer(lambda: store, clock=lambda: NOW)
    writer.start = lambda: None  # type: ignore[method-assign]
    for i in range(2000):
        start = NOW + i * SLOT_S
        writer.put([bucket("a", start, class_id=room.class_id)], present("a", start, class_id=room.class_id))
    assert not writer.flush() and "full" in writer.problem
    assert writer.pending == 2000 and store.slots(room.class_id, 0.0) == []
    pages[0] = 10_000
    assert writer.flush()
    assert len(store.slots(room.class_id, 0.0)) == 2000


CLASS = """
import sys
from fer.store.sql import SqlStore
from fer.store.writer import Writer
from tests.fakes import bucket, present

store = SqlStore(sys.argv[1])
room, _ = store.create_class("Algebra", True, 1_700_000_000.0)
writer = Writer(lambda: store, clock=lambda: 1_700_000_000.0)
for i in range(10**6):
    start, n = 1_700_000_000.0 + i // 5 * 5.0, i % 5 + 1
    mine = [bucket(student, start, n=n, class_id=room.class_id) for student in "abc"]
    writer.put(mine, present("a", start, class_id=room.class_id))
    writer.flush()
    print(room.class_id, i, flush=True)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_process_that_is_killed_loses_at_most_one_bucket_of_a_face(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
):
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql").url
    process = subprocess.Popen([sys.executable, "-c", CLASS, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith(" 72\n"):
            process.send_signal(signal.SIGKILL)
            break
    class_id, last = map(int, (process.stdout.read().splitlines() or [line])[-1].split())
    assert process.wait(20) == -signal.SIGKILL
    store = SqlStore(url)
    slots = store.slots(class_id, 0.0)
    assert [slot.start for slot in slots][: last // 5] == [NOW + i * SLOT_S for i in range(last // 5)]
    assert len(slots) - last // 5 in (0, 1, 2) and all(slot.n_faces == 3 for slot in slots)
    store.delete_class(class_id)


class Camera(VideoStreamTrack):
    """A student's camera: grey noise."""

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = picture(pts)
        frame.pts, frame.time_base = pts, time_base
        return frame


def picture(seed: int, width: int = 320, height: int = 240) -> VideoFrame:
    patches = np.random.default_rng(seed).integers(60, 200, (height // 16, width // 16, 3)).astype(np.uint8)
    return VideoFrame.from_ndarray(np.asarray(patches.repeat(16, 0).repeat(16, 1)), format="bgr24")


@pytest.fixture
def written() -> list[str]:
    """The streams that left."""
    return []


@pytest.fixture
def stream(written: list[str]) -> StudentStream:
    """A student whose face is always found; every frame is analysed."""

    class Sink(Writer):
        def put(self, buckets: object, presence: object) -> None:
            pass

        def leave(self, stream_id: str) -> None:
            written.append(stream_id)

    def pipeline() -> Pipeline:
        return Pipeline(FakeDetector([square(50, 50)]), FakeClassifier(), Options())

    return StudentStream(pipeline, Sink(SqlStore), 1, Pace(1000.0, 8))  # type: ignore[arg-type]


def encoded(
    name: str, first: int, width: int = 320, height: int = 240
) -> list[tuple[RTCRtpCodecParameters, JitterFrame]]:
    """Three pictures as they arrive from a browser with that codec."""
    codec = RTCRtpCodecParameters(f"video/{name}", 90000, None, 97)
    encoder, made = get_encoder(codec), []
    for i in range(first, first + 3):
        frame = picture(i, width, height)
        frame.pts, frame.time_base = 3000 * i, Fraction(1, 90000)
        packets, timestamp = encoder.encode(frame, force_keyframe=i == first)
        made.append((codec, JitterFrame(b"".join(depayload(codec, packet) for packet in packets), timestamp)))
    return made


class Unhurried(queue.Queue[object]):
    """Each picture comes after the last one was decoded, so that none is passed over."""

    def empty(self) -> bool:
        return True


def test_a_stream_whose_codec_and_size_change_and_that_holds_garbage_goes_on(stream: StudentStream):
    garbage = (encoded("VP8", 0)[0][0], JitterFrame(data=bytes(range(256)) * 4, timestamp=0))
    sent = [*encoded("VP8", 1), garbage, *encoded("H264", 10, 640, 480), garbage, *encoded("VP8", 20, 160, 128)]
    received: list[VideoFrame] = []

    async def decode() -> None:
        given = Unhurried()
        out: asyncio.Queue[VideoFrame | None] = asyncio.Queue()
        for one in sent:
            given.put(one)
        given.put(None)
        thread = threading.Thread(target=rtc._decode, args=(asyncio.get_running_loop(), given, out, threading.Event()))
        thread.start()
        while (frame := await asyncio.wait_for(out.get(), 30)) is not None:
            received.append(frame)
        await asyncio.to_thread(thread.join)

    asyncio.run(decode())
    assert {(frame.width, frame.height) for frame in received} == {(320, 240), (640, 480), (160, 128)}
    for frame in received:
        stream.on_frame(frame)
    assert (stream.snapshot.state, stream.snapshot.errors, stream.arrived) == (LIVE, 0, len(received))
    assert len(stream.stream_ids) == 1


@pytest.mark.flaky(reruns=2)
def test_two_hundred_reconnections_leave_no_thread_no_socket_and_no_memory_behind(
    stream: StudentStream, written: list[str]
):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    relay = MediaRelay()

    def on_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    async def offer() -> RTCPeerConnection:
        student = RTCPeerConnection()
        student.addTrack(Camera())
        await student.setLocalDescription(await student.createOffer())
        return student

    async def connect(student: RTCPeerConnection, answer: RTCSessionDescription) -> None:
        await student.setRemoteDescription(answer)
        while stream.snapshot.state == WAITING:
            await asyncio.sleep(0.01)

    def reconnect() -> None:
        student = on_loop(offer())
        worker, sdp = live.answer(stream, student.localDescription.sdp, Settings(), loop, relay)
        on_loop(asyncio.wait_for(connect(student, RTCSessionDescription(sdp, "answer")), 20))
        on_loop(student.close())
        worker.stop()
        stream.on_ended()

    process = psutil.Process()
    for _ in range(20):  # what is made once is made now
        reconnect()
    gc.collect()
    before = threading.active_count(), process.num_fds(), process.memory_info().rss
    for _ in range(200):
        reconnect()
    gc.collect()
    after = threading.active_count(), process.num_fds(), process.memory_info().rss
    stream.stop()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    assert len(stream.stream_ids) >= 220 and set(written) == set(stream.stream_ids)
    assert after[0] <= before[0] + 2 and after[1] <= before[1] + 4
    assert after[2] - before[2] < 40e6
