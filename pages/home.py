import streamlit as st

from fer import ui

ui.begin()

st.title("How is the class doing?")
st.markdown(
    "ClassMood shows an instructor the **expressions of a whole class** over time, and never those of one "
    "student. Students join from a link with their webcam; no picture is kept."
)

teach, join, photo = st.columns(3)
with teach, st.container(border=True, height="stretch"):
    st.subheader(":material/monitoring: Teach")
    st.write(
        "Make a class, share its link or QR code, and see how the group is doing, with cameras or without. A demo "
        "class shows it in seconds."
    )
    st.page_link("pages/teach.py", label="Make or open a class", icon=":material/arrow_forward:")
with join, st.container(border=True, height="stretch"):
    st.subheader(":material/videocam: Join")
    st.write(
        "Enter the code from your instructor. You see your own reading, and say how it goes with a tap; the "
        "instructor sees the group only."
    )
    st.page_link("pages/join.py", label="Join a class", icon=":material/arrow_forward:")
with photo, st.container(border=True, height="stretch"):
    st.subheader(":material/photo_camera: Try a photo")
    st.write("Upload a picture and see how every face in it is read, with all its doubts.")
    st.page_link("pages/photo.py", label="Read a photo", icon=":material/arrow_forward:")

st.divider()
st.markdown(
    "**What this is not.** An expression is what a face shows; what a person feels, understands or intends is "
    "not measured. Readings of a single face are often wrong. ClassMood ranks nobody and must not be used to "
    "grade, watch or judge anyone."
)
