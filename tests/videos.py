"""Videos that tests make."""

from collections.abc import Sequence
from pathlib import Path

import av

from fer.types import Frame


def record(path: Path, pictures: Sequence[Frame], fps: int, codec: str = "libx264") -> Path:
    """Write the pictures as a video; returns its path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.height, stream.width = pictures[0].shape[0] // 2 * 2, pictures[0].shape[1] // 2 * 2
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path
