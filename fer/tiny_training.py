"""Training of our own face detector: FER2013's faces among face-free pictures in, an int8 `.tflite` and a card out."""

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from fer import classify, evaluation, lessons, tiny
from fer.classify import Classifier
from fer.dataset import Dataset
from fer.errors import DataError, ModelError
from fer.lessons import LESSON_PX, Faces, Floats, Grey, Surroundings
from fer.preprocess import CROP_PX
from fer.tiny import LEVELS, OUTPUTS, Tiny
from fer.training import FusedBatchNormalization, OneCycle, conv, save, to_litert, with_plain_layers
from fer.types import Frame

# Where the Debian packages that docs/detector.md names have their pictures.
FOLDERS = tuple(
    Path("/usr/share", name)
    for name in (
        *("backgrounds", "wallpapers", "tuxpaint/stamps", "openclipart/png", "gimp/2.0/help", "games/thumbnails"),
        *("games/supertuxkart/data", "games/torcs/tracks", "games/etr", "games/neverball", "games/hedgewars/Data"),
        *("krita", "marble", "tuxmath/images", "tuxtype/images", "palapeli"),
    )
)
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tga")
MOST_PICTURES = 400  # of one folder
LARGE_PX = 1024  # the longer side of what is kept of a photograph
STAMP_PX = 220
HELD = 10  # every tenth photograph is held back, to choose the floor on
FALSE_SHARE = 0.0005  # of face-free frames of the kind that it learned on; on others there are about ten times as many
VIEWS = 6000
LEAST_FLOOR = 0.5
CHANNELS = ((48, 4), (64, 3), (64, 2))  # of each level: how many, and in how many layers


@dataclass(frozen=True)
class Recipe:
    """How the detector is trained: in `rounds` of `steps` batches. After each, what it took for a face is drawn too.

    `start` is the .keras file of a detector whose weights it begins with; `precision` "bfloat16" halves the time on
    processors that have it.
    """

    rounds: int = 8
    steps: int = 2500
    batch_size: int = 32
    max_lr: float = 3e-3
    weight_decay: float = 1e-3
    ema_momentum: float = 0.998
    seed: int = 1
    precision: str = "bfloat16"
    start: str = ""
    workers: int = 2


def annotated(data: Dataset, yunet: Path) -> Faces:
    """The images of `data`, with the boxes and points that YuNet gives them, as the median of three looks at each.

    The few faces that it does not find, even so large and in the middle, get the median box of the others.
    """
    looks = ((96, cv2.BORDER_CONSTANT), (112, cv2.BORDER_REPLICATE), (80, cv2.BORDER_REFLECT))
    net = _yunet(yunet, 160)
    rows = np.full((len(data), 14), np.nan, np.float32)
    for i, image in enumerate(data.images):
        seen = [row for side, border in looks if (row := _look(net, image, side, border)) is not None]
        if seen:
            rows[i] = np.median(seen, axis=0)
    known = ~np.isnan(rows[:, 0])
    if not known.any():
        raise DataError("YuNet does not find a face on any of the images.")
    rows[~known] = np.median(rows[known], axis=0)
    return Faces(data.images, rows[:, :4], rows[:, 4:].reshape(-1, 5, 2), known)


def _yunet(path: Path, side_px: int, floor: float = 0.5) -> Any:
    if not path.is_file():
        raise ModelError(f"YuNet teaches where faces are, and its file {path} is missing: python -m fer fetch")
    return cv2.FaceDetectorYN.create(str(path), "", (side_px, side_px), floor, 0.3, 50)


def _look(net: Any, image: Grey, side: int, border: int) -> Floats | None:
    """Box and points (14,) of the face on an image drawn `side` pixels large, in pixels of the image."""
    pad = (160 - side) // 2
    large = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    frame = cv2.copyMakeBorder(large, pad, pad, pad, pad, border, value=(128,))
    rows = net.detect(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))[1]
    for row in [] if rows is None else rows[np.argsort(-rows[:, 14])]:
        middle, size = row[:2] + row[2:4] / 2, max(row[2:4]) / side
        if np.abs(middle - 80).max() < 0.3 * side and 0.55 < size < 1.5:
            corners = np.concatenate([row[:2], row[:2] + row[2:4], row[4:14]])
            return np.asarray((corners - pad + 0.5) * CROP_PX / side - 0.5, np.float32)
    return None


