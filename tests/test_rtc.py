"""What is changed in aiortc does what aiortc did, and asks for less."""

import asyncio
import queue
import threading
from collections.abc import Iterator

import pytest
from aiortc import rtcrtpreceiver
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from fer import bench, peers, rtc


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Aiortc as it was."""
    names = ("RemoteBitrateEstimator", "decoder_worker")
    before = {name: getattr(rtcrtpreceiver, name) for name in names}
    yield
    for name, value in before.items():
        setattr(rtcrtpreceiver, name, value)


def test_a_browser_is_told_to_send_no_more_than_its_pictures_need_and_not_more_often_than_needed() -> None:
    rtc.tune(320, 8)
    estimator = rtcrtpreceiver.RemoteBitrateEstimator()
    told = []
    for at_ms in range(0, 10_000, 10):  # 960 kbit/s arrive in time
        if answer := estimator.add(at_ms, (at_ms * 2**18 // 1000) & 0xFFFFFF, 1200, 7):
            told.append((at_ms, *answer))
    assert {(bps, tuple(ssrcs)) for _, bps, ssrcs in told} == {(rtc.most_bps(320, 8), (7,))}
    assert 6 <= len(told) <= 10  # aiortc has no estimate in the first three seconds


def test_a_larger_picture_may_take_more() -> None:
    assert rtc.most_bps(320, 8) == 147_456
    assert rtc.most_bps(640, 8) == 4 * rtc.most_bps(320, 8)


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_pictures_are_decoded_and_the_end_is_passed_on(name: str) -> None:
    film = peers.encode([bench.moved(bench._scene(), i / 8) for i in range(4)], name.lower(), 8, 150)
    codec = RTCRtpCodecParameters(mimeType=f"video/{name}", clockRate=90_000, payloadType=97)
    encoded: queue.Queue[object] = queue.Queue()
    encoded.put((codec, JitterFrame(b"no picture", 0)))
    for i, packet in enumerate(film.packets):
        encoded.put((codec, JitterFrame(packet, i)))
    failed = threading.Event()

    async def run() -> list[object]:
        decoded: asyncio.Queue[object] = asyncio.Queue()
        thread = threading.Thread(target=rtc._decode, args=(asyncio.get_running_loop(), encoded, decoded, failed))
        thread.start()
        picture = await decoded.get()  # the newest of those that waited
        encoded.put(None)
        end = await decoded.get()
        thread.join()
        return [picture, end]

    picture, end = asyncio.run(run())
    assert (picture.width, picture.height, picture.pts) == (320, 240, 3)  # type: ignore[attr-defined]
    assert end is None and failed.is_set()
