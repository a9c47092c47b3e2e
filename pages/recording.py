import tempfile
from pathlib import Path

import streamlit as st

from fer import charts, report, server, ui, video

ui.begin()

MOST_MB = 200

st.title("A recorded class")
st.caption("The video is read in memory and forgotten; nothing of it is stored.")
given = st.file_uploader("A video", type=["mp4", "mov", "webm", "mkv", "avi"], max_upload_size=MOST_MB)
if given is None:
    st.info(
        f"MP4, MOV, WebM, MKV or AVI, at most {MOST_MB} MB here; `python -m fer analyze` takes any length.",
        icon=":material/movie:",
    )
    st.stop()

state = st.session_state
if state.get("recording") != given.file_id:
    state.pop("recording_report", None)
if "recording_report" not in state:
    if state.get("recording_cancelled") == given.file_id:
        st.info("Cancelled.")
        st.button("Read it again", icon=":material/refresh:", on_click=lambda: state.pop("recording_cancelled"))
        st.stop()
    bar = st.progress(0.0, f"Reading {ui.plain(given.name)}…")
    # Any widget that is used stops a script: the button is there to be one.
    st.button("Cancel", icon=":material/cancel:", on_click=lambda: state.update(recording_cancelled=given.file_id))
    given.seek(0)

    def show(done_s: float, total_s: float) -> None:
        share = min(1.0, done_s / total_s) if total_s else 0.0
        bar.progress(
            share, f"{done_s / 60:.1f} of {total_s / 60:.1f} minutes" if total_s else f"{done_s / 60:.1f} minutes"
        )

    with ui.errors_shown(), tempfile.TemporaryDirectory() as folder:
        result = video.analyse(given, Path(folder), server.new_pipeline(), 1 / server.settings().analyses_per_s, show)
        state.recording_report = (
            report.Lesson(given.name, 0.0, result.duration_s, result.slots),
            result.timeline.read_text(),
            result.faces.read_text(),
        )
        state.recording = given.file_id
    st.rerun()

lesson, timeline, faces = state.recording_report
if not lesson.slots:
    st.warning("No face was found in this recording, so there is no mood to show.")
    st.stop()
st.markdown("**Expressions over time**")
ui.legend()
ui.chart(charts.area(lesson.slots, 0.0, None, "minutes"), "recording_area")
st.markdown("**Valence**")
ui.chart(charts.valence_line(lesson.slots, 0.0, None, "minutes"), "recording_valence")
if told := report.sentences(lesson):
    st.markdown("**Moments**\n\n" + "\n".join(f"- {ui.plain(line)}" for line in told))
with st.container(horizontal=True):
    st.download_button(
        "Report (HTML)", lambda: report.html(lesson), "report.html", "text/html", icon=":material/download:"
    )
    st.download_button("Timeline (CSV)", timeline, "timeline.csv", "text/csv", icon=":material/download:")
    st.download_button("Faces (CSV)", faces, "faces.csv", "text/csv", icon=":material/download:")
