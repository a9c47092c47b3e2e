"""What pages share: the resources of the process, and widgets. The only module that imports Streamlit."""

import atexit
import csv
import io
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from zoneinfo import ZoneInfo

import altair as alt
import pandas as pd
import segno
import streamlit as st

from fer import alert, charts, classify, demo, detect, live, signals, turn
from fer.aggregate import BucketFiller, above_floor, guarded, merge, table
from fer.alert import Alarm
from fer.config import Settings
from fer.detect import Choice, Detector, PerThread
from fer.errors import ClassError, FerError, StoreError
from fer.health import Health
from fer.labels import COLORS, EMOJI
from fer.live import Attendance, CameraStream, EmojiStream, Pace, SittingStream, Snapshot, StudentStream, Watch
from fer.pipeline import Options, Pipeline
from fer.report import Lesson
from fer.store import Store, codes
from fer.store.sql import SqlStore
from fer.store.writer import Writer
from fer.throttle import Throttle
from fer.types import Bucket, Classroom, Reading, Signal

log = logging.getLogger(__name__)

CHART_FONT = "Source Sans, Noto Color Emoji, Apple Color Emoji, Segoe UI Emoji, sans-serif"
# Wrong tries a minute, by one address and by all. A school may share an address; 600 codes a minute hit one of ten open
# classes in 17 days on average, and show its title. Keys cannot be guessed: that bound is for the time a check takes.
TRIES = {"code": (20, 600), "key": (10, 100)}
EMOJI_HALF_LIFE_S = 0.4
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


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    return Settings.from_env(os.environ)


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """Opened at first use and again after a failure: what raised is not cached."""
    return SqlStore(settings().database_url)


@st.cache_resource(show_spinner=False)
def writer() -> Writer:
    made = Writer(store, settings().retention_days)
    made.start()
    atexit.register(_end, _watch(), made)  # `streamlit run app.py` ends in order when it is told to
    return made


def close() -> None:
    """The process ends: everybody leaves, and what waits is written. Repeating it does nothing."""
    _end(_watch(), writer())


def _end(watch: Watch, writer: Writer) -> None:
    watch.stop()
    writer.close()


def health_now() -> Health:
    """Whether this process is ready, trying what it needs; why it is not goes to the log."""
    cameras, pages = _watch().connected()
    pending, dropped = writer().pending, writer().dropped
    refused = {kind: tries(kind).refused for kind in TRIES}
    return Health(_works(classifier), _works(lambda: store().find_class("")), cameras, pages, pending, dropped, refused)


def _works(use: Callable[[], object]) -> bool:
    try:
        use()
    except FerError as error:
        log.warning("not ready: %s", error)
        return False
    return True


@st.cache_resource(show_spinner=False)
def classifier(path: Path | None = None) -> classify.LiteRTClassifier:
    """The model in use, or the one at `path`."""
    return classify.load(path or settings().model)


def models() -> dict[str, Path]:
    """The models that can be chosen by their names, the one in use first."""
    return {path.name: path for path in classify.beside(settings().model)}


@st.cache_resource(show_spinner=False)
def detector_choice() -> Choice:
    choice = detect.choose(settings())
    if choice.notice:
        log.warning("%s %s.", choice.notice, choice.reason)
    return choice


@st.cache_resource(show_spinner=False)
def _shared_detector() -> PerThread:
    choice, chosen = detector_choice(), settings()
    return PerThread(lambda: choice.create(chosen))


def new_detector() -> Detector:
    return detector_choice().create(settings())


def new_pipeline() -> Pipeline:
    model = classifier()
    return Pipeline(new_detector(), model, Options.of(settings(), model.card))


def new_stream(room: Classroom, again: bool = False) -> StudentStream:
    """A student's stream in `room`; it makes a pipeline of its own per connection. See StudentStream for `again`."""
    # Bound here, on the page's thread: the stream's own threads must not reach for Streamlit.
    detector, model, chosen = _shared_detector(), classifier(), settings()
    options = Options.of(chosen, model.card)
    make: Callable[[], Pipeline] = lambda: Pipeline(detector, model, options)  # noqa: E731
    stream = StudentStream(make, writer(), room.class_id, pace(), _page_open(), ice_servers=_ice_servers(), again=again)
    _watch().add(stream)
    return stream


