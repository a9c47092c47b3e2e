"""Reports, of a recorded class and of a model: each one HTML file that opens without a network."""

import base64
from collections.abc import Sequence
from html import escape

import altair as alt
import cv2
import numpy as np
from numpy.typing import NDArray

from fer import charts
from fer.aggregate import SLOT_S, overall, valence
from fer.classify import Card
from fer.evaluation import Condition, Mistake
from fer.labels import EMOJI, LABELS
from fer.metrics import Evaluation
from fer.types import Slot

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


def html(title: str, slots: Sequence[Slot], duration_s: float) -> str:
    """A page with the figures and charts of `slots`, whose times are seconds from the beginning."""
    if not slots:
        body = "<p>No face was found in this recording, so there is no mood to show.</p>"
        return _page(title, body, NOTE)
    chart = alt.vconcat(
        charts.area(slots, 0.0, None, "minutes", legend=True).properties(width=800),
        charts.valence_line(slots, 0.0, None, "minutes").properties(width=800),
        charts.bars(overall(slots)).properties(width=800),
    ).resolve_scale(color="shared")
    drawn = chart.to_html(inline=True, fullhtml=False, output_div="charts")
    return _page(title, _boxes(_figures(slots, duration_s)) + drawn, NOTE)


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
    picture = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
    said = f"{mistake.reading} {mistake.p:.0%}<br>label: {mistake.label}"
    return f'<figure><img alt="" src="data:image/png;base64,{picture}"><figcaption>{said}</figcaption></figure>'


def _figures(slots: Sequence[Slot], duration_s: float) -> dict[str, str]:
    mean = overall(slots)
    label = LABELS[int(mean.argmax())]
    return {
        "length": f"{duration_s / 60:.0f} min" if duration_s >= 90 else f"{duration_s:.0f} s",
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
