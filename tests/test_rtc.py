"""What is changed in aiortc does what aiortc did, and asks for less."""

import asyncio
import queue
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aioice import ice, stun
from aiortc import rtcrtpreceiver
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from fer import bench, peers, rtc


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Aiortc as it was."""
    names = ("RemoteBitrateEstimator", "decoder_worker")
    before = {name: getattr(rtcrtpreceiver, name) for name in names}
    consent = ice.Connection.query_consent
    yield
    ice.Connection.query_consent = consent  # type: ignore[method-assign]
    for name, value in before.items():
        setattr(rtcrtpreceiver, name, value)


def test_a_browser_is_told_to_send_no_more_than_its_pictures_need_and_not_more_often_than_needed() -> None:
    rtc.tune(320, lambda: 8)
    estimator = rtcrtpreceiver.RemoteBitrateEstimator()
    told = []
    for at_ms in range(0, 10_000, 10):  # 960 kbit/s arrive in time
        if answer := estimator.add(at_ms, (at_ms * 2**18 // 1000) & 0xFFFFFF, 1200, 7):
            told.append((at_ms, *answer))
    assert {(bps, tuple(ssrcs)) for _, bps, ssrcs in told} == {(rtc.most_bps(320, 8), (7,))}
    assert 6 <= len(told) <= 10  # aiortc has no estimate in the first three seconds


def test_who_is_asked_for_fewer_pictures_is_told_at_once_to_send_fewer_bits() -> None:
    fps = [8]
    rtc.tune(320, lambda: fps[0])
    estimator = rtcrtpreceiver.RemoteBitrateEstimator()
    told = []
    for at_ms in range(0, 10_000, 10):
        if at_ms == 6000:
            fps[0] = 2
        if answer := estimator.add(at_ms, (at_ms * 2**18 // 1000) & 0xFFFFFF, 1200, 7):
            told.append((at_ms, answer[0]))
    first = next(at_ms for at_ms, bps in told if bps == rtc.most_bps(320, 2))
    assert 6000 <= first < 7000 and {bps for at_ms, bps in told if at_ms > first} == {rtc.most_bps(320, 2)}


def test_a_larger_picture_may_take_more() -> None:
    assert rtc.most_bps(320, 8) == 147_456
    assert rtc.most_bps(640, 8) == 4 * rtc.most_bps(320, 8)


def film_of(name: str, pictures: int) -> tuple[bytes, ...]:
    return peers.encode([bench.moved(bench._scene(), i / 8) for i in range(pictures)], name.lower(), 8, 150).packets


def decoded(name: str, packets: list[bytes], expected: int) -> tuple[list[int], bool]:
    """The times of the pictures that are handed on of those that wait, and whether a whole one is asked for.

    So many are `expected`: the end comes after them.
    """
    codec = RTCRtpCodecParameters(mimeType=f"video/{name}", clockRate=90_000, payloadType=97)
    encoded: queue.Queue[object] = queue.Queue()
    for i, packet in enumerate(packets):
        encoded.put((codec, JitterFrame(packet, i)))
    failed = threading.Event()

    async def run() -> list[int]:
        out: asyncio.Queue[object] = asyncio.Queue()
        thread = threading.Thread(target=rtc._decode, args=(asyncio.get_running_loop(), encoded, out, failed))
        thread.start()
        pictures: list[Any] = [await out.get() for _ in range(expected)]
        encoded.put(None)
        while (picture := await out.get()) is not None:
            pictures.append(picture)
        thread.join()
        assert all((picture.width, picture.height) == (320, 240) for picture in pictures)
        return [picture.pts for picture in pictures]

    return asyncio.run(run()), failed.is_set()


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_of_the_pictures_that_wait_the_newest_is_handed_on_and_the_end_as_well(name: str) -> None:
    assert decoded(name, list(film_of(name, 4)), 1) == ([3], False)


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_what_is_no_picture_asks_for_a_whole_one(name: str) -> None:
    assert decoded(name, [b"no picture"], 0) == ([], True)


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_a_decoder_that_is_far_behind_goes_on_with_the_next_whole_picture(name: str) -> None:
    film = film_of(name, 4)
    behind = [*film, *film[1:] * rtc.MOST_WAITING]
    assert decoded(name, behind, 0) == ([], True)
    assert decoded(name, [*behind, *film], 1) == ([len(behind) + 3], True)


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_only_the_first_picture_of_a_film_is_whole(name: str) -> None:
    assert [rtc.is_whole(name, packet) for packet in film_of(name, 6)] == [True] + [False] * 5
    assert not rtc.is_whole(name, b"")


class Asked(ice.Connection):
    """A connection whose checks of consent are answered when the test says so; `closed` once it is given up."""

    def __init__(self) -> None:
        super().__init__(ice_controlling=True)
        self.remote_username, self.remote_password, self.closed = "them", "secret", asyncio.Event()
        self.answers: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        self._nominated = {1: SimpleNamespace(protocol=self, remote_addr=("192.0.2.1", 9), component=1)}  # type: ignore[dict-item]

    async def request(self, *_: Any, retransmissions: int, **__: Any) -> None:
        self.answers.put_nowait(answer := asyncio.get_running_loop().create_future())
        await answer

    async def close(self) -> None:
        self.closed.set()


@pytest.fixture
def asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    rtc.be_patient()
    monkeypatch.setattr(ice, "CONSENT_INTERVAL", 0.001)


def test_a_connection_whose_checks_are_answered_late_is_kept(asked_often: None) -> None:
    async def run() -> None:
        connection = Asked()
        asking = asyncio.create_task(connection.query_consent())
        for _ in range(5):  # of the checks that wait, the first is answered when the last but one was sent
            waiting = [await connection.answers.get() for _ in range(ice.CONSENT_FAILURES - 1)]
            waiting[0].set_result(None)
        assert not connection.closed.is_set() and not asking.done()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert all(answer.cancelled() for answer in waiting[1:])

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("error", [None, stun.TransactionTimeout()])
def test_a_connection_that_does_not_answer_is_given_up(asked_often: None, error: Exception | None) -> None:
    async def run() -> int:
        connection = Asked()
        asking = asyncio.create_task(connection.query_consent())
        checks = 0
        while not connection.closed.is_set():
            waiting = asyncio.create_task(connection.answers.get())
            await asyncio.wait(
                [waiting, asyncio.create_task(connection.closed.wait())], return_when=asyncio.FIRST_COMPLETED
            )
            if waiting.done():
                checks += 1
                if error:
                    waiting.result().set_exception(error)
        await asking
        return checks

    assert asyncio.run(asyncio.wait_for(run(), 60)) == ice.CONSENT_FAILURES
