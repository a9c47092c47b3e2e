import numpy as np
import pytest

from fer import classify, probe
from fer.labels import LABELS
from fer.preprocess import crop
from fer.types import Crops, Face, Frame, Probs
from tests.conftest import ROOT
from tests.fakes import FakeClassifier

HAPPY = LABELS.index("happy")


class Bright:
    """Reads a crop as happy by how bright its place (y, x) is; moving and covering that place change it."""

    def __init__(self, y: int, x: int) -> None:
        self._y, self._x = y, x

    def probs(self, crops: Crops, head: str = "fer2013") -> Probs:
        share = crops[:, self._y, self._x, 0].astype(np.float32) / 255
        rows = np.repeat((1 - share)[:, None] / 6, len(LABELS), 1)
        rows[:, HAPPY] = share
        return rows


def crop_with_a_light(y: int, x: int) -> Crops:
    dark = np.zeros((1, 48, 48, 1), np.uint8)
    dark[0, y - 1 : y + 2, x - 1 : x + 2] = 255
    return dark


@pytest.mark.parametrize(("y", "x"), [(10, 30), (24, 24), (1, 46)])
def test_what_a_reading_hangs_on_lies_where_covering_it_changes_the_reading(y: int, x: int) -> None:
    change = probe.sensitivity(crop_with_a_light(y, x), Bright(y, x), "happy")
    assert change.shape == (48, 48) and change.dtype == np.float32
    assert change[y, x] == change.max() > 0.9
    far = np.hypot(*(np.indices((48, 48)) - np.array([y, x])[:, None, None])) > 2 * probe.PATCH_PX
    assert not change[far].any()


def test_covering_what_speaks_against_a_label_counts_below_nothing() -> None:
    change = probe.sensitivity(crop_with_a_light(20, 20), Bright(20, 20), "sad")
    assert change.min() < -0.1 and change.max() == 0


def test_a_model_that_looks_at_nothing_hangs_on_nothing_and_never_wavers() -> None:
    face, model = crop_with_a_light(20, 20), FakeClassifier()
    assert not probe.sensitivity(face, model, "happy").any()
    low, high = probe.spread(face, model)
    np.testing.assert_array_equal(low, high)
    assert len(model.calls[-1]) == 14


def test_the_crop_is_left_as_it_was() -> None:
    face = crop_with_a_light(20, 20)
    before = face.copy()
    probe.sensitivity(face, FakeClassifier(), "happy")
    probe.spread(face, FakeClassifier())
    np.testing.assert_array_equal(face, before)


def test_a_reading_that_hangs_on_a_pixel_wavers_and_lies_within_its_range() -> None:
    face = crop_with_a_light(20, 20)
    low, high = probe.spread(face, Bright(20, 20))
    assert low[HAPPY] < 0.1 and high[HAPPY] == 1


def test_the_shipped_model_reads_within_the_range_that_is_told(astronaut: Frame, astronaut_face: Face) -> None:
    model = classify.load(ROOT / "models" / "classmood48")
    face = crop(astronaut, astronaut_face)
    low, high = probe.spread(face, model)
    assert (low <= model.probs(face)[0] + 1e-6).all() and (model.probs(face)[0] <= high + 1e-6).all()
    assert low[HAPPY] > 0.8
    assert np.abs(probe.sensitivity(face, model, "happy")).max() < 0.1  # a broad smile hangs on no one part
