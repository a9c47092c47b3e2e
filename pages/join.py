import streamlit as st

from fer import demo, live, server, ui, ui_keeper, ui_seat, ui_student

ui.begin()

BACK = "back"
SENTENCES = {
    **ui.SENTENCES,
    live.NO_FACE: "**No face is seen.** You are not contributing. Sit in the light and face the camera.",
    live.PAUSED: ":material/pause: The class is paused: your picture is not analysed.",
    BACK: "**You are in the class again**, after a break in the connection. Press **START** to go on with your camera.",
    live.CAMERA_OFF: "**Your camera sends black.** You are not contributing. Is it covered, or switched off?",
}
state = st.session_state

with ui.errors_shown():
    settings = server.settings()
    if "student_room" not in state:
        st.title("Join a class")
        linked = st.query_params.get("code", "")
        with st.form("join", border=False):
            code = st.text_input("Class code", linked, max_chars=16, placeholder="e.g. ACX4K7")
            st.markdown(f"""
**Before you join**

- Your camera's picture is sent to this server, read there in memory, and forgotten at once. **No picture is
  stored or shown to anyone but you.**
- What is kept are nameless counts for slots of five seconds ("a face: 60% neutral, 30% happy"), for
  {settings.retention_days} days at most. You can delete yours when you leave.
- The instructor sees the **group** only, and only while at least {settings.min_group} students contribute.
- The reading is what your face *shows* to a program that is often wrong. It does not say what you feel.
""")
            agreed = st.checkbox("I understand and agree that my camera's picture is read in this way.")
            with st.container(horizontal=True):
                joining = st.form_submit_button("Join", type="primary", icon=":material/videocam:")
                without = st.form_submit_button("Join without a camera", icon=":material/videocam_off:")
        if ui.camera_blocked():
            st.warning("Browsers open the camera on https:// addresses only. Ask your instructor for such a link.")
        if message := state.pop("student_message", None):
            st.info(message)
        seat = None if joining or without else ui_seat.found(linked)
        if not (joining or without or seat):
            st.stop()
        room = server.find_class(seat.code if seat else code)
        if room is None:
            st.error(
                f"There is no class with the code “{ui.plain(code.strip()[:16])}”. Check it with your instructor."
                if code.strip()
                else "Enter the code of the class."
            )
            st.stop()
        if room.ended_at is not None:
            st.warning("This class has ended.")
            st.stop()
        if room.title == demo.TITLE:  # among simulated students one real face would stand out
            st.warning("This is a demo class with simulated students. Nobody can join it.")
            st.stop()
        camera = (seat.camera if seat else joining) and room.camera
        if camera and not (agreed or seat):  # who had a seat with a camera had agreed
            st.warning("Tick the box if you agree, or join without a camera; without your agreement nothing is read.")
            st.stop()
        if camera and server.full():
            st.warning(
                "The class is full on this server: no further camera can be read. You can join without a camera."
            )
            st.stop()
        state.student_earlier = seat.ids if seat else ()
        ui_student.withdraw(room, state.student_earlier)
        state.student_room = room
        state.student_stream = server.new_stream(room, again=bool(seat)) if camera else None
        state.student_attendance = server.new_attendance(room, counted=not camera)
        ui_seat.take()
        st.rerun()

room, stream, attendance = state.student_room, state.student_stream, state.student_attendance


def leave(message: str) -> None:
    state.student_message = message
    ui_seat.give_up()
    for kept in [key for key in state if str(key).startswith("student_") and key != "student_message"]:
        state.pop(kept, None)
    st.rerun()


st.subheader(ui.plain(room.title), anchor=False)
if stream is not None:
    picture, reading = st.columns([3, 2], gap="large")
    with picture:
        stream.overlay = st.toggle(
            "Show the overlay",
            help="Sends the picture back to you with the reading drawn on it. Switching it stops the camera: "
            "press START again.",
        )
        ui.own_picture(shown=not stream.overlay)
        context = live.camera("camera", stream, settings)
        active = context.state.playing or context.state.signalling
        if not active:
            ui.preflight(stream, "join without a camera")
elif not room.camera:
    st.caption("This class runs without cameras. Nothing but your taps is sent.")
else:
    st.caption("You have joined without a camera. Nothing but your taps is sent.")


def show_reading() -> None:
    seen = stream.snapshot
    shown = ui.camera_status(seen, active)
    if shown == live.READY and state.student_earlier and not stream.stream_ids:
        shown = BACK
    if shown == live.LIVE:
        main = ui_keeper.own_reading(seen.readings[0])
        others = len(seen.readings) - 1
        st.markdown(f"### {ui.expression(main.label)}")
        st.caption(f":green[●] Live{f', with {others} more in the picture' if others else ''}. Only you see this.")
        if main is not seen.readings[0]:
            st.caption("Read by the model of your journal; the class gets the general model's reading.")
        ui.bars(main.probs, "own_bars", uncertain=False)
    else:
        ui.show_status(shown, SENTENCES)
    ui_student.own_timeline(seen.readings, seen.at)


def own_ids() -> tuple[str, ...]:
    """All that the student has contributed under, in this page and in one that was lost."""
    return (*state.student_earlier, attendance.id, *(stream.stream_ids if stream else ()))


# One fragment, the first thing in its column: of two, the second was lost when a run of the page was cut short.
@st.fragment(run_every=1.0)
def own_part() -> None:
    current = ui.current(room)
    if current is None:
        attendance.leave()
        if stream is not None:
            stream.stop()
        leave(f"The class has ended. {'Your camera is off. ' if stream else ''}Thank you for taking part.")
    if stream is not None:
        stream.paused = current.paused
        ui.ask_for(stream.pace.fps)
        show_reading()
    ui_student.self_report(room, attendance)
    ui_seat.keep(ui_seat.Seat(room.code, stream is not None, own_ids()))


with reading if stream is not None else st.container():
    own_part()

with st.container(horizontal=True):
    leaving = st.button("Leave", icon=":material/logout:", help="Leaving this page stops your camera, too.")
    deleting = st.button("Leave and delete my part", icon=":material/delete:")
if leaving or deleting:
    attendance.leave()
    if stream is not None:
        stream.stop()
    with ui.errors_shown():
        if deleting:
            ui_student.delete_contribution(room, stream, own_ids())
        else:
            ui_student.withdraw(room, own_ids())
    leave(
        "You have left the class, and what you contributed has been deleted."
        if deleting
        else "You have left the class."
    )
