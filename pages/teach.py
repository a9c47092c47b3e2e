from functools import partial

import streamlit as st

from fer import alert, charts, demo, policy, report, server, ui, ui_classes
from fer.aggregate import LEAD_S, NOW_S, SLOT_S, above_floor, guarded, mood, overall, table, uncertain_share, valence
from fer.types import Marker

ui.begin()
ui_classes.shelf()

CAMERA = "Camera and self-report"
MEANS = (CAMERA, "Self-report only")
ALERT_S = 900.0  # what the alert looks back on
WINDOWS = {"10 s": 1 / 6, "1 min": 1, "10 min": 10, "All": None}
state = st.session_state

if state.get("class_room") is None:
    st.title("Teach")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Try a demo class", icon=":material/play_circle:"):
            with ui.errors_shown():
                ui_classes.take(*ui_classes.open_demo())
            st.rerun()
        st.caption(f"{demo.STUDENTS} simulated students over a scripted lesson: nobody's face, every chart.")
    make, back = st.columns(2, gap="large")
    with make, st.container(border=True):
        st.subheader("Make a class", anchor=False)
        place = st.selectbox("Where is it held?", policy.PLACES, index=None, placeholder="Choose a place")
        means = st.radio("How do students take part?", MEANS, horizontal=True)
        purpose = policy.MOOD
        if means == CAMERA:
            purpose = st.selectbox("Why are cameras read?", policy.PURPOSES)
        barred = means == CAMERA and place is not None and policy.prohibited(place, purpose)
        if barred:
            st.info(
                f"[{policy.ARTICLE}]({policy.ARTICLE_URL}), prohibits inferring emotions of people in education from "
                "their faces, save for medical or safety reasons. This class will run on **self-report alone**: "
                "students tap how it goes.",
                icon=":material/gavel:",
            )
        elif means == CAMERA:
            st.caption(ui.LAW)
        camera = means == CAMERA and not barred
        with st.form("make", border=False):
            title = st.text_input("Title", max_chars=80, placeholder="e.g. Algebra, Monday 9:00")
            lawful = not camera or st.checkbox(policy.confirmation(place or "", purpose))
            if st.form_submit_button("Make the class", type="primary", icon=":material/add:"):
                if not title.strip():
                    st.error("Give the class a title.")
                elif place is None:
                    st.error("Say where the class is held: the law on cameras depends on it.")
                elif not lawful:
                    st.error("A class with cameras needs your confirmation that it is lawful.")
                else:
                    with ui.errors_shown():
                        room, key = server.store().create_class(title.strip(), camera, server.now())
                    ui_classes.take(room, key)
                    state.class_key = key
                    st.rerun()
    with back, st.form("open"):
        st.subheader("Open a class again", anchor=False)
        code = st.text_input("Class code", max_chars=16)
        key = st.text_input("Instructor key", type="password", max_chars=64)
        if st.form_submit_button("Open", icon=":material/lock_open:"):
            with ui.errors_shown():
                room = server.open_class(code, key)
            ui_classes.take(room, key)
            st.rerun()
        if ui_classes.keys():
            st.caption(
                "“Your classes”, above, lists those that you opened on this page or that this browser remembers."
            )
    st.stop()

settings, room = server.settings(), state.class_room
link = f"{ui.base_url()}/join?code={room.code}"

simulated = room.title == demo.TITLE
compact = room.ended_at is None and state.get("compact", False)
if compact:
    st.html("<style>.stMainBlockContainer { padding-top: 1rem } .stAppHeader { display: none }</style>")
elif "class_key" in state:
    with st.container(border=True):
        st.markdown("**Your instructor key.** Keep it: it opens this class again, and it is shown only now.")
        st.code(state.class_key, language=None)
        with st.container(horizontal=True, vertical_alignment="center"):
            saved = st.button("I have saved it", icon=":material/check:")
            if st.button(
                "Remember it in this browser", icon=":material/bookmark_add:", help="On your own computer only."
            ):
                ui_classes.remember(room.code)
                saved = True
        if saved:
            del state.class_key
            st.rerun()

heading, sharing = st.columns([3, 1], vertical_alignment="center")
heading.header(ui.plain(room.title), anchor=False)
with sharing.popover(f"Join code **{room.code}**", icon=":material/qr_code_2:", width="stretch"):
    st.code(room.code, language=None)
    st.code(link, language=None, wrap_lines=True)
    st.image(ui.qr_png(link), caption="Scan to join", alt="The join link as a QR code", width=220)
    if room.ended_at is None:
        st.link_button("Class view to project", f"{ui.base_url()}/show?code={room.code}", icon=":material/open_in_new:")
        pulse = st.toggle("Show the group's pulse there", room.pulse) if room.camera else False
        if pulse != room.pulse:
            with ui.errors_shown():
                server.store().set_class(room.class_id, pulse=pulse)
                state.class_room = server.store().find_class(room.code)
            st.rerun()
    if "://localhost" in link or "://127." in link:
        st.caption("This link works on this computer only. Host the app behind https:// to share it.")

