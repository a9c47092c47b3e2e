"""Learning in a process of its own: the app loads no scikit-learn, and a page that is left stops nothing else.

`python -m fer.learning` reads labelled readings as JSON on stdin, and writes a line of JSON for each step.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from subprocess import PIPE
from typing import Any

import numpy as np

from fer import personal
from fer.config import ROOT
from fer.errors import JournalError
from fer.labels import LABELS
from fer.personal import Progress
from fer.types import Entry, Head

log = logging.getLogger(__name__)


def learn(entries: Sequence[Entry], now: float, progress: Progress = lambda share: None) -> Head:
    """A head of these entries, made in another process. Raises JournalError where there are too few, or it fails."""
    if lacking := personal.missing(entries):
        raise JournalError(lacking)
    task = {"labels": [LABELS.index(e.label) for e in entries], "probs": [e.probs for e in entries], "now": now}
    command = [sys.executable, "-m", "fer.learning"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # the cameras of a class have the other cores
    said: dict[str, Any] = {}
    with subprocess.Popen(command, cwd=ROOT, env=one_thread, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(task))
            process.stdin.close()
            for line in process.stdout:
                said = json.loads(line)
                progress(said.get("done", 1.0))
        except (OSError, ValueError) as error:
            log.warning("learning has ended early: %s", error)
        finally:
            process.kill()  # where the page was left in the middle; one that has ended does not mind
    if "head" not in said:
        raise JournalError("Learning was broken off. Nothing has changed; try again in a moment.")
    return personal.from_json(json.dumps(said["head"]))


def main() -> None:
    """The other process."""
    task = json.load(sys.stdin)
    probs, labels = np.array(task["probs"], np.float64), np.array(task["labels"], np.int64)
    learned = personal.learn(probs, labels, task["now"], lambda share: _say({"done": share}))
    _say({"head": asdict(learned)})


def _say(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
