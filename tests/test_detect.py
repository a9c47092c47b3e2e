import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.boxes import iou, moved
from fer.config import Settings
from fer.detect import (
    DETECTORS,
    MOST_NETS,
    REGION_PX,
    Cascade,
    Choice,
    Detector,
    PerThread,
    YuNet,
    choose,
    fetch_yunet,
    search,
    search_around,
)
from fer.errors import ModelError
from fer.types import Face, Frame
from tests.fakes import FakeDetector, square


@pytest.fixture(params=DETECTORS)
def settings(request: pytest.FixtureRequest) -> Settings:
    """Settings for each registered detector in turn."""
    asked = Settings(detector=request.param)
    return replace(asked, yunet_model=request.getfixturevalue("yunet_path")) if request.param == "yunet" else asked


@pytest.fixture
def detector(settings: Settings) -> Detector:
    return choose(settings).create(settings)


def _in_scene(face: Face) -> Face:
    """Where the astronaut's face is in the scene of 320 × 240."""
    return moved(face, 240 / 512, 40.0)


def _placed(astronaut: Frame, width: int, height: int, side_px: int, x: int, y: int) -> Frame:
    """The astronaut `side_px` large at (x, y) of a grey frame."""
    frame = np.full((height, width, 3), 128, np.uint8)
    frame[y : y + side_px, x : x + side_px] = cv2.resize(astronaut, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return frame


def test_the_face_of_the_scene_is_found(detector: Detector, scene: Frame, astronaut_face: Face):
    (face,) = detector.detect(scene)
    assert iou(face.xyxy, _in_scene(astronaut_face).xyxy) > 0.6
    assert 0.5 < face.score <= 1


def test_eyes_where_a_detector_knows_them_are_those_on_the_left_and_on_the_right(
    detector: Detector, scene: Frame, astronaut_face: Face
):
    (face,) = detector.detect(scene)
    truth = _in_scene(astronaut_face).eyes
    assert truth is not None
    if face.eyes is not None:
        np.testing.assert_allclose(face.eyes, truth, atol=4)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_no_face_is_found_in_a_flat_frame(detector: Detector, level: int):
    assert detector.detect(np.full((240, 320, 3), level, np.uint8)) == []


def test_a_face_as_large_as_was_asked_for_is_found(detector: Detector, scene: Frame, astronaut_face: Face):
    assert len(detector.detect(scene, 0.7 * _in_scene(astronaut_face).side_px)) == 1


def test_a_detector_says_how_its_boxes_are_to_be_cropped_and_its_frames_searched(detector: Detector):
    assert 0.5 < detector.crop_scale < 2 and abs(detector.crop_dy) < 0.5
    assert 160 <= detector.working_px <= 640 and 0.5 <= detector.full_every_s <= 2


def test_a_frame_is_not_written_to(detector: Detector, scene: Frame):
    before = scene.copy()
    detector.detect(scene)
    np.testing.assert_array_equal(scene, before)


def test_a_detector_takes_frames_of_changing_sizes(detector: Detector, scene: Frame, astronaut_face: Face):
    first = detector.detect(scene)
    detector.detect(scene[:100, :150].copy())
    assert detector.detect(scene) == first


@pytest.mark.parametrize(
    "width, height, side_px, x, y", [(641, 479, 400, 151, 43), (319, 241, 239, 60, 1), (1283, 721, 700, 431, 17)]
)
def test_boxes_are_in_pixels_of_the_frame_at_odd_sizes(
    detector: Detector, astronaut: Frame, astronaut_face: Face, width: int, height: int, side_px: int, x: int, y: int
):
    (face, *_) = search(detector, _placed(astronaut, width, height, side_px, x, y))
    assert iou(face.xyxy, moved(astronaut_face, side_px / 512, x, y).xyxy) > 0.5


def test_a_frame_of_33_by_17_pixels_is_searched_in_its_own_pixels(detector: Detector, astronaut: Frame):
    tiny = cv2.resize(astronaut[50:186, 93:357], (33, 17), interpolation=cv2.INTER_AREA)
    for face in search(detector, tiny):
        assert iou(face.xyxy, (10.4, 1.6, 22.4, 14.8)) > 0.4


def _is_in_proportion(face: Face, width: int, height: int) -> bool:
    return all(math.isfinite(v) for v in face.xyxy) and face.side_px <= 3 * max(width, height)


@pytest.mark.parametrize("width, height", [(1, 1), (7, 7), (320, 2), (1280, 9), (60, 200)])
def test_a_picture_like_a_dot_or_a_line_gives_no_box_out_of_all_proportion(detector: Detector, width: int, height: int):
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    assert all(_is_in_proportion(face, width, height) for face in search(detector, picture))


def test_a_picture_like_a_ribbon_gives_no_box_out_of_all_proportion(settings: Settings):
    # A detector may read beyond the end of so thin a picture. What it finds there depends on what that memory
    # held before, so each height is tried with several new detectors.
    for height in [*range(17, 33)] * 4:
        ribbon = np.random.default_rng(height).integers(0, 256, (height, 320, 3), np.uint8)
        faces = search(choose(settings).create(settings), ribbon)
        assert all(_is_in_proportion(face, 320, height) for face in faces)


@pytest.mark.parametrize("times", [2, 3])
def test_a_larger_picture_of_the_same_gives_the_same_boxes_scaled(detector: Detector, scene: Frame, times: int):
    (small,) = search(detector, scene)
    large = cv2.resize(scene, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)
    (found,) = search(detector, large)
    np.testing.assert_allclose(found.xyxy, np.multiply(small.xyxy, times), atol=times * 4)


@pytest.mark.parametrize("dx, dy", [(-12, 0), (10, 10), (0, -12)])
def test_a_face_that_moved_is_found_around_where_it_was(
    detector: Detector, scene: Frame, astronaut_face: Face, dx: int, dy: int
):
    before = moved(_in_scene(astronaut_face), 1.0, dx, dy)
    (face,) = search_around(detector, scene, [before])
    assert iou(face.xyxy, _in_scene(astronaut_face).xyxy) > 0.5


def test_nothing_is_found_around_where_no_face_is(detector: Detector, scene: Frame):
    assert search_around(detector, scene, [square(240, 10, 50)]) == []


def test_a_face_at_the_edge_is_searched_within_the_frame(detector: Detector, scene: Frame, astronaut_face: Face):
    cut = scene[20:, 110:].copy()
    (face,) = search_around(detector, cut, [moved(_in_scene(astronaut_face), 1.0, -110, -20)])
    assert iou(face.xyxy, moved(_in_scene(astronaut_face), 1.0, -110, -20).xyxy) > 0.4


@pytest.mark.parametrize(
    "near", [square(-900, 0), square(2000, 0), square(0, -900), square(0, 2000), square(-105, 0), square(319, 239)]
)
def test_around_a_face_that_has_left_the_frame_there_is_nothing_to_find(detector: Detector, near: Face):
    assert search_around(detector, np.full((240, 320, 3), 128, np.uint8), [near]) == []


@pytest.mark.parametrize("width, height", [(640, 480), (320, 240), (100, 75), (641, 479)])
def test_a_frame_of_any_size_is_searched_at_the_working_width(width: int, height: int):
    fake = FakeDetector([square(32, 24, 64)])
    (face,) = search(fake, np.zeros((height, width, 3), np.uint8))
    assert fake.asked == [(320, round(height * 320 / width), 0)]
    np.testing.assert_allclose(face.xyxy, np.multiply((32, 24, 96, 88), width / 320))


def test_a_width_and_a_least_face_may_be_asked_for_in_pixels_of_the_frame():
    fake = FakeDetector([square(10, 10, 20)])
    (face,) = search(fake, np.zeros((480, 640, 3), np.uint8), width_px=160, min_face_px=60)
    assert fake.asked == [(160, 120, 15)]
    assert face.xyxy == (40, 40, 120, 120)


def test_a_search_around_a_face_looks_twice_as_far_as_the_face_reaches():
    fake = FakeDetector([square(32, 32, 64)])
    (face,) = search_around(fake, np.zeros((480, 640, 3), np.uint8), [square(200, 200, 100)])
    assert fake.asked == [(REGION_PX, REGION_PX, pytest.approx(0.6 * REGION_PX / 2))]
    assert face.xyxy == (200.0, 200.0, 300.0, 300.0)


def test_a_face_that_is_seen_from_two_regions_is_one():
    frame, known = np.zeros((480, 640, 3), np.uint8), [square(200, 200, 100), square(220, 200, 100)]
    fake = FakeDetector([square(32, 32, 64)], [square(19.2, 32, 64)])
    assert len(search_around(fake, frame, known)) == 1


def test_the_largest_face_comes_first():
    fake = FakeDetector([square(0, 0, 30), square(100, 0, 90), square(200, 0, 60)])
    assert [face.side_px for face in search(fake, np.zeros((240, 320, 3), np.uint8))] == [90, 60, 30]


def test_auto_takes_our_own_detector_without_a_word():
    assert choose(Settings()) == Choice("tiny")


def test_auto_takes_the_next_detector_with_a_notice_where_ours_cannot_be_used(tmp_path: Path, yunet_path: Path):
    choice = choose(Settings(tiny_model=tmp_path / "none", yunet_model=yunet_path))
    assert choice.name == "yunet" and "yunet" in choice.notice and "The detector's card" in choice.reason


@pytest.mark.parametrize("content", [None, b"", b"not a network" * 99])
def test_auto_falls_back_to_the_cascade_with_a_notice_where_no_network_can_be_used(
    tmp_path: Path, content: bytes | None
):
    settings = Settings(tiny_model=tmp_path / "none", yunet_model=tmp_path / "yunet.onnx")
    if content is not None:
        settings.yunet_model.write_bytes(content)
    choice = choose(settings)
    assert choice.name == "cascade"
    assert "cascade" in choice.notice and "YuNet's file" in choice.reason
    assert choice.create(settings).detect(np.zeros((240, 320, 3), np.uint8)) == []


def test_a_detector_that_is_asked_for_by_name_is_not_replaced(tmp_path: Path):
    with pytest.raises(ModelError, match=r"YuNet's file .* is missing"):
        choose(Settings(detector="yunet", yunet_model=tmp_path / "yunet.onnx"))


def test_a_detector_that_there_is_not_is_refused_by_name():
    with pytest.raises(ModelError, match=r"There is no detector 'dlib'; there are auto, tiny, yunet, cascade\."):
        choose(Settings(detector="dlib"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "yunet.onnx"


def test_yunets_file_is_fetched_into_a_folder_that_need_not_be_there(yunet_path: Path, target: Path):
    fetch_yunet(target, url=yunet_path.resolve().as_uri())
    assert target.read_bytes() == yunet_path.read_bytes()
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("content", [b"", b"something else", bytes(2_000_001)])
def test_a_file_that_is_not_yunets_is_thrown_away(tmp_path: Path, target: Path, content: bytes):
    (tmp_path / "sent").write_bytes(content)
    with pytest.raises(ModelError):
        fetch_yunet(target, url=(tmp_path / "sent").as_uri())
    assert not target.exists() and (not target.parent.exists() or not list(target.parent.iterdir()))


def test_a_wrong_file_does_not_replace_the_right_one(tmp_path: Path, target: Path):
    target.parent.mkdir()
    target.write_bytes(b"the one that was there")
    (tmp_path / "sent").write_bytes(b"something else")
    with pytest.raises(ModelError, match="its sha256 differs"):
        fetch_yunet(target, url=(tmp_path / "sent").as_uri())
    assert target.read_bytes() == b"the one that was there"


@pytest.mark.parametrize("url", ["file:///missing/yunet.onnx", "no url", "gopher://host/yunet.onnx"])
def test_a_file_that_cannot_be_fetched_is_named(target: Path, url: str):
    with pytest.raises(ModelError, match="YuNet could not be fetched"):
        fetch_yunet(target, url=url)


def test_a_place_that_cannot_be_written_to_is_an_error_for_people(tmp_path: Path, yunet_path: Path):
    (tmp_path / "cache").touch()
    with pytest.raises(ModelError):
        fetch_yunet(tmp_path / "cache" / "yunet.onnx", url=yunet_path.resolve().as_uri())


def test_a_detector_per_thread_is_made_once_in_each_and_finds_the_same(scene: Frame):
    made: list[int] = []

    def make() -> Detector:
        made.append(threading.get_ident())
        return Cascade(Settings())

    shared = PerThread(make)
    assert (shared.crop_scale, shared.working_px) == (Cascade.crop_scale, Cascade.working_px)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: tuple(search(shared, scene)), range(8)))
    assert len(set(found)) == 1 and len(found[0]) == 1
    assert len(made) == len(set(made)) <= 3


def test_yunet_keeps_a_few_networks_and_finds_the_same_with_each(yunet_path: Path, scene: Frame):
    detector = YuNet(replace(Settings(), yunet_model=yunet_path))
    first = detector.detect(scene)
    for side in range(64, 64 + 32 * 2 * MOST_NETS, 32):
        detector.detect(scene[:side, :side])
    assert detector.detect(scene) == first and len(first) == 1
    assert len(detector._nets) <= MOST_NETS
