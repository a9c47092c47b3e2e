"""What pages share: charts, camera, texts and how an error is told."""

import csv
import io
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from zoneinfo import ZoneInfo

import altair as alt
import numpy as np
import pandas as pd
import segno
import streamlit as st
from numpy.typing import NDArray

from fer import charts, live, server
from fer.errors import FerError, StoreError
from fer.labels import COLORS, EMOJI, LABELS
from fer.live import CameraStream, EmojiStream, SittingStream, Snapshot
from fer.types import Classroom

CHART_FONT = "Source Sans, Noto Color Emoji, Apple Color Emoji, Segoe UI Emoji, sans-serif"
# What a page says of a camera's state, see live.status; a class has a word more on some.
SENTENCES = {
    live.READY: "Press **START** and allow the camera when your browser asks.",
    live.CONNECTING: ":material/sync: Connecting…",
    live.FAILED: (
        "**The connection failed.** Your browser and the server found no way for the video. Press STOP and START "
        "again; if it stays so, try another network (a phone's hotspot, say): company networks often block "
        "video. The operator of this site can add a TURN server."
    ),
    live.STALLED: "**No picture arrives any more.** Check your network; press STOP and START to connect again.",
    live.NO_FACE: "**No face is seen.** Sit in the light and face the camera.",
    live.CAMERA_OFF: "**Your camera sends black.** Is it covered, or switched off?",
}
FULL = "**The server is full:** as many cameras are on as it can read. Ask again in a few minutes."
LAW = """
In the European Union, inferring emotions of people in **education** from their faces is prohibited
(AI Act, Regulation (EU) 2024/1689, Article 5(1)(f)), save for medical or safety reasons. Elsewhere other laws
apply. Whoever makes a class answers for it.
"""


def emoji_camera(stream: EmojiStream) -> Any:
    """The START button and the picture with emoji: larger and smoother than a class needs it."""
    return live.camera("emoji", stream, replace(server.settings(), camera_width=640, camera_fps=20))


def sitting_camera(stream: SittingStream) -> Any:
    """The START button of five seconds: larger than a class needs it, since a picture may be kept."""
    return live.camera("five_seconds", stream, replace(server.settings(), camera_width=640))


def room_for(stream: CameraStream) -> bool:
    """Whether a camera that is not a student's may be read; where not, say so, with a button to ask again."""
    if stream.connected or not server.full(stream.places):
        return True
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning(FULL, icon=":material/hourglass:", width="stretch")
        st.button("Ask again", icon=":material/refresh:")
    return False


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an error of ours as its sentence and end the page there; it loses nothing that was entered."""
    try:
        yield
    except FerError as error:
        st.error(str(error), icon=":material/error:")
        st.stop()


def begin() -> None:
    """What every page begins with.

    Beside a folder named pages, Streamlit (1.67) runs pages/x.py by itself for a visitor who opens /x before
    anybody has opened the app: nothing has called st.navigation yet. Then the run starts over, with app.py.
    """
    from streamlit.runtime.pages_manager import PagesManager

    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
    # Streamlit leaves a lot of empty space above the title.
    # The hint "Press Enter" lies upon what was typed, on a phone.
    st.html(
        "<style>.stMainBlockContainer { padding-top: 5rem; padding-bottom: 3rem; max-width: 76rem }"
        ".stMainBlockContainer [data-testid=stCaptionContainer] { color: inherit; opacity: .8 }"  # theirs is too pale
        "@media (max-width: 640px) { [data-testid=InputInstructions] { display: none } }</style>"
    )


def chart(drawn: alt.Chart | alt.LayerChart, key: str) -> None:
    """Show a chart so that new data moves its marks: Streamlit rebuilds it only when the specification changes."""
    st.vega_lite_chart(*_taken_apart(drawn), width="stretch", key=key)


def chart_of(key: str, version: Hashable, make: Callable[[], alt.Chart | alt.LayerChart]) -> None:
    """As `chart`, of what `make` draws, which is made anew only for another `version`: drawing takes 30 ms.

    What was drawn is kept in the session under a name that begins with `key`.
    """
    kept = f"{key}_drawn"
    if kept not in st.session_state or st.session_state[kept][0] != version:
        st.session_state[kept] = version, _taken_apart(make())
    st.vega_lite_chart(*st.session_state[kept][1], width="stretch", key=key)


def bars(probs: NDArray[Any], key: str, uncertain: bool = True) -> None:
    """A bar per expression. A student's page has them anew each second, and drawing them takes 5 ms."""
    st.vega_lite_chart(charts.shares(probs, uncertain), _bars_specification(uncertain), width="stretch", key=key)


@st.cache_resource(show_spinner=False)
def _bars_specification(uncertain: bool) -> dict[str, Any]:
    return _taken_apart(charts.bars(np.zeros(len(LABELS)), uncertain))[1]


def _taken_apart(drawn: alt.Chart | alt.LayerChart) -> tuple[Any, dict[str, Any]]:
    """The data of a chart, and its specification without them."""
    spec: dict[str, Any] = drawn.to_dict(validate=False)  # which takes longer than drawing; tests validate each chart
    spec.pop("datasets", None)
    spec.pop("data", None)
    # A canvas takes the first font that has the sign, and some have emoji in black and white.
    spec["config"] = {"axis": {"labelFont": CHART_FONT}}
    return drawn.data, spec


