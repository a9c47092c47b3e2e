"""Our own face detector: a small fully convolutional network over grey frames, in int8 (docs/detector.md)."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer.boxes import iou, moved
from fer.config import Settings
from fer.errors import ModelError
from fer.types import Face, Frame

Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]  # (H, W) uint8


@dataclass(frozen=True)
class Level:
    """A map of the network's output: a cell for `stride` pixels, for faces whose longer side is within `sides_px`."""

    stride: int
    sides_px: tuple[float, float]


LEVELS = (Level(8, (10, 48)), Level(16, (40, 112)), Level(32, (96, float("inf"))))
OUTPUTS = (("scores", 1), ("sides", 4), ("points", 10))  # of each level, and their channels
PAD_PX = 32  # the sides of what the network sees are multiples of it, so that every map is in step with the frame
MOST_NETS = 6  # that a detector keeps, one for each size of frame
LARGE_PX = 640 * 640  # a network for larger frames, photographs, takes a hundred megabytes and is not kept
MOST_CELLS = 400  # of a map: more are no faces but a pattern
OVERLAP = 0.4  # the intersection over union from which two boxes are of one face
HINT, SURE = 0.4, 0.8  # what is surer than a hint, and not yet sure, is looked at again
LOOK_PX, LOOK_SCALE = 128, 2.0  # the second look: at so many pixels, and of so many sides of the face
MOST_LOOKS = 32  # of a frame: at 0.3 ms each
SHARPNESS = 4.0
UNSEEN = 0.02  # how sure the second look is of a face that it does not see


@dataclass(frozen=True)
class Card:
    """What has to be known of the network to use it: it travels beside the weights as JSON.

    What is less sure than `floor` is no face. `crop_scale` and `crop_dy` are what the Detector protocol says.
    """

    floor: float
    crop_scale: float
    crop_dy: float
    parameters: int
    data: dict[str, Any]
    recipe: dict[str, Any]
    metrics: dict[str, Any]
    sha256: dict[str, str]
    rounds: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Card":
        """Raises ModelError where the card is missing or damaged."""
        try:
            card = cls(**json.loads(path.read_text(encoding="utf-8")))
            sane = 0 < card.floor < 1 and card.crop_scale > 0 and abs(card.crop_dy) < 1 and "tflite" in card.sha256
        except OSError as error:
            raise ModelError(f"The detector's card {path} cannot be read: {error.strerror}.") from error
        except (ValueError, TypeError) as error:
            raise ModelError(f"The detector's card {path} cannot be read: {error}.") from error
        if not sane:
            raise ModelError(f"The detector's card {path} makes no sense: floor {card.floor}, scale {card.crop_scale}.")
        return card


