"""The report of a recorded class: one HTML file that opens without a network."""

from collections.abc import Sequence
from html import escape

import altair as alt

from fer import charts
from fer.aggregate import SLOT_S, overall, valence
from fer.labels import EMOJI, LABELS
from fer.types import Slot

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733 }
h1 { font-size: 1.6rem } .figures { display: flex; gap: 2rem; flex-wrap: wrap; margin: 1rem 0 }
.figures b { display: block; font-size: 1.5rem } .note { color: #5b6673; font-size: .9rem }
"""


def html(title: str, slots: Sequence[Slot], duration_s: float) -> str:
    """A page with the figures and charts of `slots`, whose times are seconds from the beginning."""
    if not slots:
        body = "<p>No face was found in this recording, so there is no mood to show.</p>"
        return _page(title, body)
    chart = alt.vconcat(
        charts.area(slots, 0.0, None, "minutes", legend=True).properties(width=800),
        charts.valence_line(slots, 0.0, None, "minutes").properties(width=800),
        charts.bars(overall(slots)).properties(width=800),
    ).resolve_scale(color="shared")
    drawn = chart.to_html(inline=True, fullhtml=False, output_div="charts")
    return _page(title, _figures(slots, duration_s) + drawn)


def _figures(slots: Sequence[Slot], duration_s: float) -> str:
    mean = overall(slots)
    label = LABELS[int(mean.argmax())]
    figures = {
        "length": f"{duration_s / 60:.0f} min" if duration_s >= 90 else f"{duration_s:.0f} s",
        "with faces": f"{min(1.0, len(slots) * SLOT_S / max(duration_s, SLOT_S)):.0%} of the time",
        "most faces at once": str(max(slot.n_faces for slot in slots)),
        "most frequent expression": f"{EMOJI[label]} {label}",
        "mean valence": f"{valence(mean):+.2f}",
    }
    return '<div class="figures">' + "".join(f"<div><b>{v}</b>{k}</div>" for k, v in figures.items()) + "</div>"


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{escape(title)}</h1>
{body}
<p class="note">Expressions are what faces show, read by a network that is often wrong about a single face;
they do not tell what anyone feels, understands or is worth. Times are in slots of {SLOT_S:g} seconds, in
which every face weighs the same.</p>
</body></html>
"""
