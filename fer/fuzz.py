"""Damaged pictures, videos and archives: whatever the bytes are, they are read or refused with an error of ours."""

import io
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from fer import archive, classify, dataset, detect, journal, photo, video
from fer.config import Settings
from fer.errors import FerError
from fer.labels import LABELS
from fer.pipeline import Options, Pipeline
from fer.types import Entry

Reader = Callable[[bytes], object]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF")
CONTAINERS = {"mp4": "mpeg4", "mkv": "mjpeg", "avi": "mpeg4", "webm": "libvpx"}


def entries(settings: Settings, folder: Path) -> dict[str, tuple[Reader, list[bytes]]]:
    """What takes bytes from strangers, each with whole examples to damage; `folder` holds what a call writes."""
    detector, model = detect.choose(settings).create(settings), classify.load(settings.model)

    def read_picture(content: bytes) -> None:
        photo.read_faces(photo.decode(content), detector, model, settings.confidence_floor)

    def read_video(content: bytes) -> None:
        pipeline = Pipeline(detector, model, Options.of(settings, model.card))
        video.analyse(io.BytesIO(content), folder, pipeline, 0.5, lambda done_s, total_s: None)

    def read_archive(content: bytes) -> None:
        path = folder / "data.zip"
        path.write_bytes(content)
        dataset.load(path, "test")

    return {
        "picture": (read_picture, [_picture(name) for name in FORMATS]),
        "video": (read_video, [_video(name, codec) for name, codec in CONTAINERS.items()]),
        "archive": (read_archive, [_archive()]),
        "journal": (archive.unpack, [_journal()]),
    }


def run(settings: Settings, seconds: float) -> dict[str, list[float]]:
    """Damage examples of each entry for an equal part of `seconds`; how many seconds each input took.

    Raises what an entry raised other than FerError, for the smallest input that Hypothesis finds.
    """
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        made = entries(settings, Path(folder))
        for name, (entry, examples) in made.items():
            results[name] = attack(entry, examples, seconds / len(made))
    return results


def attack(entry: Reader, examples: list[bytes], seconds: float) -> list[float]:
    """Hand `entry` damaged examples until the time is over; as `run`."""
    try:
        from hypothesis import HealthCheck, Phase, given
        from hypothesis import settings as profile
    except ImportError:
        raise FerError("This needs Hypothesis: pip install hypothesis (./setup.sh test does it).") from None
    end, taken = time.monotonic() + seconds, list[float]()

    @profile(
        max_examples=200,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(_damaged(examples))
    def once(content: bytes) -> None:
        if time.monotonic() > end:
            return
        begin = time.monotonic()
        try:
            entry(content)
        except FerError:
            pass
        taken.append(time.monotonic() - begin)

    while time.monotonic() < end:
        once()
    return taken


def _damaged(examples: list[bytes]) -> Any:
    """Bytes of any kind, and whole examples of which some bytes are changed, some repeated, and the end is missing."""
    from hypothesis import strategies as st

    changes = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=8)
    cuts = st.one_of(st.just(1.0), st.floats(0, 1))

    def damage(which: int, changed: list[tuple[float, bytes]], repeated: float, kept: float) -> bytes:
        out = bytearray(examples[which])
        for where, new in changed:
            at = round(where * len(out))
            out[at : at + len(new)] = new
        at = round(repeated * len(out))
        out[at:at] = out[at : at + 64] if repeated < 1 else b""
        return bytes(out[: round(kept * len(out))])

    return st.one_of(st.binary(max_size=200), st.builds(damage, st.integers(0, len(examples) - 1), changes, cuts, cuts))


def _noise(width: int, height: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _picture(name: str) -> bytes:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
    out = io.BytesIO()
    Image.fromarray(_noise(24, 24)).save(out, name)
    return out.getvalue()


def _video(name: str, codec: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format={"mkv": "matroska"}.get(name, name)) as container:
        stream: Any = container.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_noise(32, 32), format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for label in ("happy", "sad"):
            packed.writestr(f"test/{label}/1.png", _picture("PNG"))
    return out.getvalue()


def _journal() -> bytes:
    """An exported journal of two entries, one with a picture."""
    probs = tuple(float(label == "happy") for label in LABELS)
    kept = [Entry(f"{i:032x}", 1.75e9 + i, "happy", probs, "a note, 🎈", ("home",)) for i in range(2)]
    return archive.pack(kept, {kept[0].entry_id: journal.jpeg(_noise(24, 24))})
