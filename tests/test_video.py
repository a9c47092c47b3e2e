"""A recorded class: what it yields, and what damaged files do."""

from pathlib import Path

import numpy as np
import pytest

from fer import video
from fer.errors import VideoError
from fer.pipeline import Options, Pipeline
from tests.fakes import FakeClassifier, FakeDetector, square
from tests.videos import record


def pictures(n: int) -> list[np.ndarray]:
    patches = np.random.default_rng(0).integers(60, 200, (12, 16, 3)).astype(np.uint8)
    return [np.roll(patches, i, 1).repeat(20, 0).repeat(20, 1) for i in range(n)]


def analyse(path: Path, out: Path, *script: list[object]) -> video.Analysis:
    detector = FakeDetector(*(script or ([square(50, 50)],)))  # type: ignore[arg-type]
    detector.full_every_s = 0.0  # a script knows nothing of regions
    return video.analyse(path, out, Pipeline(detector, FakeClassifier(), Options()), 0.5, lambda *_: None)


def test_a_video_is_analysed_twice_a_second_whatever_its_rate(tmp_path: Path) -> None:
    for fps in (5, 25):
        clip = record(tmp_path / f"{fps}.mp4", pictures(4 * fps), fps)
        assert analyse(clip, tmp_path / "out").analysed == 8


def test_every_slot_counts_each_face_once(tmp_path: Path) -> None:
    clip = record(tmp_path / "two.mp4", pictures(60), 10)
    result = analyse(clip, tmp_path, [square(10, 10), square(180, 60)])
    assert [(slot.start, slot.n_faces) for slot in result.slots] == [(0.0, 2), (5.0, 2)]
    assert len(result.faces.read_text().splitlines()) == 1 + 2 * result.analysed


def test_progress_runs_from_nothing_to_the_length(tmp_path: Path) -> None:
    clip = record(tmp_path / "clip.mp4", pictures(40), 10)
    seen: list[tuple[float, float]] = []
    pipeline = Pipeline(FakeDetector([]), FakeClassifier(), Options())
    video.analyse(clip, tmp_path, pipeline, 0.5, lambda done, total: seen.append((done, total)))
    assert seen[0][0] == 0 and seen[-1][0] == pytest.approx(3.5, abs=0.2)
    assert all(total == pytest.approx(4, abs=0.2) for _, total in seen[:-1])
    assert seen[-1][0] == seen[-1][1]


def test_a_video_cut_off_in_the_middle_gives_what_it_holds(tmp_path: Path) -> None:
    whole = record(tmp_path / "whole.mkv", pictures(80), 10)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 0 < analyse(cut, tmp_path / "out").analysed < 16


def test_damaged_packets_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    content = bytearray(record(tmp_path / "whole.avi", pictures(60), 10, "mjpeg").read_bytes())
    for place in range(len(content) // 3, len(content) // 2, 7):
        content[place] ^= 0xFF
    (tmp_path / "damaged.avi").write_bytes(content)
    assert analyse(tmp_path / "damaged.avi", tmp_path / "out").analysed >= 3


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x00" * 5000])
def test_what_is_no_video_is_a_sentence_and_leaves_no_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=r"bad\.mp4"):
        analyse(tmp_path / "bad.mp4", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"none\.mp4"):
        analyse(tmp_path / "none.mp4", tmp_path / "out")


def test_an_earlier_result_stays_when_a_new_run_fails(tmp_path: Path) -> None:
    clip = record(tmp_path / "clip.mp4", pictures(20), 10)
    before = analyse(clip, tmp_path / "out").timeline.read_text()
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    with pytest.raises(VideoError):
        analyse(tmp_path / "bad.mp4", tmp_path / "out")
    assert (tmp_path / "out" / "timeline.csv").read_text() == before


def test_a_video_whose_format_is_not_known_is_a_video_error(tmp_path: Path) -> None:
    whole = record(tmp_path / "whole.mp4", pictures(10), 5, "mpeg4")
    renamed = tmp_path / "renamed.mp4"
    renamed.write_bytes(whole.read_bytes().replace(b"mdia\x00\x00\x00", b"mdia\x00\x00\x01").replace(b"minf", b"min_"))
    with pytest.raises(VideoError):
        analyse(renamed, tmp_path / "out")
