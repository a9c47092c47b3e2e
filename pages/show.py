import streamlit as st

from fer import charts, server, ui
from fer.aggregate import LEAD_S, above_floor, guarded

ui.begin()

PULSE_MIN = 10

with ui.errors_shown():
    room = server.find_class(st.query_params.get("code", ""))
if room is None or room.ended_at is not None:
    st.title("Class view")
    st.info("There is no open class with this code. The instructor's page has the link.")
    st.stop()

link = f"{ui.base_url()}/join?code={room.code}"
st.header(ui.plain(room.title), anchor=False)
words, picture = st.columns([3, 2], gap="large", vertical_alignment="center")
with words:
    st.markdown("Join with the code")
    st.html(f'<div style="font-size:clamp(3rem,9vw,7rem);font-weight:700;letter-spacing:.08em">{room.code}</div>')
    st.code(link, language=None, wrap_lines=True)
with picture:
    st.image(ui.qr_png(link), caption="Scan to join", alt="The join link as a QR code", width="stretch")


@st.fragment(run_every=5.0)
def pulse() -> None:
    with ui.errors_shown():
        current = server.store().find_class(room.code)
        if current is None or current.ended_at is not None:
            st.info("This class has ended.")
        elif current.pulse:
            now = server.now()
            since = now - 60 * PULSE_MIN
            slots = above_floor(server.store().slots(room.class_id, since - LEAD_S), server.settings().min_group)
            shown = [slot for slot in guarded(slots, now) if slot.start >= since]
            st.markdown("**Our pulse**: how pleasant our expressions are, as a group")
            ui.chart(charts.valence_line(shown, now, (-PULSE_MIN, 0), "minutes ago"), "pulse")


pulse()
