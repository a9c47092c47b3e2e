"""A student's stream: frames in, buckets and a snapshot out."""

import asyncio
import gc
import logging
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from fer import classify, detect, live
from fer.config import Settings
from fer.live import (
    CAMERA_OFF,
    CONNECTING,
    FAILED,
    GONE_S,
    HEARD_S,
    LIVE,
    NO_FACE,
    READY,
    STALLED,
    WAITING,
    Attendance,
    EmojiStream,
    Pace,
    SittingStream,
    Snapshot,
    StudentStream,
    Watch,
)
from fer.pipeline import Options, Pipeline
from fer.store.writer import Writer
from fer.types import Bucket, Frame, Presence
from tests.fakes import FakeClassifier, FakeDetector, square


class FakeWriter(Writer):
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.buckets: list[Bucket] = []
        self.presences: list[Presence] = []
        self.left: list[str] = []
        self.forgotten: list[str] = []

    def put(self, buckets: list[Bucket], presence: Presence) -> None:
        self.buckets += buckets
        self.presences.append(presence)

    def leave(self, stream_id: str) -> None:
        self.left.append(stream_id)

    def forget(self, stream_id: str) -> None:
        self.forgotten.append(stream_id)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def video(picture: Frame) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(picture, format="bgr24")


def noisy() -> Frame:
    """A picture with patches of light and dark."""
    patches = np.random.default_rng(0).integers(60, 200, (12, 16, 3)).astype(np.uint8)
    return np.asarray(patches.repeat(20, 0).repeat(20, 1))


def make(*script: list[object], again: bool = False) -> tuple[StudentStream, FakeWriter, Clock]:
    writer, clock, page = FakeWriter(), Clock(), [True]
    detector = FakeDetector(*(script or ([square(50, 50)],)))  # type: ignore[arg-type]
    stream = StudentStream(
        lambda: Pipeline(detector, FakeClassifier(), Options()),
        writer,
        7,
        Pace(2.0, 8, clock),
        lambda: page[0],
        clock,
        again=again,
    )
    stream.page = page  # type: ignore[attr-defined]
    return stream, writer, clock


def test_a_face_is_live_and_contributes() -> None:
    stream, writer, clock = make()
    stream.on_frame(video(noisy()))
    assert stream.snapshot.state == LIVE
    assert stream.snapshot.readings[0].label == "happy"
    assert writer.presences[-1].n_faces == 0  # it counts from its second sighting
    clock.now += 0.5
    stream.on_frame(video(noisy()))
    assert [(b.class_id, b.n) for b in writer.buckets] == [(7, 1)]
    assert writer.presences[-1].n_faces == 1


def test_frames_between_two_analyses_are_counted_and_not_analysed() -> None:
    stream, writer, clock = make()
    for _ in range(12):
        stream.on_frame(video(noisy()))
        clock.now += 0.125
    assert stream.arrived == 12
    assert [b.n for b in writer.buckets] == [1, 2]


def test_a_picture_without_a_face_is_connected_and_contributes_nothing() -> None:
    stream, writer, _ = make([])
    stream.on_frame(video(noisy()))
    assert stream.snapshot.state == NO_FACE
    assert writer.buckets == []
    assert writer.presences[-1].n_faces == 0


def test_a_black_picture_is_a_camera_that_is_off_and_is_not_searched() -> None:
    stream, writer, _ = make()
    stream.on_frame(video(np.zeros((240, 320, 3), np.uint8)))
    assert stream.snapshot.state == CAMERA_OFF
    assert writer.buckets == []


@pytest.mark.parametrize(("level", "black"), [(0, True), (16, True), (60, False), (255, False)])
def test_only_a_flat_dark_picture_is_black(level: int, black: bool) -> None:
    assert live.is_black(np.full((240, 320, 3), level, np.uint8)) is black


def test_a_dark_room_is_not_a_camera_that_is_off() -> None:
    dark = np.full((240, 320, 3), 8, np.uint8)
    dark[60:180, 100:220] = 40
    assert not live.is_black(dark)


