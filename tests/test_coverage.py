"""What a detector covers: one that finds nothing, one that knows the truth, one that sees a face in everything."""

from collections.abc import Iterator

import numpy as np
import pytest

from fer import coverage, scenes
from fer.detect import search
from fer.types import Face, Frame
from tests.fakes import FakeDetector, square

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 48, 48)).astype(np.uint8)
GREY: Frame = np.full((240, 320, 3), 128, np.uint8)


class Knowing(FakeDetector):
    """Knows the scenes of a condition by heart, in their order."""

    def __init__(self, condition: scenes.Condition, zoom: float = 1.0) -> None:
        truth = [scenes.make(condition, image, number).face.xyxy for number, image in enumerate(IMAGES)]
        grown = [_grown(box, zoom) for box in truth]
        super().__init__(*([Face(box, 1.0)] for box in grown))


def _grown(box: tuple[float, ...], zoom: float) -> tuple[float, float, float, float]:
    x, y, half = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, zoom * (box[2] - box[0]) / 2
    return x - half, y - half, x + half, y + half


@pytest.mark.parametrize("condition", scenes.CONDITIONS[::4], ids=lambda c: f"{c.group} {c.name}")
def test_who_knows_the_truth_finds_every_face_and_who_finds_nothing_none(condition: scenes.Condition) -> None:
    best = coverage.trial(Knowing(condition), IMAGES, condition)
    assert best.found.all() and best.overlaps == (1.0,) * 4 and best.off == (0.0,) * 4
    assert [bool(example.missed) for example in best.examples] == [False, False]
    worst = coverage.trial(FakeDetector([]), IMAGES, condition)
    assert not worst.found.any() and worst.overlaps == ()
    assert [len(example.missed) for example in worst.examples] == [1, 1]


def test_the_fit_is_that_of_the_crop_not_of_the_box() -> None:
    detector = Knowing(scenes.BASE, zoom=0.8)
    assert coverage.trial(detector, IMAGES, scenes.BASE).overlaps == pytest.approx([0.64] * 4)
    detector = Knowing(scenes.BASE, zoom=0.8)
    detector.crop_scale = 1.25  # type: ignore[misc]
    assert coverage.trial(detector, IMAGES, scenes.BASE).overlaps == pytest.approx([1.0] * 4)


@pytest.mark.parametrize(
    ("box", "covered"),
    [
        (square(100, 100, 100), True),
        (square(140, 140, 100), True),
        (square(160, 100, 100), False),  # its middle lies outside
        (square(130, 130, 40), False),  # an eye
        (square(40, 40, 220), False),  # the whole person
    ],
)
def test_a_box_covers_a_face_where_it_is_and_about_as_large(box: Face, covered: bool) -> None:
    assert coverage.covers(box, square(100, 100, 100)) is covered


def test_recall_is_a_share_for_each_condition() -> None:
    found = [coverage.trial(detector, IMAGES, scenes.BASE) for detector in (Knowing(scenes.BASE), FakeDetector([]))]
    assert [(f.name, f.value, f.unit, f.n) for f in coverage.recalls(found)] == [
        ("96 px", 1.0, "share", 4),
        ("96 px", 0.0, "share", 4),
        ("IoU, 96 px", 1.0, "share", 4),
        ("middle off, 96 px", 0.0, "share", 4),
    ]


def test_every_condition_is_tried_once() -> None:
    tried = list(coverage.trials(FakeDetector([]), IMAGES[:1]))
    assert [trial.condition for trial in tried] == list(scenes.CONDITIONS)


def test_dark_faces_that_are_missed_show_in_their_quarter() -> None:
    greys = np.array([200, 20, 80, 140] * 5)
    images = np.tile(greys[:, None, None], (1, 48, 48)).astype(np.uint8)
    figures = coverage.by_luma(images, greys > 50)
    assert [(f.name, f.value, f.n) for f in figures] == [
        ("20–20", 0.0, 5),
        ("80–80", 1.0, 5),
        ("140–140", 1.0, 5),
        ("200–200", 1.0, 5),
    ]


