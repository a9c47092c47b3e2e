import streamlit as st

from fer import charts, report, server, ui, ui_classes

ui.begin()
ui_classes.shelf()

st.title("Your classes")
state = st.session_state
with ui.errors_shown():
    rooms = ui_classes.known_classes()

if not rooms:
    st.info(
        "The classes that you make or open are listed here while this page is open. “Remember it in this browser” "
        "keeps one for the next time. “Teach”, above, makes one."
    )
    st.stop()

for room in rooms:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        ended = "open" if room.ended_at is None else f"{max(1, round((room.ended_at - room.created_at) / 60))} min"
        st.markdown(
            f"**{ui.plain(room.title)}**  \n{ui.clock(room.created_at)[:-3]} · {ended} · {room.code}", width="stretch"
        )
        if st.button("Open", key=f"open_{room.code}", icon=":material/monitoring:"):
            with ui.errors_shown():
                opened = ui_classes.opened(room.code)
            ui_classes.put_away()
            ui_classes.take(opened, ui_classes.keys()[room.code])
            st.switch_page("pages/teach.py")
        if room.code in state.remembered:
            if st.button(
                "Forget", key=f"forget_{room.code}", icon=":material/bookmark_remove:", help="The class stays."
            ):
                ui_classes.forget(room.code)
                st.rerun()
        elif st.button(
            "Remember", key=f"remember_{room.code}", icon=":material/bookmark_add:", help="In this browser."
        ):
            ui_classes.remember(room.code)
            st.rerun()
        with st.popover("Delete", icon=":material/delete:"):
            st.write("Every row of this class is deleted. This cannot be undone.")
            if st.button("Delete it now", key=f"delete_{room.code}", type="primary"):
                with ui.errors_shown():
                    server.store().delete_class(ui_classes.opened(room.code).class_id)
                ui_classes.forget(room.code)
                if state.get("class_room") and state.class_room.code == room.code:
                    ui_classes.put_away()
                st.rerun()

if len(rooms) < 2:
    st.stop()
st.subheader("Compare two of them", anchor=False)
names = {room.code: f"{room.title}, {ui.clock(room.created_at)[:-3]}" for room in rooms}
chosen = st.multiselect("Classes", names, format_func=names.__getitem__, max_selections=2, placeholder="Choose two")
if len(chosen) < 2:
    st.stop()
with ui.errors_shown():
    lessons = {f"{names[code]} ({code})": ui_classes.lesson(ui_classes.opened(code)) for code in chosen}
st.dataframe(report.compared(lessons), hide_index=True, width="stretch")
if all(lesson.slots for lesson in lessons.values()):
    st.markdown("**Valence**")
    ui.chart(charts.compared({name: (lesson.slots, lesson.begin) for name, lesson in lessons.items()}), "compared")
else:
    st.caption("Where too few students contributed, or there were no cameras, there is no mood to draw.")
