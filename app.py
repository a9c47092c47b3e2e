"""ClassMood: `streamlit run app.py`."""

import streamlit as st

st.set_page_config(page_title="ClassMood", page_icon="🙂", layout="wide")
st.navigation(
    [
        st.Page("pages/home.py", title="ClassMood", icon=":material/home:", default=True),
        st.Page("pages/join.py", title="Join a class", icon=":material/videocam:"),
        st.Page("pages/teach.py", title="Teach", icon=":material/monitoring:"),
        st.Page("pages/classes.py", title="Your classes", icon=":material/history_edu:"),
        st.Page("pages/show.py", title="Class view", visibility="hidden"),
        st.Page("pages/photo.py", title="Photo", icon=":material/photo_camera:"),
        st.Page("pages/emoji.py", title="Emoji", icon=":material/mood:"),
        st.Page("pages/journal.py", title="Journal", icon=":material/book_2:"),
        st.Page("pages/recording.py", title="Recording", icon=":material/movie:"),
        st.Page("pages/model.py", title="The model", icon=":material/info:"),
    ],
    position="top",
).run()
