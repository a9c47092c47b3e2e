"""Reports, of a recorded class and of a model: each one HTML file that opens without a network."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from fer import charts, signals
from fer.aggregate import SLOT_S, changes, overall, segments, top, uncertain_share, valence
from fer.alert import Alarm
from fer.classify import Card
from fer.draw import png
from fer.evaluation import Condition, Mistake
from fer.labels import EMOJI
from fer.metrics import Evaluation
from fer.types import Marker, Signal, Slot

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733 }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2rem } table { border-collapse: collapse }
td, th { padding: .2rem .8rem .2rem 0; text-align: right } td:first-child, th:first-child { text-align: left }
.faces { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0; width: 96px }
figure img { width: 96px; image-rendering: pixelated } figcaption { font-size: .75rem; line-height: 1.3 }
.figures { display: flex; gap: 2rem; flex-wrap: wrap; margin: 1rem 0 }
.figures b { display: block; font-size: 1.5rem } .note { color: #5b6673; font-size: .9rem }
"""

NOTE = (
    "Expressions are what faces show, read by a network that is often wrong about a single face; they do not tell "
    f"what anyone feels, understands or is worth. Times are in slots of {SLOT_S:g} seconds, in which every face weighs "
    "the same."
)


@dataclass(frozen=True)
class Lesson:
    """What a report tells of a class or a recording: times in POSIX seconds, or from 0 for a recording.

    `slots` are those above the group floor; `alarms` those that the instructor's page raised or would have.
    """

    title: str
    begin: float
    end: float
    slots: Sequence[Slot]
    said: Sequence[Signal] = ()
    markers: Sequence[Marker] = ()
    alarms: Sequence[Alarm] = ()


def html(lesson: Lesson) -> str:
    """A page with the figures, charts, turns and marked parts of a lesson."""
    # The charts' data stand within a script, which a "</script>" in a text would end.
    marks = [
        ((marker.at - lesson.begin) / 60, marker.text.replace("<", "‹"))
        for marker in lesson.markers
        if lesson.begin <= marker.at <= lesson.end
    ]
    parts: list[str] = []
    drawn: list[Any] = []
    if lesson.slots:
        parts.append(_boxes(_figures(lesson.slots, lesson.end - lesson.begin)))
        drawn += [
            charts.area(lesson.slots, lesson.begin, None, "minutes", marks, legend=True).properties(
                title="Expressions"
            ),
            charts.valence_line(lesson.slots, lesson.begin, None, "minutes", marks).properties(title="Valence"),
            charts.attendance(lesson.slots, lesson.begin, None, "minutes", marks).properties(title="Who contributed"),
            charts.bars(overall(lesson.slots)).properties(title="Over the whole time"),
        ]
    else:
        parts.append("<p>There was no moment with enough faces, so there is no mood to show.</p>")
    if lesson.said:
        line = charts.said(lesson.said, lesson.begin, lesson.end, lesson.begin, None, "minutes", marks)
        drawn.insert(0, line.properties(title="What students said"))
    if told := sentences(lesson):
        parts.append("<h2>Moments</h2><ul>" + "".join(f"<li>{escape(line)}" for line in told) + "</ul>")
    if lesson.markers:
        parts.append(_parts_table(lesson))
    if drawn:
        sized = [chart.properties(width=800) for chart in drawn]
        together = alt.vconcat(*sized).resolve_scale(color="independent", strokeDash="independent")
        parts.append(together.to_html(inline=True, fullhtml=False, output_div="charts"))
    return _page(lesson.title, "".join(parts), NOTE)


def sentences(lesson: Lesson) -> list[str]:
    """What was unusual, and when the mood turned, in one sentence each, in the order of time."""
    told: list[tuple[float, str]] = []
    for alarm in lesson.alarms:
        until = lesson.end if alarm.until is None else alarm.until
        when = f"From minute {_minute(lesson, alarm.since)} to {_minute(lesson, until)}"
        told.append((alarm.since, f"{when} there were more {alarm.what} than is usual in this class."))
    for turn in changes(lesson.slots):
        better = "more pleasant" if turn.after > turn.before else "less pleasant"
        figures = (
            f"valence {turn.before:+.2f} to {turn.after:+.2f}, mostly more {turn.label} by {100 * turn.rise:.0f} points"
        )
        told.append((turn.at, f"At minute {_minute(lesson, turn.at)} expressions became {better}: {figures}."))
    return [line for _, line in sorted(told)]


def marked_parts(lesson: Lesson) -> list[dict[str, str]]:
    """One row for what lies between marked moments: mood, and how many taps of each kind it had."""
    rows = []
    for part in segments(lesson.slots, lesson.markers, lesson.begin, lesson.end):
        mean = part.mean_probs
        taps = {text: [s for s in lesson.said if s.kind == kind] for kind, (_, text, _) in signals.KINDS.items()}
        rows.append(
            {
                "part": part.title,
                "minutes": f"{_minute(lesson, part.begin)}–{_minute(lesson, part.end)}",
                "valence": "withheld" if mean is None else f"{valence(mean):+.2f}",
                "mostly": "" if mean is None else top(mean),
                **{text: str(sum(part.begin <= s.at < part.end for s in of)) for text, of in taps.items()},
            }
        )
    return rows


