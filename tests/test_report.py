"""The pages: each opens without a network, and says what it shows."""

import base64
import re
from collections.abc import Sequence
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from fer import report, signals
from fer.aggregate import SLOT_S
from fer.alert import Alarm
from fer.classify import INPUT, Card
from fer.evaluation import Condition, Mistake
from fer.labels import LABELS
from fer.metrics import evaluate
from fer.report import Lesson, marked_parts, sentences
from fer.types import Marker, Slot
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


BEGIN = 1_700_000_000.0


def _at(minute: float) -> float:
    return BEGIN + 60 * minute


def _slots(*parts: tuple[str, float, float]) -> list[Slot]:
    """The slots of a class that showed each label from one minute up to another."""
    return [
        slot_of(at, 6, probs_of(label).astype(float))
        for label, since, until in parts
        for at in np.arange(_at(since), _at(until), SLOT_S).tolist()
    ]


TURN = _slots(("happy", 0, 5), ("sad", 5, 10))
MARKERS = [Marker(1, _at(2), "Exercise"), Marker(1, _at(6), "")]


def test_what_was_marked_is_shown_as_it_is_written_and_not_run():
    lesson = Lesson("Physics", BEGIN, _at(10), markers=[Marker(1, _at(5), EVIL)], slots=[])
    seen = Reader(report.html(lesson))
    assert not seen.all("img") and seen.text.count(EVIL) == 1


def test_what_was_unusual_is_told_in_the_order_of_time():
    alarms = [
        Alarm("students saying that they are lost", _at(7), None),
        Alarm("negative expressions", _at(1), _at(2.5)),
    ]
    told = sentences(Lesson("Physics", BEGIN, _at(10), TURN, alarms=alarms))
    assert told == [
        "From minute 1.0 to 2.5 there were more negative expressions than is usual in this class.",
        "At minute 5.0 expressions became less pleasant: valence +0.90 to -0.96, mostly more sad by 93 points.",
        "From minute 7.0 to 10.0 there were more students saying that they are lost than is usual in this class.",
    ]


def test_a_turn_for_the_better_is_told_as_one():
    (line,) = sentences(Lesson("Physics", BEGIN, _at(10), _slots(("sad", 0, 5), ("happy", 5, 10))))
    assert "more pleasant" in line and "mostly more happy" in line and "less" not in line


def test_where_nothing_happened_nothing_is_told():
    quiet = Lesson("Physics", BEGIN, _at(10), _slots(("neutral", 0, 10)))
    assert sentences(quiet) == sentences(Lesson("Physics", BEGIN, _at(10), [])) == []
    assert "Moments" not in Reader(report.html(quiet)).text


def test_every_sentence_is_in_the_report_in_its_order():
    lesson = Lesson("Physics", BEGIN, _at(10), TURN, alarms=[Alarm("<b>anything</b>", _at(8), None)])
    text = Reader(report.html(lesson)).text
    first, second = sentences(lesson)
    assert 0 < text.index(first) < text.index(second)


def test_taps_are_counted_in_the_part_in_which_they_were_made():
    taps = [
        ("lost", 0.0),
        ("lost", 1.99),
        ("lost", 2.0),
        ("got it", 5.9),
        ("slower", 6.0),
        ("help", 9.9),
        ("lost", 10.0),
    ]
    said = [signals.signal(1, f"s{i}", kind, _at(minute)) for i, (kind, minute) in enumerate(taps)]
    rows = marked_parts(Lesson("Physics", BEGIN, _at(10), TURN, said, MARKERS))
    texts = [text for _, text, _ in signals.KINDS.values()]
    assert [row["part"] for row in rows] == ["from the start", "Exercise", "marked"]
    assert [row["minutes"] for row in rows] == ["0.0–2.0", "2.0–6.0", "6.0–10.0"]
    assert [{text: row[text] for text in texts if row[text] != "0"} for row in rows] == [
        {"Lost": "2"},
        {"Lost": "1", "Got it": "1"},
        {"Slower": "1", "I'd like help": "1"},
    ]


def test_each_part_has_its_own_mood_and_none_where_too_few_contributed():
    slots = _slots(("happy", 0, 2), ("sad", 6, 10))
    rows = marked_parts(Lesson("Physics", BEGIN, _at(10), slots, markers=MARKERS))
    assert [row["valence"] for row in rows] == ["+0.90", "withheld", "-0.96"]
    assert [row["mostly"] for row in rows] == ["happy", "", "sad"]


def test_moments_outside_of_the_class_are_no_parts_of_it():
    outside = [
        Marker(1, _at(-1), "early"),
        Marker(1, BEGIN, "begin"),
        Marker(1, _at(10), "end"),
        Marker(1, _at(11), "late"),
    ]
    (row,) = marked_parts(Lesson("Physics", BEGIN, _at(10), TURN, markers=outside))
    assert (row["part"], row["minutes"]) == ("from the start", "0.0–10.0")


def test_the_table_of_a_report_has_what_was_marked_and_is_missing_where_nothing_was():
    seen = Reader(report.html(Lesson("Physics", BEGIN, _at(10), TURN, markers=MARKERS)))
    assert "Between the marked moments" in seen.text and "Exercise 2.0–6.0" in seen.text
    assert len(seen.all("table")) == 1 and len(seen.all("tr")) == 4
    assert not Reader(report.html(Lesson("Physics", BEGIN, _at(10), TURN))).all("table")


@pytest.mark.parametrize("markers", [[], MARKERS], ids=["unmarked", "marked"])
@pytest.mark.parametrize("taps", [0, 3])
def test_a_report_of_a_class_without_a_mood_opens_and_says_so(markers: list[Marker], taps: int):
    said = [signals.signal(1, f"s{i}", "lost", _at(i)) for i in range(taps)]
    page = report.html(Lesson("Physics", BEGIN, _at(10), [], said, markers))
    seen = Reader(page)
    assert "no moment with enough faces" in seen.text and report.NOTE in seen.text
    assert ("What students said" in page) is (taps > 0)
    assert ("withheld" in seen.text) is bool(markers)
    assert "most faces at once" not in seen.text


def test_a_report_has_a_chart_of_each_kind_with_the_marked_moments_in_it():
    said = [signals.signal(1, "s0", "lost", _at(3))]
    page = report.html(Lesson("Physics", BEGIN, _at(10), TURN, said, MARKERS))
    for title in ("What students said", "Expressions", "Valence", "Who contributed", "Over the whole time"):
        assert f'"title": "{title}"' in page
    assert page.count('"mark": "Exercise"') == page.count('"mark": "marked"') == 4


def test_a_report_names_no_student():
    said = [signals.signal(1, "secret-stream", "help", _at(3), "Ada Lovelace")]
    page = report.html(Lesson("Physics", BEGIN, _at(10), TURN, said, MARKERS))
    assert "Ada" not in page and "secret-stream" not in page


def test_a_marked_text_cannot_end_the_script_that_the_charts_stand_in():
    evil = "</script><img src=x onerror=alert(1)>"
    page = report.html(Lesson("Physics", BEGIN, _at(60), TURN, markers=[Marker(1, _at(5), evil)]))
    assert "<img src=x" not in page and "</script><img" not in page


def test_a_moment_outside_of_the_class_is_not_drawn():
    markers = [Marker(1, BEGIN - 600, "before"), Marker(1, _at(9999), "after"), Marker(1, _at(5), "within")]
    page = report.html(Lesson("Physics", BEGIN, _at(60), TURN, markers=markers))
    assert "within" in page and '"before"' not in page and '"after"' not in page
