"""Camera streams, a student's and a visitor's: the only module that touches streamlit_webrtc."""

import logging
import secrets
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import av
import numpy as np
from streamlit_webrtc import WebRtcMode, webrtc_streamer

from fer.aggregate import BucketFiller
from fer.config import Settings
from fer.draw import annotate
from fer.mask import Mask
from fer.pipeline import Pipeline
from fer.store.writer import Writer
from fer.types import Frame, Presence, Reading

log = logging.getLogger(__name__)

# What a stream knows of itself:
WAITING, LIVE, NO_FACE, CAMERA_OFF, PAUSED = "waiting", "live", "no face", "camera off", "paused"
READY, CONNECTING, FAILED, STALLED = "ready", "connecting", "failed", "stalled"  # what only its page can know
DARK = 20.0  # a muted camera sends black (16 in video range); the darkest room still has noise and highlights
FLAT = 3.0
SILENT_S = 0.4  # two pictures late, at five a second; by itself it ends nothing
WATCH_S = 0.1
HEARD_S = 2.0  # how often a page without a camera says that it is there
GONE_S = 10.0  # a network that changes closes a page's connection for less
CONNECT_S = 20.0  # WebRTC connects in 2–3 s; after so long it will not
STALE_S = 5.0
NO_PICTURE: Frame = np.zeros((48, 64, 3), np.uint8)


@dataclass(frozen=True)
class Snapshot:
    """What the student's own page shows of the last analysis. `frames` counts what arrived since the start."""

    state: str = WAITING
    readings: tuple[Reading, ...] = ()
    at: float = 0.0
    frames: int = 0
    errors: int = 0