def test_an_error_in_a_frame_is_logged_and_counted_and_the_next_frame_is_read(caplog: pytest.LogCaptureFixture) -> None:
    stream, _, clock = make()
    broken = object()
    with caplog.at_level(logging.ERROR):
        assert stream.on_frame(broken) is broken  # type: ignore[arg-type]
    assert "could not be analysed" in caplog.text
    clock.now += 1
    stream.on_frame(video(noisy()))
    assert stream.snapshot.state == LIVE
    assert stream.snapshot.errors == 1


def test_the_overlay_returns_an_annotated_copy_and_without_it_the_frame_itself() -> None:
    stream, _, _ = make()
    frame = video(noisy())
    assert stream.on_frame(frame) is frame
    stream.overlay = True
    drawn = stream.on_frame(frame)
    assert (drawn.width, drawn.height) == (320, 240)
    assert not np.array_equal(drawn.to_ndarray(format="bgr24"), frame.to_ndarray(format="bgr24"))


def test_a_camera_that_changes_its_resolution_goes_on() -> None:
    stream, _, clock = make()
    for width, height in ((320, 240), (640, 480), (161, 121), (1280, 720)):
        stream.on_frame(video(np.random.default_rng(1).integers(90, 160, (height, width, 3)).astype(np.uint8)))
        clock.now += 1
    assert (stream.snapshot.state, stream.snapshot.errors) == (LIVE, 0)


def test_each_connection_has_a_random_id_of_its_own_and_leaves_under_it() -> None:
    stream, writer, clock = make()
    for _ in range(2):
        stream.on_frame(video(noisy()))
        clock.now += 1
        stream.on_ended()
    first, second = stream.stream_ids
    assert first != second and len(first) == 32
    assert writer.left == [first, second]
    assert stream.snapshot.state == WAITING


@pytest.mark.parametrize("again", [False, True])
def test_who_contributed_before_is_counted_from_the_next_slot_on(again: bool) -> None:
    stream, writer, clock = make(again=again)
    counted = []
    for _ in range(2):  # the second time it is the same student in any case
        writer.buckets.clear()
        for _ in range(16):
            stream.on_frame(video(noisy()))
            clock.now += 0.5
        counted.append({bucket.start for bucket in writer.buckets})
        stream.on_ended()
    assert counted == [{1005.0} if again else {1000.0, 1005.0}, {1010.0, 1015.0}]


def test_a_stopped_stream_contributes_nothing_more() -> None:
    stream, writer, clock = make()
    stream.on_frame(video(noisy()))
    stream.stop()
    clock.now += 1
    stream.on_frame(video(noisy()))
    assert len(writer.presences) == 1
    assert writer.left == stream.stream_ids


def test_deleting_forgets_every_connection() -> None:
    stream, writer, clock = make()
    for _ in range(2):
        stream.on_frame(video(noisy()))
        clock.now += 1
        stream.on_ended()
    stream.delete()
    assert writer.forgotten == stream.stream_ids


def test_a_clock_that_steps_back_does_not_stop_the_analysis() -> None:
    stream, writer, clock = make()
    stream.on_frame(video(noisy()))
    clock.now -= 3600
    stream.on_frame(video(noisy()))
    assert len(writer.presences) == 2


@pytest.mark.parametrize(
    ("page_open", "silent_s", "ended"), [(True, 5.0, False), (False, 0.2, False), (False, 1.0, True)]
)
def test_a_stream_ends_when_its_page_is_gone_and_its_pictures_have_stopped(
    page_open: bool, silent_s: float, ended: bool
) -> None:
    stream, writer, clock = make()
    stream.on_frame(video(noisy()))
    stream.page[0] = page_open  # type: ignore[attr-defined]
    clock.now += silent_s
    stream.check()
    assert (writer.left == stream.stream_ids) is ended


def test_a_picture_every_half_second_is_not_silence() -> None:
    stream, writer, clock = make()
    stream.pace.per_s = 0.2  # two pictures a second are asked for
    stream.on_frame(video(noisy()))
    stream.page[0] = False  # type: ignore[attr-defined]
    clock.now += 0.6
    stream.check()
    assert writer.left == []
    clock.now += 0.6
    stream.check()
    assert writer.left == stream.stream_ids


