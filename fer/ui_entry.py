"""A new entry of a journal: where its picture comes from, what is read of it, and what the keeper says to it."""

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import streamlit as st

from fer import charts, draw, journal, live, personal, photo, server, ui, ui_keeper
from fer.labels import LABELS, UNCERTAIN
from fer.live import SittingStream
from fer.sitting import LENGTH_S, Likeness, Sitting
from fer.types import Entry, Frame, Keeper, Reading

state = st.session_state


def new_entry(who: Keeper, entries: Sequence[Entry]) -> None:
    """A picture or five seconds, what is read of them, and what the keeper says to it."""
    turn = state.setdefault("journal_turn", 0)
    left, right = st.columns([2, 3], gap="large")
    with left:
        source = st.segmented_control(
            "Source", list(SOURCES), default="Camera", required=True, label_visibility="collapsed"
        )
        found = SOURCES[source](turn, right)
    if found is None:
        return
    with right:
        _read_and_say(who, *found)


# What a source has found: a face, whether its reading is sure enough to be named, and a name for this picture of it.
Found: TypeAlias = tuple[Likeness, bool, str]


def _camera(turn: int, right: Any) -> Found | None:
    if ui.camera_blocked():
        st.warning("Browsers open the camera on https:// addresses only; upload a picture instead.")
    return _of_picture(st.camera_input("Take a picture", key=f"journal_camera_{turn}"), turn, right)


def _upload(turn: int, right: Any) -> Found | None:
    kinds = ["jpg", "jpeg", "png", "webp", "heic", "heif"]
    given = st.file_uploader("A picture with your face", type=kinds, key=f"journal_upload_{turn}")
    return _of_picture(given, turn, right)


def _of_picture(given: Any, turn: int, right: Any) -> Found | None:
    """The main face of a picture that was taken or uploaded."""
    if given is None:
        kept = "It is kept only if you tick so, and then sealed." if state.journal_key else "It is not kept."
        st.caption(f"The picture is read in memory. {kept}")
        return None
    with st.spinner("Reading the picture…"):
        frame = photo.decode(given.getvalue())
        found, _ = photo.read_faces(
            frame, server.new_detector(), server.classifier(), server.settings().confidence_floor
        )
    with right:
        if not found:
            st.warning("No face was found. A face should be upright, lit, and at least 24 pixels wide.")
            return None
        reading = _whose(frame, found, turn)
    likeness = Likeness(journal.portrait(frame, reading.face), reading.probs[None])
    return likeness, reading.label != UNCERTAIN, f"{turn}_{given.file_id}_{reading.face_id}"


def _whose(frame: Frame, found: Sequence[Reading], turn: int) -> Reading:
    """The main face; where there are others, the keeper may say which one is theirs."""
    if len(found) == 1:
        return found[0]
    numbered = draw.shrink(draw.annotate(frame, found, numbered=True))
    st.image(numbered, channels="BGR", alt="The faces that were found, with their numbers")
    names = list(range(1, len(found) + 1))
    number = st.selectbox(f"{len(found)} faces were found. Which one is yours?", names, key=f"journal_whose_{turn}")
    return found[(number or 1) - 1]


def _five_seconds(turn: int, right: Any) -> Found | None:
    """The main face of five seconds before the camera, which then stops by itself."""
    if "journal_sat" not in state:
        _sit()
        return None
    likeness, told = state.journal_sat
    if told:
        (st.info if likeness else st.warning)(told)
    if st.button("Read again", icon=":material/replay:"):
        _forget_sitting()
        st.rerun()
    return likeness and (likeness, True, f"{turn}_five_seconds")


def _sit() -> None:
    """The camera, until the five seconds are over, or it is stopped before."""
    if "journal_stream" not in state:
        state.journal_stream = server.new_sitting_stream()
    stream = state.journal_stream
    if stream.sitting.over(server.now()):
        _have_sat(stream)
    if not ui.room_for(stream):
        return
    ui.own_picture()
    context = ui.sitting_camera(stream)
    active = context.state.playing or context.state.signalling
    if stream.sitting.begun and not active:
        _have_sat(stream)
    if not active:
        ui.preflight(stream, "upload a picture")
        kept = " unless you tick so; then it is the best moment of your face, sealed" if state.journal_key else ""
        st.caption(
            f"Your camera is read for {LENGTH_S:.0f} seconds, in memory, and stops by itself. No picture is kept{kept}."
        )
    _countdown(stream, active)


