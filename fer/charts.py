"""Charts: slots and probabilities in, Altair charts out.

A chart's specification depends on its kind and window only, never on its data: a page that shows it again
with newer data redraws the marks and does not build the chart anew.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import zip_longest
from typing import Any, TypeAlias, cast

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer import signals
from fer.aggregate import SLOT_S, coarsen, uncertain_share, valence
from fer.labels import COLORS, EMOJI, LABELS, UNCERTAIN
from fer.types import Signal, Slot

SHOWN = (*LABELS, UNCERTAIN)
COLOR = alt.Scale(domain=list(SHOWN), range=[COLORS[label] for label in SHOWN])
EMOJI_FONT = "Noto Color Emoji, Apple Color Emoji, Segoe UI Emoji, sans-serif"
# From the pleasant to the unpleasant: what belongs together touches in the stack.
STACK = ("happy", "surprise", "neutral", UNCERTAIN, "sad", "fear", "disgust", "angry")


Marks: TypeAlias = Sequence[tuple[float, str]]  # minutes on the time axis, and what was marked there


def shares(mean_probs: NDArray[Any], uncertain: bool = True) -> pd.DataFrame:
    """What `bars` draws, a row per expression; `uncertain` adds what is missing from 1."""
    found = [*map(float, mean_probs), uncertain_share(np.asarray(mean_probs, np.float64))]
    names = SHOWN if uncertain else LABELS
    data = pd.DataFrame({"expression": names, "share": found[: len(names)]})
    data["name"] = [f"{EMOJI[label]} {label}" for label in names]
    return data


def bars(mean_probs: NDArray[Any], uncertain: bool = True) -> alt.Chart:
    """One bar per expression, 0..100%; `uncertain` adds what is missing from 1."""
    names = SHOWN if uncertain else LABELS
    drawn: alt.Chart = (
        alt.Chart(shares(mean_probs, uncertain))
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5)),
            y=alt.Y("name:N", title=None, sort=None, axis=alt.Axis(labelLimit=140)),
            color=alt.Color("expression:N", scale=COLOR, legend=None),
            tooltip=[alt.Tooltip("expression:N"), alt.Tooltip("share:Q", format=".0%")],
        )
        .properties(height=30 * len(names))
    )
    return drawn


def ranges(probs: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> alt.LayerChart:
    """One bar per expression (7,), 0..100%, and a line from `low` to `high` (7,) on each."""
    columns = {"share": probs, "low": low, "high": high}
    data = pd.DataFrame({"expression": LABELS, **{name: np.asarray(of, float) for name, of in columns.items()}})
    data["name"] = [f"{EMOJI[label]} {label}" for label in LABELS]
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(format="%", tickCount=5)
    base = alt.Chart().encode(
        y=alt.Y("name:N", title=None, sort=None, axis=alt.Axis(labelLimit=140)),
        tooltip=[alt.Tooltip("expression:N"), *(alt.Tooltip(f"{name}:Q", format=".0%") for name in columns)],
    )
    bar = base.mark_bar(cornerRadiusEnd=3).encode(
        x=alt.X("share:Q", title=None, scale=scale, axis=axis),
        color=alt.Color("expression:N", scale=COLOR, legend=None),
    )
    line = base.mark_rule(strokeWidth=2, color="#808080", aria=False).encode(
        x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q")
    )
    return cast(alt.LayerChart, alt.layer(bar, line, data=data).properties(height=30 * len(LABELS)))


def area(
    slots: Sequence[Slot],
    origin: float,
    window_min: tuple[float, float] | None,
    title: str,
    marks: Marks = (),
    legend: bool = False,
) -> alt.LayerChart:
    """The shares of the expressions over time, stacked; the time axis is in minutes from `origin`."""
    rows = [
        (minute, label, share, STACK.index(label))
        for minute, slot in _minutes(slots, origin)
        for label, share in zip(SHOWN, _shares(slot), strict=True)
    ]
    drawn: alt.Chart = (
        alt.Chart()
        .mark_area(interpolate="step-after", opacity=0.9)
        .encode(
            x=_time_axis(window_min, title),
            y=alt.Y("share:Q", stack="zero", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            color=alt.Color(
                "expression:N",
                scale=COLOR,
                legend=alt.Legend(title=None, orient="bottom", symbolType="square") if legend else None,
            ),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("expression:N"),
                alt.Tooltip("share:Q", format=".0%"),
                alt.Tooltip("minute:Q", format=".1f"),
            ],
        )
    )
    return _marked(
        drawn, pd.DataFrame(rows, columns=["minute", "expression", "share", "order"]), marks, window_min, 240
    )


def valence_line(
    slots: Sequence[Slot], origin: float, window_min: tuple[float, float] | None, title: str, marks: Marks = ()
) -> alt.LayerChart:
    """Valence over time, −1 (unpleasant) to 1 (pleasant), with the band that the uncertain readings leave open.

    A gap where the mood was withheld.
    """
    rows = [(minute, *_valence_band(slot)) for minute, slot in _minutes(slots, origin)]
    base = alt.Chart().encode(x=_time_axis(window_min, title))
    band = base.mark_area(color="#0072B2", opacity=0.18).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    line = base.mark_line(strokeWidth=2.5, color="#0072B2").encode(
        y=_valence_axis(),
        tooltip=[alt.Tooltip("valence:Q", format="+.2f"), alt.Tooltip("minute:Q", format=".1f")],
    )
    data = pd.DataFrame(rows, columns=["minute", "valence", "low", "high"])
    return _marked(cast(alt.LayerChart, alt.layer(band, line)), data, marks, window_min, 150)


def compared(classes: Mapping[str, tuple[Sequence[Slot], float]]) -> alt.Chart:
    """Valence of several classes, each by its slots and its beginning, over the minutes from there.

    Told apart by colour and by dash.
    """
    rows = [
        (name, minute, None if slot is None else valence(slot.mean_probs))
        for name, (slots, begin) in classes.items()
        for minute, slot in _minutes(slots, begin)
    ]
    legend = alt.Legend(title=None, orient="bottom", symbolType="stroke", labelLimit=400, columns=1)
    drawn: alt.Chart = (
        alt.Chart(pd.DataFrame(rows, columns=["class", "minute", "valence"]))
        .mark_line(strokeWidth=2.5)
        .encode(
            x=alt.X("minute:Q", title="minutes from the start", scale=alt.Scale(nice=False)),
            y=_valence_axis(),
            color=alt.Color("class:N", sort=None, scale=alt.Scale(range=["#0072B2", "#D55E00"]), legend=legend),
            strokeDash=alt.StrokeDash("class:N", sort=None, scale=alt.Scale(range=[[1, 0], [6, 3]]), legend=legend),
            tooltip=[
                alt.Tooltip("class:N"),
                alt.Tooltip("valence:Q", format="+.2f"),
                alt.Tooltip("minute:Q", format=".1f"),
            ],
        )
        .properties(height=260)
    )
    return drawn


def _valence_axis() -> alt.Y:
    words = "datum.value < 0 ? 'unpleasant' : datum.value > 0 ? 'pleasant' : 'neither'"
    axis = alt.Axis(values=[-1, 0, 1], labelExpr=words)
    return alt.Y("valence:Q", title=None, scale=alt.Scale(domain=[-1, 1]), axis=axis)


def _valence_band(slot: Slot | None) -> tuple[float | None, float | None, float | None]:
    """Valence, and what it would be if all uncertain readings were as unpleasant, or as pleasant, as can be."""
    if slot is None:
        return None, None, None
    middle, unsure = valence(slot.mean_probs), uncertain_share(slot.mean_probs)
    return middle, max(-1.0, middle - unsure), min(1.0, middle + unsure)


def attendance(
    slots: Sequence[Slot], origin: float, window_min: tuple[float, float] | None, title: str, marks: Marks = ()
) -> alt.LayerChart:
    """How many students contributed over time; a gap where they were too few to show."""
    rows = [(minute, None if slot is None else slot.n_streams) for minute, slot in _minutes(slots, origin)]
    drawn: alt.Chart = (
        alt.Chart()
        .mark_line(interpolate="step-after", strokeWidth=2.5, color="#808080")
        .encode(
            x=_time_axis(window_min, title),
            y=alt.Y("students:Q", title=None, axis=alt.Axis(tickMinStep=1, format="d"), scale=alt.Scale(domainMin=0)),
            tooltip=[alt.Tooltip("students:Q"), alt.Tooltip("minute:Q", format=".1f")],
        )
    )
    return _marked(drawn, pd.DataFrame(rows, columns=["minute", "students"]), marks, window_min, 120)


def said(
    given: Sequence[Signal],
    since: float,
    until: float,
    origin: float,
    window_min: tuple[float, float] | None,
    title: str,
    marks: Marks = (),
) -> alt.LayerChart:
    """How many students say what, over time; told apart by colour and by dash."""
    times = np.linspace(since, until, 121)
    names = [text for kind, (_, text, _) in signals.KINDS.items() if kind != "help"]
    rows = [
        (minute, signals.KINDS[kind][1], int(n))
        for kind, course in signals.courses(given, times).items()
        if kind != "help"
        for minute, n in zip((times - origin) / 60, course, strict=True)
    ]
    colors = alt.Scale(domain=names, range=["#009E73", "#D55E00", "#CC79A7", "#0072B2"])
    dashes = alt.Scale(domain=names, range=[[1, 0], [6, 3], [2, 2], [8, 2, 2, 2]])
    legend = alt.Legend(title=None, orient="bottom", symbolType="stroke")
    drawn: alt.Chart = (
        alt.Chart()
        .mark_line(interpolate="step-after", strokeWidth=2.5)
        .encode(
            x=_time_axis(window_min, title),
            y=alt.Y("students:Q", title=None, axis=alt.Axis(tickMinStep=1, format="d"), scale=alt.Scale(domainMin=0)),
            color=alt.Color("signal:N", scale=colors, legend=legend),
            strokeDash=alt.StrokeDash("signal:N", scale=dashes, legend=legend),
            tooltip=[alt.Tooltip("signal:N"), alt.Tooltip("students:Q"), alt.Tooltip("minute:Q", format=".1f")],
        )
    )
    return _marked(drawn, pd.DataFrame(rows, columns=["minute", "signal", "students"]), marks, window_min, 240)


def scores(recall: Mapping[str, float], precision: Mapping[str, float]) -> alt.Chart:
    """Two bars per label: how many of its faces are read so, and how many of the readings are right."""
    rows = [(label, kind, of[label]) for label in LABELS for kind, of in (("recall", recall), ("precision", precision))]
    y = alt.Y("expression:N", title=None, sort=None)
    drawn: alt.Chart = (
        alt.Chart(pd.DataFrame(rows, columns=["expression", "figure", "share"]))
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            y=y,
            yOffset=alt.YOffset("figure:N", sort=["recall", "precision"]),
            color=alt.Color(
                "figure:N",
                scale=alt.Scale(domain=["recall", "precision"], range=["#0072B2", "#E69F00"]),
                legend=alt.Legend(title=None, orient="bottom"),
            ),
            tooltip=["expression:N", "figure:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=300)
    )
    return drawn


def reliability(bins: Sequence[Sequence[float]]) -> alt.LayerChart:
    """Accuracy over stated confidence, a circle per bin as large as the bin is full; the line is perfect honesty."""
    data = pd.DataFrame(bins, columns=["confidence", "accuracy", "readings"])
    share = alt.Scale(domain=[0, 1])
    axis = alt.Axis(format="%", tickCount=5)
    points = (
        alt.Chart()
        .mark_circle(color="#0072B2", opacity=0.85)
        .encode(
            x=alt.X("confidence:Q", title="how sure it says it is", scale=share, axis=axis),
            y=alt.Y("accuracy:Q", title="how often it is right", scale=share, axis=axis),
            size=alt.Size("readings:Q", legend=None, scale=alt.Scale(range=[30, 400])),
            tooltip=[
                alt.Tooltip("confidence:Q", format=".0%"),
                alt.Tooltip("accuracy:Q", format=".0%"),
                "readings:Q",
            ],
        )
    )
    line = (
        alt.Chart()
        .mark_rule(color="#888", strokeDash=[4, 4], aria=False)
        .encode(x=alt.XDatum(0), y=alt.YDatum(0), x2=alt.X2Datum(1), y2=alt.Y2Datum(1))
    )
    return cast(alt.LayerChart, alt.layer(line, points, data=data).properties(height=300))


def confusion(counts: Sequence[Sequence[int]]) -> alt.LayerChart:
    """The confusion matrix as shares of each row."""
    rows = [
        (truth, reading, n / max(1, sum(line)))
        for truth, line in zip(LABELS, counts, strict=True)
        for reading, n in zip(LABELS, line, strict=True)
    ]
    table = alt.Chart().encode(
        x=alt.X("reading:N", title=None, sort=None, axis=alt.Axis(orient="top", labelAngle=-45)),
        y=alt.Y("label:N", title=None, sort=None),
        tooltip=["label:N", "reading:N", alt.Tooltip("share:Q", format=".1%")],
    )
    shade = alt.Color("share:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None)
    ink = alt.when(alt.datum.share > 0.5).then(alt.value("white")).otherwise(alt.value("black"))
    text = table.mark_text(fontSize=11).encode(text=alt.Text("share:Q", format=".0%"), color=ink)
    data = pd.DataFrame(rows, columns=["label", "reading", "share"])
    drawn = alt.layer(table.mark_rect().encode(color=shade), text, data=data).properties(height=300)
    return cast(alt.LayerChart, drawn)


def calendar(days: Sequence[tuple[date, int, str]]) -> alt.LayerChart:
    """A month, a square per day: the darker the more entries, with the emoji of the label that most of them have."""
    first = days[0][0].weekday()
    rows = [
        (day.strftime("%a"), (first + i) // 7, day.day, f"{day:%A} {day.day} {day:%B}", n, label, EMOJI.get(label, ""))
        for i, (day, n, label) in enumerate(days)
    ]
    data = pd.DataFrame(rows, columns=["weekday", "week", "number", "day", "entries", "mostly", "emoji"])
    weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    cell = alt.Chart().encode(
        x=alt.X("weekday:N", title=None, scale=alt.Scale(domain=weekdays), axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("week:O", title=None, axis=None, scale=alt.Scale(domain=list(range(6)))),
        tooltip=["day:N", "entries:Q", "mostly:N"],
    )
    shade = alt.Color(
        "entries:Q", scale=alt.Scale(range=["#E8EDF2", "#0072B2"], domain=[0, 6], clamp=True), legend=None
    )
    ink = alt.when(alt.datum.entries > 3).then(alt.value("white")).otherwise(alt.value("#444"))
    square = cell.mark_rect(cornerRadius=6, stroke="white", strokeWidth=3).encode(color=shade)
    number = cell.mark_text(fontSize=10, dx=-12, dy=-12).encode(text="number:Q", color=ink)
    emoji = cell.mark_text(fontSize=18, dy=4, font=EMOJI_FONT).encode(text="emoji:N")
    return cast(alt.LayerChart, alt.layer(square, number, emoji, data=data).properties(height=300))


def _marked(
    drawn: alt.Chart | alt.LayerChart,
    data: pd.DataFrame,
    marks: Marks,
    window_min: tuple[float, float] | None,
    height: int,
) -> alt.LayerChart:
    """The chart with a line and its text at each of `marks` that lies in the window, all in one table of data."""
    low, high = window_min or (-np.inf, np.inf)
    shown = pd.DataFrame([(minute, text or "marked") for minute, text in marks if low <= minute <= high])
    shown.columns = pd.Index(["minute", "mark"] if len(shown) else [])
    table = pd.concat([data.assign(mark=""), shown], ignore_index=True) if len(shown) else data.assign(mark="")
    at = alt.Chart().transform_filter("datum.mark").encode(x=alt.X("minute:Q"), tooltip=alt.Tooltip("mark:N"))
    rule = at.mark_rule(color="#888", strokeDash=[5, 3], strokeWidth=1.5, aria=False)
    text = at.mark_text(align="right", baseline="top", dx=-4, color="#777", limit=140).encode(
        text=alt.Text("mark:N"), y=alt.value(2)
    )
    layers = alt.layer(drawn.transform_filter("!datum.mark"), rule, text, data=table)
    return cast(alt.LayerChart, layers.properties(height=height))


def _time_axis(window_min: tuple[float, float] | None, title: str) -> alt.X:
    if window_min is None:
        return alt.X("minute:Q", title=title, scale=alt.Scale(zero=False, nice=False))
    unit = 60 if window_min[0] > -1 else 1  # less than a minute is told in seconds
    ago = alt.Axis(tickCount=5, labelExpr=f"format(-{unit} * datum.value, '.1~f')")
    return alt.X("minute:Q", title=title, scale=alt.Scale(domain=list(window_min), clamp=True), axis=ago)


def _shares(slot: Slot | None) -> list[float]:
    if slot is None:
        return [0.0] * len(SHOWN)
    return [*slot.mean_probs.tolist(), uncertain_share(slot.mean_probs)]


def _minutes(slots: Sequence[Slot], origin: float) -> list[tuple[float, Slot | None]]:
    """Slots by minute from `origin`, drawn to their end, with None wherever some are missing: a gap is no slope."""
    shown = coarsen(slots)
    step = float(min(np.diff([slot.start for slot in shown]), default=SLOT_S))
    filled: list[tuple[float, Slot | None]] = []
    for slot, following in zip_longest(shown, shown[1:]):
        filled.append((slot.start, slot))
        end = slot.start + step
        if following is None or following.start > end + step / 2:
            filled.append((end, slot))
            if following is not None:
                filled += [(end + step / 100, None), (following.start - step / 100, None)]
    return [((at - origin) / 60, slot) for at, slot in filled]
