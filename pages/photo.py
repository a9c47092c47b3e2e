import json
from functools import partial

import streamlit as st

from fer import album, photo, server, ui, ui_photo
from fer.aggregate import uncertain_share

ui.begin()

LIMITS = (
    f"JPEG, PNG, WebP or HEIC; at most {album.MOST} pictures at once, each of at most "
    f"{photo.MAX_BYTES // 10**6} MB and {photo.MAX_PIXELS // 10**6} megapixels, and {photo.MAX_FACES} faces in each."
)

st.title("Read photos")
st.caption("The pictures stay in memory, for as long as this tab is open; nothing of them is stored.")
source = st.segmented_control("Source", ["Upload", "Camera"], default="Upload", label_visibility="collapsed")
if source == "Camera":
    if ui.camera_blocked():
        st.warning("Browsers open the camera on https:// addresses only; upload a picture instead.")
    taken = st.camera_input("Take a picture")
    given = [taken] if taken else []
else:
    given = st.file_uploader(
        "Pictures with faces",
        type=["jpg", "jpeg", "png", "webp", "heic", "heif"],
        accept_multiple_files=True,
        max_upload_size=photo.MAX_BYTES // 10**6,
    )
if not given:
    st.session_state.pop("photos", None)
    st.info(LIMITS, icon=":material/photo_camera:")
    st.stop()

with ui.errors_shown():
    photos, left_out = ui_photo.photos(given)
    names = list(server.models())
    chosen = names[:1]
    if len(names) > 1:
        with st.container(horizontal=True):
            first = st.selectbox("Model", names, width=260)
            second = st.selectbox("Compared with", ["nothing", *(name for name in names if name != first)], width=260)
        chosen = [name for name in (first, second) if name != "nothing"]
    readers = {name: server.classifier(None if name == names[0] else server.models()[name]) for name in chosen}
    floor = server.settings().confidence_floor
    albums = {name: [album.reread(one, reader, floor) for one in photos] for name, reader in readers.items()}
for sentence in left_out:
    st.error(ui.plain(sentence), icon=":material/image_not_supported:")
if not photos:
    st.stop()

photos = albums[chosen[0]]
n_faces = sum(len(one.readings) for one in photos)
if not n_faces:
    st.warning("No face was found. Faces should be upright, lit, and at least 24 pixels wide.")
if n_faces > 1:
    shares = album.mean_probs(photos)
    mean, figures = st.columns([3, 2], gap="large")
    with mean:
        st.markdown("**What they show on average**")
        ui.bars(shares, "photo_mean")
    with figures, st.container(horizontal=True):
        st.metric("Faces", n_faces, width=110)
        st.metric("Pictures", len(photos), width=110)
        unsure = f"{uncertain_share(shares):.0%}"
        st.metric("Uncertain", unsure, width=110, help="Too small to read, or no expression is likely enough.")
    with st.expander("All faces in a table", icon=":material/table:", expanded=len(photos) > 1):
        ui_photo.faces_table(albums)

at = 0
if len(photos) > 1:
    at = st.selectbox("Picture", range(len(photos)), format_func=lambda i: f"{i + 1}. {photos[i].name}")
picture, side = st.columns([3, 2], gap="large")
picture.image(album.annotated(photos[at]), channels="BGR", width="stretch", alt="The picture and its faces")
readings = photos[at].readings
if not readings and n_faces:
    side.warning("No face was found in this picture.")
if readings:
    with side:
        number = 1
        if len(readings) > 1:
            number = st.pills("Face", range(1, len(readings) + 1), default=1, help="1 is the main face.") or 1
        why = st.toggle("What does the reading hang on?", key="photo_why")
    for place, (name, reader) in zip([side] if len(chosen) == 1 else st.columns(2), readers.items(), strict=True):
        with place, st.container(border=True):
            ui_photo.face(albums[name][at], number, name, reader, why)

with picture, st.container(horizontal=True):
    document, rows = json.dumps(album.documents(photos), indent=1), ui.csv_text(album.table(albums))
    packed = partial(album.archive, albums, left_out)
    st.download_button("All (ZIP)", packed, "faces.zip", "application/zip", icon=":material/folder_zip:")
    st.download_button("CSV", rows, "faces.csv", "text/csv", icon=":material/download:")
    st.download_button("JSON", document, "faces.json", "application/json", icon=":material/download:")