class Tiny:
    """The network run by LiteRT on one thread; anchor-free, as FCOS is (Tian et al. 2019).

    Each cell near the middle of a face says how sure it is, how far it is to the four sides of the box, and where
    both eyes, the tip of the nose and the corners of the mouth are.
    """

    working_px, full_every_s = 320, 0.9

    def __init__(self, settings: Settings) -> None:
        """Raises ModelError where the file or its card is missing, damaged, or not the other's."""
        cv2.setNumThreads(1)
        path = settings.tiny_model
        card = Card.load(path.with_suffix(".json"))
        try:
            content = path.with_suffix(".tflite").read_bytes()
        except OSError as error:
            raise ModelError(f"The detector {path}.tflite cannot be read: {error.strerror}.") from error
        if (digest := hashlib.sha256(content).hexdigest()) != card.sha256["tflite"]:
            told = card.sha256["tflite"][:12]
            raise ModelError(f"The detector {path}.tflite has sha256 {digest[:12]}…, its card says {told}….")
        self._use(content, card)

    @classmethod
    def of(cls, content: bytes, card: Card) -> "Tiny":
        """A detector that has no file yet."""
        detector = cls.__new__(cls)
        detector._use(content, card)
        return detector

    def _use(self, content: bytes, card: Card) -> None:
        self.crop_scale, self.crop_dy = card.crop_scale, card.crop_dy
        self._floor, self._nets = card.floor, dict[tuple[int, int], _Net]()
        try:
            self._wiring = _Wiring.of(content)
            self._net(320, 256)
        except (ValueError, RuntimeError, KeyError) as error:
            raise ModelError(f"The detector is not a network of this project: {str(error).splitlines()[0]}") from error

    def detect(self, frame: Frame, min_face_px: float = 0.0) -> list[Face]:
        """Faces of (H, W, 3) BGR or (H, W) grey; `score` is 0.5 at the floor."""
        likely = (face for face in self.candidates(frame) if face.score >= self._floor)
        return [replace(face, score=self._score(face)) for face in likely if face.side_px >= min_face_px]

    def _score(self, face: Face) -> float:
        """A network taught with a focal loss is surer than it says (Mukhoti et al. 2020): its odds are sharpened."""
        odds = face.score / (1 - face.score) / (self._floor / (1 - self._floor))
        return float(1 / (1 + odds**-SHARPNESS))

    def candidates(self, frame: Frame) -> list[Face]:
        """What may be a face of a frame: a sure one by the first look, others by the mean of two.

        `score` is how sure the network is, as it says itself.
        """
        grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else frame, np.uint8)
        hints = self._look(grey)
        near = max(grey.shape) <= LOOK_PX  # the surroundings of a face that was there: what is seen again is sure
        sure = sum(face.score >= (self._floor if near else SURE) for face in hints)  # they come first
        return hints[:sure] + [self._again(grey, face) for face in hints[sure : sure + MOST_LOOKS]]

    def _look(self, grey: Grey) -> list[Face]:
        """What may be a face, the surest first."""
        # Parts of a frame have many shapes and are made one: a network for a new size takes as long as ten looks.
        small = max(grey.shape) <= LOOK_PX
        down, right = (LOOK_PX - side if small else -side % PAD_PX for side in grey.shape)
        if down or right:
            grey = np.asarray(cv2.copyMakeBorder(grey, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)
        boxes, scores, points = self._net(grey.shape[1], grey.shape[0]).run(grey, HINT)
        if not len(boxes):
            return []
        corner_and_size = np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
        kept = np.ravel(cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), 0.0, OVERLAP))
        return [_face(boxes[i].tolist(), float(scores[i]), points[i].tolist()) for i in kept]

    def _again(self, grey: Grey, face: Face) -> Face:
        """The face as two looks see it on average: the second is at its surroundings in another size, mirrored."""
        x, y = ((a + b) / 2 for a, b in zip(face.xyxy[:2], face.xyxy[2:], strict=True))
        reach = LOOK_SCALE * face.side_px / 2
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        part = grey[top : max(top + 1, int(y + reach)), left : max(left + 1, int(x + reach))]
        scale = LOOK_PX / max(part.shape)
        width, height = (max(1, round(scale * side)) for side in part.shape[::-1])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        mirrored = np.asarray(cv2.resize(part, (width, height), interpolation=how)[:, ::-1], np.uint8)
        looks = (moved(_mirrored(other, width), 1 / scale, left, top) for other in self._look(mirrored))
        other = next((one for one in looks if iou(one.xyxy, face.xyxy) > OVERLAP), None)
        return _mean(face, other) if other else replace(face, score=_between(face.score, UNSEEN))

    def _net(self, width: int, height: int) -> "_Net":
        if width * height > LARGE_PX:
            return _Net(self._wiring, width, height)
        if (size := (width, height)) not in self._nets:
            if len(self._nets) >= MOST_NETS:
                self._nets.pop(next(iter(self._nets)))
            self._nets[size] = _Net(self._wiring, width, height)
        return self._nets[size]


def _mirrored(face: Face, width: int) -> Face:
    x1, y1, x2, y2 = face.xyxy
    assert face.eyes is not None
    right, left = ((width - x, y) for x, y in face.eyes)
    return Face((width - x2, y1, width - x1, y2), face.score, (left, right))