def test_no_thread_is_started_by_a_stream() -> None:
    before = threading.active_count()
    make()[0].on_frame(video(noisy()))
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("active", "connecting_s", "snapshot", "expected"),
    [
        (False, 0.0, Snapshot(), READY),
        (True, 3.0, Snapshot(), CONNECTING),
        (True, 25.0, Snapshot(), FAILED),
        (True, 0.0, Snapshot(LIVE, at=99.0), LIVE),
        (True, 0.0, Snapshot(NO_FACE, at=99.0), NO_FACE),
        (True, 0.0, Snapshot(CAMERA_OFF, at=99.0), CAMERA_OFF),
        (True, 0.0, Snapshot(LIVE, at=90.0), STALLED),
        (False, 0.0, Snapshot(LIVE, at=99.0), READY),
    ],
)
def test_the_state_shown_follows_the_connection(
    active: bool, connecting_s: float, snapshot: Snapshot, expected: str
) -> None:
    assert live.status(active, connecting_s, snapshot, now=100.0) == expected


class Student:
    """A student's page whose connection and clock the test moves; `gone` keeps the ids that were called gone."""

    def __init__(self, counted: bool = True) -> None:
        self.writer, self.clock, self.open, self.gone = FakeWriter(), Clock(), True, list[str]()
        self.attendance = Attendance(self.writer, 7, counted, lambda: self.open, self.gone.append, self.clock)

    def watched_for(self, seconds: float) -> None:
        """What Watch does in that time, and one check more, at its end."""
        for _ in range(round(seconds / 0.125)):
            self.attendance.check()
            self.clock.now += 0.125
        self.attendance.check()

    @property
    def said_at(self) -> list[float]:
        return [presence.seen_at - 1000.0 for presence in self.writer.presences]


def test_a_page_without_a_camera_is_heard_of_at_once_and_every_two_seconds() -> None:
    student = Student()
    student.watched_for(3 * HEARD_S)
    assert student.said_at == [0.0, 2.0, 4.0, 6.0]
    one = student.attendance.id
    assert set(student.writer.presences) == {Presence(7, one, 1000.0 + s, 0) for s in student.said_at}
    assert (student.writer.buckets, student.writer.left, student.gone) == ([], [], [])


def test_a_page_with_a_camera_is_not_counted_twice() -> None:
    student = Student(counted=False)
    student.watched_for(30)
    student.open = False
    student.watched_for(1)
    student.open = True
    student.watched_for(30)
    assert student.writer.presences == []


def test_every_page_has_a_random_id_of_its_own() -> None:
    ids = {Student().attendance.id for _ in range(50)}
    assert len(ids) == 50 and all(len(one) == 32 for one in ids)


def test_a_page_that_closes_leaves_at_once_and_once_and_says_nothing_while_it_is_closed() -> None:
    student = Student()
    student.watched_for(1)
    student.open = False
    student.attendance.check()
    assert student.writer.left == [student.attendance.id]
    student.watched_for(GONE_S - 0.125)
    assert student.writer.left == [student.attendance.id]
    assert (student.said_at, student.gone) == ([0.0], [])


def test_a_page_that_is_back_in_time_is_heard_of_at_once_and_was_never_gone() -> None:
    student = Student()
    student.watched_for(0.5)
    student.open = False
    student.watched_for(0.5)
    student.open = True
    student.attendance.check()
    assert student.said_at == [0.0, 1.0]  # at once: less than HEARD_S after the last time
    student.watched_for(4)
    assert student.said_at == [0.0, 1.0, 3.0, 5.0]
    student.watched_for(2 * GONE_S)
    assert student.gone == []


def test_a_page_that_comes_and_goes_is_not_gone_by_adding_up() -> None:
    student = Student()
    for _ in range(4):
        student.open = False
        student.watched_for(GONE_S / 2)
        student.open = True
        student.watched_for(0.25)
    assert student.gone == []
    assert student.writer.left == [student.attendance.id] * 4


@pytest.mark.parametrize("counted", [True, False])
def test_a_page_closed_for_ten_seconds_is_gone_once_and_counted_again_if_it_comes_back(counted: bool) -> None:
    student = Student(counted)
    student.watched_for(1)
    student.open = False
    student.watched_for(GONE_S - 0.125)
    assert student.gone == []
    said = list(student.said_at)
    student.watched_for(0.125)
    assert student.gone == [student.attendance.id] and student.attendance.taken_back
    student.watched_for(2 * GONE_S)
    assert student.said_at == said and student.writer.left == [student.attendance.id]
    student.open = True
    student.watched_for(2 * GONE_S)
    assert student.gone == [student.attendance.id]
    assert (len(student.said_at) > len(said)) is counted