def new_emoji_stream() -> EmojiStream:
    """A visitor's stream for the emoji page; it touches neither a class nor the store."""
    choice, model, chosen = detector_choice(), classifier(), settings()
    options = replace(Options.of(chosen, model.card), half_life_s=min(EMOJI_HALF_LIFE_S, chosen.half_life_s))
    make: Callable[[], Pipeline] = lambda: Pipeline(choice.create(chosen), model, options)  # noqa: E731
    stream = EmojiStream(make, pace(), _page_open(), ice_servers=_ice_servers())
    _watch().add(stream)
    return stream


def new_sitting_stream() -> SittingStream:
    """A journal keeper's stream for five seconds; it touches neither a class nor the store."""
    detector, model, chosen = _shared_detector(), classifier(), settings()
    # The mean of single readings is taken: smoothing would weigh the first ones more, and a baseline is a class's.
    options = replace(Options.of(chosen, model.card), half_life_s=0.0, baseline_s=0.0)
    stream = SittingStream(lambda: Pipeline(detector, model, options), pace(), _page_open(), ice_servers=_ice_servers())
    _watch().add(stream)
    return stream


def _ice_servers() -> Sequence[Mapping[str, Any]]:
    return turn.ice_servers(settings(), secrets.token_hex(8), now())


def emoji_camera(stream: EmojiStream) -> Any:
    """The START button and the picture with emoji: larger and smoother than a class needs it."""
    return live.camera("emoji", stream, replace(settings(), camera_width=640, camera_fps=20))


def sitting_camera(stream: SittingStream) -> Any:
    """The START button of five seconds: larger than a class needs it, since a picture may be kept."""
    return live.camera("five_seconds", stream, replace(settings(), camera_width=640))


def new_attendance(room: Classroom, counted: bool) -> Attendance:
    """A student's page in `room`; `counted` where no camera counts them."""
    made = Attendance(writer(), room.class_id, counted, _page_open(), partial(_take_back_held, room.class_id))
    _watch().add(made)
    return made


def _take_back_held(class_id: int, student_id: str) -> None:
    """Who is gone does not go on asking for a slower class."""
    try:
        store().take_back(class_id, student_id, signals.HELD, now())
    except StoreError as error:
        log.warning("%s What a student who left had said stands on.", error)


def withdraw(room: Classroom, ids: Iterable[str]) -> None:
    """A student's connections and pages are over: not counted any more, and nothing they said stands."""
    for one in ids:
        writer().leave(one)
        store().take_back(room.class_id, one, tuple(signals.KINDS), now())


def own_timeline(readings: Sequence[Reading], at: float) -> None:
    """A student's own readings over time: in the memory of this page alone, gone when they leave."""
    filler: BucketFiller = st.session_state.setdefault("student_filler", BucketFiller(0, "own"))
    kept: dict[float, Bucket] = st.session_state.setdefault("student_buckets", {})
    if at != st.session_state.get("student_read_at"):
        st.session_state.student_read_at = at
        kept.update({bucket.start: bucket for bucket in filler.add(readings[:1], at)})
    slots = merge(kept.values())[:-1]  # those that are over: drawing costs 30 ms, and every student's page is drawn
    if len(slots) < 2:
        return
    with st.expander("Your own timeline", icon=":material/timeline:"):
        draw_area = partial(charts.area, slots, slots[0].start, None, "minutes")
        chart_of("student_area", (slots[0].start, slots[-1].start), draw_area)
        st.caption("Only you see it. It is gone when you leave, unless you keep it.")
        text = csv_text(table(slots, slots[0].start))
        st.download_button("Keep it (CSV)", text, "my-timeline.csv", "text/csv", icon=":material/download:")