class CameraStream(ABC):
    """What becomes of one camera's pictures.

    `on_frame` runs on a thread of streamlit-webrtc, `on_ended` on its event loop, the rest on the page's
    thread: what they share is one Snapshot, replaced as a whole. It never touches st.session_state, which
    outside the page's thread is one object for all users.
    """

    overlay = False  # whether the picture is sent back

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.snapshot = Snapshot()

    def on_frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Analyse the frame if it is time to; returns what is sent back.

        An exception here would end the track, so this is the one place that catches everything.
        """
        try:
            with self._lock:
                return self._take(frame)
        except Exception:
            self.snapshot = replace(self.snapshot, errors=self.snapshot.errors + 1)
            if self.snapshot.errors % 100 == 1:
                log.exception("a frame could not be analysed")
            return frame

    @abstractmethod
    def on_ended(self) -> None:
        """The connection has ended."""

    @abstractmethod
    def _take(self, frame: av.VideoFrame) -> av.VideoFrame: ...


class StudentStream(CameraStream):
    """Analyses one student's pictures and hands buckets to the writer."""

    def __init__(
        self,
        pipeline: Callable[[], Pipeline],
        writer: Writer,
        class_id: int,
        interval_s: float,
        page_open: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`pipeline` makes the pipeline of a new connection: nothing of the last one is carried over.

        `page_open` tells from any thread whether the student's page still has its connection to the server.
        """
        super().__init__()
        self._page_open, self._frame_at = page_open, 0.0
        self._make_pipeline, self._writer, self._clock = pipeline, writer, clock
        self._class_id, self._interval_s = class_id, interval_s
        self.paused = False
        self.stream_ids: list[str] = []
        self.stopped = False
        self._connected = False

    def on_ended(self) -> None:
        """The connection has ended: this stream is gone from the count."""
        with self._lock:
            self._disconnect()

    def check(self) -> None:
        """End the stream if its page is gone and its pictures have stopped: called by Watch, ten times a second.

        A browser that closes says goodbye over WebRTC about half of the time; else that takes 30 seconds to
        notice (RFC 7675). A page alone that is gone may be a network that changes: pictures then go on.
        """
        if self._connected and self._clock() - self._frame_at > SILENT_S and not self._page_open():
            self.on_ended()

    def stop(self) -> None:
        """Contribute nothing any more."""
        self.stopped = True
        self.on_ended()

    def delete(self) -> None:
        """Stop, and forget what waits to be written; the rows that were written are the store's to delete."""
        self.stop()
        for stream_id in self.stream_ids:
            self._writer.forget(stream_id)

    def _take(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame, annotated where the overlay is on."""
        if self.stopped:
            return frame
        now, last = self._clock(), self.snapshot
        self._frame_at = now
        self.snapshot = replace(last, frames=last.frames + 1)
        due = not self._connected or abs(now - last.at) >= self._interval_s
        if not (due or self.overlay):
            return frame
        picture = cast(Frame, frame.to_ndarray(format="bgr24"))
        if due:
            state, readings = self._read(picture, now)
            self.snapshot = replace(self.snapshot, state=state, readings=tuple(readings), at=now)
        if not self.overlay:
            return frame
        return av.VideoFrame.from_ndarray(annotate(picture, self.snapshot.readings), format="bgr24")

    def _read(self, picture: Frame, now: float) -> tuple[str, list[Reading]]:
        if not self._connected:
            self._connect()
        readings: list[Reading] = []
        if self.paused:
            state = PAUSED
        elif is_black(picture):
            state = CAMERA_OFF
        else:
            readings = self._pipeline.analyse(picture, now)
            state = LIVE if readings else NO_FACE
        buckets = self._filler.add(readings, now)
        self._writer.put(buckets, Presence(self._class_id, self.stream_ids[-1], now, len(buckets)))
        return state, readings

    def _connect(self) -> None:
        self.stream_ids.append(secrets.token_hex(16))
        self._pipeline = self._make_pipeline()
        self._filler = BucketFiller(self._class_id, self.stream_ids[-1])
        self._connected = True

    def _disconnect(self) -> None:
        if self._connected:
            self._writer.leave(self.stream_ids[-1])
        self._connected = False
        self.snapshot = Snapshot()


class EmojiStream(CameraStream):
    """A visitor's own picture, mirrored, with an emoji for every face. It goes back to them alone.

    Nothing is kept but `picture`, the last one that was drawn, for a snapshot: until the connection ends.
    """

    overlay = True

    def __init__(
        self, pipeline: Callable[[], Pipeline], interval_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        """`pipeline` makes the pipeline of a new connection."""
        super().__init__()
        self._make_pipeline, self._interval_s, self._clock = pipeline, interval_s, clock
        self.cover = True
        self._forget()

    def on_ended(self) -> None:
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self.snapshot, self.picture, self._mask = Snapshot(), NO_PICTURE, Mask()
        self._pipeline: Pipeline | None = None

    def _take(self, frame: av.VideoFrame) -> av.VideoFrame:
        now, seen = self._clock(), self.snapshot
        picture = cast(Frame, np.ascontiguousarray(frame.to_ndarray(format="bgr24")[:, ::-1]))
        if abs(now - seen.at) >= self._interval_s:
            state, readings = self._read(picture, now)
            self._mask.aim(readings)
            seen = replace(seen, state=state, readings=tuple(readings), at=now)
        self.snapshot = replace(seen, frames=seen.frames + 1)
        self.picture = self._mask.draw(picture, now, self.cover)
        return av.VideoFrame.from_ndarray(self.picture, format="bgr24")

    def _read(self, picture: Frame, now: float) -> tuple[str, list[Reading]]:
        if is_black(picture):
            return CAMERA_OFF, []
        self._pipeline = self._pipeline or self._make_pipeline()
        readings = self._pipeline.analyse(picture, now)
        return LIVE if readings else NO_FACE, readings


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
        self._lock = threading.Lock()
        self._streams: weakref.WeakSet[StudentStream | Attendance] = weakref.WeakSet()
        self._thread = threading.Thread(target=self._work, name="fer-watch", daemon=True)

    def add(self, stream: StudentStream | Attendance) -> None:
        """Look after `stream` for as long as anybody holds it."""
        with self._lock:
            self._streams.add(stream)
        if not self._thread.is_alive():
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                streams = list(self._streams)
            for stream in streams:
                try:
                    stream.check()
                except Exception:  # one student's trouble is not the others'
                    log.exception("a stream could not be looked after")
            time.sleep(WATCH_S)


def is_black(picture: Frame) -> bool:
    """Whether this is the black picture that a browser sends for a muted camera."""
    sample = picture[::8, ::8]
    return float(sample.mean()) < DARK and float(sample.std()) < FLAT


def camera(key: str, stream: CameraStream, settings: Settings) -> Any:
    """The START button and the visitor's own picture; returns streamlit-webrtc's context.

    The picture is sent back only for an overlay. Each mode has a key of its own: a connection cannot
    change its direction.
    """
    mode = WebRtcMode.SENDRECV if stream.overlay else WebRtcMode.SENDONLY
    width = settings.camera_width
    servers = {"iceServers": [dict(server) for server in settings.ice_servers]}
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
        video_frame_callback=stream.on_frame,
        on_video_ended=stream.on_ended,
        async_processing=True,
        sendback_audio=False,
    )


def status(active: bool, connecting_s: float, snapshot: Snapshot, now: float) -> str:
    """The state to show a student: one of READY, CONNECTING, FAILED, STALLED, LIVE, NO_FACE, CAMERA_OFF, PAUSED.

    `active` is whether START was pressed, `connecting_s` how long ago, without a picture since.
    """
    if snapshot.state == WAITING:
        if connecting_s > CONNECT_S:
            return FAILED
        return CONNECTING if active else READY
    if not active:
        return READY
    return STALLED if now - snapshot.at > STALE_S else snapshot.state