def test_a_page_that_is_never_open_is_not_counted_and_gone_in_time() -> None:
    student = Student()
    student.open = False
    student.watched_for(GONE_S)
    assert (student.said_at, student.gone) == ([], [student.attendance.id])


def test_gone_is_called_once_even_where_it_raises() -> None:
    writer, clock, calls = FakeWriter(), Clock(), list[str]()

    def broken(student_id: str) -> None:
        calls.append(student_id)
        raise OSError("no database")

    attendance = Attendance(writer, 7, True, lambda: False, broken, clock)
    attendance.check()
    clock.now += GONE_S
    with pytest.raises(OSError, match="no database"):
        attendance.check()
    attendance.check()
    assert calls == [attendance.id]


@pytest.mark.parametrize("page_open", [True, False])
def test_who_leaves_is_not_heard_of_again_and_not_called_gone(page_open: bool) -> None:
    student = Student()
    student.watched_for(1)
    student.attendance.leave()
    student.open = page_open
    student.watched_for(3 * GONE_S)
    assert student.writer.left == [student.attendance.id]
    assert (student.said_at, student.gone) == ([0.0], [])


def test_a_page_goes_on_being_heard_of_when_the_clock_steps_back() -> None:
    student = Student()
    student.attendance.check()
    student.clock.now -= 3600
    student.watched_for(HEARD_S)
    assert student.said_at == [0.0, -3600.0, -3598.0]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """A watch whose thread does not run."""
    made = Watch()
    monkeypatch.setattr(made._thread, "start", lambda: None)
    return made


def test_a_check_that_raises_does_not_end_the_watch_over_the_others(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> bool:
        raise RuntimeError("no such session")

    sound = [Student() for _ in range(4)]
    failing = Attendance(FakeWriter(), 7, True, broken, clock=Clock())
    for one in (*sound[:2], SimpleNamespace(attendance=failing), *sound[2:]):
        watch.add(one.attendance)
    with caplog.at_level(logging.ERROR):
        watch.check()
        watch.check()
        for student in sound:
            student.clock.now += HEARD_S
        watch.check()
        watch.check()
    assert [student.said_at for student in sound] == [[0.0, 2.0]] * 4
    assert "no such session" in caplog.text


def test_a_watch_looks_after_streams_and_pages_alike(watch: Watch) -> None:
    stream, writer, clock = make()
    stream.on_frame(video(noisy()))
    stream.page[0] = False  # type: ignore[attr-defined]
    clock.now += 1.0
    student = Student()
    for one in (stream, student.attendance):
        watch.add(one)
        watch.add(one)
    for _ in range(3):
        watch.check()
    assert writer.left == stream.stream_ids
    assert student.said_at == [0.0]


def test_a_watch_counts_who_is_connected_and_at_the_end_everybody_leaves(watch: Watch) -> None:
    stream, writer, _ = make()
    here, away = Student(), Student()
    away.open = False
    for one in (stream, here.attendance, away.attendance):
        watch.add(one)
    away.attendance.check()
    assert watch.connected() == (0, 1)
    stream.on_frame(video(noisy()))
    assert watch.connected() == (1, 1)
    watch.stop()
    assert watch.connected() == (0, 0)
    assert writer.left == stream.stream_ids and stream.stopped
    assert here.writer.left == [here.attendance.id]


def test_what_nobody_holds_any_more_is_not_looked_after(watch: Watch) -> None:
    writer = FakeWriter()
    watch.add(Attendance(writer, 7, True, clock=Clock()))
    gc.collect()
    watch.check()
    watch.check()
    assert writer.presences == []


def test_a_paused_stream_reads_no_picture_and_stays_connected_without_a_face() -> None:
    detector, classifier, writer, clock = FakeDetector([square(50, 50)]), FakeClassifier(), FakeWriter(), Clock()
    pace = Pace(2.0, 8, clock)
    stream = StudentStream(lambda: Pipeline(detector, classifier, Options()), writer, 7, pace, clock=clock)

    def send(pictures: int) -> None:
        for _ in range(pictures):
            stream.on_frame(video(noisy()))
            clock.now += 0.5

    send(3)
    read, asked = len(classifier.calls), len(detector.asked)
    kept = len(writer.buckets)
    assert read and kept
    stream.paused = True
    send(6)
    assert (len(classifier.calls), len(detector.asked), len(writer.buckets)) == (read, asked, kept)
    assert (stream.snapshot.state, stream.snapshot.readings) == (live.PAUSED, ())
    assert [presence.n_faces for presence in writer.presences[-6:]] == [0] * 6
    assert writer.presences[-1].seen_at == clock.now - 0.5
    assert {presence.stream_id for presence in writer.presences} == set(stream.stream_ids) and writer.left == []
    stream.paused = False
    send(2)
    assert stream.snapshot.state == LIVE and writer.presences[-1].n_faces == 1


def test_a_stream_that_connects_while_it_is_paused_reads_not_even_its_first_picture() -> None:
    detector, classifier, writer = FakeDetector([square(50, 50)]), FakeClassifier(), FakeWriter()
    stream = StudentStream(lambda: Pipeline(detector, classifier, Options()), writer, 7, Pace(2.0, 8), clock=Clock())
    stream.paused = True
    stream.on_frame(video(noisy()))
    assert (detector.asked, classifier.calls, writer.buckets) == ([], [], [])
    assert [presence.n_faces for presence in writer.presences] == [0]


def test_a_pause_is_no_picture_with_the_last_reading_drawn_on_it() -> None:
    stream, _, clock = make()
    stream.overlay = True
    stream.on_frame(video(noisy()))
    clock.now += 0.5
    stream.paused = True
    sent = video(noisy())
    np.testing.assert_array_equal(stream.on_frame(sent).to_ndarray(format="bgr24"), sent.to_ndarray(format="bgr24"))


def test_a_face_counts_anew_from_its_second_sighting_after_a_pause() -> None:
    stream, writer, clock = make()
    for paused in (False, False, True, False):
        stream.paused = paused
        stream.on_frame(video(noisy()))
        clock.now += 0.5
    assert [presence.n_faces for presence in writer.presences] == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("active", "at", "expected"), [(True, 99.0, live.PAUSED), (True, 90.0, STALLED), (False, 99.0, READY)]
)
def test_a_paused_stream_is_shown_as_paused_while_its_pictures_arrive(active: bool, at: float, expected: str) -> None:
    assert live.status(active, 0.0, Snapshot(live.PAUSED, at=at), now=100.0) == expected