if simulated:
    st.info("This class is **simulated**: no student, no camera, a lesson that repeats.", icon=":material/smart_toy:")

if room.paused and room.ended_at is None:
    st.warning("This class is **paused**: no picture is analysed.", icon=":material/pause:")

window, muted, threshold = "All", False, alert.THRESHOLD
if room.ended_at is not None:
    st.success("This class has ended.", icon=":material/flag:")
else:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        if room.camera:
            window = (
                st.segmented_control("Time shown", WINDOWS, default="10 min", label_visibility="collapsed") or "10 min"
            )
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            st.toggle("Compact", key="compact", help="Only what changes, for a second screen.")
            with st.popover("Alert", icon=":material/notifications:"):
                st.write("One line appears when something unusual for this class lasts for half a minute.")
                muted = st.toggle("Mute it")
                threshold = st.slider("How unusual, in standard deviations", 2.0, 5.0, alert.THRESHOLD, 0.5)
minutes = WINDOWS[window]

if room.ended_at is None and not compact:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with (
            st.form("mark", clear_on_submit=True, border=False),
            st.container(horizontal=True, vertical_alignment="bottom"),
        ):
            text = st.text_input("Mark this moment", max_chars=80, placeholder="e.g. Exercise 3 — Enter marks it")
            if st.form_submit_button("Mark", icon=":material/flag:"):
                with ui.errors_shown():
                    server.store().mark(Marker(room.class_id, server.now(), text.strip()))
        with ui.errors_shown():
            marked = server.store().markers(room.class_id)
        if marked:
            with st.popover(f"{len(marked)} marked", icon=":material/bookmarks:"):
                for marker in reversed(marked):
                    name = f"{ui.clock(marker.at)[-8:]} {ui.plain(marker.text) or 'marked'}"
                    if st.button(f"Remove {name}", key=f"unmark_{marker.at}", icon=":material/undo:", type="tertiary"):
                        with ui.errors_shown():
                            server.store().unmark(marker)
                        st.rerun()


