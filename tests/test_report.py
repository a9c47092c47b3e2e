"""The pages: each opens without a network, and says what it shows."""

import base64
import re
from collections.abc import Sequence
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from fer import report
from fer.classify import INPUT, Card
from fer.evaluation import Condition, Mistake
from fer.labels import LABELS
from fer.metrics import evaluate
from tests.fakes import probs_of, slot_of

CONDITIONS = [Condition("as they are", 0.684, 0.0, 0.676), Condition("low light", 0.512, 0.172, 0.598)]
FACES = np.random.default_rng(6).integers(0, 256, (2, 48, 48), np.uint8)
MISTAKES = [
    (Mistake(4, "fer0000004.png", "angry", "surprise", 0.987), FACES[0]),
    (Mistake(9, "fer0000009.png", "disgust", "fear", 0.931), FACES[1]),
]


def _card(name: str = "made up") -> Card:
    return Card(name, list(LABELS), INPUT, ["fer2013"], 1.0, 0, {}, {}, {}, {})


def _benchmark(
    card: Card | None = None,
    conditions: Sequence[Condition] = (),
    mistakes: Sequence[tuple[Mistake, np.ndarray]] = (),
    majority: Sequence[int] | None = None,
) -> str:
    """The page of a model that was right about three of four faces."""
    probs = np.stack([probs_of(label, 0.9) for label in ("happy", "happy", "sad", "fear")]).astype(np.float64)
    truth = np.array([LABELS.index(label) for label in ("happy", "happy", "sad", "sad")])
    result = evaluate(truth, probs, None if majority is None else np.array(majority))
    return report.benchmark(card or _card(), result, conditions, mistakes)


class Reader(HTMLParser):
    """What a browser would find: the tags with their attributes, and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem not in ("script", "style"):
            self._texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def full() -> Reader:
    return Reader(_benchmark(None, CONDITIONS, MISTAKES, [3, -1, 4, 4]))


def _class() -> str:
    slots = [slot_of(5.0 * i, 2, probs_of("happy").astype(np.float64)) for i in range(4)]
    return report.html(report.Lesson("monday.mp4", 0.0, 20.0, slots))


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(lambda: _benchmark(None, CONDITIONS, MISTAKES), id="benchmark"),
        pytest.param(_class, id="recorded class"),
        pytest.param(
            lambda: report.html(report.Lesson("monday.mp4", 0.0, 20.0, [])), id="recorded class without a face"
        ),
    ],
)
def test_a_page_loads_nothing_from_anywhere(page: object):
    content = page()  # type: ignore[operator]
    seen = Reader(content)
    addresses = [
        attrs[key] or "" for _, attrs in seen.tags for key in ("src", "href", "data", "srcset") if key in attrs
    ]
    assert [address[:60] for address in addresses if not address.startswith("data:")] == []
    assert not seen.all("link") and not seen.all("iframe")
    assert "@import" not in content and not re.search(r"url\(\s*['\"]?(?:https?:)?//", content)


def test_the_page_of_a_model_shows_its_figures(full: Reader):
    low, high = "30.1%", "95.4%"  # Wilson's interval of three of four
    for figure in (
        f"75.0% accuracy ({low}–{high})",
        "macro recall",
        "macro F1",
        "calibration error",
        "66.7% FER+ majority",
    ):
        assert figure in full.text
    assert "4 labelled faces" in full.text and "made up.tflite" in full.text


def test_without_votes_there_is_no_ferplus_figure():
    assert "FER+" not in Reader(_benchmark()).text


def test_the_charts_of_a_model_hold_its_values():
    page = _benchmark()
    assert "vegaEmbed" in page
    for field in ("recall", "precision", "confidence", "readings"):
        assert f'"{field}"' in page


def test_every_condition_is_a_row_with_what_it_costs_and_what_a_baseline_makes_of_it(full: Reader):
    assert "On a webcam" in full.text
    assert "low light 51.2% -17.2% 59.8%" in full.text
    assert "as they are 68.4%" in full.text and "67.6%" in full.text


def test_every_mistake_is_shown_with_its_picture(full: Reader):
    pictures = [attrs["src"] or "" for attrs in full.all("img")]
    decoded = [cv2.imdecode(np.frombuffer(base64.b64decode(src.split(",")[1]), np.uint8), -1) for src in pictures]
    np.testing.assert_array_equal(decoded, FACES)
    assert all(src.startswith("data:image/png;base64,") for src in pictures)
    assert full.text.index("surprise 99% label: angry") < full.text.index("fear 93% label: disgust")


def test_without_conditions_and_mistakes_a_page_does_not_speak_of_them():
    seen = Reader(_benchmark())
    assert "75.0%" in seen.text
    assert "On a webcam" not in seen.text and "mistakes</h2>" not in _benchmark()
    assert not seen.all("table") and not seen.all("img")


EVIL = '<img src="https://example.org/x.png" onerror="alert(1)"> & "Co"'


def test_names_are_shown_as_they_are_written_and_not_run():
    seen = Reader(_benchmark(_card(EVIL), [Condition(EVIL, 0.5, 0.1, 0.5)]))
    assert not seen.all("img")
    assert f"{EVIL} on a benchmark" in seen.text and f"{EVIL}.tflite" in seen.text and f"{EVIL} 50.0%" in seen.text


def test_the_title_of_a_recorded_class_is_shown_as_it_is_written_and_not_run():
    seen = Reader(report.html(report.Lesson(EVIL, 0.0, 20.0, [])))
    assert not seen.all("img") and seen.text.count(EVIL) == 2


@pytest.mark.parametrize(
    "page", [_class, lambda: report.html(report.Lesson("monday.mp4", 0.0, 20.0, []))], ids=["with faces", "without"]
)
def test_the_page_of_a_recorded_class_says_what_expressions_do_not_tell(page: object):
    text = Reader(page()).text  # type: ignore[operator]
    assert report.NOTE in text
    assert "they do not tell what anyone feels" in text and "slots of 5 seconds" in text


def test_the_page_of_a_model_says_that_labels_are_wrong_too_and_not_what_a_class_is_told(full: Reader):
    assert "Labels of FER2013 are often wrong themselves" in full.text
    assert report.NOTE not in full.text