@st.fragment(run_every=0.5)
def _countdown(stream: SittingStream, active: bool) -> None:
    seen, sitting, now = stream.snapshot, stream.sitting, server.now()
    if sitting.over(now):
        _have_sat(stream)
    if sitting.begun:
        left_s = sitting.left_s(now)
        st.progress(1 - left_s / LENGTH_S, f"Reading your face: {math.ceil(left_s)} s to go")
    shown = ui.camera_status(seen, active)
    if not sitting.begun or shown in (live.NO_FACE, live.CAMERA_OFF):
        ui.show_status(shown)


def _have_sat(stream: SittingStream) -> None:
    """Stop, keep what was seen of the main face, and forget all the other pictures."""
    stream.stop()
    likeness = stream.sitting.likeness()
    state.journal_sat = likeness, _of_sitting(stream.sitting, likeness)
    del state.journal_stream
    st.rerun()


def _of_sitting(sitting: Sitting, likeness: Likeness | None) -> str:
    """What a keeper should know of it, in a sentence or two, if anything."""
    told = []
    if sitting.cut_short:
        told.append(f"It ended after {sitting.lasted_s:.1f} of {LENGTH_S:.0f} seconds.")
    if likeness is None:
        told.append("No face was seen. A face should be upright, lit, and turned to the camera.")
    elif likeness.faces > 1:
        told.append(f"{likeness.faces} faces were seen; the main one was read.")
    return " ".join(told)


def _forget_sitting() -> None:
    state.pop("journal_sat", None)
    state.journal_turn += 1


SOURCES: Mapping[str, Callable[[int, Any], Found | None]] = {
    "Camera": _camera,
    "Upload": _upload,
    "5 seconds": _five_seconds,
}


def _read_and_say(who: Keeper, seen: Likeness, certain: bool, key: str) -> None:
    each = personal.read(state.journal_head, seen.probs)
    own = each.mean(0)
    likeliest = int(own.argmax())
    by = "your own model" if state.journal_head else "the general model"
    sure = "" if own.max() >= server.settings().confidence_floor and certain else ", but not surely"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.image(seen.picture, channels="BGR", width=112, alt="Your face, as it was found")
        st.markdown(f"Read as **{ui.expression(LABELS[likeliest])}** by {by}{sure}.", width="stretch")
    if len(each) == 1:
        ui.bars(own, "journal_bars", uncertain=False)
    else:
        spread = each.std(0)
        ui.chart(charts.ranges(own, np.maximum(own - spread, 0), np.minimum(own + spread, 1)), "journal_ranges")
        st.caption(
            f"The mean of {len(each)} readings. A line spans how they changed: one standard deviation to each side."
        )
    with st.form(f"journal_new_{key}", border=False):
        label, note, tags = fields(likeliest)
        keep = False
        if state.journal_key:
            keep = st.checkbox(
                "Keep the picture, sealed with my passphrase",
                state.get("journal_keep", False),
                help="Whoever runs this server cannot open it without your passphrase.",
            )
        saving = st.form_submit_button("Save", type="primary", icon=":material/check:")
    if not saving:
        return
    entry = Entry(uuid.uuid4().hex, server.now(), label, tuple(map(float, seen.probs.mean(0))), note, tags)
    sealed = {entry.entry_id: ui_keeper.sealed(who, entry.entry_id, journal.jpeg(seen.picture))} if keep else {}
    ui_keeper.journals().put(who, [entry], sealed)
    state.journal_keep = keep
    _forget_sitting()
    state.journal_said = f"Saved as {ui.expression(label)}."
    st.rerun()


def fields(index: int, note: str = "", tags: Sequence[str] = ()) -> tuple[str, str, tuple[str, ...]]:
    """What a keeper says of an entry: the label, a note, tags."""
    label = st.radio("What does it show?", LABELS, index, format_func=ui.expression, horizontal=True)
    text = st.text_area("Note", note, max_chars=journal.MAX_NOTE, height=100)
    tagged = st.text_input("Tags", ", ".join(tags), max_chars=400, placeholder="with commas: home, after sport")
    return label or LABELS[index], journal.clean(text), journal.tags(tagged)
