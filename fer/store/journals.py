"""Journals in the same database as the classes. Every query names its keeper: nobody's reaches another's rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from fer import personal
from fer.errors import JournalError
from fer.labels import LABELS
from fer.store.database import Database, Taken
from fer.types import Entry, Head, Keeper

MAX_NAME = 80
MIN_PASSPHRASE, MAX_PASSPHRASE = 10, 200
MAX_ENTRIES = 10_000
TRIES = 5
LOCKED_S = 15 * 60.0
CHANGED = "This journal's passphrase has been changed: sign in with the new one."
WRONG_OLD = "The old passphrase is not right. Nothing was changed."
WRONG = "This name and passphrase do not open a journal. Check both; a passphrase that is lost cannot be replaced."

metadata = sa.MetaData()

# A login is "local:" and the name in small letters, or "oidc:", the issuer and the subject of who signs in elsewhere.
keepers = sa.Table(
    "keepers",
    metadata,
    sa.Column("keeper_id", sa.Integer, primary_key=True),
    sa.Column("login", sa.String(600), nullable=False, unique=True),
    sa.Column("name", sa.String(MAX_NAME), nullable=False),
    sa.Column("passphrase_hash", sa.String(200)),
    sa.Column("salt", sa.LargeBinary(16)),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failed_at", sa.Float(53), nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sqlite_autoincrement=True,  # a page that is still open must not write into a journal made after its own is deleted
)
entries = sa.Table(
    "entries",
    metadata,
    sa.Column("keeper_id", sa.Integer, primary_key=True),
    sa.Column("entry_id", sa.String(32), primary_key=True),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("label", sa.String(16), nullable=False),
    *(sa.Column(label, sa.Float(53), nullable=False) for label in LABELS),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),
)
pictures = sa.Table(
    "pictures",
    metadata,
    sa.Column("keeper_id", sa.Integer, primary_key=True),
    sa.Column("entry_id", sa.String(32), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)
heads = sa.Table(
    "heads",
    metadata,
    sa.Column("keeper_id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float(53), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("in_use", sa.Boolean, nullable=False),
)


class Journals(Database):
    """Keepers, their entries, pictures and heads. Any thread may call any method; each may raise StoreError."""

    def enrol(self, name: str, passphrase: str, salt: bytes, now: float) -> Keeper:
        """A new keeper. Raises JournalError where the name is taken or empty, or the passphrase too short or long."""
        shown = _shown(name)
        if not shown:
            raise JournalError("A journal needs a name.")
        _refuse_short(passphrase)
        row = {"login": _local(name), "name": shown, "passphrase_hash": self.hasher.hash(passphrase), "salt": salt}
        try:
            return self._add(row, now)
        except Taken:
            raise JournalError("There is a journal of this name already: open it, or choose another name.") from None

    def open(self, name: str, passphrase: str, now: float) -> Keeper:
        """Raises JournalError where name and passphrase do not belong together, and after `TRIES` failures in a row."""
        row = self._try(keepers.c.login == _local(name), passphrase, now, WRONG)
        return Keeper(row.keeper_id, row.name, row.salt)

    def change_passphrase(
        self, who: Keeper, old: str, new: str, salt: bytes, reseal: Callable[[str, bytes], bytes], now: float
    ) -> Keeper:
        """Another passphrase and salt, and every picture as `reseal` makes it of its entry and what was sealed.

        All of it or, where anything fails, nothing: the old passphrase then opens all as before. Raises JournalError
        as `open` does, and where the new one is too short or long.
        """
        _refuse_short(new)
        self._try(keepers.c.keeper_id == who.keeper_id, old, now, WRONG_OLD)
        changed = {"passphrase_hash": self.hasher.hash(new), "salt": salt}
        p = pictures.c
        with self.begin() as connection:
            _hold(connection, who)
            rows = connection.execute(sa.select(p.entry_id, p.sealed).where(p.keeper_id == who.keeper_id)).all()
            if rows:
                of = (p.keeper_id == who.keeper_id) & (p.entry_id == sa.bindparam("of"))
                again = sa.update(pictures).where(of).values(sealed=sa.bindparam("again"))
                connection.execute(again, [{"of": i, "again": reseal(i, sealed)} for i, sealed in rows])
            connection.execute(sa.update(keepers).where(keepers.c.keeper_id == who.keeper_id).values(**changed))
        return replace(who, salt=salt)

    def is_current(self, who: Keeper) -> bool:
        """Whether the keeper is there, and has the passphrase that they signed in with."""
        with self.begin() as connection:
            return connection.scalar(sa.select(keepers.c.keeper_id).where(_same(who))) is not None

    def _try(self, where: sa.ColumnElement[bool], passphrase: str, now: float, wrong: str) -> sa.Row[Any]:
        """The keeper's row. Raises JournalError, which says `wrong`, or that there were too many failures."""
        k = keepers.c
        locked = (k.failures >= TRIES) & (k.failed_at > now - LOCKED_S)
        count = sa.case((k.failed_at > now - LOCKED_S, k.failures + 1), else_=1)
        # A try is counted before it is looked at: tries made at the same moment count as well.
        trying = sa.update(keepers).where(where, ~locked).values(failures=count, failed_at=now)
        with self.begin() as connection:
            counted = connection.execute(trying).rowcount
            row = connection.execute(sa.select(keepers).where(where)).one_or_none()
        if row is not None and not counted:
            minutes = max(1, round((row.failed_at + LOCKED_S - now) / 60))
            raise JournalError(f"Too many wrong passphrases: this journal opens again in {minutes} minutes.")
        valid = self.matches(row.passphrase_hash if row is not None else None, passphrase[:MAX_PASSPHRASE])
        if row is None or not valid:
            raise JournalError(wrong)
        with self.begin() as connection:
            connection.execute(sa.update(keepers).where(where).values(failures=0))
        return row

    def of_subject(self, issuer: str, subject: str, name: str, now: float) -> Keeper:
        """The keeper whom an OpenID provider vouches for; made at the first time, with the name as it is then."""
        login = f"oidc:{issuer} {subject}"[:600]
        columns = sa.select(keepers.c.keeper_id, keepers.c.name, keepers.c.salt).where(keepers.c.login == login)
        with self.begin() as connection:
            row = connection.execute(columns).one_or_none()
        if row is not None:
            return Keeper(*row)
        try:
            return self._add(
                {"login": login, "name": _shown(name) or "you", "passphrase_hash": None, "salt": None}, now
            )
        except Taken:  # by another window of the same keeper, a moment ago
            return self.of_subject(issuer, subject, name, now)

    def _add(self, row: dict[str, Any], now: float) -> Keeper:
        with self.begin() as connection:
            values = {**row, "failures": 0, "failed_at": 0.0, "created_at": now}
            found = connection.execute(sa.insert(keepers).values(**values))
            (keeper_id,) = found.inserted_primary_key or (0,)
        return Keeper(keeper_id, row["name"], row["salt"])

    def entries(self, keeper_id: int) -> list[Entry]:
        """All entries of a keeper, oldest first."""
        e = entries.c
        query = sa.select(entries).where(e.keeper_id == keeper_id).order_by(e.at, e.entry_id)
        with self.begin() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def pictures(self, keeper_id: int, entry_ids: Sequence[str] | None = None) -> dict[str, bytes]:
        """The sealed pictures of these entries, or of all, by entry; none for an entry without one."""
        query = sa.select(pictures.c.entry_id, pictures.c.sealed).where(pictures.c.keeper_id == keeper_id)
        if entry_ids is not None:
            query = query.where(pictures.c.entry_id.in_(entry_ids))
        with self.begin() as connection:
            return {entry_id: sealed for entry_id, sealed in connection.execute(query)}

    def put(self, who: Keeper, new: Sequence[Entry], sealed: Mapping[str, bytes]) -> int:
        """Add entries with their sealed pictures, all or none; one that is there already stays as it is.

        Returns how many were added. Raises JournalError where the journal is full, or was deleted or got another
        passphrase meanwhile: what was sealed with the old one would not open any more.
        """
        keeper_id = who.keeper_id
        with self.begin() as connection:
            _hold(connection, who)
            there = set(connection.scalars(sa.select(entries.c.entry_id).where(entries.c.keeper_id == keeper_id)))
            added = {entry.entry_id: entry for entry in new if entry.entry_id not in there}
            if len(there) + len(added) > MAX_ENTRIES:
                raise JournalError(f"A journal has room for {MAX_ENTRIES:,} entries: export and delete some.")
            if added:
                rows = [_entry_row(keeper_id, entry) for entry in added.values()]
                connection.execute(self.insert(entries).on_conflict_do_nothing(), rows)
            kept = [{"keeper_id": keeper_id, "entry_id": i, "sealed": sealed[i]} for i in added if i in sealed]
            if kept:
                connection.execute(self.insert(pictures).on_conflict_do_nothing(), kept)
        return len(added)

    def edit(self, keeper_id: int, entry: Entry) -> None:
        """Replace label, note and tags of an entry; one that is not there stays away."""
        values = {"label": entry.label, "note": entry.note, "tags": "\n".join(entry.tags)}
        with self.begin() as connection:
            connection.execute(sa.update(entries).where(_is(entries, keeper_id, entry.entry_id)).values(**values))

    def delete(self, keeper_id: int, entry_id: str) -> None:
        """Delete an entry and its picture."""
        with self.begin() as connection:
            for table in (entries, pictures):
                connection.execute(sa.delete(table).where(_is(table, keeper_id, entry_id)))

    def delete_pictures(self, keeper_id: int) -> None:
        with self.begin() as connection:
            connection.execute(sa.delete(pictures).where(pictures.c.keeper_id == keeper_id))

    def delete_keeper(self, keeper_id: int) -> None:
        """Delete the keeper and every row that is theirs."""
        with self.begin() as connection:
            for table in (entries, pictures, heads, keepers):
                connection.execute(sa.delete(table).where(table.c.keeper_id == keeper_id))

    def heads(self, keeper_id: int) -> list[Head]:
        """A keeper's heads, oldest first: those in use and those that were not better or were taken back."""
        query = sa.select(heads.c.document, heads.c.in_use).where(heads.c.keeper_id == keeper_id).order_by(heads.c.at)
        with self.begin() as connection:
            return [replace(personal.from_json(text), in_use=in_use) for text, in_use in connection.execute(query)]

    def put_head(self, keeper_id: int, head: Head) -> None:
        """Keep a head, or whether it is in use."""
        row = {"keeper_id": keeper_id, "at": head.at, "document": personal.as_json(head), "in_use": head.in_use}
        statement = self.insert(heads).values(**row)
        again = statement.on_conflict_do_update(index_elements=["keeper_id", "at"], set_={"in_use": head.in_use})
        with self.begin() as connection:
            connection.execute(again)


