"""The sections of the journal's page. What is open in them lives in st.session_state as what ui_keeper knows does."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import streamlit as st

from fer import archive, charts, journal, learning, personal, server, ui, ui_entry, ui_keeper, vault
from fer.errors import JournalError
from fer.labels import LABELS
from fer.types import Entry, Head, Keeper

A_PAGE = 10
state = st.session_state


# The timeline.


def timeline(who: Keeper, entries: Sequence[Entry]) -> None:
    """The newest entries first, to search, edit and delete."""
    text = st.text_input("Search", placeholder="words of a note, a tag, an expression", icon=":material/search:")
    found = journal.search(entries, text)[::-1]
    if not found:
        st.info("No entry has all of these words." if entries else "There is no entry yet.")
        return
    shown = found[: state.get("journal_shown", A_PAGE)]
    pictures = ui_keeper.journals().pictures(who.keeper_id, [e.entry_id for e in shown]) if state.journal_key else {}
    for entry in shown:
        with st.container(border=True):
            if state.get("journal_editing") == entry.entry_id:
                _edit(who, entry)
            else:
                _show(who, entry, pictures.get(entry.entry_id))
    if len(found) > len(shown) and st.button(f"Show more ({len(found) - len(shown)})"):
        state.journal_shown = len(shown) + A_PAGE
        st.rerun()


def _show(who: Keeper, entry: Entry, sealed: bytes | None) -> None:
    with st.container(horizontal=True, vertical_alignment="top"):
        if sealed is not None:
            st.image(_opened(who, entry, sealed), width=96, alt=f"A face that shows: {entry.label}")
        with st.container(width="stretch"):
            read = LABELS[int(np.argmax(entry.probs))]
            said = f" · read as {read}" if personal.corrected(entry) else ""
            st.markdown(f"**{ui.expression(entry.label)}** :small[{ui.clock(entry.at)}{said}]")
            if entry.note:
                st.markdown(ui.plain(entry.note).replace("\n", "  \n"))
            if entry.tags:
                st.markdown(" ".join(f":gray-badge[{ui.plain(tag)}]" for tag in entry.tags))
    with st.container(horizontal=True):
        if st.button("Edit", key=f"journal_edit_{entry.entry_id}", icon=":material/edit:", type="tertiary"):
            state.journal_editing = entry.entry_id
            st.rerun()
        if st.button("Delete", key=f"journal_delete_{entry.entry_id}", icon=":material/delete:", type="tertiary"):
            ui_keeper.journals().delete(who.keeper_id, entry.entry_id)
            state.journal_deleted = (entry, {} if sealed is None else {entry.entry_id: sealed})
            st.rerun()


def _opened(who: Keeper, entry: Entry, sealed: bytes) -> Any:
    """The picture of an entry, or a grey one where it cannot be opened."""
    try:
        return vault.unseal(sealed, state.journal_key, ui_keeper.owner(who, entry.entry_id))
    except JournalError:
        return np.full((96, 96, 3), 200, np.uint8)


def _edit(who: Keeper, entry: Entry) -> None:
    with st.form(f"journal_form_{entry.entry_id}", border=False):
        label, note, tags = ui_entry.fields(LABELS.index(entry.label), entry.note, entry.tags)
        with st.container(horizontal=True):
            saving = st.form_submit_button("Save", type="primary", icon=":material/check:")
            leaving = st.form_submit_button("Cancel")
    if saving:
        ui_keeper.journals().edit(who.keeper_id, replace(entry, label=label, note=note, tags=tags))
    if saving or leaving:
        del state.journal_editing
        st.rerun()


def undo(who: Keeper) -> None:
    """One line after a deletion, to take it back; the entry is nowhere but in this page's memory."""
    entry, sealed = state.journal_deleted
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"The entry of {ui.clock(entry.at)} was deleted.", width="content")
        if st.button("Undo", icon=":material/undo:"):
            ui_keeper.journals().put(who, [entry], sealed)
            del state.journal_deleted
            st.rerun()


# Overview.


