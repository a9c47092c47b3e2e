import streamlit as st

from fer import charts, ui
from fer.aggregate import NOW_S, SLOT_S, above_floor, mood, overall, table, uncertain_share, valence

ui.begin()

WINDOWS = {"1 min": 1, "5 min": 5, "15 min": 15, "All": None}
state = st.session_state

if state.get("class_room") is None:
    st.title("Teach")
    make, back = st.columns(2, gap="large")
    with make, st.form("make"):
        st.subheader("Make a class", anchor=False)
        title = st.text_input("Title", max_chars=80, placeholder="e.g. Algebra, Monday 9:00")
        st.caption(ui.LAW)
        lawful = st.checkbox("I confirm that reading expressions by camera is lawful where this class is held.")
        if st.form_submit_button("Make the class", type="primary", icon=":material/add:"):
            if not title.strip():
                st.error("Give the class a title.")
            elif not lawful:
                st.error("A class with cameras needs your confirmation that it is lawful.")
            else:
                with ui.errors_shown():
                    state.class_room, state.class_key = ui.store().create_class(title.strip(), True, ui.now())
                st.rerun()
    with back, st.form("open"):
        st.subheader("Open a class again", anchor=False)
        code = st.text_input("Class code", max_chars=16)
        key = st.text_input("Instructor key", type="password", max_chars=64)
        if st.form_submit_button("Open", icon=":material/lock_open:"):
            with ui.errors_shown():
                state.class_room = ui.store().open_class(code, key)
            st.rerun()
    st.stop()

settings, room = ui.settings(), state.class_room
link = f"{ui.base_url()}/join?code={room.code}"

if "class_key" in state:
    with st.container(border=True):
        st.markdown("**Your instructor key.** Keep it: it opens this class again, and it is shown only now.")
        st.code(state.class_key, language=None)
        if st.button("I have saved it", icon=":material/check:"):
            del state.class_key
            st.rerun()

heading, sharing = st.columns([3, 1], vertical_alignment="center")
heading.header(ui.plain(room.title), anchor=False)
with sharing.popover(f"Join code **{room.code}**", icon=":material/qr_code_2:", width="stretch"):
    st.code(room.code, language=None)
    st.code(link, language=None, wrap_lines=True)
    st.image(ui.qr_png(link), caption="Scan to join", width=220)
    if "://localhost" in link or "://127." in link:
        st.caption("This link works on this computer only. Host the app behind https:// to share it.")

if room.ended_at is None:
    window = st.segmented_control("Time shown", WINDOWS, default="5 min", label_visibility="collapsed") or "5 min"
else:
    window = "All"
    st.success("This class has ended.", icon=":material/flag:")
minutes = WINDOWS[window]


@st.fragment(run_every=1.0 if room.ended_at is None else None)
def board() -> None:
    if room.ended_at is None and ui.has_ended(room):  # in another window
        state.class_room = ui.store().find_class(room.code)
        st.rerun()
    now = ui.now() if room.ended_at is None else room.ended_at
    since = room.created_at - SLOT_S if minutes is None else now - 60 * minutes - SLOT_S
    with ui.errors_shown():
        view = mood(
            ui.store().presences(room.class_id, now - NOW_S),
            ui.store().latest(room.class_id, now - NOW_S),
            settings.min_group,
            now,
        )
        slots = above_floor(ui.store().slots(room.class_id, since), settings.min_group)
    if room.ended_at is None:
        with st.container(horizontal=True):
            st.metric("Students connected", view.connected, width=150)
            st.metric("Contributing", view.contributing, width=130)
            st.metric("Valence now", f"{valence(view.now.mean_probs):+.2f}" if view.now else "–", width=130)
            st.metric("Uncertain", f"{uncertain_share(view.now.mean_probs):.0%}" if view.now else "–", width=130)
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown("**Mood now**" if room.ended_at is None else "**Mood of the whole class**")
        if room.ended_at is None and view.now:
            ui.chart(charts.bars(view.now.mean_probs), "mood_bars")
        elif room.ended_at is not None and slots:
            ui.chart(charts.bars(overall(slots)), "mood_bars")
        else:
            st.info(view.withheld if room.ended_at is None else "There was no moment with enough students to show.")
    with right:
        st.markdown("**Expressions over time**")
        ui.legend()
        if slots:
            origin, span, title = (
                (room.created_at, None, "minutes from the start")
                if minutes is None
                else (now, (-minutes, 0), "minutes ago")
            )
            ui.chart(charts.area(slots, origin, span, title), "mood_area")
            st.markdown("**Valence**")
            ui.chart(charts.valence_line(slots, origin, span, title), "valence_line")
        else:
            st.caption(f"The charts begin when {settings.min_group} students have contributed for a few seconds.")
    if ui.writer().problem:
        st.warning(
            f"{ui.writer().problem} {ui.writer().pending} readings wait in memory and will be written when it is back."
        )


board()
st.divider()
with st.container(horizontal=True):
    if room.ended_at is None:
        with st.popover("End the class", icon=":material/stop_circle:"):
            st.write("Students are disconnected and nobody can join any more. This cannot be undone.")
            if st.button("End it now", type="primary"):
                with ui.errors_shown():
                    ui.writer().flush()
                    ui.store().end_class(room.class_id, ui.now())
                    state.class_room = ui.store().find_class(room.code)
                st.rerun()
    else:
        with ui.errors_shown():
            kept = above_floor(ui.store().slots(room.class_id, 0), settings.min_group)
        timeline = ui.csv_text(table(kept, room.created_at))
        st.download_button(
            "Download the timeline (CSV)",
            timeline,
            f"classmood-{room.code}.csv",
            "text/csv",
            icon=":material/download:",
        )
        with st.popover("Delete the class", icon=":material/delete:"):
            st.write("Every row of this class is deleted. This cannot be undone.")
            if st.button("Delete it now", type="primary"):
                with ui.errors_shown():
                    ui.store().delete_class(room.class_id)
                state.pop("class_room")
                st.rerun()
    if st.button("Close", icon=":material/logout:", help="The class goes on. Code and key open it again."):
        state.pop("class_room")
        state.pop("class_key", None)
        st.rerun()