def test_faces_turned_aside_are_counted_by_how_far_and_those_unknown_are_not() -> None:
    yaws = np.array([0.0, -10, 20, -25, 60, np.nan])
    figures = coverage.by_yaw(yaws, np.array([True, True, True, False, False, True]))
    assert [(f.name, f.value, f.n) for f in figures] == [("0–15°", 1.0, 2), ("15–30°", 0.5, 2), ("30–90°", 0.0, 1)]
    assert coverage.by_yaw(np.full(2, np.nan), np.ones(2, bool)) == []


def test_yaw_grows_with_the_offset_of_the_nose_along_the_line_of_the_eyes() -> None:
    eyes = [[0.0, 0.0], [40.0, 0.0]]
    yaw = [coverage._yaw(np.array([*eyes, [x, 25.0]], np.float32)) for x in (20.0, 30.0, 10.0)]
    assert yaw == pytest.approx([0.0, 26.57, -26.57], abs=0.01)
    level = np.array([*eyes, [30.0, 25.0]], np.float32)
    turned = level @ np.array([[0.8, 0.6], [-0.6, 0.8]], np.float32)
    assert coverage._yaw(turned) == pytest.approx(26.57, abs=0.01)


def test_one_face_made_up_in_every_frame_is_a_thousand_in_a_thousand() -> None:
    def always(frame: Frame) -> list[Face]:
        return search(FakeDetector([square(50, 50)]), frame)

    figures, examples = coverage.false_faces(always, [GREY] * 20, "grey")
    assert [(f.name, f.value, f.n) for f in figures] == [("grey", 1000.0, 20)]
    assert len(examples) == coverage.MOST and all(example.false for example in examples)
    assert coverage.false_faces(lambda frame: [], [GREY] * 20, "grey")[0][0].value == 0.0
    assert coverage.false_faces(lambda frame: [], [], "none")[0][0].n == 0


def _shots() -> Iterator[coverage.Shot]:
    yield coverage.Shot(GREY, (square(50, 50).xyxy,))
    yield coverage.Shot(GREY, (square(50, 50).xyxy, square(180, 50).xyxy))


def test_agreement_is_the_share_of_known_faces_that_are_found() -> None:
    detector = FakeDetector()
    figures, examples = coverage.agreement(lambda frame: [square(60, 50)], detector, _shots(), "page")
    assert [(f.name, round(f.value, 3), f.n) for f in figures] == [
        ("page", 0.667, 3),
        ("page: IoU of the crops", 0.818, 2),
        ("page: middle off", 0.1, 2),
    ]
    assert [(len(example.found), len(example.missed)) for example in examples] == [(1, 1)]
    assert [f.value for f in coverage.agreement(lambda frame: [], detector, _shots(), "page")[0]] == [0.0, 0.0, 1.0]


def test_yunets_faces_are_those_that_it_is_sure_of_and_that_are_large_enough() -> None:
    detector = FakeDetector([square(10, 10, 60, 0.9), square(100, 10, 60, 0.7), square(200, 10, 30, 0.9)])
    assert coverage.shot(GREY, detector).squares == (square(10, 10, 60).xyxy,)


def test_in_a_stream_a_face_that_is_too_small_there_does_not_count() -> None:
    large = coverage.Shot(np.zeros((480, 640, 3), np.uint8), (square(0, 0, 40).xyxy, square(100, 100, 60).xyxy))
    small = coverage.streamed(large)
    assert small.frame.shape == (240, 320, 3) and small.squares == (square(50, 50, 30).xyxy,)


def test_a_sheet_frames_what_was_found_missed_and_made_up() -> None:
    black = np.zeros((240, 320, 3), np.uint8)
    example = coverage.Example("all of it", black, (square(10, 10),), (square(120, 10),), (square(10, 120),))
    sheet = coverage.sheet([example] * 3, columns=2)
    assert sheet.shape == (2 * (coverage.TILE[1] + 16), 2 * coverage.TILE[0], 3)
    for color in (coverage.GREEN, coverage.ORANGE, coverage.RED):
        assert (sheet == color).all(2).any()
