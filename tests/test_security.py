"""The threat model's tests are there."""

import re

import pytest

from tests.conftest import ROOT

ROWS = [line for line in (ROOT / "docs" / "security.md").read_text().splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_threat_has_a_defence_and_a_test_that_exists(row: str):
    _, threat, defence, tests, _ = row.split("|")
    assert threat.strip() and defence.strip()
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", tests)
    assert named and len(named) == tests.count("`") // 2
    for file, name in named:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), f"there is no {file}::{name}"
