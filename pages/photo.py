import json

import streamlit as st

from fer import charts, draw, photo, ui
from fer.labels import UNCERTAIN

ui.begin()

st.title("Read a photo")
st.caption("The picture is read in memory and forgotten; nothing of it is stored.")
source = st.segmented_control("Source", ["Upload", "Camera"], default="Upload", label_visibility="collapsed")
if source == "Camera":
    if ui.camera_blocked():
        st.warning("Browsers open the camera on https:// addresses only; upload a picture instead.")
    given = st.camera_input("Take a picture")
else:
    given = st.file_uploader("A picture with faces", type=["jpg", "jpeg", "png", "webp", "heic", "heif"])
if given is None:
    st.info("JPEG, PNG, WebP or HEIC, at most 20 MB and 40 megapixels.", icon=":material/photo_camera:")
    st.stop()

with ui.errors_shown(), st.spinner("Reading the picture…"):
    frame = photo.decode(given.getvalue())
    readings = photo.read_faces(frame, ui.new_detector(), ui.classifier(), ui.settings().confidence_floor)

picture, faces = st.columns([3, 2], gap="large")
with picture:
    st.image(
        draw.annotate(draw.shrink(frame), draw.shrunk(readings, frame), numbered=True), channels="BGR", width="stretch"
    )
if not readings:
    faces.warning("No face was found. Faces should be upright, lit, and at least 24 pixels wide.")
    st.stop()
with faces:
    for number, reading in enumerate(readings, 1):
        with st.container(border=True):
            main = " · main face" if number == 1 and len(readings) > 1 else ""
            st.markdown(f"**{number}{main}** {ui.expression(reading.label)}")
            if reading.label == UNCERTAIN:
                st.caption("No expression is likely enough, or the face is too small to read.")
            ui.chart(charts.bars(reading.probs, uncertain=False), f"face_{number}")

document = {"path": given.name, "faces": photo.as_records(readings)}
with picture, st.container(horizontal=True):
    st.download_button(
        "JSON", json.dumps(document, indent=1), "faces.json", "application/json", icon=":material/download:"
    )
    st.download_button("CSV", ui.csv_text(photo.table(readings)), "faces.csv", "text/csv", icon=":material/download:")