def overview(who: Keeper, entries: Sequence[Entry]) -> None:
    """Streaks, a month, and how often each expression comes."""
    zone = ZoneInfo(getattr(st.context, "timezone", None) or "UTC")
    days = journal.days(entries, zone)
    current, longest = journal.streaks(days, datetime.fromtimestamp(server.now(), zone).date())
    with st.container(horizontal=True):
        st.metric("Entries", len(entries), width=104)
        st.metric("Days in a row", current, width=104)
        st.metric("Most in a row", longest, width=104)
    if not entries:
        st.info("The calendar begins with your first entry.")
        return
    left, right = st.columns(2, gap="large")
    with left:
        month = st.selectbox("Month", journal.months(days), format_func=lambda day: f"{day:%B %Y}")
        ui.chart(charts.calendar(journal.calendar(days, month)), "journal_calendar")
        st.caption("The darker a day, the more entries; the emoji is what most of them show.")
    with right:
        st.markdown("**All entries, as you named them**")
        ui.bars(journal.shares(entries), "journal_shares", uncertain=False)


# The keeper's own model.


def model(who: Keeper, entries: Sequence[Entry]) -> None:
    """What the keeper's own model has learned, the button by which it learns, and the way back."""
    heads = ui_keeper.journals().heads(who.keeper_id)
    st.markdown(
        "Your own model learns how *you* name expressions: from the general model's reading of each entry (seven "
        "numbers) and the label that you gave it. It learns nothing from pictures, notes or tags. It reads "
        "for your eyes only, here and where you join a class; the class itself gets the general model."
    )
    counts = {label: sum(entry.label == label for entry in entries) for label in LABELS}
    st.caption("Your labels: " + ", ".join(f"{ui.expression(label)} {n}" for label, n in counts.items()))
    if lacking := personal.missing(entries):
        st.info(lacking, icon=":material/school:")
    elif st.button("Learn from my entries", type="primary", icon=":material/school:"):
        bar = st.progress(0.0, "Learning…")
        head = learning.learn(entries, server.now(), partial(bar.progress, text="Learning…"))
        ui_keeper.journals().put_head(who.keeper_id, head)
        state.journal_head = ui_keeper.head_in_use([*heads, head])
        st.rerun()
    if heads:
        _result(heads[-1])
    if state.journal_head is None:
        st.markdown("**The general model** reads your new pictures.")
        return
    st.markdown(f"**Your own model** of {ui.clock(state.journal_head.at)} reads your new pictures.")
    older = ui_keeper.head_in_use([head for head in heads if head.at < state.journal_head.at])
    back = f"Go back to that of {ui.clock(older.at)}" if older else "Go back to the general model"
    if st.button(back, icon=":material/undo:"):
        ui_keeper.journals().put_head(who.keeper_id, replace(state.journal_head, in_use=False))
        state.journal_head = older
        st.rerun()


def _result(head: Head) -> None:
    """The figures of the last time that it learned."""
    tried = head.trial
    with st.container(horizontal=True):
        st.metric("General model right", f"{tried.general:.0%}", width=170)
        st.metric("Own model right", f"{tried.personal:.0%}", f"{100 * (tried.personal - tried.general):+.0f} points")
    verdict = "was better" if personal.passed(tried) else "was not surely better, and is not used"
    st.caption(
        f"Of {head.trial.n} of your labels, each by models that had not learned from it, the own model alone named "
        f"{tried.won} right and the general model alone {tried.lost}. It {verdict} (p = {tried.p:.3f}; below "
        f"{personal.P_LIMIT:g} is asked for, and at least half of the labels right)."
    )


# The keeper's data.


