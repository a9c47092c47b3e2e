import copy
import json
from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import pytest

from fer import charts, signals
from fer.charts import Marks
from fer.labels import LABELS
from fer.types import Slot
from tests.fakes import probs_of, slot_of

RECALL = {label: 0.1 * i for i, label in enumerate(LABELS)}
PRECISION = {label: 1 - 0.1 * i for i, label in enumerate(LABELS)}
BINS = [(0.31, 0.2, 5), (0.62, 0.7, 40), (0.97, 0.95, 300)]
COUNTS = [[7 * i + j for j in range(7)] for i in range(7)]


def _rows(chart: alt.Chart | alt.LayerChart) -> list[dict[str, Any]]:
    (rows,) = chart.to_dict()["datasets"].values()
    return rows


def _specification(chart: alt.Chart | alt.LayerChart) -> str:
    """All of a chart but its data: Vega-Lite names a data set by what is in it."""
    spec = copy.deepcopy(chart.to_dict())
    (name,) = spec.pop("datasets")
    return json.dumps(spec, sort_keys=True).replace(name, "data")


@pytest.mark.parametrize(
    "draw, one, other",
    [
        pytest.param(lambda data: charts.scores(*data), (RECALL, PRECISION), (PRECISION, RECALL), id="scores"),
        pytest.param(
            lambda probs: charts.ranges(probs, probs / 2, probs), probs_of("happy"), probs_of("sad"), id="ranges"
        ),
        pytest.param(charts.reliability, BINS, [(0.5, 0.1, 1)], id="reliability"),
        pytest.param(charts.reliability, BINS, [], id="reliability of nothing"),
        pytest.param(charts.confusion, COUNTS, [[0] * 7] * 7, id="confusion"),
    ],
)
def test_a_chart_with_other_data_is_the_same_chart(draw: Callable[[Any], alt.Chart], one: Any, other: Any):
    assert _rows(draw(one)) != _rows(draw(other))
    assert _specification(draw(one)) == _specification(draw(other))


def test_every_label_has_a_bar_for_its_recall_and_one_for_its_precision():
    rows = _rows(charts.scores(RECALL, PRECISION))
    assert [row["expression"] for row in rows] == [label for label in LABELS for _ in range(2)]
    for kind, figures in (("recall", RECALL), ("precision", PRECISION)):
        assert {row["expression"]: row["share"] for row in rows if row["figure"] == kind} == figures


def test_labels_keep_their_order_and_shares_their_scale_in_the_bars():
    encoding = charts.scores(RECALL, PRECISION).to_dict()["encoding"]
    assert encoding["y"]["sort"] is None and encoding["y"]["field"] == "expression"
    assert encoding["x"]["scale"]["domain"] == [0, 1]
    assert encoding["yOffset"]["field"] == encoding["color"]["field"] == "figure"
    assert encoding["yOffset"]["sort"] == encoding["color"]["scale"]["domain"] == ["recall", "precision"]


def test_the_figures_may_come_in_another_order_than_the_labels():
    turned = {label: RECALL[label] for label in reversed(LABELS)}
    assert _rows(charts.scores(turned, PRECISION)) == _rows(charts.scores(RECALL, PRECISION))


def test_every_bin_of_readings_is_a_circle_at_its_confidence_and_accuracy():
    chart = charts.reliability(BINS)
    assert [(row["confidence"], row["accuracy"], row["readings"]) for row in _rows(chart)] == BINS
    circle = next(layer for layer in chart.to_dict()["layer"] if layer["mark"]["type"] == "circle")
    shown = {channel: circle["encoding"][channel]["field"] for channel in ("x", "y", "size")}
    assert shown == {"x": "confidence", "y": "accuracy", "size": "readings"}


def test_the_line_of_perfect_honesty_runs_from_corner_to_corner():
    layers = charts.reliability(BINS).to_dict()["layer"]
    line = next(layer["encoding"] for layer in layers if layer["mark"]["type"] == "rule")
    assert [line[channel]["datum"] for channel in ("x", "y", "x2", "y2")] == [0, 0, 1, 1]
    circle = next(layer["encoding"] for layer in layers if layer["mark"]["type"] == "circle")
    assert circle["x"]["scale"]["domain"] == circle["y"]["scale"]["domain"] == [0, 1]


