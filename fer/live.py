"""Camera streams, a student's and a visitor's: the only module that touches streamlit_webrtc."""

import asyncio
import inspect
import itertools
import logging
import math
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, cast

import av
import cv2
import numpy as np
from aiortc import RTCConfiguration
from aiortc.mediastreams import MediaStreamError
from av.video.reformatter import ColorRange

from fer import rtc
from fer.aggregate import BucketFiller, next_slot
from fer.config import Settings
from fer.draw import annotate
from fer.governor import next_fps, next_rate
from fer.mask import Mask
from fer.pipeline import Pipeline
from fer.sitting import Sitting
from fer.store.writer import Writer
from fer.types import Frame, Presence, Reading

log = logging.getLogger(__name__)

# What a stream knows of itself:
WAITING, LIVE, NO_FACE, CAMERA_OFF, PAUSED = "waiting", "live", "no face", "camera off", "paused"
READY, CONNECTING, FAILED, STALLED = "ready", "connecting", "failed", "stalled"  # what only its page can know
DARK = 20.0  # a muted camera sends black (16 in video range); the darkest room still has noise and highlights
FLAT = 3.0
SILENT_S = 0.4  # at least so long without a picture, or for two of them; by itself it ends nothing
WATCH_S = 0.1
HEARD_S = 2.0  # how often a page without a camera says that it is there
GONE_S = 10.0  # a network that changes closes a page's connection for less
CONNECT_S = 20.0  # WebRTC connects in 2–3 s; after so long it will not
NO_PICTURE: Frame = np.zeros((48, 64, 3), np.uint8)
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
STALE_S = 8.0  # an analysis may be five seconds away, see governor

STRETCHED = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)  # 16..235 → 0..255

# One pool for all streams: what a picture costs is spent outside of Python's lock, so that more threads than
# cores only wait for each other. Each thread has detectors of its own, whose networks stay in its core's cache.
POOL = ThreadPoolExecutor(os.cpu_count() or 1, "fer-analyse")


@dataclass(frozen=True)
class Snapshot:
    """What the student's own page shows of the last analysis."""

    state: str = WAITING
    readings: tuple[Reading, ...] = ()
    at: float = 0.0
    errors: int = 0