def compared(lessons: Mapping[str, Lesson]) -> list[dict[str, str]]:
    """One row per figure, with a column for each of the lessons by its name."""
    columns = {name: _compared(lesson) for name, lesson in lessons.items()}
    figures = next(iter(columns.values()), {})
    return [{"figure": figure, **{name: of[figure] for name, of in columns.items()}} for figure in figures]


def _compared(lesson: Lesson) -> dict[str, str]:
    mean = overall(lesson.slots) if lesson.slots else None
    kinds = {kind: text for kind, (_, text, _) in signals.KINDS.items()}
    return {
        "length": _length(lesson.end - lesson.begin),
        "most students contributing": str(max((slot.n_streams for slot in lesson.slots), default=0)),
        "mean valence": "withheld" if mean is None else f"{valence(mean):+.2f}",
        "mostly": "withheld" if mean is None else top(mean),
        "uncertain": "withheld" if mean is None else f"{uncertain_share(mean):.0%}",
        "unusual stretches": str(len(lesson.alarms)),
        **{f"“{text}”": str(sum(one.kind == kind for one in lesson.said)) for kind, text in kinds.items()},
    }


def _length(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _minute(lesson: Lesson, at: float) -> str:
    return f"{(at - lesson.begin) / 60:.1f}"


def _parts_table(lesson: Lesson) -> str:
    rows = marked_parts(lesson)
    heading = "".join(f"<th>{escape(name)}" for name in rows[0])
    lines = "".join("<tr>" + "".join(f"<td>{escape(value)}" for value in row.values()) for row in rows)
    return f"<h2>Between the marked moments</h2><table><tr>{heading}{lines}</table>"


def benchmark(
    card: Card,
    result: Evaluation,
    conditions: Sequence[Condition],
    mistakes: Sequence[tuple[Mistake, NDArray[np.uint8]]],
) -> str:
    """A page with the figures of a model, their charts and its surest mistakes, each with its picture (48, 48)."""
    low, high = result.interval
    figures = {
        f"accuracy ({low:.1%}–{high:.1%})": f"{result.accuracy:.1%}",
        "macro recall": f"{result.macro_recall:.1%}",
        "macro F1": f"{result.macro_f1:.1%}",
        "calibration error": f"{result.ece:.1%}",
    }
    if result.ferplus_accuracy is not None:
        figures["FER+ majority"] = f"{result.ferplus_accuracy:.1%}"
    chart = alt.vconcat(
        charts.confusion(result.confusion).properties(title="Rows: the label; columns: the reading", width=420),
        charts.scores(result.recall, result.precision).properties(title="Recall and precision", width=420),
        charts.reliability(result.reliability).properties(title="How sure it says it is, how often it is right"),
    ).resolve_scale(color="independent")
    parts = [_boxes(figures), chart.to_html(inline=True, fullhtml=False, output_div="charts")]
    if conditions:
        rows = "".join(
            f"<tr><td>{escape(c.name)}<td>{c.accuracy:.1%}<td>{0 - c.drop:+.1%}<td>{c.with_baseline:.1%}"
            for c in conditions
        )
        heading = "<tr><th>condition<th>accuracy<th>change<th>with a neutral baseline"
        parts.append(f"<h2>On a webcam</h2><table>{heading}{rows}</table>")
    if mistakes:
        parts.append(f'<h2>Its surest mistakes</h2><div class="faces">{"".join(map(_mistake, mistakes))}</div>')
    note = (
        f"{result.n:,} labelled faces, read by {card.name}.tflite through the crop function of the live app. Labels of "
        "FER2013 are often wrong themselves: some of these mistakes are not the model's."
    )
    return _page(f"{card.name} on a benchmark", "".join(parts), note)


def _mistake(item: tuple[Mistake, NDArray[np.uint8]]) -> str:
    mistake, image = item
    picture = base64.b64encode(png(image)).decode()
    said = f"{mistake.reading} {mistake.p:.0%}<br>label: {mistake.label}"
    return f'<figure><img alt="" src="data:image/png;base64,{picture}"><figcaption>{said}</figcaption></figure>'


def _figures(slots: Sequence[Slot], duration_s: float) -> dict[str, str]:
    mean = overall(slots)
    label = top(mean)
    return {
        "length": _length(duration_s),
        "with faces": f"{min(1.0, len(slots) * SLOT_S / max(duration_s, SLOT_S)):.0%} of the time",
        "most faces at once": str(max(slot.n_faces for slot in slots)),
        "most frequent expression": f"{EMOJI[label]} {label}",
        "mean valence": f"{valence(mean):+.2f}",
    }


def _boxes(figures: dict[str, str]) -> str:
    return '<div class="figures">' + "".join(f"<div><b>{v}</b>{k}</div>" for k, v in figures.items()) + "</div>"


def _page(title: str, body: str, note: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{escape(title)}</h1>
{body}
<p class="note">{escape(note)}</p>
</body></html>
"""
