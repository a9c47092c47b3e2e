import streamlit as st

from fer import ui

ui.begin()

# Icon, title, what it is, the page, and what its link says.
CARDS = (
    (
        ":material/monitoring: Teach",
        "Make a class, share its link or QR code, and see how the group is doing, with cameras or without. A demo "
        "class shows it in seconds.",
        "pages/teach.py",
        "Make or open a class",
    ),
    (
        ":material/videocam: Join",
        "Enter the code from your instructor. You see your own reading, and say how it goes with a tap; the instructor "
        "sees the group only.",
        "pages/join.py",
        "Join a class",
    ),
    (
        ":material/photo_camera: Try a photo",
        "Upload pictures and see how every face in them is read, with all its doubts.",
        "pages/photo.py",
        "Read a photo",
    ),
    (
        ":material/book_2: Keep a journal",
        "A private diary of what your face shows. Correct its readings, and a model of your own learns from you.",
        "pages/journal.py",
        "Open a journal",
    ),
    (
        ":material/mood: Emoji mirror",
        "Your camera's picture with the emoji of each expression. It comes back to you alone.",
        "pages/emoji.py",
        "Look into the mirror",
    ),
    (
        ":material/movie: A recording",
        "Hand in a video and get the timeline and the report of a class.",
        "pages/recording.py",
        "Read a recording",
    ),
)

st.title("How is the class doing?")
st.markdown(
    "ClassMood shows an instructor the **expressions of a whole class** over time, and never those of one "
    "student. Students join from a link with their webcam; no picture is kept."
)

for row in (CARDS[:3], CARDS[3:]):
    for column, (title, text, page, link) in zip(st.columns(3), row, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.subheader(title, anchor=False)
            st.write(text)
            st.page_link(page, label=link, icon=":material/arrow_forward:")

st.divider()
st.markdown(
    "**What this is not.** An expression is what a face shows; what a person feels, understands or intends is "
    "not measured. Readings of a single face are often wrong. ClassMood ranks nobody and must not be used to "
    "grade, watch or judge anyone."
)