def yuv(picture: Frame, full: bool = False) -> av.VideoFrame:
    """The picture as a decoder gives it."""
    return video(picture).reformat(format="yuvj420p" if full else "yuv420p")


@pytest.mark.parametrize("full", [False, True])
def test_the_grey_that_is_read_is_the_grey_of_the_colours(scene: Frame, full: bool) -> None:
    grey = live.grey(yuv(scene, full))
    assert grey.shape == (240, 320) and grey.dtype == np.uint8
    expected = cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY).astype(int)
    assert np.abs(grey.astype(int) - expected).mean() < 2.5


def test_a_plane_that_is_wider_than_its_picture_is_cut() -> None:
    picture = np.full((121, 161, 3), 90, np.uint8)
    assert live.grey(yuv(picture)).shape == (121, 161)
    assert live.grey(video(picture)).shape == (121, 161, 3)


@pytest.mark.parametrize(("level", "black"), [(0, True), (60, False)])
def test_a_muted_camera_is_black_in_grey_as_well(level: int, black: bool) -> None:
    assert live.is_black(live.grey(yuv(np.full((240, 320, 3), level, np.uint8)))) is black


@pytest.mark.parametrize("name", detect.DETECTORS)
def test_read_from_the_grey_plane_a_face_has_the_same_reading(name: str, scene: Frame, yunet_path: Path) -> None:
    settings = replace(Settings(), yunet_model=yunet_path)
    model = classify.load(settings.model)
    frame = yuv(scene)
    colours = frame.to_ndarray(format="bgr24")
    (grey,), (coloured,) = (
        Pipeline(detect.DETECTORS[name](settings), model, Options()).analyse(picture, 0.0)
        for picture in (live.grey(frame), colours)
    )
    np.testing.assert_allclose(grey.face.xyxy, coloured.face.xyxy, atol=4)
    assert grey.label == coloured.label
    np.testing.assert_allclose(grey.probs, coloured.probs, atol=0.1)


