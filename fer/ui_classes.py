"""An instructor's classes: their keys, in this session and, where asked for, in this browser."""

import streamlit as st

from fer import ui
from fer.errors import ClassError
from fer.types import Classroom

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
    found = {code: ui.find_class(code) for code in keys() if code not in gone}
    gone.update(code for code, room in found.items() if room is None)
    return sorted((room for room in found.values() if room), key=lambda room: -room.created_at)


def opened(code: str) -> Classroom:
    """A class whose key is known here. The key is tried, and the login kept, once while the page is open."""
    key = keys()[code]
    if key not in st.session_state.setdefault("proven", set()):
        ui.open_class(code, key)
        st.session_state.proven.add(key)
    if (room := ui.store().find_class(code)) is None:
        raise ClassError("This class was deleted.")
    return room


def put_away() -> None:
    """Leave the class of this page; it goes on."""
    for name in ("class_room", "class_key", "demo_until"):
        st.session_state.pop(name, None)
