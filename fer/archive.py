"""A journal as a ZIP, out and in again: entries.csv and pictures/<entry>.jpg. What comes in is not trusted."""

import csv
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

from PIL import Image

from fer import journal, photo
from fer.dataset import DAMAGED
from fer.errors import ImageError, JournalError
from fer.labels import LABELS
from fer.store.journals import MAX_ENTRIES
from fer.types import Entry

HEADING = ("entry", "at", "label", *LABELS, "note", "tags")
TABLE = "entries.csv"
MAX_BYTES = 20_000_000
MAX_TABLE_BYTES = 30_000_000
MAX_PICTURE_BYTES = 200_000
MAX_UNPACKED_BYTES = 200_000_000
EPOCHS = (0.0, 4e9)  # 1970 to 2096


@dataclass(frozen=True)
class Found:
    """What an archive holds: entries with their pictures (JPEG), and a sentence for each thing that was left out."""

    entries: tuple[Entry, ...]
    pictures: Mapping[str, bytes]
    left_out: tuple[str, ...]


def pack(entries: Sequence[Entry], pictures: Mapping[str, bytes]) -> bytes:
    """The ZIP of these entries and their pictures (JPEG, by entry)."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(HEADING)
    table.writerows(_row(entry) for entry in entries)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(TABLE, text.getvalue())
        for entry_id, picture in pictures.items():
            archive.writestr(_picture_name(entry_id), picture, zipfile.ZIP_STORED)
    return out.getvalue()


def unpack(content: bytes) -> Found:
    """What is in a ZIP that `pack` made, or that somebody says it made.

    Nothing is written to disk, and names are only compared. Raises JournalError for what is no such archive, or
    a dangerous one: names that lead out of it, or more than the limits when unpacked, whatever its index says.
    """
    if len(content) > MAX_BYTES:
        raise JournalError(f"The archive is too large: at most {MAX_BYTES / 1e6:.0f} MB can be taken in.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _refuse(archive.infolist())
            return _unpack(archive)
    except DAMAGED as error:
        raise JournalError("This is not a ZIP that can be read: it is damaged, or something else.") from error


def _refuse(infos: Sequence[zipfile.ZipInfo]) -> None:
    """Raises JournalError for an archive that nobody's journal made."""
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in info.filename:
            raise JournalError(f"The archive was refused: the name “{info.filename[:60]}” leads out of it.")
    if sum(info.file_size for info in infos) > MAX_UNPACKED_BYTES or len(infos) > 2 * MAX_ENTRIES:
        limit = f"{MAX_UNPACKED_BYTES / 1e6:.0f} MB"
        raise JournalError(f"The archive was refused: unpacked it has more than {limit}, or too many files.")
    if TABLE not in {info.filename for info in infos}:
        raise JournalError(f"This ZIP is not an exported journal: there is no {TABLE} in it.")


def _unpack(archive: zipfile.ZipFile) -> Found:
    entries, left_out = _read_table(_read(archive, TABLE, MAX_TABLE_BYTES))
    names = {info.filename for info in archive.infolist()} - {TABLE}
    pictures: dict[str, bytes] = {}
    for entry in entries:
        if (name := _picture_name(entry.entry_id)) in names:
            names.discard(name)
            try:
                pictures[entry.entry_id] = _picture(_read(archive, name, MAX_PICTURE_BYTES))
            except (JournalError, ImageError) as error:
                left_out.append(f"{name}: {error}")
    left_out += [f"{name[:60]}: belongs to no entry." for name in sorted(names) if not name.endswith("/")]
    return Found(tuple(entries), pictures, tuple(left_out))


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A file of the archive; an index that says less than there is does not help it."""
    with archive.open(name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise JournalError(f"{name} is larger than {limit / 1e6:g} MB.")
    return content


def _picture(content: bytes) -> bytes:
    """A picture as the journal itself would have kept it: whatever else the file held is gone."""
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:  # which reads no more than its size
            if max(image.size) > journal.PORTRAIT_PX:
                raise JournalError(f"The picture has more than {journal.PORTRAIT_PX} pixels a side.")
    except OSError:
        raise JournalError("This is not a JPEG.") from None
    return journal.jpeg(photo.decode(content))


def _read_table(content: bytes) -> tuple[list[Entry], list[str]]:
    """The entries of the table, each once, and a sentence for each row that is none."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    entries: dict[str, Entry] = {}
    left_out = []
    try:
        if missing := set(HEADING) - set(reader.fieldnames or ()):
            raise JournalError(f"{TABLE} has no column {', '.join(sorted(missing))}.")
        for number, row in enumerate(reader, 1):
            if number > MAX_ENTRIES:
                raise JournalError(f"{TABLE} has more than {MAX_ENTRIES:,} rows.")
            try:
                entry = _entry(row)
                entries.setdefault(entry.entry_id, entry)
            except ValueError as error:
                left_out.append(f"Row {number}: {error}.")
    except csv.Error as error:
        raise JournalError(f"{TABLE} cannot be read as CSV, line {reader.line_num}: {error}.") from error
    return list(entries.values()), left_out


def _entry(row: Mapping[str, str | None]) -> Entry:
    """Raises ValueError, which says what is wrong."""
    text = {name: row.get(name) or "" for name in HEADING}
    if not re.fullmatch(r"[0-9a-f]{32}", text["entry"]):
        raise ValueError(f"the entry “{text['entry'][:40]}” is not 32 hex digits")
    if text["label"] not in LABELS:
        raise ValueError(f"the label “{text['label'][:40]}” is none of {', '.join(LABELS)}")
    if len(text["note"]) > journal.MAX_NOTE:
        raise ValueError(f"the note has more than {journal.MAX_NOTE} signs")
    note, tags = journal.clean(text["note"]), journal.tags(text["tags"])
    return Entry(text["entry"], _time(text["at"]), text["label"], _probs(text), note, tags)


def _time(text: str) -> float:
    try:
        at = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        at = -1.0
    if not EPOCHS[0] <= at <= EPOCHS[1]:
        raise ValueError(f"“{text[:40]}” is not a time such as 2026-11-21T09:30:00+00:00")
    return at


def _probs(text: Mapping[str, str]) -> tuple[float, ...]:
    """The reading; what rounding took from its sum is given back."""
    try:
        probs = [float(text[label]) for label in LABELS]
    except ValueError:
        raise ValueError("a probability is not a number") from None
    if not all(0 <= p <= 1 for p in probs) or abs(sum(probs) - 1) > 0.01:
        raise ValueError("the probabilities do not sum to 1")
    return tuple(p / sum(probs) for p in probs)


def _row(entry: Entry) -> list[str]:
    at = datetime.fromtimestamp(entry.at, UTC).isoformat()
    probs = [f"{p:.6f}" for p in entry.probs]
    return [entry.entry_id, at, entry.label, *probs, entry.note, ", ".join(entry.tags)]


def _picture_name(entry_id: str) -> str:
    return f"pictures/{entry_id}.jpg"