def _mean(one: Face, other: Face) -> Face:
    assert one.eyes is not None and other.eyes is not None
    x1, y1, x2, y2 = ((a + b) / 2 for a, b in zip(one.xyxy, other.xyxy, strict=True))
    left, right = (((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in zip(one.eyes, other.eyes, strict=True))
    return Face((x1, y1, x2, y2), _between(one.score, other.score), (left, right))


def _between(one: float, other: float) -> float:
    """The probability half way between two, by their logarithms of odds."""
    odds = math.sqrt(one / (1 - one) * other / (1 - other))
    return odds / (1 + odds)


def _face(box: list[float], score: float, points: list[float]) -> Face:
    x1, y1, x2, y2 = box
    return Face((x1, y1, x2, y2), score, ((points[0], points[1]), (points[2], points[3])))


@dataclass(frozen=True)
class _Wiring:
    """The model's bytes, and by which numbers LiteRT knows its input and its outputs."""

    content: bytes
    input: int
    outputs: dict[str, Any]

    @classmethod
    def of(cls, content: bytes) -> "_Wiring":
        from ai_edge_litert.interpreter import Interpreter

        # A signature's runner holds on to the tensors: the interpreter that has one can no longer be resized.
        signature = Interpreter(model_content=content).get_signature_runner("serve")
        (given,) = signature.get_input_details().values()
        outputs = signature.get_output_details()
        missing = {f"{kind}_{level.stride}" for kind, _ in OUTPUTS for level in LEVELS} - set(outputs)
        if missing or given["dtype"] is not np.uint8:
            raise ValueError(f"it lacks {sorted(missing) or 'an input of bytes'}")
        return cls(content, int(given["index"]), outputs)


_NOTHING = (np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 10), np.float32))


class _Net:
    """The network for frames of one size."""

    def __init__(self, wiring: _Wiring, width: int, height: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._net, self._wiring = Interpreter(model_content=wiring.content, num_threads=1), wiring
        self._net.resize_tensor_input(wiring.input, (1, height, width, 1))
        self._net.allocate_tensors()

    def run(self, grey: NDArray[np.uint8], floor: float) -> tuple[Floats, Floats, Floats]:
        """Boxes (n, 4), scores (n,) and points (n, 10) of the cells of (H, W) that are as sure as `floor`."""
        self._net.set_tensor(self._wiring.input, grey[None, :, :, None])
        self._net.invoke()
        found = [self._read(level, grey.shape[1] // level.stride, floor) for level in LEVELS]
        boxes, scores, points = (np.concatenate(part) for part in zip(*found, strict=True))
        return boxes, scores, points

    def _read(self, level: Level, columns: int, floor: float) -> tuple[Floats, Floats, Floats]:
        """What one map says. Its bytes become numbers only in the cells that see a face."""
        scale, zero, raw = self._raw("scores", level)
        cells = np.flatnonzero(raw[:, 0] >= zero + np.log(floor / (1 - floor)) / scale)
        if len(cells) > MOST_CELLS:
            cells = cells[np.argsort(-raw[cells, 0].astype(int), kind="stable")[:MOST_CELLS]]
        if not len(cells):
            return _NOTHING
        scores = 1 / (1 + np.exp(-np.minimum(scale * (raw[cells, 0].astype(np.float32) - zero), 15.0)))
        middles = (np.column_stack([cells % columns, cells // columns]) + 0.5) * level.stride
        sides = np.exp(self._numbers("sides", level, cells)) * level.stride
        boxes = np.column_stack([middles - sides[:, :2], middles + sides[:, 2:]])
        points = np.tile(middles, 5) + self._numbers("points", level, cells) * level.stride
        return boxes.astype(np.float32), scores.astype(np.float32), points.astype(np.float32)

    def _numbers(self, kind: str, level: Level, cells: NDArray[np.int64]) -> Floats:
        scale, zero, raw = self._raw(kind, level)
        return np.asarray((raw[cells].astype(np.float32) - zero) * np.float32(scale), np.float32)

    def _raw(self, kind: str, level: Level) -> tuple[float, int, NDArray[np.int8]]:
        """An output's scale, its zero, and its bytes, a row for each cell."""
        details = self._wiring.outputs[f"{kind}_{level.stride}"]
        scale, zero = details["quantization"]
        raw = self._net.get_tensor(details["index"])
        return scale, zero, raw.reshape(-1, raw.shape[-1])