@st.fragment(run_every=1.0 if room.ended_at is None else None)
def board() -> None:
    if room.ended_at is None and (found := ui.current(room)) != room:  # changed in another window
        with ui.errors_shown():
            state.class_room = found or server.store().find_class(room.code)
        st.rerun()
    now = server.now() if room.ended_at is None else room.ended_at
    if simulated and room.ended_at is None:
        with ui.errors_shown():
            ui_classes.go_on_with_demo(room)
    since = room.created_at - SLOT_S if minutes is None else now - 60 * minutes - SLOT_S
    axis = (now, (-(minutes or 0), 0), "minutes ago" if minutes != WINDOWS["10 s"] else "seconds ago")
    if minutes is None:
        axis = (room.created_at, None, "minutes from the start")
    with ui.errors_shown():
        view = mood(
            server.store().presences(room.class_id, now - NOW_S),
            server.store().latest(room.class_id, now - NOW_S),
            settings.min_group,
            now,
        )
        recent = min(since, now - ALERT_S)
        whole = server.store().slots(room.class_id, recent - LEAD_S)
        known = [slot for slot in guarded(above_floor(whole, settings.min_group), now) if slot.start >= recent]
        slots = [slot for slot in known if slot.start >= since]
        said = server.store().signals(room.class_id, recent)
        marks = [((marker.at - axis[0]) / 60, marker.text) for marker in server.store().markers(room.class_id)]
    # Charts are drawn anew when there is a slot to add, each at a second of its own, and when anybody taps or marks.
    version = (room.code, window, len(marks), len(said))
    area_at, line_at, said_at = ((*version, (now - late) // SLOT_S) for late in (0, 1, 2))
    current = known[-1].mean_probs if view.now and known and now - known[-1].start < 2 * NOW_S else None
    if room.ended_at is None and not muted:
        ui_classes.show_alarm(
            alert.of_class(known, said, view.connected, max(recent, room.created_at), now, threshold), now
        )
    if room.ended_at is None:
        with st.container(horizontal=True):
            st.metric("Students connected", view.connected, width=150)
            if room.camera:
                st.metric("Contributing", view.contributing, width=130)
                st.metric("Valence now", "–" if current is None else f"{valence(current):+.2f}", width=130)
                st.metric("Uncertain", "–" if current is None else f"{uncertain_share(current):.0%}", width=130)
        st.markdown("**What students say**")
        ui_classes.reported(said)
    if said and not compact:
        if room.ended_at is not None:
            st.markdown("**What students said**")
        ui.chart_of("said_line", said_at, partial(charts.said, said, max(room.created_at, since), now, *axis, marks))
    if not room.camera:
        return
    if room.ended_at is None and (notice := ui_classes.pace_notice()):
        st.info(notice, icon=":material/speed:")
    if compact:
        if slots:
            ui.chart_of("pulse_line", area_at, partial(charts.valence_line, slots, *axis, marks))
        else:
            st.caption(view.withheld or "The first readings are being gathered.")
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown("**Mood now**" if room.ended_at is None else "**Mood of the whole class**")
        if room.ended_at is None and current is not None:
            ui.bars(current, "mood_bars")
        elif room.ended_at is not None and slots:
            ui.bars(overall(slots), "mood_bars")
        else:
            waiting = view.withheld or "The first readings are being gathered."
            st.info(waiting if room.ended_at is None else "There was no moment with enough students to show.")
    with right:
        st.markdown("**Expressions over time**")
        ui.legend()
        if slots:
            ui.chart_of("mood_area", area_at, partial(charts.area, slots, *axis, marks))
            st.markdown("**Valence**", help="The band is what the uncertain readings leave open.")
            ui.chart_of("valence_line", line_at, partial(charts.valence_line, slots, *axis, marks))
        else:
            st.caption(f"The charts begin when {settings.min_group} students have contributed for a few seconds.")
    if problem := server.writer().problem:
        st.warning(f"{problem} {server.writer().pending} readings wait in memory and will be written when it is back.")


board()
if room.ended_at is not None:
    with ui.errors_shown():
        lesson = ui_classes.lesson(room)
    if told := report.sentences(lesson):
        st.markdown("**Moments**\n\n" + "\n".join(f"- {ui.plain(line)}" for line in told))
    if lesson.markers:
        st.markdown("**Between the marked moments**")
        st.dataframe(report.marked_parts(lesson), hide_index=True, width="stretch", key="parts")
if compact:
    st.stop()
st.divider()
with st.container(horizontal=True):
    if room.ended_at is None:
        if room.camera and st.button(
            "Go on" if room.paused else "Pause",
            icon=":material/play_arrow:" if room.paused else ":material/pause:",
            help="While a class is paused no picture is analysed.",
        ):
            with ui.errors_shown():
                server.store().set_class(room.class_id, paused=not room.paused)
                state.class_room = server.store().find_class(room.code)
            st.rerun()
        with st.popover("End the class", icon=":material/stop_circle:"):
            st.write("Students are disconnected and nobody can join any more. This cannot be undone.")
            if st.button("End it now", type="primary"):
                with ui.errors_shown():
                    server.writer().flush()
                    server.store().end_class(room.class_id, server.now())
                    state.class_room = server.store().find_class(room.code)
                st.rerun()
    else:
        name = f"classmood-{room.code}"
        st.download_button(
            "Report (HTML)", lambda: report.html(lesson), f"{name}.html", "text/html", icon=":material/download:"
        )
        if room.camera:
            timeline = ui.csv_text(table(lesson.slots, room.created_at))
            st.download_button("Timeline (CSV)", timeline, f"{name}.csv", "text/csv", icon=":material/download:")
            st.download_button(
                "Timeline (Parquet)",
                lambda: ui.parquet(table(lesson.slots, room.created_at)),
                f"{name}.parquet",
                icon=":material/download:",
            )
        with st.popover("Delete the class", icon=":material/delete:"):
            st.write("Every row of this class is deleted. This cannot be undone.")
            if st.button("Delete it now", type="primary"):
                with ui.errors_shown():
                    server.store().delete_class(room.class_id)
                ui_classes.forget(room.code)
                ui_classes.put_away()
                st.rerun()
    with st.popover("Logins", icon=":material/key:"):
        with ui.errors_shown():
            tries = server.store().logins(room.class_id)
        st.caption(
            "Who opened this class with its key, or tried to." if tries else "Nobody has opened it again so far."
        )
        for at, opened in reversed(tries[-20:]):
            st.write(f"{ui.clock(at)} — {'opened' if opened else '**wrong key**'}")
    if st.button("Close", icon=":material/logout:", help="The class goes on. Code and key open it again."):
        ui_classes.put_away()
        st.rerun()
