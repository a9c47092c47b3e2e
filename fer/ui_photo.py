"""The photo page's own widgets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from fer import album, charts, classify, draw, metrics, probe, server, ui
from fer.album import Albums, Photo
from fer.errors import ImageError
from fer.labels import LABELS, UNCERTAIN


def photos(given: Sequence[Any]) -> tuple[list[Photo], list[str]]:
    """The first album.MOST of the uploaded pictures, each read once, and a sentence for each that was not.

    What is taken from the page again is forgotten.
    """
    ids = [file.file_id for file in given]
    before: dict[str, Photo | str] = st.session_state.get("photos", {})
    read = st.session_state.photos = {i: before[i] for i in ids if i in before}
    fresh = [file for file in given[: album.MOST] if file.file_id not in read]
    bar = st.progress(0.0) if fresh else None
    for done, file in enumerate(fresh):
        if bar:
            bar.progress(done / len(fresh), f"Reading {ui.plain(file.name)}…")
        read[file.file_id] = _photo(file)
    if bar:
        bar.empty()
    shown = [read[i] for i in ids if i in read]
    failed = [one for one in shown if isinstance(one, str)]
    if len(given) > album.MOST:
        failed.append(f"Of {len(given)} pictures the first {album.MOST} were read.")
    return [one for one in shown if isinstance(one, Photo)], failed


def _photo(file: Any) -> Photo | str:
    try:
        return album.read(
            file.name, file.getvalue(), server.new_detector(), server.classifier(), server.settings().confidence_floor
        )
    except ImageError as error:
        return f"{file.name}: {error}"


def faces_table(albums: Albums) -> None:
    """A row per face, with the expression and the certainty that each model reads."""
    several = len(albums) > 1
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for model, read in albums.items():
        of = f" ({model})" if several else ""
        for at, one in enumerate(read):
            for number, reading in enumerate(one.readings, 1):
                row = rows.setdefault((at, number), {"picture": one.name, "face": number})
                row[f"expression{of}"] = ui.expression(reading.label)
                row[f"certainty{of}"] = round(float(reading.probs.max()), 2)
    data = pd.DataFrame(list(rows.values()))
    bar = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
    config = {str(name): bar for name in data.columns if str(name).startswith("certainty")}
    st.dataframe(data, column_config=config, hide_index=True, width="stretch", key="faces_table")


def face(shown: Photo, number: int, model: str, reader: classify.LiteRTClassifier, why: bool) -> None:
    """One face of a picture as a model reads it: how likely what is, how far to trust that, and maybe why."""
    reading, crop = shown.readings[number - 1], shown.crops[number - 1 : number]
    st.markdown(f"**{ui.expression(reading.label)}** :gray[face {number}, read by {ui.plain(model)}]")
    if reading.label == UNCERTAIN:
        st.caption("No expression is likely enough, or the face is too small to read.")
    low, high = probe.spread(crop, reader)
    ui.chart(charts.ranges(reading.probs, low, high), f"face_{model}")
    told = "The lines span what the model says of the same face cut out a little differently."
    if record := metrics.record(reader.card.metrics.get("reliability", ()), float(reading.probs.max())):
        told += f" Of {record[1]:,} held-out faces read about as surely, {record[0]:.0%} were read right."
    st.caption(told)
    if why:
        label = LABELS[int(reading.probs.argmax())]
        change = probe.sensitivity(crop, reader, label)
        with st.container(horizontal=True):
            for tint, alt_text in ((np.zeros_like(change), "The face"), (change, "What the reading hangs on")):
                st.image(draw.heat(crop, tint), channels="BGR", width=150, alt=alt_text)
        most = float(change.max())
        found = f"Covering an orange place makes *{label}* less likely, by {most:.0%} at most; a blue one, likelier."
        if most < draw.LEAST_CHANGE:
            found = "Covering no single place changes much: the reading hangs on no one part of the face."
        st.caption(
            f"The face as the model sees it, and what its reading hangs on (occlusion; Zeiler & Fergus 2014). {found} "
            "It tells about the model, not about the person."
        )
