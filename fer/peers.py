"""Students made of packets: real WebRTC peers in a process of their own, which send a film that was encoded once."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from fer import rtc
from fer.config import ROOT
from fer.types import Frame

TICK_S = 0.02  # how often a loop is asked whether it is awake
CLOCK_RATE = 90_000  # of RTP timestamps of video (RFC 3551)
# What browsers and aiortc itself set for live video: no frame waits for a later one.
OPTIONS: dict[str, dict[str, str]] = {
    "vp8": {"deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "undershoot-pct": "100"},
    "h264": {"tune": "zerolatency", "level": "31", "preset": "veryfast"},
}
ENCODERS = {"vp8": "libvpx", "h264": "libx264"}


@dataclass(frozen=True)
class Film:
    """One encoded picture per element, the first of them whole; played `fps` times a second, in a loop."""

    codec: str
    fps: int
    packets: tuple[bytes, ...]

    @property
    def kbps(self) -> float:
        return sum(map(len, self.packets)) * 8 * self.fps / len(self.packets) / 1000


@dataclass(frozen=True)
class Call:
    """A peer that wants to be connected."""

    peer: int
    sdp: str


@dataclass(frozen=True)
class Began:
    """A peer took its first picture, that of RTP time 0, `at` POSIX seconds."""

    peer: int
    at: float


@dataclass
class Rate:
    """How many pictures a second all peers send: as many as they were last asked for."""

    fps: float


@dataclass(frozen=True)
class Spent:
    """The processor time of the peers' process so far, in seconds, and how late its loop was since the last time.

    `late_s` has a value for every TICK_S: how much later than asked the loop woke up.
    """

    cpu_s: float
    late_s: tuple[float, ...]


def encode(frames: list[Frame], codec: str, fps: int, kbps: int) -> Film:
    """The film of `frames` (H, W, 3) uint8 BGR, of one size, as a browser would send them."""
    context: Any = av.CodecContext.create(ENCODERS[codec], "w")
    context.height, context.width = frames[0].shape[:2]
    context.pix_fmt, context.bit_rate = "yuv420p", kbps * 1000
    context.time_base = Fraction(1, fps)
    context.framerate = Fraction(fps)
    context.gop_size, context.max_b_frames = len(frames), 0
    rate = {"minrate": f"{kbps}k", "maxrate": f"{kbps}k", "bufsize": f"{kbps}k"}
    context.options = {**OPTIONS[codec], **rate}
    if codec == "h264":
        context.profile = "Baseline"
    packets = []
    for i, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(frame, format="bgr24").reformat(format="yuv420p")
        picture.pts, picture.time_base = i, context.time_base
        packets += [bytes(packet) for packet in context.encode(picture)]
    packets += [bytes(packet) for packet in context.encode(None)]
    return Film(codec, fps, tuple(packets))


class Player(MediaStreamTrack):
    """A track that plays a film at a rate, on the loop's thread; what it is late with, it does not make up for.

    Slower, it sends the same pictures less often: as a browser does that may send as many bits for each.
    """

    kind = "video"

    def __init__(self, film: Film, rate: Rate, began: Callable[[float], None]) -> None:
        """`began` is called with the time of the first picture, POSIX seconds, that of RTP time 0."""
        super().__init__()
        self._film, self._rate, self._began, self._next = film, rate, began, 0
        self._begin = self._due = 0.0

    async def recv(self) -> Any:
        now = time.time()
        if not self._next:
            self._begin = self._due = now
            self._began(now)
        self._due = max(self._due, now - 1 / self._rate.fps)
        await asyncio.sleep(max(0.0, self._due - now))
        packet = av.Packet(self._film.packets[self._next % len(self._film.packets)])
        packet.pts, packet.time_base = round((self._due - self._begin) * CLOCK_RATE), Fraction(1, CLOCK_RATE)
        self._due += 1 / self._rate.fps
        self._next += 1
        return packet


def watch(loop: asyncio.AbstractEventLoop, late_s: list[float]) -> None:
    """Note, every TICK_S from now on, how much later than asked the loop wakes up. To be called on the loop."""

    def tick(asked: float) -> None:
        now = loop.time()
        late_s.append(now - asked)
        loop.call_at(now + TICK_S, tick, now + TICK_S)

    loop.call_soon(tick, loop.time())


def start(film: Film) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start the peers' process. It is asked over the connection: a number of peers to have in all, an answer to a
    Call as (peer, sdp), a Rate to send pictures at, "spent" for a Spent, None to end; and it sends Call, Began, Spent.
    """
    ours, theirs = Pipe()
    # Not multiprocessing's Process: that runs again whatever is __main__ here, which may be a page.
    program = f"from fer import peers; peers.main({theirs.fileno()})"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, pass_fds=[theirs.fileno()])
    theirs.close()
    ours.send(film)
    return process, ours


def main(handle: int) -> None:
    """What the peers' process does, with its end of the connection as a file descriptor."""
    pipe: Connection = Connection(handle)
    asyncio.run(_serve(pipe, pipe.recv()))


async def _serve(pipe: Connection, film: Film) -> None:
    rtc.be_patient()  # as browsers are
    peers: list[RTCPeerConnection] = []
    late_s: list[float] = []
    rate = Rate(film.fps)
    loop = asyncio.get_running_loop()
    watch(loop, late_s)
    while (asked := await loop.run_in_executor(None, _receive, pipe)) is not None:
        if asked == "spent":
            pipe.send(Spent(time.process_time(), tuple(late_s)))
            late_s.clear()
        elif isinstance(asked, int):
            while len(peers) < asked:
                peers.append(await _call(len(peers), film, rate, pipe))
        elif isinstance(asked, Rate):
            rate.fps = asked.fps
        else:
            peer, sdp = asked
            await peers[peer].setRemoteDescription(RTCSessionDescription(sdp, "answer"))
    await asyncio.gather(*(peer.close() for peer in peers))


def _receive(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:  # whoever asked is gone
        return None


async def _call(number: int, film: Film, rate: Rate, pipe: Connection) -> RTCPeerConnection:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceiver = peer.addTransceiver(Player(film, rate, lambda at: pipe.send(Began(number, at))), "sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([c for c in codecs if c.name.lower() == film.codec])
    await peer.setLocalDescription(await peer.createOffer())
    pipe.send(Call(number, peer.localDescription.sdp))
    return peer
