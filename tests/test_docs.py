"""What the documents say is what the code does."""

import re
from dataclasses import MISSING, fields

import pytest

from fer.__main__ import _parser
from fer.config import ROOT, Settings

README = (ROOT / "README.md").read_text()


def shown_default(field: object) -> str:
    """A setting's default as the README writes it."""
    if field.default is MISSING:  # type: ignore[attr-defined]
        return "sqlite:///classmood.sqlite3"
    value = field.default  # type: ignore[attr-defined]
    return str(value.relative_to(ROOT) if hasattr(value, "relative_to") else value) if value not in ((), "") else ""


def test_the_settings_table_is_the_settings() -> None:
    table = re.findall(r"^\| `(FER_\w+)` \| (?:`(.*?)`)? ?\| (.*?) \|$", README, re.M)
    assert table == [(f.metadata["env"], shown_default(f), f.metadata["help"]) for f in fields(Settings)]


def test_every_command_in_the_readme_can_be_parsed() -> None:
    lines = re.findall(r"^python -m fer (.*?)(?:\s+#.*)?$", README, re.M)
    assert {line.split()[0] for line in lines} == {
        "predict",
        "analyze",
        "evaluate",
        "train",
        "train-detector",
        "audit",
        "compare",
        "faces",
        "dataset",
        "bench",
        "fetch",
    }
    for line in lines:
        _parser().parse_args(line.split())


def test_every_module_is_on_the_map() -> None:
    on_map = set(re.findall(r"\w+", README.split("## A map of the code")[1].split("```")[1]))
    modules = {path.stem for path in (ROOT / "fer").glob("*.py")} - {"__init__"} | {"store"}
    assert modules <= on_map
    assert {path.stem for path in (ROOT / "pages").glob("*.py")} <= on_map


@pytest.mark.parametrize("document", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_links_within_the_repository_lead_somewhere(document: object) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", document.read_text()):  # type: ignore[attr-defined]
        assert (document.parent / target).exists(), target  # type: ignore[attr-defined]