def data(who: Keeper, entries: Sequence[Entry]) -> None:
    """What is kept, the way out with it, the way in, and the end of it."""
    pictures = (
        "and only where you ticked it, the picture of your face, sealed with a key that is made from your passphrase "
        "and lives only while you are signed in"
        if state.journal_key
        else "and by what the sign-in service knows you. No picture is kept"
    )
    st.markdown(
        "**What is kept:** each entry's time, label, reading (seven numbers), note and tags; your own model; your "
        f"name; {pictures}. **Notes and tags are not sealed:** whoever runs this "
        "server could read them. Nothing is deleted after some time; you delete it here. A model keeps what it "
        "learned from an entry that you delete until you go back or delete everything."
    )
    st.subheader("Export", anchor=False)
    st.download_button(
        f"Download {len(entries)} {'entry' if len(entries) == 1 else 'entries'} (ZIP)",
        partial(exported, who, state.journal_key),
        "journal.zip",
        "application/zip",
        icon=":material/download:",
    )
    st.caption("A table and the pictures, no longer sealed: keep the file where nobody else finds it.")
    st.subheader("Import", anchor=False)
    given = st.file_uploader(
        "A journal that was exported", type="zip", key=f"journal_zip_{state.get('journal_zips', 0)}"
    )
    if given is not None and st.button("Take it in", type="primary", icon=":material/upload:"):
        with st.spinner("Reading the archive…"):
            state.journal_taken = take_in(who, given.getvalue())
        state.journal_zips = state.get("journal_zips", 0) + 1
        st.rerun()
    _taken_in()
    if state.journal_key:
        _passphrase(who)
    st.subheader("Delete", anchor=False)
    if st.button("Delete all pictures", icon=":material/hide_image:"):
        ui_keeper.journals().delete_pictures(who.keeper_id)
        state.journal_said = "All pictures have been deleted."
        st.rerun()
    with st.form("journal_end", border=False):
        typed = st.text_input(f"To delete everything, type your name: {ui.plain(who.name)}")
        if st.form_submit_button("Delete my journal", icon=":material/delete_forever:"):
            if typed.strip().replace("\u2060", "") != who.name:  # copied from above, an address has a joiner in it
                raise JournalError("The name is not the same. Nothing was deleted.")
            ui_keeper.journals().delete_keeper(who.keeper_id)
            ui_keeper.sign_out("Your journal has been deleted: every entry, picture and model, and your profile.")


def _passphrase(who: Keeper) -> None:
    """The form that changes it; pages of this journal that are open elsewhere are signed out by that."""
    st.subheader("Passphrase", anchor=False)
    with st.form("journal_passphrase", border=False, clear_on_submit=True):
        old = ui_keeper.passphrase("The old passphrase")
        new, again = ui_keeper.passphrase("The new passphrase"), ui_keeper.passphrase("The new passphrase again")
        st.caption("Your pictures are sealed anew. Wherever else you are signed in, you are signed out.")
        changing = st.form_submit_button("Change the passphrase", icon=":material/key:")
    if changing:
        if new != again:
            raise JournalError("The two new passphrases are not the same. Nothing was changed.")
        with st.spinner("Sealing your pictures anew…"):
            ui_keeper.change_passphrase(who, old, new)
        state.journal_said = "Your passphrase has been changed."
        st.rerun()


def exported(who: Keeper, key: bytes | None) -> bytes:
    """The keeper's archive, its pictures unsealed; from any thread."""
    pictures: dict[str, bytes] = {}
    for entry_id, sealed in (ui_keeper.journals().pictures(who.keeper_id) if key else {}).items():
        try:
            pictures[entry_id] = vault.unseal(sealed, key or b"", ui_keeper.owner(who, entry_id))
        except JournalError:
            continue  # damaged: the rest is still worth having
    return archive.pack(ui_keeper.journals().entries(who.keeper_id), pictures)


def take_in(who: Keeper, content: bytes) -> tuple[str, tuple[str, ...]]:
    """Add an archive's entries; returns what came of it in a sentence, and one for each thing that was left out."""
    found = archive.unpack(content)
    sealed = (
        {i: ui_keeper.sealed(who, i, picture) for i, picture in found.pictures.items()} if state.journal_key else {}
    )
    added = ui_keeper.journals().put(who, found.entries, sealed)
    there = len(found.entries) - added
    said = f"{added} added, {there} were there already, {len(found.left_out)} left out."
    unkept = " Their pictures were not: that needs a passphrase." if found.pictures and not sealed else ""
    return said + unkept, found.left_out


def _taken_in() -> None:
    if "journal_taken" in state:
        said, left_out = state.journal_taken
        st.success(said, icon=":material/check:")
        if left_out:
            st.warning("\n".join(f"- {ui.plain(line)}" for line in left_out[:20]))