class Turns:
    """A pool whose turns the test takes."""

    def __init__(self) -> None:
        self.waiting: list[tuple[object, ...]] = []

    def submit(self, *call: object) -> None:
        self.waiting.append(call)

    def take(self) -> None:
        work, *arguments = self.waiting.pop(0)
        work(*arguments)  # type: ignore[operator]


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    made = Turns()
    monkeypatch.setattr(live, "POOL", made)
    return made


def test_an_offered_picture_waits_for_its_turn_and_the_newest_is_read(turns: Turns) -> None:
    stream, writer, clock = make()
    for _ in range(9):
        stream.offer(video(noisy()))
        clock.now += 0.125
    assert len(turns.waiting) == 1 and writer.presences == []
    turns.take()
    assert stream.snapshot.state == LIVE and stream.snapshot.at == 1001.0
    assert (stream.arrived, turns.waiting) == (9, [])


def test_analyses_keep_their_rate_though_pictures_come_a_little_late(turns: Turns) -> None:
    stream, writer, clock = make()
    for number in range(80):
        clock.now = 1000.0 + number / 8 + 0.02 * (number % 3)
        stream.offer(video(noisy()))
        while turns.waiting:
            turns.take()
    assert len(writer.presences) == pytest.approx(20, abs=1)


def test_at_a_lower_pace_fewer_pictures_are_read_and_all_are_counted(turns: Turns) -> None:
    stream, writer, clock = make()
    stream.pace.per_s = 0.2
    for _ in range(160):
        stream.offer(video(noisy()))
        while turns.waiting:
            turns.take()
        clock.now += 0.125
    assert (len(writer.presences), stream.arrived) == (4, 160)


def test_a_turn_that_comes_after_the_end_of_the_connection_does_not_begin_another(turns: Turns) -> None:
    stream, writer, _ = make()
    stream.offer(video(noisy()))
    stream.on_ended()
    turns.take()
    assert (stream.stream_ids, writer.presences) == ([], [])
    stream.offer(video(noisy()))
    turns.take()
    assert stream.snapshot.state == LIVE


def test_a_stream_that_was_stopped_before_its_turn_is_not_read(turns: Turns) -> None:
    stream, writer, _ = make()
    stream.offer(video(noisy()))
    stream.stop()
    turns.take()
    assert writer.presences == []


def seconds_of(pace: Pace, clock: Clock, seconds: int, late_s: float) -> None:
    for _ in range(seconds):
        pace.waited(late_s)
        clock.now += 1.0
        pace.check()


def test_the_pace_falls_while_analyses_wait_and_comes_back() -> None:
    clock = Clock()
    pace = Pace(2.0, 8, clock)
    seconds_of(pace, clock, 5, 0.0)
    assert pace.per_s == 2.0 and not pace.lowered
    seconds_of(pace, clock, 20, 1.0)
    assert pace.per_s == 0.2 and pace.lowered
    assert pace.fps == 2  # browsers are asked for fewer pictures as well
    seconds_of(pace, clock, 40, 0.0)
    assert pace.per_s == 2.0 and pace.fps == 8 and not pace.lowered


def test_the_pace_falls_while_the_event_loop_does_not_answer() -> None:
    clock, asked = Clock(), []
    pace = Pace(2.0, 8, clock)
    pace.loop = SimpleNamespace(call_soon_threadsafe=asked.append, is_closed=lambda: False)  # type: ignore[assignment]
    for _ in range(6):
        pace.check()
        clock.now += 0.5
    assert len(asked) == 1  # one question is enough
    asked.pop()()
    pace.check()
    assert pace.per_s == 1.6


class Track:
    """A track that gives what the test puts into it, and ends with None."""

    def __init__(self, *frames: object) -> None:
        self._frames = [*frames, None]

    async def recv(self) -> object:
        frame = self._frames.pop(0)
        if frame is None:
            raise MediaStreamError
        return frame


