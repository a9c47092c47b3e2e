"""The bench of the live path measures real peers: two of them, for a moment."""

import asyncio
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from fer import bench, peers
from fer.config import Settings
from fer.load import Load

FILM_FRAMES = [bench.moved(bench._scene(), i / 8) for i in range(16)]


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_a_film_has_a_packet_for_each_picture_and_begins_with_a_whole_one(codec: str) -> None:
    film = peers.encode(FILM_FRAMES, codec, 8, 150)
    assert len(film.packets) == len(FILM_FRAMES)
    assert len(film.packets[0]) == max(map(len, film.packets))


def test_who_is_asked_for_fewer_pictures_sends_the_next_ones_further_apart() -> None:
    rate, began = peers.Rate(100.0), list[float]()
    player = peers.Player(peers.Film("vp8", 100, (b"first", b"second")), rate, began.append)

    async def steps(pictures: int) -> list[float]:
        at = [(await player.recv()).pts / peers.CLOCK_RATE for _ in range(pictures)]
        rate.fps = 20.0
        at += [(await player.recv()).pts / peers.CLOCK_RATE for _ in range(pictures)]
        return [later - earlier for earlier, later in pairwise(at)]

    found = asyncio.run(steps(4))
    assert len(began) == 1
    assert min(found[:3]) > 0.009 and min(found[4:]) > 0.049


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_two_peers_are_read_and_every_figure_is_there(codec: str, yunet_path: Path) -> None:
    settings = replace(Settings(), yunet_model=yunet_path)
    (load,) = bench.live(settings, [2], 2.0, codec, None, None)
    assert isinstance(load, Load)
    assert (load.students, load.lost, load.errors) == (2, 0, 0)
    assert load.analyses_per_s > 0 and load.queries > 0 and load.rss_mb
    assert all(0 < value < 60 for value in load.latency_s)
    assert all(math.isfinite(value) for value in (*load.stall_ms, *load.peer_stall_ms))
    assert all(load.cpu_ms[stage] > 0 for stage in ("receive", "decode", "analyse", "detect", "classify", "store"))
    assert 0 < load.peer_cpu_ms < load.cpu_ms["all"]