def own_picture(shown: bool = True) -> None:
    """The visitor's own camera, mirrored, as their browser sends it; nothing before START and after STOP.

    Where it is not shown, its stream is still known to `ask_for`.
    """
    html = '<video muted playsinline aria-label="Your own picture"></video>'
    css = "video { width: 100%; border-radius: 12px; transform: scaleX(-1); display: none; background: #000 }"
    component("preview", html, css)(key=f"own_picture_{shown}", data={"shown": shown})


def ask_for(fps: int) -> None:
    """Have the visitor's browser send so many pictures a second of the camera that `own_picture` knows."""
    component("frame_rate", "<span></span>")(key="frame_rate", data={"fps": fps})


def camera_status(seen: Snapshot, active: bool) -> str:
    """Which of SENTENCES, or live.LIVE, holds; `active` is whether START was pressed, as the page's run found it."""
    waiting = active and seen.state == live.WAITING
    if not waiting:
        st.session_state.pop("camera_waits_since", None)
    since = st.session_state.setdefault("camera_waits_since", server.now()) if waiting else server.now()
    return live.status(active, server.now() - since, seen, server.now())


def show_status(shown: str, sentences: Mapping[str, str] = SENTENCES) -> None:
    """What a visitor reads in place of their reading."""
    (st.error if shown == live.FAILED else st.info)(sentences[shown])


def preflight(stream: CameraStream, otherwise: str) -> None:
    """What the visitor's browser says of camera and network before START, and what to change if they will not do.

    `otherwise` is what one can do without a camera.
    """
    css = "ul { list-style: none; margin: 0; padding: 0; color: var(--st-text-color); font-size: .9rem }\n"
    css += "li[data-state=bad], li[data-state=doubtful] { font-weight: 600 }"
    servers = [dict(server) for server in stream.ice_servers]
    component("preflight", '<ul aria-live="polite"></ul>', css)(
        key="preflight", data={"iceServers": servers, "otherwise": otherwise}
    )


@st.cache_resource(show_spinner=False)
def component(name: str, html: str, css: str = "") -> Callable[..., Any]:
    """What Streamlit has no element for, from `name`.js in this folder."""
    js = (Path(__file__).parent / f"{name}.js").read_text(encoding="utf-8")
    return st.components.v2.component(f"classmood_{name}", html=html, css=css, js=js)


def legend() -> None:
    """The colours of the expressions, in a line that wraps on a phone."""
    swatch = '<span style="color:{};font-size:1.3em;line-height:0">■</span>&nbsp;{}'
    names = " &ensp; ".join(swatch.format(COLORS[label], label) for label in charts.SHOWN)
    st.html(f'<div style="font-size:.8rem;opacity:.8">{names}</div>')


def qr_png(text: str) -> bytes:
    """A QR code, black on white in either theme."""
    out = io.BytesIO()
    segno.make(text, error="m").save(out, kind="png", scale=6, border=3)
    return out.getvalue()


def base_url() -> str:
    """Where this app is reached: as the operator says, else as this visitor's browser does."""
    if server.settings().public_url:
        return server.settings().public_url
    url = urlparse(st.context.url or "http://localhost:8501")
    return f"{url.scheme}://{url.netloc}{os.path.dirname(url.path.rstrip('/'))}".rstrip("/")


def camera_blocked() -> bool:
    """Whether the visitor's browser refuses cameras here: it opens them on https:// and on localhost only."""
    url = urlparse(st.context.url or "http://localhost:8501")
    return url.scheme != "https" and url.hostname not in ("localhost", "127.0.0.1", "::1")


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def parquet(rows: Iterable[Sequence[Any]]) -> bytes:
    """A table, its heading first, as a Parquet file."""
    heading, *lines = rows
    return pd.DataFrame(lines, columns=pd.Index(heading)).to_parquet(index=False)


def current(room: Classroom) -> Classroom | None:
    """The class as it is now, None where it was ended or deleted; while the database is away, as it was last seen."""
    seen: dict[str, Classroom] = st.session_state.setdefault("rooms_seen", {})
    try:
        found = server.store().find_class(room.code)
    except StoreError:
        return seen.get(room.code, room)
    if found is None or found.ended_at is not None:
        return None
    seen[room.code] = found
    return found


def plain(text: str) -> str:
    """What a person typed, with every sign escaped that Markdown would act on, and nothing that it would link."""
    unlinked = re.sub(r"(?i)(https?:|ftp:|mailto:|www|@)", "\\1\u2060", text)  # an invisible joiner after it
    return re.sub(r"([\\`*_{}\[\]<>#+!|$~:^&-])", r"\\\1", unlinked)


def expression(label: str) -> str:
    return f"{EMOJI[label]} {label}"


def clock(at: float) -> str:
    """A time as the visitor's own clock shows it."""
    zone = getattr(st.context, "timezone", None) or "UTC"
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%d %b %H:%M:%S")