def self_report(room: Classroom, attendance: Attendance) -> None:
    """The buttons by which a student says how it goes; what stands is ticked, and taken back by another tap."""
    said: dict[str, Signal] = st.session_state.setdefault("student_said", {})
    if attendance.taken_back:  # the page was away for long
        attendance.taken_back = False
        for kind in signals.HELD:
            said.pop(kind, None)
    st.html("<style>.st-key-self_report button { min-height: 3.5rem; min-width: 8.5rem; flex: 1 }</style>")
    st.markdown("**How is it going?** Only counts reach the instructor.")
    with st.container(horizontal=True, key="self_report"):
        for kind, (icon, text, _) in signals.KINDS.items():
            stands = kind in said and said[kind].until > now()
            st.button(
                f"{icon} {text}{' ✓' if stands else ''}",
                key=f"say_{kind}_{stands}",
                type="primary" if stands else "secondary",
                on_click=_tap,
                args=(room, attendance, kind, stands),
            )
    st.text_input(
        "Your name, sent with “I'd like help” only if you type one",
        key="student_name",
        max_chars=signals.NAME_CHARS,
        placeholder="leave it empty to stay nameless",
    )


def _tap(room: Classroom, attendance: Attendance, kind: str, stands: bool) -> None:
    """Say, or take back what stands; a tap that is too many or does not get through changes nothing."""
    said: dict[str, Signal] = st.session_state.student_said
    if not st.session_state.setdefault("student_taps", signals.Taps()).allow(now()):
        st.toast("That was a lot of taps: wait a few seconds.", icon=":material/hourglass:")
        return
    opposites = signals.KINDS[kind][2]
    new = signals.signal(room.class_id, attendance.id, kind, now(), st.session_state.get("student_name", ""))
    try:
        if stands:
            store().take_back(room.class_id, attendance.id, (kind,), now())
        else:
            store().give(new, opposites)
    except StoreError:
        st.toast("That did not reach the server. Tap again in a moment.", icon=":material/error:")
        return
    for gone in (kind, *opposites):
        said.pop(gone, None)
    if not stands:
        said[kind] = new


def open_demo() -> tuple[Classroom, str]:
    """A class of simulated students with ten minutes behind it, and its key."""
    until = now()
    room, key = store().create_class(demo.TITLE, True, until - demo.PAST_S)
    st.session_state.demo_until = room.created_at
    go_on_with_demo(room)
    return room, key


def go_on_with_demo(room: Classroom) -> None:
    """Write what has happened in the demo class since the last time; the same again changes nothing."""
    until = now()
    since = st.session_state.get("demo_until", max(room.created_at, until - demo.PAST_S))
    rows, here, said = demo.lesson(room.class_id, room.created_at, since, until)
    store().put(rows, here, [])
    for one in said:
        store().give(one)
    st.session_state.demo_until = until


def lesson(room: Classroom) -> Lesson:
    """What the report of a class that has ended tells: nothing below the group floor."""
    end = room.ended_at if room.ended_at is not None else now()
    slots = guarded(above_floor(store().slots(room.class_id, 0), settings().min_group))
    said = store().signals(room.class_id, 0)
    students = max([slot.n_streams for slot in slots] + [len({one.stream_id for one in said})], default=0)
    alarms = alert.of_class(slots, said, students, room.created_at, end)
    return Lesson(room.title, room.created_at, end, slots, said, store().markers(room.class_id), alarms)


def show_alarm(found: Sequence[Alarm], at: float) -> None:
    """One line for what is unusual now, if anything is: that which began last."""
    lasting = [alarm for alarm in found if alarm.until is None]
    if lasting:
        seconds = round((at - lasting[-1].since) / 5) * 5
        text = f"For {seconds} seconds there have been more {lasting[-1].what} than is usual in this class."
        st.warning(text, icon=":material/notifications_active:")


def reported(given: Sequence[Signal]) -> None:
    """What the class says of itself now: a count per signal, and who asks for help by name."""
    counted = signals.counts(given, now())
    with st.container(horizontal=True):
        for kind, (icon, text, _) in signals.KINDS.items():
            st.metric(f"{icon} {text}", counted[kind], width=130)
    names = [one.name for one in signals.standing(given, now()) if one.kind == "help" and one.name]
    if names:
        st.caption(f"Asking for help by name: {', '.join(map(plain, names))}")


@st.cache_resource(show_spinner=False)
def tries(kind: str) -> Throttle:
    """This process's share of what bounds wrong tries of a kind of TRIES."""
    return Throttle(*TRIES[kind], replicas=settings().replicas)


