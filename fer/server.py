"""What this server has once for all its pages: settings, store, models, and who is connected."""

import atexit
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from fer import classify, detect, signals, turn
from fer.config import Settings
from fer.detect import Choice, Detector, PerThread
from fer.errors import ClassError, FerError, StoreError
from fer.health import Health
from fer.live import Attendance, EmojiStream, Pace, SittingStream, StudentStream, Watch
from fer.pipeline import Options, Pipeline
from fer.store import Store, codes
from fer.store.sql import SqlStore
from fer.store.writer import Writer
from fer.throttle import Throttle
from fer.types import Classroom

log = logging.getLogger(__name__)
# Wrong tries a minute, by one address and by all. A school may share an address; 600 codes a minute hit one of ten open
# classes in 17 days on average, and show its title. Keys cannot be guessed: that bound is for the time a check takes.
TRIES = {"code": (20, 600), "key": (10, 100)}
EMOJI_HALF_LIFE_S = 0.4


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
    made = Pace(settings().analyses_per_s, settings().camera_fps)
    _watch().add(made)
    return made


def full(places: int = 1) -> bool:
    """Whether no further camera that needs so many places may be read on this server."""
    return _watch().full(places, settings().capacity)


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


def now() -> float:
    return time.time()