def test_a_sink_hands_on_pictures_and_the_end_of_the_connection(turns: Turns) -> None:
    stream, writer, _ = make()
    sink = live.Sink(stream)
    assert not sink.hasTrack()

    async def connection() -> None:
        sink.addTrack(Track(video(noisy()), video(noisy())))
        assert sink.hasTrack()
        sink.start()
        await sink._task  # type: ignore[misc]

    asyncio.run(connection())
    assert stream.arrived == 2
    while turns.waiting:
        turns.take()
    assert stream.snapshot.state == WAITING and writer.left == stream.stream_ids != []


def test_cameras_are_counted_while_their_pages_are_open(watch: Watch) -> None:
    students = [make()[0] for _ in range(4)]
    for one in (*students, Student().attendance, Pace(2.0, 8)):
        watch.add(one)
    students[0].page[0] = False  # type: ignore[attr-defined]
    students[1].stop()
    assert watch.full(1, 2) and not watch.full(1, 3)


def test_a_mirror_counts_as_ten_cameras_while_it_is_connected(watch: Watch) -> None:
    page = [True]
    mirror = EmojiStream(
        lambda: Pipeline(FakeDetector([]), FakeClassifier(), Options()), Pace(2.0, 8), lambda: page[0], Clock()
    )
    watch.add(mirror)
    assert not watch.full(50, 50) and watch.connected() == (0, 0)  # the page is open, and nobody has pressed START
    mirror.on_frame(video(noisy()))
    assert watch.connected() == (10, 0)
    assert watch.full(41, 50) and not watch.full(40, 50)
    page[0] = False
    assert not watch.full(50, 50)


def test_a_camera_of_any_kind_is_ended_when_its_page_is_gone_and_its_pictures_have_stopped() -> None:
    page, clock = [True], Clock()
    mirror = EmojiStream(
        lambda: Pipeline(FakeDetector([]), FakeClassifier(), Options()), Pace(2.0, 8, clock), lambda: page[0], clock
    )
    mirror.on_frame(video(noisy()))
    page[0] = False
    mirror.check()
    assert mirror.connected  # its pictures go on: a network that changes
    clock.now += 1.0
    mirror.check()
    assert not mirror.connected


def test_a_pace_lowers_every_rate_by_the_same_share() -> None:
    clock = Clock()
    pace = Pace(2.0, 8, clock)

    def turns_in_ten_seconds() -> tuple[int, int]:
        before = pace.turn(0.5), pace.turn(0.5, 8.0)
        clock.now += 10.0
        return pace.turn(0.5) - before[0], pace.turn(0.5, 8.0) - before[1]

    assert turns_in_ten_seconds() == (20, 80)
    pace.per_s = 0.5
    assert turns_in_ten_seconds() == (5, 20)


@pytest.mark.parametrize("students", [3, 10, 50, 150])
def test_students_are_due_apart_from_each_other_however_many_they_are(students: int) -> None:
    pace = Pace(2.0, 8)
    phases = sorted(pace.new_phase() for _ in range(students))
    gaps = np.diff([*phases, phases[0] + 1])
    assert gaps.min() > 0.38 / students and gaps.max() < 2.7 / students


@pytest.mark.parametrize("per_s", [0.2, 1.9, 2.0])
def test_a_new_rate_makes_nobody_due_at_once_and_sets_nobody_back(per_s: float) -> None:
    clock = Clock()
    pace = Pace(2.0, 8, clock)
    pace.per_s = 0.7
    clock.now += 1234.5
    phases = [pace.new_phase() for _ in range(50)]
    before = [pace.turn(phase) for phase in phases]
    pace.per_s = per_s
    assert [pace.turn(phase) for phase in phases] == before


def test_what_a_sitting_saw_outlasts_its_connection_and_reaches_no_class(turns: Turns) -> None:
    clock, detector = Clock(), FakeDetector([square(50, 50)])
    detector.full_every_s = 0.0  # a fake that is asked about a part of the picture would answer for all of it
    stream = SittingStream(lambda: Pipeline(detector, FakeClassifier(), Options()), Pace(2.0, 8, clock), clock=clock)
    for _ in range(16):
        stream.offer(video(noisy()))
        while turns.waiting:
            turns.take()
        clock.now += 0.125
    stream.on_ended()
    seen = stream.sitting.likeness()
    assert seen and len(seen.probs) == pytest.approx(12, abs=1)  # six a second
    assert seen.picture.shape[2] == 3 and not stream.connected
    assert not {"_writer", "_filler", "_class_id", "stream_ids"} & set(vars(stream))
