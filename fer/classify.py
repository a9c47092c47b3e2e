"""The classifier: crops in, probabilities out, by a LiteRT model that its card vouches for."""

import hashlib
import json
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fer.errors import ModelError
from fer.labels import LABELS
from fer.metrics import temper
from fer.preprocess import CROP_PX
from fer.types import Crops, Probs

INPUT = {"shape": [CROP_PX, CROP_PX, 1], "dtype": "float32", "range": [0, 255], "colour": "grey"}
ENDINGS = (".tflite", ".keras", ".json")


@dataclass(frozen=True)
class Card:
    """What has to be known of a model to use it: it travels beside the weights as JSON."""

    name: str
    labels: list[str]
    input: dict[str, Any]
    outputs: list[str]  # the heads, "fer2013" first: that one the app shows
    temperature: float
    parameters: int
    data: dict[str, Any]
    recipe: dict[str, Any]
    metrics: dict[str, Any]
    sha256: dict[str, str]
    notes: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Card":
        """Raises ModelError where the card is missing, damaged, or speaks of other labels or another input."""
        try:
            card = cls(**json.loads(path.read_text(encoding="utf-8")))
            labels, _ = tuple(card.labels), dict(card.sha256)
        except FileNotFoundError:
            raise ModelError(f"There is no model card {path}; a model is <name>.tflite with its <name>.json.") from None
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"The model card {path} cannot be read: {error}.") from error
        if labels != LABELS:
            raise ModelError(f"The model card {path} has the labels {card.labels}; expected {list(LABELS)}.")
        if card.input != INPUT:
            raise ModelError(f"The model card {path} has the input {card.input}; expected {INPUT}.")
        return card


class Classifier(Protocol):
    """What the pipeline asks of a model; `probs` may be called from any thread."""

    def probs(self, crops: Crops, head: str = "fer2013") -> Probs:
        """(n, 48, 48, 1) uint8 → (n, 7) float32."""
        ...


class LiteRTClassifier:
    """A `.tflite` model. One interpreter serves all streams, one crop at a time behind a lock.

    A crop alone gives the same reading as among others: dynamic-range quantisation scales its activations
    per call, and a batch of eight is no faster than eight calls (2.9 ms against 3.0 ms on one thread).
    """

    def __init__(self, content: bytes, card: Card) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(model_content=content, num_threads=1)
            self._run = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{card.name}.tflite is not a LiteRT model: {error}.") from error
        self._input = next(iter(self._run.get_input_details()))
        if missing := set(card.outputs) - set(self._run.get_output_details()):
            raise ModelError(f"{card.name}.tflite lacks the outputs {sorted(missing)} that its card names.")
        self.card = card
        self._lock = threading.Lock()

    def probs(self, crops: Crops, head: str = "fer2013") -> Probs:
        """Raises ModelError where the model has no such head."""
        if head not in self.card.outputs:
            raise ModelError(f"{self.card.name} has no head {head!r}; it has {', '.join(self.card.outputs)}.")
        rows = np.empty((len(crops), len(LABELS)), np.float32)
        for i, crop in enumerate(crops.astype(np.float32)):
            with self._lock:
                rows[i] = self._run(**{self._input: crop[None]})[head][0]
        temperature = self.card.temperature if head == "fer2013" else 1.0
        return temper(rows.astype(np.float64), temperature).astype(np.float32)


def load(name: str | Path) -> LiteRTClassifier:
    """The model at `name`, a path with or without its ending. Raises ModelError where it cannot be used."""
    path = Path(name)
    path = path if path.suffix in ENDINGS else path.with_name(path.name + ".json")
    card = Card.load(path.with_suffix(".json"))
    content = _read(path.with_suffix(".tflite"))
    if (digest := hashlib.sha256(content).hexdigest()) != (expected := card.sha256.get("tflite", "none")):
        raise ModelError(f"{path.with_suffix('.tflite')} has sha256 {digest[:12]}…, its card says {expected[:12]}….")
    return LiteRTClassifier(content, card)


def beside(name: str | Path) -> list[Path]:
    """The model at `name`, and the others in its folder that have a .tflite and a card; each without its ending."""
    path = Path(name)
    own = path.with_suffix("") if path.suffix in ENDINGS else path
    files = [file for file in sorted(own.parent.glob("*.tflite")) if file.with_suffix(".json").is_file()]
    return [own, *(other for file in files if (other := file.with_suffix("")) != own)]


def sha256(path: Path) -> str:
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"The model {path} cannot be read: {error.strerror}.") from error
