"""What is changed in aiortc (1.16) and aioice (0.13), where there is no setting: other people's private parts."""

import asyncio
import queue
import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import av
from aioice import ice, stun
from aiortc import rtcrtpreceiver
from aiortc.codecs import get_decoder
from aiortc.rate import RemoteBitrateEstimator

REPEAT_MS = 1000  # how often a browser is told again what it may send
CONSENT_TRIES = 5  # after the first packet of a check, at doubling distances: an answer counts for 31 s
MOST_WAITING = 16  # pictures before a decoder: two seconds at eight
BITS_PER_PIXEL = 0.24  # enough for a face that talks: 147 kbit/s for 320×240 at 8 pictures a second


def most_bps(width_px: int, fps: int) -> int:
    """The bits per second that pictures of that width, 4:3, need."""
    return int(width_px * width_px * 0.75 * fps * BITS_PER_PIXEL)


def tune(width_px: int, fps: Callable[[], int]) -> None:
    """Have all receivers made from now on ask for no more bits than `most_bps`, of as many pictures as are sent now.

    A browser on a good network sends 630 kbit/s of 320×240: four times as many packets, each of which costs the
    event loop a tenth of a millisecond, and twice the time for decoding.
    """
    parts: Any = rtcrtpreceiver
    parts.RemoteBitrateEstimator = partial(_Estimator, lambda: most_bps(width_px, fps()))
    parts.decoder_worker = _decode
    be_patient()


def be_patient() -> None:
    """Have no connection made from now on be given up because an event loop, at either end, is late.

    aioice waits half a second for the answer to a check of consent (RFC 7675), and gives a connection up after six
    such checks, half a minute: a loop that is late by so much for so long lost all its students at once.
    """
    connections: Any = ice.Connection
    connections.query_consent = _query_consent


async def _query_consent(connection: Any) -> None:
    """Ask for consent now and then; give up once CONSENT_FAILURES checks in a row have no answer, however late."""
    asking: set[asyncio.Task[None]] = set()
    unanswered = 0

    async def ask(pair: Any) -> None:
        nonlocal unanswered
        request, key = connection.build_request(pair, nominate=False), connection.remote_password.encode()
        try:
            await pair.protocol.request(request, pair.remote_addr, integrity_key=key, retransmissions=CONSENT_TRIES)
        except stun.TransactionError:
            return
        unanswered = 0

    try:
        while True:
            await asyncio.sleep(ice.CONSENT_INTERVAL * (0.8 + 0.4 * random.random()))
            if unanswered >= ice.CONSENT_FAILURES:
                break
            asking = {task for task in asking if not task.done()}
            asking |= {asyncio.create_task(ask(pair)) for pair in connection._nominated.values()}
            unanswered += 1
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    connection._query_consent_task = None
    await connection.close()


class _Estimator(RemoteBitrateEstimator):
    """An estimate of the bandwidth that never exceeds `most_bps()`, told once a second unless it falls."""

    def __init__(self, most_bps: Callable[[], int]) -> None:
        super().__init__()
        self._most_bps, self._told_bps, self._told_ms = most_bps, 0, 0

    def add(
        self, arrival_time_ms: int, abs_send_time: int, payload_size: int, ssrc: int
    ) -> tuple[int, list[int]] | None:
        found = super().add(arrival_time_ms, abs_send_time, payload_size, ssrc)
        if found is None:
            return None
        bps = min(found[0], self._most_bps())
        if bps >= self._told_bps and 0 <= arrival_time_ms - self._told_ms < REPEAT_MS:
            return None
        self._told_bps, self._told_ms = bps, arrival_time_ms
        return bps, found[1]


def is_whole(codec: str, data: bytes) -> bool:
    """Whether an encoded picture needs no other one (RFC 6386, 9.1; ITU-T H.264, table 7-1)."""
    if codec == "VP8":
        return bool(data) and not data[0] & 1
    units = data.split(b"\x00\x00\x01")[1:]
    return any(unit and unit[0] & 0x1F == 5 for unit in units)


def _decode(loop: asyncio.AbstractEventLoop, encoded: queue.Queue[Any], decoded: Any, failed: threading.Event) -> None:
    """The thread of one receiver: aiortc's own makes a task of each picture, and libvpx as many threads as cores.

    A delta frame needs its predecessors, so that all are decoded; one that has a newer one behind it goes no further.
    Where more than MOST_WAITING wait, none is decoded until a whole picture comes: late ones would only get later.
    """
    decoder: Any = None
    name = ""
    passed_over: int | None = None  # since the last decoded one; None while none has to be
    while (task := encoded.get()) is not None:
        codec, picture = task
        if passed_over is None and encoded.qsize() > MOST_WAITING:
            passed_over = 0
        if passed_over is not None and (encoded.qsize() > MOST_WAITING or not is_whole(codec.name, picture.data)):
            if passed_over % MOST_WAITING == 0:
                failed.set()  # aiortc asks the browser for a whole picture
            passed_over += 1
            continue
        passed_over = None
        if codec.name != name:
            decoder, name = get_decoder(codec), codec.name
            decoder.codec.thread_count = 1
        try:
            frames = decoder.decode(picture)
        except av.FFmpegError:  # until the next whole picture, which aiortc asks for
            failed.set()
            continue
        if frames and encoded.empty():
            loop.call_soon_threadsafe(decoded.put_nowait, frames[-1])
    loop.call_soon_threadsafe(decoded.put_nowait, None)
