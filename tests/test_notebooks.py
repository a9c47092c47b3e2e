"""Notebooks run from top to bottom on tiny data, and define nothing."""

import ast
import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.labels import LABELS
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code_of(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def marked(notebook: Path) -> object:
    """A notebook that trains imports TensorFlow, whose warnings are not ours."""
    marks = [pytest.mark.training, pytest.mark.filterwarnings("default")] if notebook.stem == "train" else []
    return pytest.param(notebook, marks=marks, id=notebook.name)


@pytest.mark.parametrize("notebook", [marked(notebook) for notebook in NOTEBOOKS])
def test_a_notebook_runs_on_tiny_data(
    notebook: Path, tmp_path: Path, face_crop: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = cv2.imencode(".png", cv2.resize(cv2.cvtColor(face_crop, cv2.COLOR_BGR2GRAY), (48, 48)))[1].tobytes()
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        for label in LABELS:
            for split in ("train", "test"):
                archive.writestr(f"{split}/{label}/fer0000001.png", grey)
    for name, value in {"FER_DATA": str(tmp_path / "tiny.zip"), "FER_EPOCHS": "1"}.items():
        monkeypatch.setitem(os.environ, name, value)
    names: dict[str, object] = {}
    for cell in code_of(notebook):
        exec(compile(cell, notebook.name, "exec"), names)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_defines_nothing_and_carries_no_outputs(notebook: Path) -> None:
    defined = [node for cell in code_of(notebook) for node in ast.walk(ast.parse(cell))]
    assert not [node for node in defined if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert not any(cell.get("outputs") for cell in json.loads(notebook.read_text())["cells"])