def surroundings(folders: Sequence[Path], yunet: Path, seed: int = 1) -> Surroundings:
    """At most MOST_PICTURES of each folder on which YuNet sees no face, and no two that look alike.

    Pictures with see-through parts become things to lay over others. Raises DataError where there is none to use.
    """
    net, rng = _yunet(yunet, 320), np.random.default_rng(seed)
    photographs: list[Grey] = []
    stamps: list[tuple[Grey, Grey]] = []
    alike: set[bytes] = set()
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"There is no folder {folder}.")
        kept = 0
        for path in rng.permutation(sorted(str(p) for p in folder.rglob("*") if p.suffix.lower() in PICTURES)):
            if kept == MOST_PICTURES:
                break
            picture = cv2.imread(path, cv2.IMREAD_UNCHANGED)
            if picture is None or picture.dtype != np.uint8 or min(picture.shape[:2]) < 24:
                continue
            grey, opacity = _parts(np.asarray(picture, np.uint8))
            mark = cv2.resize(grey, (8, 8), interpolation=cv2.INTER_AREA)
            if (look := (mark > mark.mean()).tobytes()) in alike or grey.std() < 8 or _shows_face(net, grey):
                continue
            alike.add(look)
            if opacity is not None:
                stamps.append((grey, opacity))
            elif min(grey.shape) >= 128:
                photographs.append(grey)
            kept += 1
    if not photographs:
        raise DataError("None of the folders has a photograph without a face.")
    return Surroundings(tuple(photographs), tuple(stamps))


def _parts(picture: NDArray[np.uint8]) -> tuple[Grey, Grey | None]:
    """A picture in grey and not too large, and its opacity where there is something to see through."""
    opacity = picture[..., 3] if picture.ndim == 3 and picture.shape[2] == 4 else None
    if opacity is not None and (opacity > 250).mean() > 0.95:
        opacity = None
    grey = picture if picture.ndim == 2 else cv2.cvtColor(picture[..., :3].copy(), cv2.COLOR_BGR2GRAY)
    scale = min(1.0, (LARGE_PX if opacity is None else STAMP_PX) / max(grey.shape))
    size = tuple(max(1, round(scale * side)) for side in grey.shape[::-1])
    small = [cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (grey, opacity) if part is not None]
    return np.asarray(small[0], np.uint8), np.asarray(small[1], np.uint8) if opacity is not None else None


def _shows_face(net: Any, grey: Grey) -> bool:
    for side in (320, 640):
        scale = side / max(grey.shape)
        size = [max(64, round(scale * length)) for length in grey.shape[::-1]]
        net.setInputSize(size)
        if net.detect(cv2.cvtColor(cv2.resize(grey, size), cv2.COLOR_GRAY2BGR))[1] is not None:
            return True
    return False


def build(precision: str = "float32") -> keras.Model:
    """(n, H, W, 1) grey 0..255 → the OUTPUTS of each level by name: (n, H / stride, W / stride, channels)."""
    policy = keras.DTypePolicy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    image = keras.Input((None, None, 1), name="image")
    x = layers.Rescaling(1 / 64, offset=-2, dtype=policy)(image)
    x = conv(conv(x, 16, 7, 4, policy), 28, 3, 1, policy)
    outputs = {}
    for level, (channels, deep) in zip(LEVELS, CHANNELS, strict=True):
        for i in range(deep):
            x = conv(x, channels, 3, 2 if i == 0 else 1, policy)
        for kind, n in OUTPUTS:
            name, rare = f"{kind}_{level.stride}", keras.initializers.Constant(-4.0 if kind == "scores" else 0.0)
            outputs[name] = layers.Conv2D(n, 1, bias_initializer=rare, dtype="float32", name=name)(x)
    return keras.Model(image, outputs, name="tiny")


