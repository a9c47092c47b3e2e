import streamlit as st

from fer import draw, live, server, ui

ui.begin()

state = st.session_state

st.title("Emoji mirror")
st.caption(
    "Your picture goes to this server, is read there in memory, and comes back to you alone. Nothing is stored, and no "
    "class gets any of it. An emoji says what a face shows to a program that is often wrong, not what anybody feels."
)
if ui.camera_blocked():
    st.warning("Browsers open the camera on https:// addresses only.")
with ui.errors_shown():
    if "emoji_stream" not in state:
        state.emoji_stream = server.new_emoji_stream()
stream = state.emoji_stream
if not ui.room_for(stream):
    st.stop()
with st.container(horizontal=True, vertical_alignment="center"):
    stream.cover = st.toggle("Cover the faces", value=True, help="Otherwise the emoji floats above the head.")
    button = st.container(width="content")
above = st.container()
context = ui.emoji_camera(stream)
active = context.state.playing or context.state.signalling
button.download_button(
    "Snapshot",
    lambda: draw.png(stream.picture),
    "emoji.png",
    "image/png",
    icon=":material/photo_camera:",
    disabled=not context.state.playing,
    on_click="ignore",
)


@st.fragment(run_every=1.0)
def status() -> None:
    seen = stream.snapshot
    shown = ui.camera_status(seen, active)
    if shown == live.LIVE:
        st.caption(f":green[●] {', '.join(ui.expression(reading.label) for reading in seen.readings)}")
    else:
        ui.show_status(shown)


with above:
    status()