def _shown(name: str) -> str:
    """A name as it can be typed again, to delete the journal."""
    return " ".join(name.split())[:MAX_NAME].rstrip()


def _local(name: str) -> str:
    return f"local:{' '.join(name.split())[:MAX_NAME].casefold()}"


def _refuse_short(passphrase: str) -> None:
    if not MIN_PASSPHRASE <= len(passphrase) <= MAX_PASSPHRASE:
        raise JournalError(f"A passphrase has {MIN_PASSPHRASE} to {MAX_PASSPHRASE} signs; several words are best.")


def _same(who: Keeper) -> sa.ColumnElement[bool]:
    """The keeper as they signed in: another passphrase comes with another salt."""
    return (keepers.c.keeper_id == who.keeper_id) & (keepers.c.salt == who.salt)


def _hold(connection: sa.Connection, who: Keeper) -> None:
    """Hold the keeper's row until the transaction ends: nobody else then changes the passphrase, or adds a picture.

    Raises JournalError where it is gone, or the passphrase is another. A statement that writes, not SELECT … FOR
    UPDATE, which SQLite does not have.
    """
    k = keepers.c
    if connection.execute(sa.update(keepers).where(_same(who)).values(failures=k.failures)).rowcount:
        return
    there = connection.scalar(sa.select(k.keeper_id).where(k.keeper_id == who.keeper_id)) is not None
    raise JournalError(CHANGED if there else "This journal has been deleted.")


def _is(table: sa.Table, keeper_id: int, entry_id: str) -> sa.ColumnElement[bool]:
    return (table.c.keeper_id == keeper_id) & (table.c.entry_id == entry_id)


def _entry(row: sa.Row[Any]) -> Entry:
    probs = tuple(row._mapping[label] for label in LABELS)
    return Entry(row.entry_id, row.at, row.label, probs, row.note, tuple(row.tags.split("\n")) if row.tags else ())


def _entry_row(keeper_id: int, entry: Entry) -> dict[str, Any]:
    key = {"keeper_id": keeper_id, "entry_id": entry.entry_id, "at": entry.at, "label": entry.label}
    probs = dict(zip(LABELS, entry.probs, strict=True))
    return {**key, **probs, "note": entry.note, "tags": "\n".join(entry.tags)}
