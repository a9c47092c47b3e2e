"""setup.sh: the hosting step, and what it says when something is missing."""

import os
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT


def run(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """setup.sh in a copy of its own, whose python never reaches a network."""
    shutil.copy(ROOT / "setup.sh", folder)
    python = folder / "python"
    if not python.exists():
        python.write_text("#!/bin/sh\nexit 1\n")
        python.chmod(python.stat().st_mode | stat.S_IEXEC)
    settings = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHON": str(python), **environ}
    return subprocess.run(
        ["sh", str(folder / "setup.sh"), *words], env=settings, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_a_word_it_writes_the_settings_of_a_host(tmp_path: Path) -> None:
    assert run(tmp_path, PORT="5000").returncode == 0
    written = tomllib.loads((tmp_path / ".streamlit" / "config.toml").read_text())
    assert written["server"] == {"port": 5000, "address": "0.0.0.0", "headless": True}
    assert run(tmp_path, PORT="6000").returncode == 0
    assert tomllib.loads((tmp_path / ".streamlit" / "config.toml").read_text())["server"]["port"] == 6000


def test_a_persons_own_streamlit_settings_are_kept(tmp_path: Path) -> None:
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text("[theme]\n")
    assert "is kept as" in run(tmp_path).stderr
    assert (tmp_path / ".streamlit" / "config.toml.before-classmood").read_text() == "[theme]\n"


@pytest.mark.parametrize(
    ("words", "environ", "sentence"),
    [
        (("dance",), {}, "there is no 'dance'"),
        ((), {"PORT": "80a"}, "PORT is 80a"),
        (("run",), {"PYTHON": "no-such-python"}, "sudo apt install python3"),
        (("run",), {}, "Python 3.11 or newer"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    words: tuple[str, ...], environ: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    result = run(tmp_path, *words, **environ)
    assert result.returncode == 1
    assert sentence in result.stderr


def test_the_procfile_and_the_ci_run_the_same_script() -> None:
    assert (ROOT / "Procfile").read_text() == "web: sh setup.sh && streamlit run serve.py\n"
    assert "./setup.sh test" in (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / "setup.sh", os.X_OK) and os.access(ROOT / ".ci" / "run", os.X_OK)
