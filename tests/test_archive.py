import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from fer import archive, journal
from fer.errors import JournalError
from fer.types import Entry
from tests.fakes import probs_of

PROBS = tuple(map(float, probs_of("happy")))
ONE = Entry("1" * 32, 1.75e9, "happy", PROBS, 'A "note",\nwith <script>, 🎈', ("home", "after sport"))
TWO = Entry("2" * 32, 1.75e9 + 86400.5, "sad", PROBS)
PICTURE = journal.jpeg(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))


def zipped(files: dict[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


def table(*rows: str) -> str:
    return "\n".join((",".join(archive.HEADING), *rows))


def row(entry: str = "3" * 32, at: str = "2026-01-01T00:00:00+00:00", label: str = "happy", probs: str = "") -> str:
    return ",".join((entry, at, label, probs or "0,0,0,1,0,0,0", "a note", "home"))


def test_what_is_exported_comes_in_again():
    found = archive.unpack(archive.pack([ONE, TWO], {ONE.entry_id: PICTURE}))
    assert not found.left_out and list(found.pictures) == [ONE.entry_id]
    for kept, entry in zip(found.entries, (ONE, TWO), strict=True):
        assert replace(kept, probs=entry.probs, at=entry.at) == entry
        assert kept.at == pytest.approx(entry.at, abs=1e-5)
        np.testing.assert_allclose(kept.probs, entry.probs, atol=1e-5)


def test_an_empty_journal_comes_in_as_an_empty_one():
    assert archive.unpack(archive.pack([], {})) == archive.Found((), {}, ())


@pytest.mark.parametrize("name", ["../entries.csv", "/etc/passwd", "pictures/../../x.jpg", "..\\x.jpg", "C:/x.jpg"])
def test_a_name_that_leads_out_of_the_archive_refuses_all_of_it(name: str):
    with pytest.raises(JournalError, match="leads out of it"):
        archive.unpack(zipped({archive.TABLE: table(row()), name: b"x"}))


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1_000_000)
    with pytest.raises(JournalError, match="unpacked it has more than 1 MB"):
        archive.unpack(zipped({archive.TABLE: table(), "pictures/x": bytes(1_000_001)}))
    monkeypatch.setattr(archive, "MAX_ENTRIES", 10)
    with pytest.raises(JournalError, match="too many files"):
        archive.unpack(zipped({f"pictures/{i}": b"" for i in range(21)}))


def test_a_bomb_whose_index_lies_is_not_unpacked_beyond_the_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive, "MAX_TABLE_BYTES", 1000)
    honest = zipped({archive.TABLE: table(*[row()] * 100)})
    size = len(table(*[row()] * 100)).to_bytes(4, "little")
    assert size in honest
    for content in (honest, honest.replace(size, (10).to_bytes(4, "little"))):
        with pytest.raises(JournalError):
            archive.unpack(content)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "not a ZIP"),
        (b"PK\x03\x04 something else", "not a ZIP"),
        (archive.pack([ONE], {})[:-30], "not a ZIP"),
        (zipped({"readme.txt": "hello"}), "no entries.csv"),
        (zipped({archive.TABLE: "a,b\n1,2"}), "no column angry"),
        (zipped({archive.TABLE: b"\xff\xfe\x00"}), "no column"),
        (zipped({archive.TABLE: table('"' + "x" * 200_000)}), "cannot be read as CSV"),
        (bytes(archive.MAX_BYTES + 1), "too large"),
    ],
)
def test_what_is_no_journal_is_a_sentence(content: bytes, sentence: str):
    with pytest.raises(JournalError, match=sentence):
        archive.unpack(content)


@pytest.mark.parametrize(
    "bad, why",
    [
        (row(entry="../../etc"), "is not 32 hex digits"),
        (row(at="yesterday"), "is not a time"),
        (row(at="9999-12-31T00:00:00+00:00"), "is not a time"),
        (row(label="<b>cross</b>"), "is none of angry"),
        (row(probs="0,0,0,1,0,0,x"), "is not a number"),
        (row(probs="0,0,0,nan,0,0,0"), "do not sum to 1"),
        (row(probs="1,1,1,1,1,1,1"), "do not sum to 1"),
        ("x", "is not 32 hex digits"),
        (row().replace("a note", "n" * 2001), "more than 2000 signs"),
    ],
)
def test_a_bad_row_is_named_and_counted_and_loses_no_other(bad: str, why: str):
    found = archive.unpack(zipped({archive.TABLE: table(row("4" * 32), bad, row("5" * 32))}))
    assert [entry.entry_id for entry in found.entries] == ["4" * 32, "5" * 32]
    (line,) = found.left_out
    assert line.startswith("Row 2: ") and why in line


def test_an_entry_that_comes_twice_counts_once():
    found = archive.unpack(zipped({archive.TABLE: table(row(), row(label="sad"))}))
    assert [entry.label for entry in found.entries] == ["happy"]


@pytest.mark.parametrize(
    "picture, why",
    [
        (b"no picture", "not a JPEG"),
        (b"\x89PNG\r\n", "not a JPEG"),
        (PICTURE[:-900], "cannot be read"),
        (bytes(archive.MAX_PICTURE_BYTES + 1), "larger than 0.2 MB"),
        (journal.jpeg(np.zeros((193, 10, 3), np.uint8)), "more than 192 pixels"),
    ],
    ids=["text", "another kind", "half a picture", "a large file", "a large picture"],
)
def test_a_bad_picture_is_named_and_its_entry_comes_in_without_it(picture: bytes, why: str):
    name = f"pictures/{'3' * 32}.jpg"
    found = archive.unpack(zipped({archive.TABLE: table(row()), name: picture, "pictures/other.jpg": PICTURE}))
    assert len(found.entries) == 1 and not found.pictures
    assert why in found.left_out[0] and found.left_out[1] == "pictures/other.jpg: belongs to no entry."


def test_a_picture_that_comes_in_keeps_nothing_but_its_pixels():
    hidden = PICTURE + b"<script>where it was taken</script>"
    found = archive.unpack(zipped({archive.TABLE: table(row()), f"pictures/{'3' * 32}.jpg": hidden}))
    assert b"script" not in found.pictures["3" * 32]