def find_class(code: str) -> Classroom | None:
    """The class of a code that a visitor names. Raises ThrottleError where too many named none."""
    if not codes.clean_code(code):
        return None
    try:
        with tries("code").attempt(_visitor(), time.monotonic()):
            if (room := store().find_class(code)) is None:
                raise ClassError("There is no class with this code.")
            return room
    except ClassError:
        return None


def open_class(code: str, key: str) -> Classroom:
    """The class of an instructor. Raises ClassError where code and key are wrong, ThrottleError where too many were."""
    with tries("key").attempt(_visitor(), time.monotonic()):
        return store().open_class(code, key, now())


def _visitor() -> str:
    """The visitor's address; on localhost, where Streamlit tells none, the page itself."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    return st.context.ip_address or (context.session_id if context else "")


@st.cache_resource(show_spinner=False)
def pace() -> Pace:
    """How often all students of this process are analysed."""
    made = Pace(settings().analyses_per_s)
    _watch().add(made)
    return made


def pace_notice() -> str:
    """A sentence for the instructor while pictures are read less often than they should be, or nothing."""
    if not pace().lowered:
        return ""
    every_s = max(1, round(1 / pace().per_s))
    often = f"every {every_s} seconds" if every_s > 1 else "once a second"
    return f"Many cameras are on: to keep up, each is now read {often}."


def full(places: int = 1) -> bool:
    """Whether no further camera that needs so many places may be read on this server."""
    return _watch().full(places, settings().capacity)


def room_for(stream: CameraStream) -> bool:
    """Whether a camera that is not a student's may be read; where not, say so, with a button to ask again."""
    if stream.connected or not full(stream.places):
        return True
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning(FULL, icon=":material/hourglass:", width="stretch")
        st.button("Ask again", icon=":material/refresh:")
    return False


@st.cache_resource(show_spinner=False)
def _watch() -> Watch:
    return Watch()


def _page_open() -> Callable[[], bool]:
    """Tells, from any thread, whether this visitor's page is still connected."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    if context is None or not st.runtime.exists():
        return lambda: True
    runtime, session_id = st.runtime.get_instance(), context.session_id
    return lambda: runtime.is_active_session(session_id)


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


def _taken_apart(drawn: alt.Chart | alt.LayerChart) -> tuple[Any, dict[str, Any]]:
    """The data of a chart, and its specification without them."""
    spec: dict[str, Any] = drawn.to_dict(validate=False)  # which takes longer than drawing; tests validate each chart
    spec.pop("datasets", None)
    spec.pop("data", None)
    # A canvas takes the first font that has the sign, and some have emoji in black and white.
    spec["config"] = {"axis": {"labelFont": CHART_FONT}}
    return drawn.data, spec


def own_picture() -> None:
    """The visitor's own camera, mirrored, as their browser sends it; nothing before START and after STOP."""
    html = '<video muted playsinline aria-label="Your own picture"></video>'
    css = "video { width: 100%; border-radius: 12px; transform: scaleX(-1); display: none; background: #000 }"
    component("preview", html, css)(key="own_picture")


def camera_status(seen: Snapshot, active: bool) -> str:
    """Which of SENTENCES, or live.LIVE, holds; `active` is whether START was pressed, as the page's run found it."""
    waiting = active and seen.state == live.WAITING
    if not waiting:
        st.session_state.pop("camera_waits_since", None)
    since = st.session_state.setdefault("camera_waits_since", now()) if waiting else now()
    return live.status(active, now() - since, seen, now())


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
    if settings().public_url:
        return settings().public_url
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
        found = store().find_class(room.code)
    except StoreError:
        return seen.get(room.code, room)
    if found is None or found.ended_at is not None:
        return None
    seen[room.code] = found
    return found


def delete_contribution(room: Classroom, stream: StudentStream | None, ids: Iterable[str]) -> None:
    """Delete what a student contributed under `ids`, whether it was written or still waits to be."""
    if stream is not None:
        stream.delete()
    writer().flush()  # a write under way must end first, or it would come after the deletion
    for stream_id in ids:
        store().delete_stream(room.class_id, stream_id)


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


def now() -> float:
    return time.time()
