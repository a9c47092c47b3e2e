import streamlit as st

from fer import ui, ui_entry, ui_journal, ui_keeper

ui.begin()

state = st.session_state
with ui.errors_shown():
    who = ui_keeper.keeper()
    if who is None:
        st.title("A private journal")
        st.markdown(
            "Keep a diary of the expressions that your face shows: a picture, its reading, what **you** say it shows, "
            "a note. Correct the reading, and a model of your own learns how you name expressions. Nobody but you sees "
            "your entries here, and no class is told anything of them. An expression is not what you feel."
        )
        ui_keeper.sign_in()
        st.stop()
    entries = ui_keeper.journals().entries(who.keeper_id)

with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    st.subheader(f"The journal of {ui.plain(who.name)}", anchor=False, width="content")
    if st.button("Sign out", icon=":material/logout:", type="tertiary"):
        ui_keeper.sign_out()
if said := state.pop("journal_said", None):
    st.toast(said, icon=":material/check:")

SECTIONS = {
    "New": ui_entry.new_entry,
    "Timeline": ui_journal.timeline,
    "Overview": ui_journal.overview,
    "Model": ui_journal.model,
    "Data": ui_journal.data,
}
section = st.segmented_control("Section", list(SECTIONS), default="New", required=True, label_visibility="collapsed")
with ui.errors_shown():
    if "journal_deleted" in state:
        ui_journal.undo(who)
    SECTIONS[section](who, entries)
