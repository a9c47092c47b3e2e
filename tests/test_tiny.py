"""Our own detector: what its files must be, and how its maps become faces."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.boxes import iou
from fer.config import Settings
from fer.errors import ModelError
from fer.tiny import LOOK_PX, MOST_NETS, Card, Tiny
from fer.types import Face, Frame


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    return Tiny(Settings())


@pytest.fixture
def copied(tmp_path: Path) -> Settings:
    """Settings for a copy of the shipped detector, which a test may spoil."""
    for ending in (".tflite", ".json"):
        (tmp_path / f"own{ending}").write_bytes(Settings().tiny_model.with_suffix(ending).read_bytes())
    return replace(Settings(), tiny_model=tmp_path / "own")


def test_grey_and_colour_frames_give_the_same_faces(tiny: Tiny, scene: Frame):
    assert tiny.detect(scene) == tiny.detect(np.asarray(cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY), np.uint8)) != []


@pytest.mark.parametrize("down, right", [(0, 0), (7, 13), (31, 1), (16, 32)])
def test_a_face_is_where_it_was_whatever_is_added_to_the_frame(tiny: Tiny, scene: Frame, down: int, right: int):
    (before,) = tiny.detect(scene)
    (after,) = tiny.detect(cv2.copyMakeBorder(scene, 0, down, 0, right, cv2.BORDER_REPLICATE))  # type: ignore[arg-type]
    assert iou(before.xyxy, after.xyxy) > 0.9


@pytest.mark.parametrize("side_px", [40, 64, 96, 140, 200])
def test_box_and_eyes_grow_with_the_face(tiny: Tiny, astronaut: Frame, astronaut_face: Face, side_px: int):
    x1, y1, x2, y2 = astronaut_face.xyxy
    scale = side_px / (y2 - y1)
    around = astronaut[:300, 80:380]
    frame = np.full((320, 320, 3), 128, np.uint8)
    small = cv2.resize(around, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:320, :320]
    frame[: small.shape[0], : small.shape[1]] = small
    (face, *_) = sorted(tiny.detect(frame), key=lambda one: -one.score)
    box = tuple(scale * v for v in (x1 - 80, y1, x2 - 80, y2))
    assert iou(face.xyxy, box) > 0.55  # type: ignore[arg-type]
    assert face.eyes is not None and astronaut_face.eyes is not None
    truth = scale * (np.array(astronaut_face.eyes) - (80, 0))
    assert np.abs(np.array(face.eyes) - truth).max() < 0.12 * side_px


def test_two_faces_are_two(tiny: Tiny, scene: Frame):
    both = np.concatenate([scene, scene[:, ::-1]], axis=1)
    left, right = sorted(tiny.detect(both), key=lambda face: face.xyxy[0])
    assert left.xyxy[2] < 320 < right.xyxy[0]


def test_no_more_networks_are_kept_than_a_few(tiny: Tiny, scene: Frame):
    first = tiny.detect(scene)
    for side in range(160, 160 + 32 * (MOST_NETS + 4), 32):
        tiny.detect(np.resize(scene, (side, side, 3)))
    assert tiny.detect(scene) == first and len(tiny._nets) <= MOST_NETS


def test_the_parts_of_a_frame_share_a_network(scene: Frame):
    tiny = Tiny(Settings())
    for width, height in ((128, 128), (128, 40), (77, 128), (33, 17)):
        tiny.detect(scene[:height, :width])
    assert set(tiny._nets) == {(320, 256), (LOOK_PX, LOOK_PX)}


def test_a_network_for_photographs_is_not_kept(scene: Frame):
    tiny = Tiny(Settings())
    assert len(tiny.detect(cv2.resize(scene, (1280, 960)))) == 1  # type: ignore[arg-type]
    assert max(width * height for width, height in tiny._nets) < 1280 * 960


def test_faces_smaller_than_asked_for_are_passed_over(tiny: Tiny, scene: Frame):
    (face,) = tiny.detect(scene)
    assert tiny.detect(scene, face.side_px - 1) == [face]
    assert tiny.detect(scene, face.side_px + 1) == []


def test_a_frame_of_noise_ends(tiny: Tiny):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
    assert len(tiny.detect(noise)) < 3
    assert all(np.isfinite(face.xyxy).all() for face in tiny.candidates(noise))


def test_a_face_at_the_floor_has_a_score_of_a_half(scene: Frame):
    content = Settings().tiny_model.with_suffix(".tflite").read_bytes()
    face = max(Tiny.of(content, _card()).candidates(scene), key=lambda one: one.score)
    (barely,) = Tiny.of(content, _card(floor=face.score)).detect(scene)
    easily = max(Tiny.of(content, _card(floor=0.3)).detect(scene), key=lambda one: one.score)
    assert barely.score == pytest.approx(0.5) and easily.score > 0.9
    assert Tiny.of(content, _card(floor=face.score + 1e-3)).detect(scene) == []


def _card(**changes: float) -> Card:
    return replace(Card.load(Settings().tiny_model.with_suffix(".json")), **changes)  # type: ignore[arg-type]


def test_a_network_that_was_swapped_is_not_used(copied: Settings):
    weights = copied.tiny_model.with_suffix(".tflite")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0\1")
    with pytest.raises(ModelError, match=r"has sha256 .*, its card says"):
        Tiny(copied)


@pytest.mark.parametrize("missing", [".tflite", ".json"])
def test_a_missing_file_is_named(copied: Settings, missing: str):
    copied.tiny_model.with_suffix(missing).unlink()
    with pytest.raises(ModelError, match=r"own\.(tflite|json) cannot be read"):
        Tiny(copied)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"floor": 1}',
        json.dumps(json.loads(Settings().tiny_model.with_suffix(".json").read_text()) | {"floor": 7}),
    ],
)
def test_a_card_that_cannot_be_is_refused_in_a_sentence(copied: Settings, text: str):
    copied.tiny_model.with_suffix(".json").write_text(text)
    with pytest.raises(ModelError, match="The detector's card"):
        Tiny(copied)


def test_a_network_of_another_kind_is_refused_in_a_sentence():
    with pytest.raises(ModelError, match="is not a network of this project"):
        Tiny.of((Settings().model.with_suffix(".tflite")).read_bytes(), _card())
    with pytest.raises(ModelError, match="is not a network of this project"):
        Tiny.of(b"not a network", _card())


def test_the_file_is_as_small_as_was_promised():
    assert Settings().tiny_model.with_suffix(".tflite").stat().st_size <= 300_000
