"""What a student's page shows and says: their own timeline, what they tell the class, and how they leave it."""

from collections.abc import Iterable, Sequence
from functools import partial

import streamlit as st

from fer import charts, server, signals, ui
from fer.aggregate import BucketFiller, merge, table
from fer.errors import StoreError
from fer.live import Attendance, StudentStream
from fer.types import Bucket, Classroom, Reading, Signal


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
        ui.chart_of("student_area", (slots[0].start, slots[-1].start), draw_area)
        st.caption("Only you see it. It is gone when you leave, unless you keep it.")
        text = ui.csv_text(table(slots, slots[0].start))
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
            stands = kind in said and said[kind].until > server.now()
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
    if not st.session_state.setdefault("student_taps", signals.Taps()).allow(server.now()):
        st.toast("That was a lot of taps: wait a few seconds.", icon=":material/hourglass:")
        return
    opposites = signals.KINDS[kind][2]
    new = signals.signal(room.class_id, attendance.id, kind, server.now(), st.session_state.get("student_name", ""))
    try:
        if stands:
            server.store().take_back(room.class_id, attendance.id, (kind,), server.now())
        else:
            server.store().give(new, opposites)
    except StoreError:
        st.toast("That did not reach the server. Tap again in a moment.", icon=":material/error:")
        return
    for gone in (kind, *opposites):
        said.pop(gone, None)
    if not stands:
        said[kind] = new


def withdraw(room: Classroom, ids: Iterable[str]) -> None:
    """A student's connections and pages are over: not counted any more, and nothing they said stands."""
    for one in ids:
        server.writer().leave(one)
        server.store().take_back(room.class_id, one, tuple(signals.KINDS), server.now())


def delete_contribution(room: Classroom, stream: StudentStream | None, ids: Iterable[str]) -> None:
    """Delete what a student contributed under `ids`, whether it was written or still waits to be."""
    if stream is not None:
        stream.delete()
    server.writer().flush()  # a write under way must end first, or it would come after the deletion
    for stream_id in ids:
        server.store().delete_stream(room.class_id, stream_id)
