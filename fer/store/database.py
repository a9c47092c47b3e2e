"""A database: SQLite by default, PostgreSQL by URL; its connections, its tables' versions, its errors."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import argon2
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from fer.errors import StoreError
from fer.store import codes

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_WAIT_S = 2.0
PATIENCE = {"connect_timeout": "5", "tcp_user_timeout": "10000"}  # s and ms: a dead server holds nobody for minutes
INSERTS: dict[str, Callable[[sa.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Database:
    """What every store in SQL begins with. Making one brings the tables up to date (Alembic)."""

    def __init__(self, url: str) -> None:
        """Raises StoreError where the URL cannot be used or the database cannot be reached."""
        self._engine = _engine(url)
        self.insert = INSERTS[self._engine.dialect.name]
        self.hasher = argon2.PasswordHasher()
        try:
            self._migrate()
        except StoreError:
            self._migrate()  # another process may have made the tables at the same moment

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction. Raises Taken where a row with the same key is there already, else StoreError."""
        with self._safely(), self._engine.begin() as connection:
            yield connection

    def matches(self, stored: str | None, secret: str) -> bool:
        """Whether a secret is the one whose hash was stored; where none was, it takes as long to say no."""
        try:
            return self.hasher.verify(stored or _no_hash(), secret)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False

    @contextmanager
    def _safely(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            sentence = f"The database cannot be used: {_scrubbed(error, self._engine.url.password)}."
            raise (Taken if isinstance(error, IntegrityError) else StoreError)(sentence) from error

    def _migrate(self) -> None:
        with self._safely():
            if self._engine.dialect.name == "sqlite":
                Path(self._engine.url.database or "").touch()
            _migrate(self._engine)


class Taken(StoreError):
    """A row with this key is there already."""


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if (name := parsed.get_backend_name()) not in INSERTS:
            raise StoreError(f"FER_DATABASE_URL names a {name} database; there are {', '.join(INSERTS)}.")
        if "@" in (parsed.host or ""):  # the driver would take it, and half of the password, for the host's name
            raise StoreError("FER_DATABASE_URL has an @ too many: within the password write it as %40.")
        if name != "sqlite":
            bounded = parsed.set(query={**PATIENCE, **parsed.query})
            return sa.create_engine(bounded, pool_pre_ping=True, pool_recycle=600)
        # A connection per transaction: a pooled one would go on writing to a file that has been moved away.
        engine = sa.create_engine(parsed, creator=lambda: _connect_sqlite(parsed.database), poolclass=sa.NullPool)
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError("FER_DATABASE_URL is not an SQLAlchemy URL such as sqlite:///classmood.sqlite3.") from None
    except (sa.exc.NoSuchModuleError, ModuleNotFoundError):
        raise StoreError("FER_DATABASE_URL names a driver that is not installed; use postgresql+psycopg://…") from None
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError("FER_DATABASE_URL must name a file: a SQLite database in memory is lost between connections.")
    return engine


def _scrubbed(error: Exception, password: str | None) -> str:
    """The first line of a driver's message, without the password that it may repeat."""
    reason = str(error.orig) if isinstance(error, DBAPIError) and error.orig else type(error).__name__
    line = (reason.splitlines() or ["no reason given"])[0].rstrip(".")
    # One or two letters stand in any sentence: hiding them there would show them.
    return line.replace(password, "…") if password and len(password) > 2 else line


def _connect_sqlite(path: str | None) -> sqlite3.Connection:
    """A connection to a file that must be there: an empty one in the place of a lost one would hide the loss."""
    address = f"file:{quote(path or '')}?mode=rw"
    connection = sqlite3.connect(address, uri=True, timeout=LOCK_WAIT_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not wait for each other
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten
        connection.execute("PRAGMA synchronous=NORMAL")  # safe with WAL; a power cut costs the last transactions
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _migrate(engine: sa.Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@cache
def _no_hash() -> str:
    """The hash of nothing in particular."""
    return argon2.PasswordHasher().hash(codes.new_key())
