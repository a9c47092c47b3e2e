"""A student's place in a class, kept in their tab: a page that lost its server, or was loaded anew, takes it again."""

import json
import re
from dataclasses import asdict, dataclass

import streamlit as st

from fer import ui
from fer.store import codes

MOST_IDS = 200  # of one tab: a camera that was started so often
ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Seat:
    """A place in the class of `code`, taken with a camera or without.

    `ids` are those under which the student has contributed so far. Nobody else knows them: who has them may delete.
    """

    code: str
    camera: bool
    ids: tuple[str, ...]


def keep(seat: Seat) -> None:
    """Have the tab keep the seat, in the place of any other."""
    _tab("seat_kept", as_json(seat))


def found(linked: str) -> Seat | None:
    """The seat that this tab had before its page knew of none, unless the code that its link names is another's.

    None until the browser has told, and after `give_up`.
    """
    if st.session_state.get("seat_given_up"):
        _tab("seat_given_up_now", "")
        return None
    seat = from_json(_tab("seat_found", None))
    return seat if seat and codes.clean_code(linked) in ("", seat.code) else None


def give_up() -> None:
    """The student has left: the tab forgets the seat."""
    st.session_state.seat_given_up = True


def take() -> None:
    """The student has joined: a seat may be kept again."""
    st.session_state.pop("seat_given_up", None)


def as_json(seat: Seat) -> str:
    return json.dumps(asdict(seat))


def from_json(text: object) -> Seat | None:
    """What a tab says that it kept; None where that is no seat. It comes from the visitor: it may be anything."""
    try:
        kept = json.loads(str(text))
        ids = [one for one in kept["ids"] if ID.fullmatch(one)]
        return Seat(str(kept["code"])[:16], kept["camera"] is True, tuple(ids[-MOST_IDS:]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _tab(key: str, keep: str | None) -> object:
    told = ui.component("seat", "<span></span>")(key=key, data={"keep": keep}, on_seat_change=lambda: None)
    return told.get("seat")
