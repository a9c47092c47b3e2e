"""A recorded class: a video file in, a timeline out, in memory that does not grow with its length."""

import csv
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import av
import numpy as np

from fer.aggregate import HEADING, BucketFiller, merge, row
from fer.errors import VideoError
from fer.labels import LABELS
from fer.pipeline import Pipeline
from fer.types import Bucket, Frame, Reading, Slot

log = logging.getLogger(__name__)

MAX_PIXELS = 8_300_000  # 4K
MAX_ERRORS = 1000  # undecodable packets after which a file is given up

Source: TypeAlias = Path | BinaryIO
Progress = Callable[[float, float], None]  # seconds done, seconds in all (0 where the file does not say)


@dataclass(frozen=True)
class Analysis:
    """What a video held: `slots` begin at 0 s; the two CSV files are complete when this is returned."""

    slots: list[Slot]
    duration_s: float
    analysed: int
    with_faces: int
    damaged: int
    timeline: Path
    faces: Path


def analyse(source: Source, out: Path, pipeline: Pipeline, interval_s: float, progress: Progress) -> Analysis:
    """Analyse a video every `interval_s` seconds; writes timeline.csv and faces.csv into `out`.

    Both are written under another name and appear when they are complete. Raises VideoError where the file
    is missing, holds no video or cannot be decoded at all.
    """
    out.mkdir(parents=True, exist_ok=True)
    timeline, faces = out / "timeline.csv", out / "faces.csv"
    parts = [file.with_suffix(".csv.part") for file in (timeline, faces)]
    try:
        with parts[0].open("w", newline="") as slot_file, parts[1].open("w", newline="") as face_file:
            result = _run(source, pipeline, interval_s, progress, csv.writer(slot_file), csv.writer(face_file))
        parts[0].replace(timeline)
        parts[1].replace(faces)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return Analysis(*result, timeline, faces)


def _run(
    source: Source, pipeline: Pipeline, interval_s: float, progress: Progress, slot_csv: Any, face_csv: Any
) -> tuple[list[Slot], float, int, int, int]:
    slot_csv.writerow(HEADING)
    face_csv.writerow(["time_s", "face_id", "x1", "y1", "x2", "y2", "score", "label", *LABELS])
    filler, slots = BucketFiller(0, "video"), list[Slot]()
    open_buckets: dict[tuple[float, int], Bucket] = {}
    analysed = with_faces = 0
    at, damage = 0.0, [0]

    def close(before: float) -> None:
        for slot in merge(b for b in open_buckets.values() if b.start < before):
            slots.append(slot)
            slot_csv.writerow(row(slot))
        for key in [k for k, b in open_buckets.items() if b.start < before]:
            del open_buckets[key]

    for at, total_s, frame in _frames(source, interval_s, damage):
        readings = pipeline.analyse(frame, at)
        analysed, with_faces = analysed + 1, with_faces + bool(readings)
        face_csv.writerows(_face_row(at, reading) for reading in readings)
        for bucket in filler.add(readings, at):
            close(bucket.start)
            open_buckets[bucket.start, bucket.face_id] = bucket
        progress(at, total_s)
    close(np.inf)
    if not analysed:
        raise VideoError(f"{_name(source)} holds no picture that can be decoded.")
    progress(at, at)
    return slots, at, analysed, with_faces, damage[0]


def _name(source: Source) -> str:
    return str(source) if isinstance(source, Path) else "The video"


def _frames(source: Source, interval_s: float, damage: list[int]) -> Iterator[tuple[float, float, Frame]]:
    """(seconds from the beginning, length in seconds, frame) every `interval_s`; counts undecodable packets."""
    try:
        container = av.open(str(source) if isinstance(source, Path) else source, "r", metadata_errors="ignore")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{_name(source)} cannot be opened as a video: {getattr(error, 'strerror', None) or error}."
        ) from error
    with container:
        if not container.streams.video:
            raise VideoError(f"{_name(source)} holds no video.")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise VideoError(f"{_name(source)} is in a format that cannot be decoded here.")
        if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
            raise VideoError(f"{_name(source)} is larger than 4K; scale it down first.")
        stream.thread_type = "AUTO"
        total_s = container.duration / 1e6 if container.duration else 0.0
        rate = float(stream.average_rate or 25)
        begin, due, number = None, 0.0, 0
        for frame in _decode(container, stream, damage):
            number += 1
            at = frame.time if frame.time is not None else number / rate
            begin = at if begin is None else begin
            if at - begin + 0.5 / rate >= due:
                due = interval_s * (1 + (at - begin + 0.5 / rate) // interval_s)  # a grid: rounding does not add up
                yield at - begin, total_s, _upright(frame)


def _decode(container: Any, stream: Any, damage: list[int]) -> Iterator[av.VideoFrame]:
    packets = container.demux(stream)
    while damage[0] < MAX_ERRORS:
        try:
            yield from next(packets).decode()
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            damage[0] += 1
            log.debug("a packet could not be decoded: %s", error)


def _upright(frame: av.VideoFrame) -> Frame:
    """The picture as (H, W, 3) BGR, turned as a phone's recording asks for."""
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="bgr24"), turns))


def _face_row(at: float, reading: Reading) -> list[Any]:
    box = [round(v, 1) for v in reading.face.xyxy]
    probs = [round(float(p), 4) for p in reading.probs]
    return [round(at, 3), reading.face_id, *box, round(reading.face.score, 4), reading.label, *probs]
