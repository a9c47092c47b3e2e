"""An instructor's classes: their keys, in this session and, where asked for, in this browser."""

from collections.abc import Sequence

import streamlit as st

from fer import alert, demo, server, signals, ui
from fer.aggregate import above_floor, guarded
from fer.alert import Alarm
from fer.errors import ClassError
from fer.report import Lesson
from fer.types import Classroom, Signal

SHELF_MOST = 100  # classes that one browser remembers


def shelf() -> None:
    """Where the keys of an instructor's classes come from: this session, and this browser if they asked it to."""
    state = st.session_state
    order = state.get("shelf_order")
    told = ui.component("shelf", "<span></span>")(key="shelf", data=order, on_kept_change=lambda: None)
    found = told.get("kept") or {}
    state.remembered = {str(code)[:16]: str(key)[:64] for code, key in list(found.items())[:SHELF_MOST]}
    if order and (order.get("remember") in state.remembered or order.get("forget", "") not in ("", *state.remembered)):
        state.pop("shelf_order")  # it was carried out; done again, it would undo what another window did since


def remember(code: str) -> None:
    """Have this browser keep the key of a class that this session knows; `shelf` carries it out."""
    st.session_state.shelf_order = {"remember": code, "key": st.session_state.class_keys[code]}


def forget(code: str) -> None:
    st.session_state.get("class_keys", {}).pop(code, None)
    st.session_state.shelf_order = {"forget": code}


def keys() -> dict[str, str]:
    """The key of each class, by its code, that this session has made or opened or this browser remembers."""
    known: dict[str, str] = {**st.session_state.get("remembered", {}), **st.session_state.get("class_keys", {})}
    return known


def take(room: Classroom, key: str) -> None:
    """Make `room` the class of this page, and remember its key for as long as the page is open."""
    st.session_state.class_room = room
    st.session_state.setdefault("class_keys", {})[room.code] = key


def known_classes() -> list[Classroom]:
    """The classes of `keys`, the newest first. A code that names none is looked up once while the page is open."""
    gone: set[str] = st.session_state.setdefault("gone", set())
    found = {code: server.find_class(code) for code in keys() if code not in gone}
    gone.update(code for code, room in found.items() if room is None)
    return sorted((room for room in found.values() if room), key=lambda room: -room.created_at)


def opened(code: str) -> Classroom:
    """A class whose key is known here. The key is tried, and the login kept, once while the page is open."""
    key = keys()[code]
    if key not in st.session_state.setdefault("proven", set()):
        server.open_class(code, key)
        st.session_state.proven.add(key)
    if (room := server.store().find_class(code)) is None:
        raise ClassError("This class was deleted.")
    return room


def put_away() -> None:
    """Leave the class of this page; it goes on."""
    for name in ("class_room", "class_key", "demo_until"):
        st.session_state.pop(name, None)


def open_demo() -> tuple[Classroom, str]:
    """A class of simulated students with ten minutes behind it, and its key."""
    until = server.now()
    room, key = server.store().create_class(demo.TITLE, True, until - demo.PAST_S)
    st.session_state.demo_until = room.created_at
    go_on_with_demo(room)
    return room, key


def go_on_with_demo(room: Classroom) -> None:
    """Write what has happened in the demo class since the last time; the same again changes nothing."""
    until = server.now()
    since = st.session_state.get("demo_until", max(room.created_at, until - demo.PAST_S))
    rows, here, said = demo.lesson(room.class_id, room.created_at, since, until)
    server.store().put(rows, here, [])
    for one in said:
        server.store().give(one)
    st.session_state.demo_until = until


def lesson(room: Classroom) -> Lesson:
    """What the report of a class that has ended tells: nothing below the group floor."""
    end = room.ended_at if room.ended_at is not None else server.now()
    slots = guarded(above_floor(server.store().slots(room.class_id, 0), server.settings().min_group))
    said = server.store().signals(room.class_id, 0)
    students = max([slot.n_streams for slot in slots] + [len({one.stream_id for one in said})], default=0)
    alarms = alert.of_class(slots, said, students, room.created_at, end)
    return Lesson(room.title, room.created_at, end, slots, said, server.store().markers(room.class_id), alarms)


def show_alarm(found: Sequence[Alarm], at: float) -> None:
    """One line for what is unusual now, if anything is: that which began last."""
    lasting = [alarm for alarm in found if alarm.until is None]
    if lasting:
        seconds = round((at - lasting[-1].since) / 5) * 5
        text = f"For {seconds} seconds there have been more {lasting[-1].what} than is usual in this class."
        st.warning(text, icon=":material/notifications_active:")


def reported(given: Sequence[Signal]) -> None:
    """What the class says of itself now: a count per signal, and who asks for help by name."""
    counted = signals.counts(given, server.now())
    with st.container(horizontal=True):
        for kind, (icon, text, _) in signals.KINDS.items():
            st.metric(f"{icon} {text}", counted[kind], width=130)
    names = [one.name for one in signals.standing(given, server.now()) if one.kind == "help" and one.name]
    if names:
        st.caption(f"Asking for help by name: {', '.join(map(ui.plain, names))}")


def pace_notice() -> str:
    """A sentence for the instructor while pictures are read less often than they should be, or nothing."""
    if not server.pace().lowered:
        return ""
    every_s = max(1, round(1 / server.pace().per_s))
    often = f"every {every_s} seconds" if every_s > 1 else "once a second"
    return f"Many cameras are on: to keep up, each is now read {often}."
