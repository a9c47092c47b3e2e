"""The emoji page and its stream: frames in, frames with emoji out, and nothing else."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from fer import live, server
from fer.live import CAMERA_OFF, LIVE, NO_FACE, NO_PICTURE, WAITING, EmojiStream, Pace, Snapshot
from fer.pipeline import Options, Pipeline
from fer.types import Classroom, Face, Frame
from tests.conftest import ROOT
from tests.fakes import FakeClassifier, FakeDetector, reading, square
from tests.test_live import Clock, noisy, video

pytestmark = pytest.mark.filterwarnings("default")


def make(*script: list[Face]) -> tuple[EmojiStream, Clock, list[FakeDetector]]:
    clock, made = Clock(), list[FakeDetector]()

    def pipeline() -> Pipeline:
        made.append(FakeDetector(*(script or ([square(20, 50)],))))
        made[-1].full_every_s = 0.0  # a fake that is asked about a part of the picture would answer for all of it
        return Pipeline(made[-1], FakeClassifier(), Options())

    return EmojiStream(pipeline, Pace(2.0, 8, clock), clock=clock), clock, made


def after(stream: EmojiStream, clock: Clock, picture: Frame, n: int = 20) -> Frame:
    """The picture that is sent back for the last of `n`, 50 ms apart."""
    for _ in range(n):
        clock.now += 0.05
        returned = stream.on_frame(video(picture))
    return np.asarray(returned.to_ndarray(format="bgr24"))


def test_the_picture_comes_back_mirrored_with_an_emoji_where_the_face_is_in_it() -> None:
    stream, clock, _ = make()
    picture = noisy()
    returned = after(stream, clock, picture)
    plain = video(np.ascontiguousarray(picture[:, ::-1])).to_ndarray(format="bgr24")
    np.testing.assert_array_equal(returned[:, 150:], plain[:, 150:])
    blue, green, red = returned[100, 70]  # the middle of the face, yellow between the eyes
    assert red > 200 and green > 150 and blue < 120
    assert stream.snapshot.state == LIVE


def test_it_is_analysed_in_its_time_and_drawn_each_time() -> None:
    stream, clock, made = make([square(20, 50)], [square(220, 50)])
    pictures = [after(stream, clock, noisy(), 1) for _ in range(4)]
    assert len(made[0].asked) == 2
    assert [(one != other).any() for one, other in pairwise(pictures)] == [False, True, True]


@pytest.mark.parametrize(("lowered", "analysed"), [(1.0, 32), (0.5, 16), (0.1, 4)])
def test_it_is_slowed_as_students_are_and_still_drawn_each_time(lowered: float, analysed: int) -> None:
    stream, clock, made = make()
    stream.pace.per_s = lowered * stream.pace.wanted_per_s
    drawn = {after(stream, clock, noisy(), 1).shape for _ in range(80)}
    assert len(made[0].asked) == pytest.approx(analysed, abs=1)
    assert drawn == {(240, 320, 3)} and stream.arrived == 80


def test_the_emoji_can_leave_the_face_free() -> None:
    stream, clock, _ = make([square(20, 120)])
    covered = after(stream, clock, noisy())
    stream.cover = False
    free = after(stream, clock, noisy())
    assert (covered[160:210, 40:100] != free[160:210, 40:100]).any()
    np.testing.assert_array_equal(free[160:210, 40:100], noisy()[:, ::-1][160:210, 40:100])


def test_a_black_picture_and_one_without_a_face_are_told_apart_and_bear_no_emoji() -> None:
    stream, clock, _ = make([])
    black = np.zeros((240, 320, 3), np.uint8)
    assert not after(stream, clock, black).any() and stream.snapshot.state == CAMERA_OFF
    assert (after(stream, clock, noisy()) == noisy()[:, ::-1]).all() and stream.snapshot.state == NO_FACE


def test_what_was_seen_is_forgotten_when_the_connection_ends() -> None:
    stream, clock, made = make()
    after(stream, clock, noisy())
    assert stream.picture.shape == (240, 320, 3)
    stream.on_ended()
    assert stream.picture is NO_PICTURE and stream.snapshot == Snapshot()
    after(stream, clock, noisy(), 1)
    assert len(made) == 2


def test_an_error_in_a_frame_ends_nothing() -> None:
    stream, clock, _ = make()
    broken = object()
    assert stream.on_frame(broken) is broken  # type: ignore[arg-type]
    after(stream, clock, noisy())
    assert stream.snapshot.state == LIVE and stream.snapshot.errors == 2  # reading it, and drawing on it


def test_it_knows_no_class_and_no_store() -> None:
    stream, clock, _ = make()
    after(stream, clock, noisy())
    assert not {"_writer", "_filler", "_class_id", "stream_ids"} & set(vars(stream))
    assert EmojiStream.overlay


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AppTest]:
    """The page with a camera that has been started."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("FER_DATABASE_URL", f"sqlite:///{tmp_path / 'emoji.sqlite3'}")
    monkeypatch.setenv("FER_DETECTOR", "cascade")
    playing = SimpleNamespace(state=SimpleNamespace(playing=True, signalling=False))
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(live, "camera", lambda *given: asked.append(given) or playing)
    server.st.cache_resource.clear()
    opened = AppTest.from_file(str(ROOT / "pages" / "emoji.py"), default_timeout=30).run()
    assert not opened.exception
    settings = asked[-1][2]
    assert (settings.camera_width, settings.camera_fps) == (640, 20)  # type: ignore[attr-defined]
    yield opened
    server.close()
    server.st.cache_resource.clear()


def said(page: AppTest) -> str:
    kinds = (page.caption, page.info, page.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [(WAITING, "Connecting"), (NO_FACE, "No face is seen"), (CAMERA_OFF, "sends black"), (LIVE, "happy")],
)
def test_the_page_says_how_it_stands(page: AppTest, state: str, sentence: str) -> None:
    page.session_state.emoji_stream.snapshot = Snapshot(state, (reading(0),), server.now(), 5)
    assert sentence in said(page.run())
    assert "no class gets any of it" in said(page)


def test_the_switch_and_the_snapshot_are_there(page: AppTest) -> None:
    assert page.session_state.emoji_stream.cover
    page.toggle[0].set_value(False).run()
    assert not page.session_state.emoji_stream.cover
    assert page.get("download_button")[0].proto.label == "Snapshot"


def test_a_full_server_says_so_and_opens_no_camera_until_there_is_room(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_CAPACITY", "12")
    server.settings.clear()
    others = [server.new_stream(Classroom(1, "ABC234", "Algebra", 0.0, None, True)) for _ in range(3)]
    assert "The server is full" in said(page.run()) and not page.toggle
    others[0].stop()
    page.button[0].click().run()  # Ask again
    assert "The server is full" not in said(page) and page.toggle


def test_a_mirror_that_is_on_stays_on_and_takes_ten_places(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_CAPACITY", "10")
    server.settings.clear()
    assert not server.full()
    page.session_state.emoji_stream.on_frame(video(noisy()))
    assert server.full() and page.run().toggle
    page.session_state.emoji_stream.on_ended()
    assert not server.full()


def test_a_server_smaller_than_a_mirror_has_room_for_one_while_nobody_else_is_there(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_CAPACITY", "3")
    server.settings.clear()
    assert page.run().toggle
    other = server.new_stream(Classroom(1, "ABC234", "Algebra", 0.0, None, True))
    assert not page.run().toggle and other.here