def _flat(model: keras.Model) -> keras.Model:
    """The same network with all of its outputs as one: (n, cells, 15)."""
    maps = []
    for level in LEVELS:
        cells = (LESSON_PX // level.stride) ** 2
        rows = [layers.Reshape((cells, n), dtype="float32")(model.output[f"{k}_{level.stride}"]) for k, n in OUTPUTS]
        maps.append(layers.Concatenate(dtype="float32")(rows))
    return keras.Model(model.input, layers.Concatenate(axis=1, dtype="float32")(maps))


@keras.saving.register_keras_serializable("fer")  # type: ignore[untyped-decorator]
def loss(wanted: Any, said: Any) -> Any:
    """Focal loss of the scores (Lin et al. 2017), generalised IoU of the boxes and the distance of the points.

    `wanted` is as lessons.wanted gives it, (n, cells, 18); `said` (n, cells, 15).
    """
    face, counts, boxed, marked = (wanted[..., i] for i in range(4))
    n = ops.maximum(ops.sum(boxed), 1.0)
    logit = said[..., 0]
    p = ops.sigmoid(logit)
    missed, false = face * (1 - p) ** 2 * ops.softplus(-logit), (1 - face) * p**2 * ops.softplus(logit)
    ours, theirs = (ops.exp(ops.clip(sides, -7, 4)) for sides in (said[..., 1:5], wanted[..., 4:8]))
    both, hull = _area(ops.minimum(ours, theirs)), _area(ops.maximum(ours, theirs))  # both boxes hold the cell
    union = _area(ours) + _area(theirs) - both
    apart = 1 - both / union + (hull - union) / hull
    off = ops.mean(ops.abs(said[..., 5:] - wanted[..., 8:]), -1) / (ops.sqrt(_area(theirs)) + 1e-3)
    return (ops.sum(counts * (missed + false)) + ops.sum(boxed * apart) + 4 * ops.sum(marked * off)) / n


def _area(sides: Any) -> Any:
    return (sides[..., 0] + sides[..., 2]) * (sides[..., 1] + sides[..., 3])


def train(
    data: Dataset, held: Dataset, around: Surroundings, recipe: Recipe, out: Path, yunet: Path, judge: Classifier
) -> tiny.Card:
    """Train on `data` among `around`, and write `out`.keras, .tflite and .json.

    The card's figures are those of the `.tflite` on `held` faces and on photographs held back; `judge` reads their
    crops. After each round a checkpoint is kept beside `out`: the same call goes on where a killed one stopped.
    """
    faces = annotated(data, yunet)
    kept, seen = lessons.part(around, HELD)
    model, rounds = fit(faces, kept, recipe, out.with_name(out.name + ".checkpoint.keras"))
    return export(model, faces, kept, seen, data, held, recipe, rounds, out, judge)


def fit(
    faces: Faces, around: Surroundings, recipe: Recipe, checkpoint: Path | None = None
) -> tuple[keras.Model, list[dict[str, float]]]:
    """A network trained on lessons: its averaged weights in float32, and what became of each round."""
    keras.utils.set_random_seed(recipe.seed)
    note = checkpoint.with_suffix(".json") if checkpoint else None
    rounds: list[dict[str, float]] = []
    flat = _fresh(recipe)
    if checkpoint and note and checkpoint.exists() and note.exists():
        state = json.loads(note.read_text())
        if state["recipe"] == asdict(recipe):
            flat, rounds = keras.models.load_model(checkpoint), state["rounds"]
    model = _unflat(flat)
    for turn in range(len(rounds), recipe.rounds):
        if turn:
            around = replace(around, hard=mistaken(model, around, recipe.seed + turn))
        begun, progress = time.monotonic(), keras.utils.Progbar(recipe.steps, stateful_metrics=["round"])
        losses = []
        for step, (x, y) in enumerate(_stream(faces, around, recipe, turn), 1):
            losses.append(float(flat.train_on_batch(x.astype(np.float32), y)))
            progress.update(step, [("loss", losses[-1]), ("round", turn + 1)])
        seconds = round(time.monotonic() - begun)
        rounds.append({"loss": round(float(np.mean(losses)), 4), "hard": len(around.hard), "seconds": seconds})
        if checkpoint and note:
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            flat.save(checkpoint)
            note.write_text(json.dumps({"recipe": asdict(recipe), "rounds": rounds}))
    flat.optimizer.finalize_variable_values(flat.trainable_variables)
    final = build()
    final.set_weights(model.get_weights())
    _settle(final, faces, around, recipe)
    if checkpoint and note:
        checkpoint.unlink(missing_ok=True)
        note.unlink(missing_ok=True)
    return final, rounds


def _fresh(recipe: Recipe) -> keras.Model:
    model = build(recipe.precision)
    if recipe.start:
        try:
            model.set_weights(keras.models.load_model(recipe.start, compile=False).get_weights())
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"The start {recipe.start} cannot be used: {str(error).splitlines()[0]}") from error
    flat = _flat(model)
    optimizer = keras.optimizers.AdamW(
        OneCycle(recipe.max_lr, recipe.rounds * recipe.steps, warmup=0.05),
        weight_decay=recipe.weight_decay,
        use_ema=True,
        ema_momentum=recipe.ema_momentum,
        clipnorm=5.0,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    flat.compile(optimizer, loss=loss, jit_compile=False)
    return flat


def _unflat(flat: keras.Model) -> keras.Model:
    """The network that `_flat` was made of; both have the same weights."""
    names = [f"{kind}_{level.stride}" for level in LEVELS for kind, _ in OUTPUTS]
    return keras.Model(flat.input, {name: flat.get_layer(name).output for name in names}, name="tiny")


def _stream(
    faces: Faces, around: Surroundings, recipe: Recipe, turn: int, ahead: int = 16
) -> Iterator[tuple[Any, Any]]:
    """The batches of a round, drawn by processes of their own, at most `ahead` of what was asked for."""
    with multiprocessing.get_context("spawn").Pool(recipe.workers, lessons.prepare, (faces, around)) as pool:
        waiting = []
        for i in range(recipe.steps + ahead):
            if i < recipe.steps:
                waiting.append(pool.apply_async(lessons.batch, ((recipe.seed, turn, i), recipe.batch_size)))
            if i >= ahead:
                yield waiting.pop(0).get()


def _settle(model: keras.Model, faces: Faces, around: Surroundings, recipe: Recipe, batches: int = 60) -> None:
    """Gather the statistics of batch normalisation anew, for averaged weights (see training.settle)."""
    for layer in model.layers:
        if isinstance(layer, FusedBatchNormalization):
            layer.momentum = 0.95
    lessons.prepare(faces, around)
    for i in range(batches):
        model(lessons.batch((recipe.seed, recipe.rounds, i), recipe.batch_size)[0].astype(np.float32), training=True)


def mistaken(
    model: keras.Model, around: Surroundings, seed: int, n: int = 8192, floor: float = 0.2
) -> tuple[Grey, ...]:
    """Of `n` frames without a face those on which the network sees one, the surest 1,200 first (hard negatives)."""
    rng, found = np.random.default_rng(seed), list[tuple[float, Grey]]()
    for _ in range(n // 64):
        frames = np.stack([lessons.empty(around, rng) for _ in range(64)])
        said = model.predict_on_batch(frames[..., None].astype(np.float32))
        sure = np.max([said[f"scores_{level.stride}"].reshape(64, -1).max(1) for level in LEVELS], axis=0)
        found += [(float(s), frame) for s, frame in zip(sure, frames, strict=True) if s > np.log(floor / (1 - floor))]
    return tuple(frame for _, frame in sorted(found, key=lambda pair: -pair[0])[:1200])


def export(
    model: keras.Model,
    faces: Faces,
    around: Surroundings,
    seen: Surroundings,
    learned: Dataset,
    held: Dataset,
    recipe: Recipe,
    rounds: list[dict[str, float]],
    out: Path,
    judge: Classifier,
) -> tiny.Card:
    """Write `out`.keras, .tflite and .json; the floor is chosen upon `seen`, where no face is."""
    out.parent.mkdir(parents=True, exist_ok=True)
    plain = with_plain_layers(model)
    save(plain, out.with_suffix(".keras"))
    lessons.prepare(faces, around)
    frames = np.concatenate([lessons.batch((recipe.seed, recipe.rounds + 1, i), 32)[0] for i in range(8)])
    content = to_litert(plain, int8=True, shape=frames.shape[1:], seen=frames)
    out.with_suffix(".tflite").write_bytes(content)
    files = {ending: classify.sha256(out.with_suffix("." + ending)) for ending in ("keras", "tflite")}
    data = {"faces": len(faces), "known": int(faces.known.sum())}
    data |= {"photographs": len(around.photographs), "stamps": len(around.stamps), "held": len(seen.photographs)}
    made = {**asdict(recipe), "keras": keras.version(), "backend": keras.backend.backend()}
    card = tiny.Card(LEAST_FLOOR, 1.0, 0.0, model.count_params(), data, made, {}, files, rounds)
    rng = np.random.default_rng(recipe.seed)
    views = [lessons.empty(seen, rng) for _ in range(VIEWS)]
    card = replace(card, floor=_floor(Tiny.of(content, card), views))
    fit = evaluation.finding(Tiny.of(content, card), judge, learned, 96)
    card = replace(card, crop_scale=round(fit.scale, 3) or 1.0, crop_dy=round(fit.dy, 3))
    found = [asdict(evaluation.finding(Tiny.of(content, card), judge, held, px)) for px in (96, 64, 48, 32)]
    card = replace(card, metrics={"found": found, "false_share": FALSE_SHARE, "views": len(views)})
    card.save(out.with_suffix(".json"))
    return card


def _floor(detector: Tiny, views: Sequence[Frame]) -> float:
    """The lowest floor from LEAST_FLOOR on at which FALSE_SHARE of the views show a face, at most."""
    sure = sorted(max((face.score for face in detector.candidates(view)), default=0.0) for view in views)
    return round(max(LEAST_FLOOR, sure[-1 - int(FALSE_SHARE * len(sure))] + 1e-3), 3)
