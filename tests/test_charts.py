import copy
import json
from collections.abc import Callable
from typing import Any

import altair as alt
import pytest

from fer import charts
from fer.labels import LABELS

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