def test_bins_may_come_as_the_lists_that_a_card_holds():
    card = json.loads(json.dumps(BINS))
    assert _rows(charts.reliability(card)) == _rows(charts.reliability(BINS))


SINCE = 1_700_000_000.0
WINDOW = (-5.0, 0.0)
SLOTS = [slot_of(SINCE + 5.0 * i, 4 + i % 3, probs_of("happy").astype(float)) for i in range(24)]
OTHER = [slot_of(SINCE + 5.0 * i, 9, probs_of("sad", 0.5).astype(float)) for i in range(3)]
TAPS = [signals.signal(1, f"s{i}", kind, SINCE + 10.0 * i) for i, kind in enumerate((*signals.KINDS, "lost"))]
MARKS = [(-4.0, "film"), (-1.0, "")]


def _said(
    given: list[signals.Signal], window: tuple[float, float] | None = WINDOW, marks: Marks = ()
) -> alt.LayerChart:
    return charts.said(given, SINCE, SINCE + 120, SINCE + 120, window, "minutes ago", marks)


def _over_time(chart: Callable[..., alt.LayerChart]) -> Callable[..., alt.LayerChart]:
    return lambda slots, window=WINDOW, marks=(): chart(slots, SINCE + 120, window, "minutes ago", marks)


TIMELINES = [
    pytest.param(_over_time(charts.area), SLOTS, OTHER, id="area"),
    pytest.param(_over_time(charts.valence_line), SLOTS, OTHER, id="valence"),
    pytest.param(_over_time(charts.attendance), SLOTS, OTHER, id="attendance"),
    pytest.param(_said, TAPS, TAPS[:1], id="said"),
]


def _marks_in(chart: alt.LayerChart) -> list[tuple[float, str]]:
    return [(row["minute"], row["mark"]) for row in _rows(chart) if row["mark"]]


def _drawn(chart: alt.LayerChart) -> list[dict[str, Any]]:
    """The rows that are no marks."""
    return [row for row in _rows(chart) if not row["mark"]]


@pytest.mark.parametrize("window", [WINDOW, None])
@pytest.mark.parametrize(("draw", "one", "other"), TIMELINES)
def test_a_timeline_with_other_data_and_other_marks_is_the_same_chart(
    draw: Callable[..., alt.LayerChart], one: Any, other: Any, window: tuple[float, float] | None
):
    seen = [draw(data, window, marks) for data in (one, other, []) for marks in ((), MARKS, [(-2.0, "x" * 300)])]
    assert len({_specification(chart) for chart in seen}) == 1
    assert _rows(seen[0]) != _rows(seen[3])


@pytest.mark.parametrize(("draw", "one", "other"), TIMELINES)
def test_marks_outside_of_the_window_are_left_out(draw: Callable[..., alt.LayerChart], one: Any, other: Any):
    marks = [(-5.01, "before"), (-5.0, "first"), (-2.5, ""), (0.0, "now"), (0.01, "after")]
    assert _marks_in(draw(one, WINDOW, marks)) == [(-5.0, "first"), (-2.5, "marked"), (0.0, "now")]
    assert _marks_in(draw(one, WINDOW, [(-99.0, "before")])) == []
    assert len(_marks_in(draw(one, None, marks))) == 5


@pytest.mark.parametrize(("draw", "one", "other"), TIMELINES)
def test_marks_change_nothing_of_what_is_drawn(draw: Callable[..., alt.LayerChart], one: Any, other: Any):
    assert _drawn(draw(one, WINDOW, MARKS)) == _drawn(draw(one))
    assert _drawn(draw([], WINDOW, MARKS)) == _drawn(draw([]))


@pytest.mark.parametrize(("draw", "one", "other"), TIMELINES)
def test_marks_and_values_are_told_apart_by_the_layer_that_draws_them(
    draw: Callable[..., alt.LayerChart], one: Any, other: Any
):
    values, rule, text = draw(one, WINDOW, MARKS).to_dict()["layer"]
    assert values["transform"] == [{"filter": "!datum.mark"}]
    assert rule["transform"] == text["transform"] == [{"filter": "datum.mark"}]
    assert (rule["mark"]["type"], text["mark"]["type"]) == ("rule", "text")
    assert text["encoding"]["text"]["field"] == "mark"


