"""Who keeps a journal: signing in and out, and what is known of who has.

It lives in st.session_state under names that begin with journal_, and goes with it: the key to the pictures is
nowhere else.
"""

import logging
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np
import streamlit as st
from streamlit.errors import StreamlitAuthError

from fer import oidc, personal, server, vault
from fer.errors import JournalError
from fer.labels import LABELS, UNCERTAIN
from fer.store.journals import MAX_NAME, MAX_PASSPHRASE, MIN_PASSPHRASE, Journals
from fer.types import Head, Keeper, Reading

IDLE_S = 30 * 60.0
log = logging.getLogger(__name__)
state = st.session_state


@st.cache_resource(show_spinner=False)
def journals() -> Journals:
    """Opened at first use and again after a failure: what raised is not cached."""
    return Journals(server.settings().database_url)


def provider() -> bool:
    """Whether the operator has set up an OpenID provider, in the section [auth] of Streamlit's secrets."""
    return bool(st.secrets.load_if_toml_exists()) and "auth" in st.secrets


def keeper() -> Keeper | None:
    """Who is signed in. One who has been away for `IDLE_S` is not any more."""
    if "journal_keeper" in state and server.now() - state.journal_seen_at > IDLE_S:
        sign_out("You were away for half an hour, and have been signed out.")
    if "journal_keeper" in state and not journals().is_current(state.journal_keeper):
        sign_out("You have been signed out: the passphrase was changed elsewhere, or the journal deleted.")
    if "journal_keeper" not in state and _is_vouched_for():
        name = _clean(str(st.user.get("name") or st.user.get("email") or "you"))
        _enter(journals().of_subject(str(st.user.get("iss")), str(st.user.get("sub")), name, server.now()), None)
        st.query_params.pop(oidc.OUTCOME, None)
    state.journal_seen_at = server.now()
    return state.get("journal_keeper")


def _is_vouched_for() -> bool:
    """Whether an OpenID provider has said who this is, not more than `IDLE_S` ago.

    Streamlit's cookie says it for 30 days: long after who signed in has closed the page and left the computer.
    """
    if not provider() or not st.user.get("is_logged_in"):
        return False
    issued_at = st.user.get("iat")  # Authlib lets in no ID token without one
    return isinstance(issued_at, int | float) and server.now() - issued_at <= IDLE_S


def sign_in() -> None:
    """The ways into a journal; the run starts over when one is taken."""
    if message := state.pop("journal_message", _came_of_it()):
        st.info(message)
    if provider():
        st.button("Sign in", type="primary", icon=":material/login:", on_click=_to_provider)
        st.caption("Your pictures are not kept: that needs a passphrase of your own, which only you know.")
        return
    opening, making = st.tabs(["Open my journal", "Make a journal"])
    with opening, st.form("journal_open", border=False):
        name, typed = _name_and_passphrase()
        if st.form_submit_button("Open", type="primary", icon=":material/lock_open:"):
            found = journals().open(name, typed, server.now())
            _enter(found, vault.key(typed, found.salt or b""))
            st.rerun()
    with making, st.form("journal_make", border=False):
        name, typed = _name_and_passphrase()
        again = passphrase("The passphrase again")
        st.caption(
            f"At least {MIN_PASSPHRASE} signs; several words are best. **One that is lost cannot be replaced:** "
            "without it the journal does not open, not even for whoever runs this server."
        )
        if st.form_submit_button("Make it", type="primary", icon=":material/add:"):
            if again != typed:
                raise JournalError("The two passphrases are not the same.")
            salt = secrets.token_bytes(vault.SALT_BYTES)
            _enter(journals().enrol(name, typed, salt, server.now()), vault.key(typed, salt))
            st.rerun()


def _came_of_it() -> str | None:
    """What came of signing in, or out, at an OpenID provider, where that has not opened a journal."""
    if not provider():
        return None
    if st.user.get("is_logged_in"):
        return "You signed in more than half an hour ago: please sign in again."
    return oidc.SENTENCES.get(st.query_params.get(oidc.OUTCOME, ""))


def _to_provider() -> None:
    """Lead to the sign-in page of the OpenID provider."""
    try:
        st.login()
    except StreamlitAuthError:
        log.exception("[auth] in Streamlit's secrets cannot be used")
        state.journal_message = "Signing in is not set up as it should be: this server's log says what is missing."


def _name_and_passphrase() -> tuple[str, str]:
    name = st.text_input("Name", max_chars=MAX_NAME, placeholder="any name, it need not be yours")
    return _clean(name), passphrase("Passphrase")


def passphrase(label: str) -> str:
    """A field for one, and what was typed into it."""
    return _clean(st.text_input(label, type="password", max_chars=MAX_PASSPHRASE))


def change_passphrase(who: Keeper, old: str, new: str) -> None:
    """Change it and stay signed in. Raises JournalError or StoreError, and has then changed nothing."""
    salt = secrets.token_bytes(vault.SALT_BYTES)
    keys = state.journal_key, vault.key(new, salt)

    def reseal(entry_id: str, content: bytes) -> bytes:
        return vault.reseal(content, *keys, secrets.token_bytes(vault.NONCE_BYTES), owner(who, entry_id))

    state.journal_keeper = journals().change_passphrase(who, old, new, salt, reseal, server.now())
    state.journal_key = keys[1]
    if "journal_deleted" in state:
        entry, kept = state.journal_deleted
        state.journal_deleted = entry, {entry_id: reseal(entry_id, content) for entry_id, content in kept.items()}


def _clean(typed: str) -> str:
    """The same signs, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", typed)


def _enter(who: Keeper, key: bytes | None) -> None:
    state.journal_keeper, state.journal_key, state.journal_seen_at = who, key, server.now()
    state.journal_head = head_in_use(journals().heads(who.keeper_id))


def sign_out(message: str = "You have signed out.") -> NoReturn:
    """Forget the keeper, their key, and what they had open; the run ends here."""
    if "journal_stream" in state:
        state.journal_stream.stop()
    for name in [name for name in state if str(name).startswith("journal_")]:
        del state[name]
    if provider() and st.user.get("is_logged_in"):
        st.logout()
        st.info(message)
        st.stop()  # starting over would drop the way out before it is sent (Streamlit 1.67): the cookie would stay
    state.journal_message = message
    st.rerun()


def head_in_use(heads: Sequence[Head]) -> Head | None:
    """The newest head in use, or None where the general model reads."""
    return next((head for head in reversed(heads) if head.in_use), None)


def own_reading(reading: Reading) -> Reading:
    """A reading as the signed-in keeper's own model has it, for their own eyes; as it is for anybody else."""
    head: Head | None = state.get("journal_head")
    if head is None:
        return reading
    probs = personal.read(head, reading.probs).astype(np.float32)
    sure = reading.label != UNCERTAIN and probs.max() >= server.settings().confidence_floor
    return replace(reading, probs=probs, label=LABELS[int(probs.argmax())] if sure else UNCERTAIN)


def sealed(who: Keeper, entry_id: str, content: bytes) -> bytes:
    """A picture of an entry, sealed with the key of the keeper who is signed in."""
    return vault.seal(content, state.journal_key, secrets.token_bytes(vault.NONCE_BYTES), owner(who, entry_id))


def owner(who: Keeper, entry_id: str) -> str:
    """What a sealed picture is bound to: moved to another entry or keeper it does not open."""
    return f"{who.keeper_id}/{entry_id}"
