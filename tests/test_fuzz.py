"""Forty seconds of `python -m fer bench fuzz --minutes 10`, and that it would find something."""

from pathlib import Path

import pytest

from fer import fuzz
from fer.config import Settings
from fer.errors import ImageError

SETTINGS = Settings(detector="cascade")


@pytest.mark.parametrize("name", ["picture", "video", "archive", "journal"])
def test_damaged_bytes_are_read_or_refused_with_an_error_of_ours(name: str, tmp_path: Path):
    entry, examples = fuzz.entries(SETTINGS, tmp_path)[name]
    taken_s = fuzz.attack(entry, examples, 8.0)
    assert len(taken_s) > 20 and max(taken_s) < 10


@pytest.mark.parametrize("name", ["picture", "video", "archive", "journal"])
def test_the_examples_are_whole(name: str, tmp_path: Path):
    entry, examples = fuzz.entries(SETTINGS, tmp_path)[name]
    for example in examples:
        entry(example)


def test_the_journals_example_comes_in_whole(tmp_path: Path):
    unpack, (example,) = fuzz.entries(SETTINGS, tmp_path)["journal"]
    found = unpack(example)
    assert (len(found.entries), len(found.pictures), found.left_out) == (2, 1, ())


def test_an_error_that_is_not_ours_is_found_and_made_small():
    def fragile(content: bytes) -> None:
        if b"\xff\xd8" in content:
            raise ValueError(len(content))
        raise ImageError("no picture")

    with pytest.raises(ValueError, match="2"):
        fuzz.attack(fragile, [b"a" * 50 + b"\xff\xd8" + b"b" * 50], 20.0)