def _with_a_gap() -> list[Slot]:
    return SLOTS[:6] + SLOTS[12:]


@pytest.mark.parametrize("field, chart", [("valence", charts.valence_line), ("students", charts.attendance)])
@pytest.mark.parametrize("marks", [(), [(0.7, "film")]], ids=["unmarked", "marked"])
def test_a_line_is_broken_where_slots_are_missing(field: str, chart: Callable[..., alt.LayerChart], marks: Marks):
    rows = _drawn(chart(_with_a_gap(), SINCE, None, "minutes", marks))
    holes = [row["minute"] for row in rows if row[field] is None]
    assert holes and all(25 / 60 < minute < 1.0 for minute in holes)
    assert all(row[field] is not None for row in _drawn(chart(SLOTS, SINCE, None, "minutes", marks)))
    order = [row["minute"] for row in rows]
    assert order == sorted(order)


def test_the_area_falls_to_nothing_where_slots_are_missing():
    rows = _drawn(charts.area(_with_a_gap(), SINCE, None, "minutes"))
    total: dict[float, float] = {}
    for row in rows:
        total[row["minute"]] = total.get(row["minute"], 0.0) + row["share"]
    inside = [share for minute, share in total.items() if 30 / 60 + 1e-9 < minute < 1.0 - 1e-9]
    assert inside == [0.0, 0.0] and {round(share, 6) for share in total.values()} == {0.0, 1.0}


def test_attendance_counts_students_and_not_faces():
    rows = _drawn(
        charts.attendance([Slot(SINCE + 5.0 * i, 9, SLOTS[0].mean_probs, 6) for i in range(3)], SINCE, None, "")
    )
    assert [(round(row["minute"] * 60), row["students"]) for row in rows] == [(0, 6), (5, 6), (10, 6), (15, 6)]


def test_what_is_said_is_counted_at_every_moment_and_a_call_for_help_is_not_drawn():
    rows = _drawn(_said([*TAPS, signals.signal(1, "s1", "lost", SINCE + 50)]))
    texts = {text for kind, (_, text, _) in signals.KINDS.items() if kind != "help"}
    assert {row["signal"] for row in rows} == texts
    assert len(rows) == 121 * len(texts)
    # Said at 10, 50 and again, by the first of them, at 50: two students at once, never three.
    lost = {round(row["minute"] * 60) + 120: row["students"] for row in rows if row["signal"] == "Lost"}
    assert [lost[at] for at in (9, 10, 49, 50, 69, 109, 110)] == [0, 1, 1, 2, 2, 2, 0]


def test_what_is_said_keeps_its_colour_and_dash_whoever_says_it():
    encoding = _said(TAPS).to_dict()["layer"][0]["encoding"]
    domain = encoding["color"]["scale"]["domain"]
    assert domain == encoding["strokeDash"]["scale"]["domain"] == ["Got it", "Lost", "Slower", "Faster"]
    dashes = encoding["strokeDash"]["scale"]["range"]
    assert len(set(encoding["color"]["scale"]["range"])) == len({tuple(dash) for dash in dashes}) == len(domain)


def test_nobody_having_said_anything_is_a_line_at_nothing():
    assert {row["students"] for row in _drawn(_said([]))} == {0}


def test_valence_and_time_are_drawn_in_minutes_from_the_origin():
    rows = _drawn(charts.valence_line(SLOTS[:2], SINCE - 60, None, "minutes"))
    np.testing.assert_allclose([row["minute"] for row in rows], [1.0, 1.0 + 5 / 60, 1.0 + 10 / 60])
    assert rows[0]["valence"] == pytest.approx(0.9, abs=1e-6)


def test_a_bar_has_a_line_from_its_lowest_to_its_highest_probability():
    rows = _rows(charts.ranges(probs_of("happy", 0.7), probs_of("happy", 0.4), probs_of("happy", 0.94)))
    assert [row["expression"] for row in rows] == list(LABELS)
    assert [round(rows[3][name], 2) for name in ("low", "share", "high")] == [0.4, 0.7, 0.94]
