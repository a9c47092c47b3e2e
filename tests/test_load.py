"""The bench of the live path measures real peers: two of them, for a moment."""

import math
from dataclasses import replace
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
