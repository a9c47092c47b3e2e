"""What may import what, read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# A module may import from its own group and from those above it.
GROUPS = (
    ("labels", "types", "errors", "config"),
    (
        "boxes",
        "preprocess",
        "smoothing",
        "aggregate",
        "metrics",
        "charts",
        "augment",
        "draw",
        "mask",
        "robustness",
        "scenes",
        "leaks",
        "alert",
        "demo",
        "signals",
        "policy",
        "throttle",
        "turn",
        "logs",
        "governor",
        "oidc",
        "personal",
        "vault",
        "tiny",
        "lessons",
    ),
    ("dataset", "detect", "classify", "track", "store", "rtc"),
    (
        "coverage",
        "evaluation",
        "pipeline",
        "photo",
        "album",
        "probe",
        "collect",
        "video",
        "training",
        "tiny_training",
        "report",
        "zoo",
        "health",
        "journal",
        "sitting",
        "archive",
        "learning",
        "keepers",
    ),
    ("live",),
    ("server", "peers"),
    ("ui",),
    ("ui_photo", "ui_classes", "ui_student", "ui_seat", "ui_keeper"),
    ("ui_entry",),
    ("ui_journal",),
    ("fuzz", "load"),
    ("bench", "contest", "__main__"),
)
PAGES = {"ui", "ui_photo", "ui_classes", "ui_student", "ui_seat", "ui_keeper", "ui_entry", "ui_journal"}
LEVEL = {module: level for level, group in enumerate(GROUPS) for module in group}
SOURCES = sorted(path for path in (ROOT / "fer").rglob("*.py") if path != ROOT / "fer" / "__init__.py")


def _module(path: Path) -> str:
    """The noun that a source file belongs to: fer/store/sql.py is part of store."""
    return path.relative_to(ROOT / "fer").parts[0].removesuffix(".py")


def _imports(tree: ast.AST) -> Iterator[str]:
    """The dotted names of everything that is imported anywhere in the tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _at_import(tree: ast.Module) -> Iterator[str]:
    """What is imported as soon as the module is: outside of functions and classes."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _imports(node)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=_ids)
def test_imports_go_down_the_list(path: Path):
    assert _module(path) in LEVEL, f"{_ids(path)} has no place in the list"
    for name in _imports(_tree(path)):
        if name.startswith("fer."):
            imported = name.split(".")[1]
            assert imported in LEVEL, f"{name} has no place in the list"
            assert LEVEL[imported] <= LEVEL[_module(path)], f"{_ids(path)} imports {name}, which stands above it"


@pytest.mark.parametrize(
    "library, allowed",
    [
        ("streamlit", PAGES | {"server", "bench"}),
        ("streamlit_webrtc", {"live"}),
        ("keras", {"training", "tiny_training", "zoo"}),
        ("tensorflow", {"training"}),
        ("av", {"live", "video", "fuzz", "rtc", "peers"}),
        ("aiortc", {"live", "rtc", "peers", "load"}),
        ("aioice", {"rtc"}),
        ("prometheus_client", {"health"}),
        ("sklearn", {"personal", "zoo"}),
        ("cryptography", {"vault"}),
    ],
)
def test_a_large_library_is_the_affair_of_one_module(library: str, allowed: set[str]):
    users = {_module(path) for path in SOURCES for name in _imports(_tree(path)) if name.split(".")[0] == library}
    assert users <= allowed


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if _module(path) not in {"training", "tiny_training", "zoo"}], ids=_ids
)
def test_only_training_loads_a_training_library_when_it_is_imported(path: Path):
    loaded = {name.split(".")[0] for name in _at_import(_tree(path))}
    assert not loaded & {"keras", "tensorflow", "torch", "jax"}
    assert "fer.training" not in set(_at_import(_tree(path)))


def _loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh Python has after `statement`."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); {statement}; print(*{{m.split('.')[0] for m in sys.modules}})"
    )
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    loaded = _loaded_by("import fer")
    assert "fer" in loaded
    assert not loaded & {"numpy", "cv2", "streamlit", "tensorflow", "keras", "sqlalchemy", "altair", "PIL"}


def test_what_the_live_app_needs_loads_no_training_library_and_no_model_runtime():
    loaded = _loaded_by("import fer.live, fer.photo, fer.report, fer.store.sql, fer.store.writer")
    assert "cv2" in loaded
    assert not loaded & {"tensorflow", "keras", "torch", "jax", "ai_edge_litert", "pillow_heif"}


def test_importing_the_vocabulary_configures_no_logging_and_makes_no_folder():
    before = set(ROOT.iterdir())
    handlers = "import logging, fer.config, fer.detect, fer.photo; assert not logging.getLogger().handlers"
    _loaded_by(handlers)
    assert {path for path in ROOT.iterdir() if path.name != "__pycache__"} <= before