class Pace:
    """How often students' pictures are sent and analysed: as wanted, less often while the process is late (governor).

    A stream is due once in each of its turns, which begin at another moment than those of all other streams: due
    together, they would wait for each other. `turn` and `waited` may be called from any thread; `check` by Watch, ten
    times a second. Two things can be late: an analysis, which waits for a thread of POOL, and `loop`, the event loop
    that the pictures come by.
    """

    def __init__(self, wanted_per_s: float, most_fps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.wanted_per_s, self.most_fps = wanted_per_s, most_fps
        self._course = 0.0, clock(), wanted_per_s  # turns so far, since when, per second; replaced as a whole
        self._streams = itertools.count()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._clock, self._judged_at = clock, -math.inf
        self._late_s: dict[str, list[float]] = {"pool": [], "loop": []}
        self._asked_at: float | None = None

    @property
    def per_s(self) -> float:
        """How often each student's picture is analysed now."""
        return self._course[2]

    @per_s.setter
    def per_s(self, per_s: float) -> None:
        now = self._clock()
        self._course = self._turns(now), now, per_s

    @property
    def lowered(self) -> bool:
        """Whether students are read so much less often that they should be told."""
        return self.per_s < 0.75 * self.wanted_per_s

    @property
    def fps(self) -> int:
        """How many pictures a second are asked of a student's camera."""
        return next_fps(self.per_s, self.wanted_per_s, self.most_fps)

    def new_phase(self) -> float:
        """When a new stream's turns begin, 0..1 of one: far from those of all before (Kronecker's sequence)."""
        return next(self._streams) * GOLDEN_RATIO % 1

    def turn(self, phase: float, wanted_per_s: float | None = None) -> int:
        """The number of a stream's present turn. One that wants another rate than students is lowered as they are."""
        return math.floor(self._turns(self._clock()) * (wanted_per_s or self.wanted_per_s) / self.wanted_per_s + phase)

    def _turns(self, now: float) -> float:
        turns, since, per_s = self._course
        return turns + (now - since) * per_s

    def waited(self, seconds: float, what: str = "pool") -> None:
        """Something began that much later than it could have."""
        self._late_s[what].append(seconds)

    def check(self) -> None:
        """Ask the loop whether it is awake, and once a second choose the rate for the next."""
        now = self._clock()
        if self.loop is not None and self._asked_at is None and not self.loop.is_closed():
            self._asked_at = now
            self.loop.call_soon_threadsafe(self._awake)
        if now - self._judged_at >= 1.0:
            self._judged_at = now
            late, self._late_s = self._late_s, {"pool": [], "loop": []}
            worst = max(sum(values) / max(1, len(values)) for values in late.values())
            self.per_s = next_rate(self.per_s, worst, self.wanted_per_s)

    def _awake(self) -> None:
        if self._asked_at is not None:
            self.waited(self._clock() - self._asked_at, "loop")
        self._asked_at = None


def _failed(seen: Snapshot) -> Snapshot:
    """Note, in an `except`, that a picture could not be analysed; the log has one in a hundred."""
    if seen.errors % 100 == 0:
        log.exception("a frame could not be analysed")
    return replace(seen, errors=seen.errors + 1)


@dataclass(frozen=True)
class _Picture:
    """A frame, and when it came."""

    frame: Any
    at: float


class CameraStream:
    """A visitor's camera: its newest picture is analysed when it is time to.

    Pictures come to `offer` on the server's event loop, or where they are sent back to `on_frame` on a thread of
    streamlit-webrtc; `analyse` runs on a thread of POOL or on that one, one call at a time, the rest on the page's
    thread. What they share is the newest picture and one Snapshot, each replaced as a whole. It never touches
    st.session_state, which outside the page's thread is one object for all users.
    """

    overlay = False  # whether pictures are sent back, with something drawn on them
    per_s: float | None = None  # how often it is analysed where that is not as often as a student is
    places = 1  # of FER_CAPACITY

    def __init__(
        self,
        pipeline: Callable[[], Pipeline],
        pace: Pace,
        page_open: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
        ice_servers: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """`pipeline` makes the pipeline of a new connection: nothing of the last one is carried over.

        `page_open` tells from any thread whether the visitor's page still has its connection to the server.
        """
        self._make_pipeline, self._page_open, self._clock = pipeline, page_open, clock
        self.pace, self.ice_servers = pace, ice_servers
        self._lock = threading.Lock()
        self._newest = _Picture(None, -math.inf)
        self.snapshot = Snapshot()
        self.arrived = 0
        self.stopped = False
        self._connected = self._waiting = False
        self._phase, self._turn = pace.new_phase(), 0

    def offer(self, frame: av.VideoFrame) -> None:
        """Take a picture, and have it or a newer one analysed soon if it is time to; returns at once."""
        if self._take(frame) and not self._waiting:
            self._waiting = True
            POOL.submit(self._take_turn, time.monotonic())

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def here(self) -> bool:
        """Whether it has its places among the cameras of this server."""
        return self._connected and self._page_open()

    def on_frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Analyse the frame if it is time to; returns it, drawn upon where the overlay is on.

        An exception here would end the track.
        """
        if self._take(frame):
            self.analyse()
        try:
            with self._lock:
                return self._drawn(frame) if self.overlay and self._connected else frame
        except Exception:
            self.snapshot = _failed(self.snapshot)
            return frame

    def analyse(self) -> None:
        """Analyse the newest picture. An exception would be lost in the pool: this is the place that catches them."""
        try:
            with self._lock:
                if not self.stopped and self._newest.frame is not None:
                    self._read(self._newest)
        except Exception:
            self.snapshot = _failed(self.snapshot)

    def on_ended(self) -> None:
        """The connection has ended: this stream is gone from the count."""
        with self._lock:
            self._disconnect()

    def check(self) -> None:
        """End the stream if its page is gone and its pictures have stopped: called by Watch, ten times a second.

        A browser that closes says goodbye over WebRTC about half of the time; else that takes 30 seconds to
        notice (RFC 7675). A page alone that is gone may be a network that changes: pictures then go on.
        """
        silent_s = self._clock() - self._newest.at
        if self._connected and silent_s > max(SILENT_S, 2 / self.pace.fps) and not self._page_open():
            self.on_ended()

    def stop(self) -> None:
        """Read nothing any more."""
        self.stopped = True
        self.on_ended()

    def _take_turn(self, asked_at: float) -> None:
        self._waiting = False
        self.pace.waited(time.monotonic() - asked_at)
        self.analyse()

    def _take(self, frame: av.VideoFrame) -> bool:
        """Keep the picture as the newest; whether it is time to analyse it."""
        now = self._clock()
        self._newest = _Picture(frame, now)
        self.arrived += 1
        turn = self.pace.turn(self._phase, self.per_s)
        if self.stopped or (self._connected and turn == self._turn):
            return False
        self._turn = turn
        return True

    def _read(self, newest: _Picture) -> None:
        if not self._connected:
            self._connect()
        state, readings = self._look(newest)
        self._keep(readings, newest)
        self.snapshot = Snapshot(state, tuple(readings), newest.at, self.snapshot.errors)

    def _look(self, newest: _Picture) -> tuple[str, list[Reading]]:
        picture = self._picture(newest.frame)
        if is_black(picture):
            return CAMERA_OFF, []
        readings = self._pipeline.analyse(picture, newest.at)
        return LIVE if readings else NO_FACE, readings

    def _picture(self, frame: av.VideoFrame) -> Frame:
        """What is read of a picture."""
        return grey(frame)

    def _keep(self, readings: list[Reading], newest: _Picture) -> None:
        """What becomes of the readings of a picture, other than being shown."""

    def _drawn(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The picture to send back, with what was read last."""
        return av.VideoFrame.from_ndarray(annotate(colours(frame), self.snapshot.readings), format="bgr24")

    def _connect(self) -> None:
        self._pipeline = self._make_pipeline()
        self._connected = True

    def _disconnect(self) -> None:
        self._connected = False
        self._newest = _Picture(None, -math.inf)  # else a turn still to come would connect it again
        self.snapshot = Snapshot()


class StudentStream(CameraStream):
    """Analyses one student's pictures and hands buckets to the writer."""

    def __init__(
        self,
        pipeline: Callable[[], Pipeline],
        writer: Writer,
        class_id: int,
        pace: Pace,
        page_open: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
        ice_servers: Sequence[Mapping[str, Any]] = (),
        again: bool = False,
    ) -> None:
        """A student who contributed before, `again` or by an earlier connection of this stream, is counted from the
        next slot on: in the one that fills, the ids of both connections would be two students.
        """
        super().__init__(pipeline, pace, page_open, clock, ice_servers)
        self._writer, self._class_id, self._again = writer, class_id, again
        self.overlay = self.paused = False
        self.stream_ids: list[str] = []

    @property
    def here(self) -> bool:
        """Whether the student's page is open and has a camera's place: from joining on, not only while it is on."""
        return not self.stopped and self._page_open()

    def delete(self) -> None:
        """Stop, and forget what waits to be written; the rows that were written are the store's to delete."""
        self.stop()
        for stream_id in self.stream_ids:
            self._writer.forget(stream_id)

    def _look(self, newest: _Picture) -> tuple[str, list[Reading]]:
        return (PAUSED, []) if self.paused else super()._look(newest)

    def _keep(self, readings: list[Reading], newest: _Picture) -> None:
        buckets = self._filler.add(readings, newest.at)
        self._writer.put(buckets, Presence(self._class_id, self.stream_ids[-1], newest.at, len(buckets)))

    def _connect(self) -> None:
        self.stream_ids.append(secrets.token_hex(16))
        since = next_slot(self._clock()) if self._again else -math.inf
        self._filler = BucketFiller(self._class_id, self.stream_ids[-1], since=since)
        self._again = True
        super()._connect()

    def _disconnect(self) -> None:
        if self._connected:
            self._writer.leave(self.stream_ids[-1])
        super()._disconnect()


class EmojiStream(CameraStream):
    """A visitor's own picture, mirrored, with an emoji for every face. It goes back to them alone.

    Nothing is kept but `picture`, the last one that was drawn, for a snapshot: until the connection ends.
    """

    overlay = True
    per_s = 8.0
    places = 10  # drawing and encoding 20 pictures a second costs as much as that many students with their pages

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.cover = True
        self.picture, self._mask = NO_PICTURE, Mask()

    def _picture(self, frame: av.VideoFrame) -> Frame:
        return np.ascontiguousarray(grey(frame)[:, ::-1])

    def _keep(self, readings: list[Reading], newest: _Picture) -> None:
        self._mask.aim(readings)

    def _drawn(self, frame: av.VideoFrame) -> av.VideoFrame:
        mirrored = np.ascontiguousarray(colours(frame)[:, ::-1])
        self.picture = self._mask.draw(mirrored, self._newest.at, self.cover)
        return av.VideoFrame.from_ndarray(self.picture, format="bgr24")

    def _disconnect(self) -> None:
        super()._disconnect()
        self.picture, self._mask = NO_PICTURE, Mask()


class SittingStream(CameraStream):
    """A journal keeper's five seconds: what was seen is in `sitting`, in memory alone, and outlasts the connection."""

    per_s = 6.0

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.sitting = Sitting()

    def _keep(self, readings: list[Reading], newest: _Picture) -> None:
        self.sitting.add(colours(newest.frame), readings, newest.at)


class Attendance:
    """A student's page, with or without a camera: it is heard of while it is open.

    `id` is what the student's taps are kept under. Where it is `counted`, because no camera is, it writes
    presences. `gone` is called from Watch's thread when the page has been closed for GONE_S, and `taken_back` set;
    a page that comes back after that is counted again.
    """

    def __init__(
        self,
        writer: Writer,
        class_id: int,
        counted: bool,
        page_open: Callable[[], bool] = lambda: True,
        gone: Callable[[str], None] = lambda student_id: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.id = secrets.token_hex(16)
        self._writer, self._class_id, self._counted = writer, class_id, counted
        self._page_open, self._gone, self._clock = page_open, gone, clock
        self._lock = threading.Lock()
        self._said_at, self._left, self.taken_back = -HEARD_S, False, False
        self._closed_at: float | None = None

    @property
    def connected(self) -> bool:
        return not self._left and self._closed_at is None

    def check(self) -> None:
        """Say that the student is here, or notice that the page is closed: called by Watch, ten times a second."""
        with self._lock:
            if not self._left:
                self._check(self._page_open(), self._clock())

    def leave(self) -> None:
        """The student has left: not counted any more."""
        with self._lock:
            self._left = True
            self._writer.leave(self.id)

    def _check(self, open_: bool, now: float) -> None:
        if open_:
            if self._closed_at is not None or abs(now - self._said_at) >= HEARD_S:
                self._closed_at, self._said_at = None, now
                if self._counted:
                    self._writer.put([], Presence(self._class_id, self.id, now, 0))
        elif self._closed_at is None:
            self._closed_at = now
            self._writer.leave(self.id)
        elif abs(now - self._closed_at) >= GONE_S and not self.taken_back:
            self.taken_back = True
            self._gone(self.id)


class Watch:
    """Looks after all streams and pages of the process from one thread: ends those whose browser is gone."""

    def __init__(self) -> None:
        self._lock, self._over = threading.Lock(), threading.Event()
        self._streams: weakref.WeakSet[CameraStream | Attendance | Pace] = weakref.WeakSet()
        self._thread = threading.Thread(target=self._work, name="fer-watch", daemon=True)

    def add(self, stream: CameraStream | Attendance | Pace) -> None:
        """Look after `stream` for as long as anybody holds it."""
        with self._lock:
            self._streams.add(stream)
            if self._thread.ident is None:
                self._thread.start()

    def connected(self) -> tuple[int, int]:
        """How many places connected cameras have in this process, and how many students' pages are open."""
        here = [held for held in self._held() if not isinstance(held, Pace) and held.connected]
        cameras = sum(held.places for held in here if isinstance(held, CameraStream))
        return cameras, sum(isinstance(held, Attendance) for held in here)

    def full(self, places: int, capacity: int) -> bool:
        """Whether a camera that needs so many places finds none. One that needs more than all wants to be alone."""
        taken = sum(held.places for held in self._held() if isinstance(held, CameraStream) and held.here)
        return taken + min(places, capacity) > capacity

    def stop(self) -> None:
        """The process ends: everybody leaves, and nobody is looked after any more."""
        self._over.set()
        for held in self._held():
            if isinstance(held, CameraStream):
                held.stop()
            elif isinstance(held, Attendance):
                held.leave()

    def _held(self) -> list[CameraStream | Attendance | Pace]:
        with self._lock:
            return list(self._streams)

    def check(self) -> None:
        """One look at everybody, every WATCH_S."""
        for held in self._held():
            try:
                held.check()
            except Exception:  # one student's trouble is not the others'
                log.exception("a stream could not be looked after")

    def _work(self) -> None:
        while not self._over.wait(WATCH_S):
            self.check()


class Sink:
    """Where streamlit-webrtc puts the pictures of a connection (its MediaSink): hands them to a stream.

    Everything runs on the event loop, and only what takes no time.
    """

    def __init__(self, stream: CameraStream) -> None:
        self._stream = stream
        self._track: Any = None
        self._task: asyncio.Task[None] | None = None

    def addTrack(self, track: Any) -> None:
        self._track = track

    def hasTrack(self) -> bool:
        return self._track is not None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._pass_on())

    def stop(self) -> None:
        if self._task is not None and not self._task.get_loop().is_closed():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    async def _pass_on(self) -> None:
        try:
            while True:
                self._stream.offer(await self._track.recv())
        except MediaStreamError:
            pass
        finally:
            POOL.submit(self._stream.on_ended)  # it may wait for an analysis


def grey(frame: av.VideoFrame) -> Frame:
    """What is read of a picture: its brightness, 0..255.  # (H, W) uint8, or of a rare format (H, W, 3) BGR

    The first plane that a decoder fills is that, in the range 16..235 unless the format says otherwise (ITU-R
    BT.601); converting the colours of a picture would take 0.4 ms.
    """
    if frame.format.name not in ("yuv420p", "yuvj420p"):
        return colours(frame)
    plane: Any = frame.planes[0]
    luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    full = frame.format.name == "yuvj420p" or frame.color_range == ColorRange.JPEG
    return np.asarray(luma if full else cv2.LUT(luma, STRETCHED), np.uint8)


def colours(frame: av.VideoFrame) -> Frame:
    """The picture as it is shown.  # (H, W, 3) uint8 BGR"""
    return cast(Frame, frame.to_ndarray(format="bgr24"))


def is_black(picture: Frame) -> bool:
    """Whether this is the black picture that a browser sends for a muted camera."""
    sample = picture[::8, ::8]
    return float(sample.mean()) < DARK and float(sample.std()) < FLAT


def camera(key: str, stream: CameraStream, settings: Settings) -> Any:
    """The START button and the visitor's own picture; returns streamlit-webrtc's context.

    The picture is sent back only for an overlay. Each mode has a key of its own: a connection cannot
    change its direction.
    """
    # Imported within a page: only there does a component register with Streamlit (1.67); serve.py imports us before.
    from streamlit_webrtc import WebRtcMode, webrtc_streamer
    from streamlit_webrtc.eventloop import get_global_event_loop

    stream.pace.loop = get_global_event_loop()
    rtc.tune(settings.camera_width, _fps(stream, settings))
    mode = WebRtcMode.SENDRECV if stream.overlay else WebRtcMode.SENDONLY
    width = settings.camera_width
    servers = {"iceServers": [dict(server) for server in stream.ice_servers]}
    return webrtc_streamer(
        key=f"{key}-{mode.name.lower()}",
        mode=mode,
        frontend_rtc_configuration=servers,
        server_rtc_configuration=servers,
        media_stream_constraints={
            "video": {
                "width": {"ideal": width},
                "height": {"ideal": width * 3 // 4},
                "frameRate": {"ideal": settings.camera_fps, "max": settings.camera_fps},
            },
            "audio": False,
        },
        sendback_audio=False,
        **_takes(stream),
    )


def _takes(stream: CameraStream) -> dict[str, Any]:
    """How streamlit-webrtc hands over pictures: through a thread of its own only where they are sent back."""
    if stream.overlay:
        return {"video_frame_callback": stream.on_frame, "on_video_ended": stream.on_ended, "async_processing": True}
    return {"sink_video_track": Sink(stream)}


def _fps(stream: CameraStream, settings: Settings) -> Callable[[], int]:
    """Tells how many pictures a second its browser is to send now; it does not hold on to the stream."""
    pace, slowed = stream.pace, stream.per_s is None
    return lambda: pace.fps if slowed else settings.camera_fps


def answer(stream: CameraStream, sdp: str, settings: Settings, loop: Any, relay: Any) -> tuple[Any, str]:
    """Take an offer as `camera` does, outside of a page: the worker, which wants to be stopped, and the answer."""
    from streamlit_webrtc import WebRtcMode
    from streamlit_webrtc.webrtc import WebRtcWorker

    stream.pace.loop = loop
    rtc.tune(settings.camera_width, _fps(stream, settings))
    taken = ("mode", "rtc_configuration", "loop", "relay", "self")
    unused = {name: None for name in inspect.signature(WebRtcWorker).parameters if name not in taken}
    worker: Any = WebRtcWorker(
        WebRtcMode.SENDONLY,
        RTCConfiguration(iceServers=[]),
        loop=loop,
        relay=relay,
        **{
            **unused,
            "video_receiver_size": 4,
            "audio_receiver_size": 4,
            "sendback_video": True,
            "sendback_audio": False,
            **_takes(stream),
        },
    )
    return worker, worker.process_offer(sdp, "offer", timeout=20.0).sdp


def status(active: bool, connecting_s: float, snapshot: Snapshot, now: float) -> str:
    """The state to show a visitor: one of READY, CONNECTING, FAILED, STALLED, LIVE, NO_FACE, CAMERA_OFF, PAUSED.

    `active` is whether START was pressed, `connecting_s` how long ago, without a picture since.
    """
    if snapshot.state == WAITING:
        if connecting_s > CONNECT_S:
            return FAILED
        return CONNECTING if active else READY
    if not active:
        return READY
    return STALLED if now - snapshot.at > STALE_S else snapshot.state
