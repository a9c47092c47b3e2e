"""Every page as Streamlit's own AppTest runs it; the camera component is the one thing replaced."""

import io
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from fer import album, live, policy, server, signals, ui, ui_seat
from fer.live import LIVE, Snapshot
from fer.types import Bucket, Marker, Presence
from fer.ui_seat import Seat
from tests.conftest import ROOT
from tests.fakes import probs_of, reading

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test has a database and resources of its own."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("FER_DATABASE_URL", f"sqlite:///{tmp_path / 'pages.sqlite3'}")
    monkeypatch.setenv("FER_DETECTOR", "cascade")
    monkeypatch.setenv("FER_MIN_GROUP", "3")
    monkeypatch.setattr(
        live, "camera", lambda *_: SimpleNamespace(state=SimpleNamespace(playing=True, signalling=False))
    )
    st.cache_resource.clear()
    yield
    server.close()
    st.cache_resource.clear()


def open_page(name: str, **query: str) -> AppTest:
    page = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=30)
    for key, value in query.items():
        page.query_params[key] = value
    return page.run()


def texts(page: AppTest) -> str:
    kinds = (page.title, page.markdown, page.error, page.warning, page.info, page.success, page.caption, page.metric)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def button(page: AppTest, label: str) -> object:
    return next(b for b in page.button if b.label == label)


def kept_by(page: AppTest) -> set[str]:
    """The names of all that the session holds, but of buttons that are not pressed."""
    return {name for name, value in page.session_state._state.filtered_state.items() if value}


def joined(code: str) -> AppTest:
    page = open_page("join", code=code)
    page.checkbox[0].check()
    return button(page, "Join").click().run()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("name", ["join", "teach", "classes", "photo", "model"])
def test_every_page_opens_without_an_exception(name: str) -> None:
    page = open_page(name)
    assert not page.exception
    assert page.title


def test_the_app_itself_opens_on_the_home_page() -> None:
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()
    assert not page.exception
    assert "How is the class doing?" in texts(page)


@pytest.mark.parametrize(("code", "sentence"), [("", "Enter the code"), ("NOSUCH", "There is no class with the code")])
def test_a_wrong_code_is_a_sentence(code: str, sentence: str) -> None:
    assert sentence in texts(joined(code))


def test_without_agreement_nobody_joins() -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    page = open_page("join", code=room.code)
    page = button(page, "Join").click().run()  # type: ignore[attr-defined]
    assert "without your agreement nothing is read" in texts(page)
    assert "student_stream" not in page.session_state


def test_an_ended_class_cannot_be_joined() -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    server.store().end_class(room.class_id, server.now())
    assert "This class has ended" in texts(joined(room.code))


def test_a_code_is_taken_however_it_is_typed() -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    page = joined(f" {room.code[:3].lower()}-{room.code[3:]} ")
    assert "student_stream" in page.session_state


def test_a_student_sees_their_own_reading() -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    page = joined(room.code)
    assert "Connecting" in texts(page)
    page.session_state.student_stream.snapshot = Snapshot(LIVE, (reading(0, probs=probs_of("happy")),), server.now())
    page.run()
    assert ui.expression("happy") in texts(page)
    assert "Only you see this" in texts(page)


def test_a_student_goes_on_while_the_database_is_away(tmp_path: Path) -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    page = joined(room.code)
    (tmp_path / "pages.sqlite3").rename(tmp_path / "away")
    page.session_state.student_stream.snapshot = Snapshot(LIVE, (reading(0),), server.now())
    page.run()
    assert not page.exception and not page.error
    assert "Only you see this" in texts(page)
    (tmp_path / "away").rename(tmp_path / "pages.sqlite3")


def test_a_class_that_ends_sends_its_students_away_with_a_sentence() -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    page = joined(room.code)
    stream = page.session_state.student_stream
    server.store().end_class(room.class_id, server.now())
    page.run()
    assert "The class has ended. Your camera is off." in texts(page)
    assert stream.stopped


def test_leaving_and_deleting_removes_every_row_of_the_student() -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    page = joined(room.code)
    stream = page.session_state.student_stream
    stream.stream_ids.append("mine")
    for stream_id in ("mine", "another"):
        rows = [Bucket(room.class_id, stream_id, 0, server.now(), 2, np.ones(7))]
        server.writer().put(rows, Presence(room.class_id, stream_id, server.now(), 1))
    server.writer().flush()
    page = button(page, "Leave and delete my part").click().run()  # type: ignore[attr-defined]
    assert "has been deleted" in texts(page)
    assert [p.stream_id for p in server.store().presences(room.class_id, 0)] == ["another"]
    assert [slot.n_faces for slot in server.store().slots(room.class_id, 0)] == [1]


OLD = "0" * 32  # under which the student of a page that was lost had contributed


def come_back(seat: Seat, **query: str) -> AppTest:
    """The page of a student whose tab says that it had that seat."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ui_seat, "_tab", lambda *_: ui_seat.as_json(seat))
        return open_page("join", **query)


@pytest.mark.parametrize("linked", [True, False])
def test_a_page_that_was_lost_takes_its_place_again_and_is_nobody_new(linked: bool) -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    at = server.now()
    rows = [Bucket(room.class_id, stream_id, 0, at, 2, np.ones(7)) for stream_id in (OLD, "another")]
    server.store().put(rows, [Presence(room.class_id, OLD, at, 1)], [])
    server.store().give(signals.signal(room.class_id, OLD, "slower", server.now()))
    page = come_back(Seat(room.code, True, (OLD,)), **({"code": room.code} if linked else {}))
    assert "student_stream" in page.session_state and not page.exception
    server.writer().flush()
    assert server.store().presences(room.class_id, 0) == [] and counted(room.class_id) == {}
    assert [slot.n_streams for slot in server.store().slots(room.class_id, 0)] == [2]  # what was written stays
    page = button(page, "Leave and delete my part").click().run()  # type: ignore[attr-defined]
    assert [slot.n_streams for slot in server.store().slots(room.class_id, 0)] == [1]
    assert "Class code" in [field.label for field in page.text_input]


def test_who_is_back_is_told_to_press_start_until_a_picture_came(monkeypatch: pytest.MonkeyPatch) -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    idle = SimpleNamespace(state=SimpleNamespace(playing=False, signalling=False))
    monkeypatch.setattr(live, "camera", lambda *_: idle)
    assert "Press **START** and allow" in texts(joined(room.code))
    page = come_back(Seat(room.code, True, (OLD,)))
    assert "You are in the class again" in texts(page)
    page.session_state.student_stream.stream_ids.append("new")
    assert "Press **START** and allow" in texts(page.run())


@pytest.mark.parametrize(
    ("ended", "camera", "sentence"), [(True, True, "has ended"), (False, False, "without a camera")]
)
def test_a_seat_opens_no_more_than_it_did(ended: bool, camera: bool, sentence: str) -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    if ended:
        server.store().end_class(room.class_id, server.now())
    page = come_back(Seat(room.code, camera, ()))
    assert sentence in texts(page)
    assert ("student_room" in page.session_state) is not ended
    assert ended or page.session_state.student_stream is None


def test_the_link_of_another_class_is_not_answered_with_the_seat_in_the_last_one() -> None:
    last, _ = server.store().create_class("Algebra", True, server.now())
    linked, _ = server.store().create_class("Ethics", True, server.now())
    page = come_back(Seat(last.code, True, ()), code=linked.code)
    assert "student_room" not in page.session_state
    assert "Before you join" in texts(page)


@pytest.mark.parametrize(
    "text",
    [None, "", "1", "[]", "{}", '{"code": "ACX4K7", "camera": true}', '{"code": "A", "camera": true, "ids": [1]}'],
)
def test_what_a_tab_says_is_a_seat_or_nothing(text: str | None) -> None:
    assert ui_seat.from_json(text) is None


def test_a_seat_is_read_as_it_was_kept_and_bounded() -> None:
    seat = Seat("ACX4K7", True, (OLD, "f" * 32))
    assert ui_seat.from_json(ui_seat.as_json(seat)) == seat
    many = Seat("A" * 99, True, (OLD,) * 999)
    assert ui_seat.from_json(ui_seat.as_json(many)) == Seat("A" * 16, True, (OLD,) * ui_seat.MOST_IDS)
    assert ui_seat.from_json('{"code": "A", "camera": 1, "ids": ["../x", "%"]}') == Seat("A", False, ())


def make_class(title: str = "Algebra") -> AppTest:
    page = open_page("teach")
    page.selectbox[0].select(policy.PLACES[1]).run()
    page.text_input[0].input(title)
    page.checkbox[0].check()
    return button(page, "Make the class").click().run()  # type: ignore[attr-defined, no-any-return]


def fill(class_id: int, students: int) -> None:
    now = server.now()
    starts = (now - now % 5 - 5, now - now % 5)  # a slot that is over, which is shown, and the one that fills
    rows = [Bucket(class_id, f"s{i}", 0, at, 4, 4 * probs_of("happy")) for i in range(students) for at in starts]
    server.store().put(rows, [Presence(class_id, f"s{i}", now, 1) for i in range(students)], [])


def test_making_a_class_shows_its_code_link_and_key_once() -> None:
    page = make_class()
    room, key = page.session_state.class_room, page.session_state.class_key
    shown = [code.value for code in page.code]
    assert key in shown and room.code in shown and any(s.endswith(f"/join?code={room.code}") for s in shown)
    page = button(page, "I have saved it").click().run()  # type: ignore[attr-defined]
    assert key not in [code.value for code in page.code]
    assert server.store().open_class(room.code, key) == room


@pytest.mark.parametrize(
    ("title", "place", "confirm", "sentence"),
    [(" ", 1, True, "a title"), ("Algebra", None, True, "Say where"), ("Algebra", 1, False, "lawful")],
)
def test_a_class_needs_a_title_a_place_and_the_confirmation(
    title: str, place: int | None, confirm: bool, sentence: str
) -> None:
    page = open_page("teach")
    if place is not None:
        page.selectbox[0].select(policy.PLACES[place]).run()
    page.text_input[0].input(title)
    if confirm:
        page.checkbox[0].check()
    page = button(page, "Make the class").click().run()  # type: ignore[attr-defined]
    assert sentence in texts(page)
    assert "class_room" not in page.session_state


def test_in_the_eu_a_class_without_a_reason_for_cameras_runs_on_self_report_alone() -> None:
    page = open_page("teach")
    page.selectbox[0].select(policy.PLACES[0]).run()
    assert "self-report alone" in texts(page) and "Article 5(1)(f)" in texts(page)
    assert not page.checkbox
    page.text_input[0].input("Algebra")
    page = button(page, "Make the class").click().run()  # type: ignore[attr-defined]
    assert page.session_state.class_room.camera is False
    assert "Contributing" not in [metric.label for metric in page.metric]


@pytest.mark.parametrize("purpose", [policy.MEDICAL, policy.SAFETY, policy.RESEARCH])
def test_in_the_eu_cameras_need_a_reason_that_the_act_allows_and_its_confirmation(purpose: str) -> None:
    page = open_page("teach")
    page.selectbox[0].select(policy.PLACES[0]).run()
    page.selectbox[1].select(purpose).run()
    page.text_input[0].input("Algebra")
    page = button(page, "Make the class").click().run()  # type: ignore[attr-defined]
    assert "lawful" in texts(page) and "class_room" not in page.session_state
    assert "AI Act" in page.checkbox[0].label
    page.checkbox[0].check()
    page = button(page, "Make the class").click().run()  # type: ignore[attr-defined]
    assert page.session_state.class_room.camera is True


def counted(class_id: int) -> dict[str, int]:
    return {kind: n for kind, n in signals.counts(server.store().signals(class_id, 0), server.now()).items() if n}


def test_a_class_without_cameras_never_asks_for_one_and_counts_taps() -> None:
    room, _ = server.store().create_class("Ethics", False, server.now())
    page = joined(room.code)
    assert page.session_state.student_stream is None
    assert "without cameras" in texts(page)
    page = button(page, "🧭 Lost").click().run()  # type: ignore[attr-defined]
    page = button(page, "🐢 Slower").click().run()  # type: ignore[attr-defined]
    assert counted(room.class_id) == {"lost": 1, "slower": 1}
    page = button(page, "👍 Got it").click().run()  # type: ignore[attr-defined]
    assert counted(room.class_id) == {"got it": 1, "slower": 1}
    page = button(page, "🐢 Slower ✓").click().run()  # type: ignore[attr-defined]
    assert counted(room.class_id) == {"got it": 1}
    assert not page.exception


def test_a_student_may_join_a_class_with_cameras_without_one() -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    page = open_page("join", code=room.code)
    page = button(page, "Join without a camera").click().run()  # type: ignore[attr-defined]
    assert page.session_state.student_stream is None and "without a camera" in texts(page)


def test_a_name_goes_with_a_call_for_help_only_where_one_was_typed() -> None:
    room, _ = server.store().create_class("Ethics", False, server.now())
    page = joined(room.code)
    page = button(page, "✋ I'd like help").click().run()  # type: ignore[attr-defined]
    assert [one.name for one in server.store().signals(room.class_id, 0)] == [""]
    page = button(page, "✋ I'd like help ✓").click().run()  # type: ignore[attr-defined]
    page.text_input[-1].input("  Ada   <b>L</b> ").run()
    page = button(page, "✋ I'd like help").click().run()  # type: ignore[attr-defined]
    assert [one.name for one in signals.standing(server.store().signals(room.class_id, 0), server.now())] == [
        "Ada <b>L</b>"
    ]


def test_a_student_who_taps_without_end_is_held_back() -> None:
    room, _ = server.store().create_class("Ethics", False, server.now())
    page = joined(room.code)
    for i in range(signals.MOST_TAPS + 1):
        page = button(page, "🐢 Slower" + (" ✓" if i % 2 else "")).click().run()  # type: ignore[attr-defined]
    assert "a lot of taps" in [toast.value for toast in page.toast][-1]
    assert not page.exception


def test_leaving_takes_back_what_was_said_and_deleting_removes_it() -> None:
    room, _ = server.store().create_class("Ethics", False, server.now())
    for last, rows in (("Leave", 1), ("Leave and delete my part", 1)):
        page = joined(room.code)
        page = button(page, "🐇 Faster").click().run()  # type: ignore[attr-defined]
        assert counted(room.class_id) == {"faster": 1}
        page = button(page, last).click().run()  # type: ignore[attr-defined]
        assert counted(room.class_id) == {}
        assert len(server.store().signals(room.class_id, 0)) == rows


def test_a_tap_while_the_database_is_away_is_a_toast_and_changes_nothing(tmp_path: Path) -> None:
    room, _ = server.store().create_class("Ethics", False, server.now())
    page = joined(room.code)
    page = button(page, "🐢 Slower").click().run()  # type: ignore[attr-defined]
    labels = [b.label for b in page.button]
    server.writer().flush()
    (tmp_path / "pages.sqlite3").rename(tmp_path / "away")
    for label in ("🐇 Faster", "🐢 Slower ✓", "✋ I'd like help"):
        page = button(page, label).click().run()  # type: ignore[attr-defined]
        assert "did not reach the server" in [toast.value for toast in page.toast][-1]
        assert [b.label for b in page.button] == labels
    assert not page.exception and not page.error
    (tmp_path / "away").rename(tmp_path / "pages.sqlite3")
    assert counted(room.class_id) == {"slower": 1}
    page = button(page, "🐇 Faster").click().run()  # type: ignore[attr-defined]
    assert counted(room.class_id) == {"faster": 1}


def test_a_class_that_ends_sends_a_student_without_a_camera_away_with_a_sentence() -> None:
    room, _ = server.store().create_class("Ethics", False, server.now())
    page = joined(room.code)
    page = button(page, "🐢 Slower").click().run()  # type: ignore[attr-defined]
    server.store().end_class(room.class_id, server.now())
    page.run()
    assert "The class has ended. Thank you for taking part." in texts(page) and "camera is off" not in texts(page)
    assert not page.exception
    for kept in ("student_room", "student_attendance", "student_said", "student_taps"):
        assert kept not in page.session_state


def test_the_instructor_sees_how_many_say_what_and_typed_names_as_text() -> None:
    page = make_class()
    class_id = page.session_state.class_room.class_id
    for by, kind, age_s, name in (
        ("a", "lost", 5, ""),
        ("a", "lost", 1, ""),
        ("b", "lost", 61, ""),  # faded
        ("b", "help", 1, "<b>Ada</b> [L](http://x) **!**"),
        ("c", "help", 1, ""),
        ("c", "faster", 1000, ""),
    ):
        server.store().give(signals.signal(class_id, by, kind, server.now() - age_s, name))
    page.run()
    figures = {metric.label: metric.value for metric in page.metric}
    shown = {kind: figures[f"{icon} {text}"] for kind, (icon, text, _) in signals.KINDS.items()}
    assert shown == {"got it": "0", "lost": "1", "slower": "0", "faster": "1", "help": "2"}
    named = [caption.value for caption in page.caption if "by name" in caption.value]
    assert named == ["Asking for help by name: \\<b\\>Ada\\</b\\> \\[L\\](http\\:\u2060//x) \\*\\*\\!\\*\\*"]
    assert not page.exception


def test_nobody_is_named_who_did_not_type_a_name() -> None:
    page = make_class()
    server.store().give(signals.signal(page.session_state.class_room.class_id, "a", "help", server.now()))
    assert "by name" not in texts(page.run())


def test_a_wrong_key_does_not_open_a_class() -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    page = open_page("teach")
    page.text_input[1].input(room.code)
    page.text_input[2].input("AAAAA-AAAAA-AAAAA-AAAAA")
    page = button(page, "Open").click().run()  # type: ignore[attr-defined]
    assert "do not open a class" in texts(page)
    assert "class_room" not in page.session_state


@pytest.mark.parametrize("page_name", ["join", "show", "teach"])
def test_guessing_codes_and_keys_is_slowed_down_with_a_plain_sentence(
    page_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, key = server.store().create_class("Algebra", True, server.now())
    monkeypatch.setattr(server, "_visitor", lambda: "203.0.113.7")
    monkeypatch.setattr(server, "time", SimpleNamespace(time=time.time, monotonic=lambda: 100.0))
    monkeypatch.setattr(server, "TRIES", {"code": (3, 600), "key": (3, 600)})

    def guess(code: str) -> AppTest:
        if page_name == "show":
            return open_page("show", code=code)
        return joined(code) if page_name == "join" else opened(code, key)

    assert ["too many wrong tries" in texts(guess(f"NO{i}")) for i in range(5)] == [False] * 3 + [True] * 2
    assert "too many wrong tries" in texts(guess(room.code))  # or the right one would be told from the others
    monkeypatch.setattr(server, "_visitor", lambda: "203.0.113.8")
    page = guess(room.code)
    assert "Algebra" in [heading.value for heading in (*page.header, *page.subheader)]


@pytest.mark.parametrize(("students", "shown"), [(0, False), (2, False), (3, True)])
def test_the_mood_is_withheld_below_the_group_floor(students: int, shown: bool) -> None:
    page = make_class()
    fill(page.session_state.class_room.class_id, students)
    page.run()
    assert (f"{students} of at least 3 students" in texts(page)) is (0 < students < 3)
    assert ("Nobody is connected yet" in texts(page)) is (students == 0)
    valence = next(metric for metric in page.metric if metric.label == "Valence now").value
    assert (valence != "–") is shown


def test_ending_and_deleting_a_class() -> None:
    page = make_class()
    room = page.session_state.class_room
    fill(room.class_id, 4)
    page = button(page, "End it now").click().run()  # type: ignore[attr-defined]
    assert "This class has ended" in texts(page)
    page = button(page, "Delete it now").click().run()  # type: ignore[attr-defined]
    assert server.store().find_class(room.code) is None
    assert server.store().slots(room.class_id, 0) == []


def test_a_class_that_was_ended_or_deleted_in_another_window_is_so_in_this_one() -> None:
    page = make_class()
    room = page.session_state.class_room
    server.store().end_class(room.class_id, server.now())
    assert "This class has ended" in texts(page.run())
    page = make_class()
    server.store().delete_class(page.session_state.class_room.class_id)
    page.run()
    assert not page.exception and "Make a class" in [header.value for header in page.subheader]


def test_a_title_is_shown_as_text_and_never_as_markup() -> None:
    page = make_class("<script>alert(1)</script> **bold** [a](http://x)")
    assert not page.exception
    assert page.header[0].value == "\\<script\\>alert(1)\\</script\\> \\*\\*bold\\*\\* \\[a\\](http\\:\u2060//x)"


def test_a_database_out_of_reach_is_a_sentence_and_the_entry_is_kept(tmp_path: Path) -> None:
    page = open_page("teach")
    page.selectbox[0].select(policy.PLACES[1]).run()
    server.store()
    (tmp_path / "pages.sqlite3").unlink()
    with sqlite3.connect(tmp_path / "pages.sqlite3") as other:
        other.execute("CREATE TABLE something_else (x)")
    page.text_input[0].input("Algebra")
    page.checkbox[0].check()
    page = button(page, "Make the class").click().run()  # type: ignore[attr-defined]
    assert "The database cannot be used" in texts(page)
    assert (page.text_input[0].value, page.selectbox[0].value) == ("Algebra", policy.PLACES[1])
    assert "class_room" not in page.session_state


def png(frame: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame[:, :, ::-1]).save(content, "PNG")
    return content.getvalue()


def photo_page(*files: tuple[str, bytes]) -> AppTest:
    """The photo page with these pictures uploaded."""
    page = open_page("photo")
    return page.file_uploader[0].set_value([(name, content, "image/png") for name, content in files]).run()


WALL = png(np.full((200, 300, 3), 128, np.uint8))


def test_a_photo_is_read_and_can_be_downloaded(astronaut: np.ndarray) -> None:
    page = photo_page(("me.png", png(astronaut)))
    assert not page.exception
    assert f"{ui.expression('happy')}** :gray[face 1" in texts(page)
    assert "held-out faces read about as surely" in texts(page)
    assert [one.proto.label for one in page.get("download_button")] == ["All (ZIP)", "CSV", "JSON"]
    assert not page.selectbox


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"no picture", "not a picture"), (b"\xff\xd8\xff\xe0 cut", "not a picture|damaged"), (b"", "empty")],
)
def test_a_bad_upload_is_a_sentence_and_does_not_lose_the_others(
    content: bytes, sentence: str, astronaut: np.ndarray
) -> None:
    page = photo_page(("bad.png", content))
    assert not page.exception
    assert re.search(sentence, texts(page)) and not page.get("download_button")
    page = photo_page(("bad.png", content), ("me.png", png(astronaut)))
    assert re.search(rf"bad.*{sentence}", texts(page)) and page.get("download_button")


def test_a_picture_without_a_face_is_a_sentence(astronaut: np.ndarray) -> None:
    assert "No face was found." in texts(photo_page(("wall.png", WALL)))
    page = photo_page(("me.png", png(astronaut)), ("wall.png", WALL))
    assert "No face was found" not in texts(page)
    page = page.selectbox[0].select(1).run()
    assert "No face was found in this picture." in texts(page)


def test_a_huge_picture_is_refused_by_its_size() -> None:
    content = io.BytesIO()
    Image.new("1", (8000, 6000)).save(content, "PNG")
    assert "8000 × 6000 pixels" in texts(photo_page(("huge.png", content.getvalue())))


def test_a_group_has_a_summary_a_table_and_a_face_to_choose(face_crop: np.ndarray) -> None:
    group = np.full((2 * 160, 6 * 160, 3), 128, np.uint8)
    for i in range(12):
        y, x = 160 * (i // 6) + 25, 160 * (i % 6) + 30
        group[y : y + face_crop.shape[0], x : x + face_crop.shape[1]] = face_crop
    page = photo_page(("group.png", png(group)))
    assert {one.label: one.value for one in page.metric} == {"Faces": "12", "Pictures": "1", "Uncertain": "0%"}
    assert list(page.dataframe[0].value.columns) == ["picture", "face", "expression", "certainty"]
    assert len(page.dataframe[0].value) == 12
    page = next(one for one in page.button_group if one.label == "Face").set_value(7).run()
    assert ":gray[face 7" in texts(page)


def test_why_a_face_is_read_so_is_told_when_asked(astronaut: np.ndarray) -> None:
    page = photo_page(("me.png", png(astronaut)))
    assert "Zeiler" not in texts(page)
    page = page.toggle[0].set_value(True).run()
    assert not page.exception
    assert "Zeiler & Fergus 2014" in texts(page) and "about the model, not about the person" in texts(page)


def test_more_pictures_than_are_read_at_once_are_said() -> None:
    page = photo_page(*((f"{i}.png", WALL) for i in range(album.MOST + 2)))
    assert f"Of {album.MOST + 2} pictures the first {album.MOST} were read." in texts(page)
    assert len(page.session_state.photos) == album.MOST


def test_a_picture_is_read_once_and_forgotten_when_it_is_taken_away(
    monkeypatch: pytest.MonkeyPatch, astronaut: np.ndarray
) -> None:
    page = photo_page(("me.png", png(astronaut)))
    monkeypatch.setattr(album, "read", lambda *_: pytest.fail("read again"))
    assert not page.run().exception
    page = page.file_uploader[0].set_value([]).run()
    assert "at most 20 pictures at once" in texts(page) and "photos" not in page.session_state


def test_two_models_are_shown_side_by_side_where_there_are_two(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, astronaut: np.ndarray
) -> None:
    for name in ("first", "second", "without_card"):
        for ending in (".tflite", ".json")[: 1 if name == "without_card" else 2]:
            (tmp_path / f"{name}{ending}").write_bytes((ROOT / "models" / f"classmood48{ending}").read_bytes())
    monkeypatch.setenv("FER_MODEL", str(tmp_path / "second"))
    page = photo_page(("me.png", png(astronaut)))
    assert page.selectbox[0].options == ["second", "first"]
    page = page.selectbox[1].select("first").run()
    assert not page.exception
    assert all(f":gray[face 1, read by {name}]" in texts(page) for name in ("first", "second"))


def test_a_setting_that_cannot_be_used_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    server.writer()
    st.cache_resource.clear()
    monkeypatch.setenv("FER_MIN_GROUP", "many")
    page = open_page("join")
    assert "FER_MIN_GROUP" in texts(page)
    monkeypatch.setenv("FER_MIN_GROUP", "3")


def test_the_model_page_says_where_the_best_detector_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FER_DETECTOR", "auto")
    monkeypatch.setenv("FER_TINY_MODEL", str(tmp_path / "missing"))
    monkeypatch.setenv("FER_YUNET_MODEL", str(tmp_path / "missing.onnx"))
    assert "misses more of them" in texts(open_page("model"))


def test_a_demo_class_is_full_of_simulated_students_and_no_real_one_can_join_it() -> None:
    page = button(open_page("teach"), "Try a demo class").click().run()  # type: ignore[attr-defined]
    room = page.session_state.class_room
    assert "simulated" in texts(page) and not page.exception
    figures = {metric.label: metric.value for metric in page.metric}
    assert (figures["Students connected"], figures["Contributing"]) == ("30", "26")
    assert len(server.store().slots(room.class_id, 0)) >= 119
    assert "Nobody can join it" in texts(joined(room.code))
    page = button(page, "Close").click().run()  # type: ignore[attr-defined]
    assert "demo_until" not in page.session_state


def toggle(page: AppTest, label: str) -> object:
    return next(one for one in page.toggle if label in one.label)


def charts_of(page: AppTest) -> int:
    return len(page.get("vega_lite_chart"))


def opened(code: str, key: str) -> AppTest:
    page = open_page("teach")
    page.text_input[1].input(code)
    page.text_input[2].input(key)
    return button(page, "Open").click().run()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("code", [None, "", "NOSUCH", "<b>x</b>"])
def test_a_class_view_of_an_unknown_code_is_a_sentence(code: str | None) -> None:
    page = open_page("show") if code is None else open_page("show", code=code)
    assert "There is no open class with this code" in texts(page)
    assert not page.exception and not page.code and charts_of(page) == 0


def test_a_class_that_has_ended_has_no_class_view() -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    page = open_page("show", code=room.code)
    server.store().end_class(room.class_id, server.now())
    assert "This class has ended" in texts(page.run()) or "There is no open class" in texts(page)
    assert "There is no open class" in texts(open_page("show", code=room.code))


def test_the_class_view_shows_the_code_and_the_link_and_nothing_of_the_mood() -> None:
    room, key = server.store().create_class("Algebra *2*", True, server.now())
    fill(room.class_id, 5)
    page = open_page("show", code=room.code)
    assert not page.exception and page.header[0].value == r"Algebra \*2\*"
    assert any(f">{room.code}</div>" in one.proto.body for one in page.get("html"))
    assert [one.value for one in page.code] == [f"http://localhost:8501/join?code={room.code}"]
    assert charts_of(page) == 0 and not page.metric
    assert key not in texts(page)


def test_the_class_view_shows_the_pulse_only_while_the_instructor_wants_it() -> None:
    teacher = make_class()
    room = teacher.session_state.class_room
    fill(room.class_id, 5)
    view = open_page("show", code=room.code)
    assert charts_of(view) == 0
    teacher = toggle(teacher, "pulse").set_value(True).run()  # type: ignore[attr-defined]
    view.run()
    assert charts_of(view) == 1 and "Our pulse" in texts(view)
    assert not view.exception and not view.metric
    toggle(teacher, "pulse").set_value(False).run()  # type: ignore[attr-defined]
    assert charts_of(view.run()) == 0


def test_a_class_without_cameras_has_no_pulse_to_show() -> None:
    room, key = server.store().create_class("Ethics", False, server.now())
    assert not [one for one in opened(room.code, key).toggle if "pulse" in one.label]


def test_a_moment_is_marked_with_its_text_or_without() -> None:
    page = make_class()
    room, before = page.session_state.class_room, server.now()
    for text in ("  Exercise *3*  ", ""):
        next(one for one in page.text_input if one.label == "Mark this moment").input(text)
        page = button(page, "Mark").click().run()  # type: ignore[attr-defined]
        assert not page.exception
    marked = server.store().markers(room.class_id)
    assert [marker.text for marker in marked] == ["Exercise *3*", ""]
    assert all(before <= marker.at <= server.now() for marker in marked)
    page.run()
    assert len(server.store().markers(room.class_id)) == 2


def test_a_pause_reaches_the_student_and_ends() -> None:
    teacher = make_class()
    room = teacher.session_state.class_room
    student = joined(room.code)
    stream = student.session_state.student_stream
    assert stream.paused is False
    teacher = button(teacher, "Pause").click().run()  # type: ignore[attr-defined]
    assert "no picture is analysed" in texts(teacher)
    student.run()
    assert stream.paused is True
    stream.snapshot = Snapshot(live.PAUSED, (), server.now())
    student.run()
    assert "The class is paused: your picture is not analysed" in texts(student)
    assert "Only you see this" not in texts(student)
    teacher = button(teacher, "Go on").click().run()  # type: ignore[attr-defined]
    assert "no picture is analysed" not in texts(teacher)
    student.run()
    assert stream.paused is False


def test_who_joins_a_paused_class_is_paused_from_the_start() -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    server.store().set_class(room.class_id, True, False)
    assert joined(room.code).session_state.student_stream.paused is True


def test_a_class_that_has_ended_offers_its_report_and_tells_its_moments() -> None:
    end = server.now() // 5 * 5
    begin = end - 600
    room, key = server.store().create_class("Algebra", True, begin)
    rows = [
        Bucket(room.class_id, f"s{i}", 0, begin + at, 4, 4 * probs_of("happy" if at < 300 else "sad"))
        for at in range(0, 600, 5)
        for i in range(4)
    ]
    server.store().put(rows, [], [])
    server.store().mark(Marker(room.class_id, begin + 120, "Exercise *3*"))
    server.store().end_class(room.class_id, end)
    page = opened(room.code, key)
    assert not page.exception
    assert "**Moments**" in texts(page) and "At minute 5.0 expressions became less pleasant" in texts(page)
    (parts,) = (frame.value for frame in page.dataframe)
    assert parts["part"].tolist() == ["from the start", "Exercise *3*"]
    assert parts["minutes"].tolist() == ["0.0–2.0", "2.0–10.0"]
    offered = [one.proto.label for one in page.get("download_button")]
    assert offered == ["Report (HTML)", "Timeline (CSV)", "Timeline (Parquet)"]
    assert "Mark" not in [one.label for one in page.button]


def test_a_class_that_has_ended_below_the_floor_tells_no_moments() -> None:
    """Two students are fewer than the three of the floor: not even that something turned may be told."""
    end = server.now() // 5 * 5
    room, key = server.store().create_class("Algebra", True, end - 600)
    for at in range(0, 600, 5):
        probs = 4 * probs_of("happy" if at < 300 else "sad")
        server.store().put([Bucket(room.class_id, f"s{i}", 0, end - 600 + at, 4, probs) for i in range(2)], [], [])
    server.store().mark(Marker(room.class_id, end - 300, "film"))
    server.store().end_class(room.class_id, end)
    page = opened(room.code, key)
    assert "**Moments**" not in texts(page) and "pleasant" not in texts(page)
    (parts,) = (frame.value for frame in page.dataframe)
    assert parts["valence"].tolist() == ["withheld", "withheld"] and parts["mostly"].tolist() == ["", ""]


def test_the_report_of_a_class_without_cameras_is_offered_and_no_timeline() -> None:
    room, key = server.store().create_class("Ethics", False, server.now() - 60)
    server.store().give(signals.signal(room.class_id, "s0", "lost", server.now() - 30))
    server.store().end_class(room.class_id, server.now())
    page = opened(room.code, key)
    assert not page.exception
    assert [one.proto.label for one in page.get("download_button")] == ["Report (HTML)"]


@pytest.mark.parametrize(
    "typed", ["http://evil.example/login", "https://e.example", "www.evil.example", "ada@e.example"]
)
def test_what_was_typed_never_becomes_a_link(typed: str) -> None:
    shown = ui.plain(typed).replace("\\", "")
    assert shown != typed and shown.replace("\u2060", "") == typed
    assert not re.search(r"https?://|www\.|@\w", shown)


def marked(page: AppTest, text: str) -> AppTest:
    next(one for one in page.text_input if one.label == "Mark this moment").input(text)
    return button(page, "Mark").click().run()  # type: ignore[attr-defined, no-any-return]


def test_a_marked_moment_can_be_taken_back() -> None:
    page = marked(marked(make_class(), "film"), "quiz")
    (remove,) = [one for one in page.button if one.label.startswith("Remove") and one.label.endswith("film")]
    page = remove.click().run()
    assert not page.exception
    assert [marker.text for marker in server.store().markers(page.session_state.class_room.class_id)] == ["quiz"]


def test_the_compact_view_shows_what_changes_and_leaves_out_the_rest() -> None:
    page = make_class()
    fill(page.session_state.class_room.class_id, 4)
    compact = toggle(page, "Compact").set_value(True).run()  # type: ignore[attr-defined]
    assert not compact.exception
    assert charts_of(compact) == 1 and not [one for one in compact.button if one.label in ("Mark", "Pause", "Close")]
    assert [one.label for one in compact.metric][:2] == ["Students connected", "Contributing"]
    whole = toggle(compact, "Compact").set_value(False).run()  # type: ignore[attr-defined]
    assert [one for one in whole.button if one.label == "Mark"] and charts_of(whole) > 1


def test_a_class_without_cameras_can_mute_its_alert() -> None:
    room, key = server.store().create_class("Ethics", False, server.now())
    assert [one for one in opened(room.code, key).toggle if one.label == "Mute it"]


def ended_class(title: str, label: str, students: int) -> tuple[str, str]:
    """The code and key of a class of five minutes that showed one expression."""
    end = server.now() // 5 * 5
    room, key = server.store().create_class(title, True, end - 300)
    rows = [
        Bucket(room.class_id, f"s{i}", 0, end - 300 + at, 4, 4 * probs_of(label))
        for at in range(0, 300, 5)
        for i in range(students)
    ]
    server.store().put(rows, [], [])
    server.store().give(signals.signal(room.class_id, "s0", "lost", end - 100))
    server.store().end_class(room.class_id, end)
    return room.code, key


def classes_page(*known: tuple[str, str], compare: bool = False) -> AppTest:
    page = AppTest.from_file(str(ROOT / "pages" / "classes.py"), default_timeout=30)
    page.session_state.class_keys = dict(known)
    page = page.run()
    if compare:
        page = page.multiselect[0].set_value([code for code, _ in known]).run()
    return page


def test_two_classes_are_compared_by_their_figures() -> None:
    page = classes_page(ended_class("Before", "sad", 4), ended_class("After", "happy", 6), compare=True)
    assert not page.exception
    (frame,) = (one.value for one in page.dataframe)
    figures = {row[0]: row[1:] for row in frame.itertuples(index=False)}
    assert figures["most students contributing"] == ("4", "6")
    assert figures["mostly"] == ("sad", "happy") and figures["length"] == ("5 min", "5 min")
    assert float(figures["mean valence"][0]) < 0 < float(figures["mean valence"][1])
    assert figures["“Lost”"] == ("1", "1") and charts_of(page) == 1


def test_what_is_below_the_floor_is_not_compared() -> None:
    page = classes_page(ended_class("Two", "sad", 2), ended_class("Six", "happy", 6), compare=True)
    (frame,) = (one.value for one in page.dataframe)
    figures = {row[0]: row[1:] for row in frame.itertuples(index=False)}
    assert figures["mean valence"][0] == figures["mostly"][0] == "withheld" and figures["mostly"][1] == "happy"
    assert charts_of(page) == 0


def test_a_key_that_is_none_compares_and_deletes_nothing() -> None:
    (code, key), (other, _) = ended_class("Mine", "sad", 4), ended_class("Another's", "happy", 6)
    page = classes_page((code, key), (other, "a guess"), compare=True)
    assert "do not open a class" in texts(page) and not page.dataframe
    page = classes_page((code, key), (other, "a guess"))
    page = next(one for one in page.button if one.key == f"delete_{other}").click().run()
    assert "do not open a class" in texts(page)
    room = server.store().find_class(other)
    assert room is not None and server.store().logins(room.class_id)[-1][1] is False


def test_a_class_is_deleted_from_the_list_and_one_that_is_gone_is_not_listed() -> None:
    (code, key), (other, kept) = ended_class("Old", "sad", 4), ended_class("New", "happy", 6)
    page = classes_page((code, key), (other, kept), ("ZZZZZZ", "gone"))
    assert "Old" in texts(page) and "New" in texts(page) and "ZZZZZZ" not in texts(page)
    page = next(one for one in page.button if one.key == f"delete_{code}").click().run()
    assert not page.exception
    assert "Old" not in texts(page) and "New" in texts(page) and server.store().find_class(code) is None


def test_a_class_that_is_full_asks_to_join_without_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_CAPACITY", "1")
    room, _ = server.store().create_class("Algebra", True, server.now())
    first = joined(room.code)
    second = joined(room.code)
    assert "The class is full on this server" in texts(second) and "student_room" not in second.session_state
    second = button(second, "Join without a camera").click().run()  # type: ignore[attr-defined]
    assert second.session_state.student_stream is None
    first.session_state.student_stream.stop()
    assert joined(room.code).session_state.student_stream is not None


@pytest.mark.parametrize(("per_s", "says"), [(2.0, ""), (1.0, "once a second"), (0.2, "every 5 seconds")])
def test_the_instructor_is_told_when_cameras_are_read_less_often(
    per_s: float, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.Pace, "check", lambda pace: None)
    page = make_class()
    server.pace().per_s = per_s
    page.run()
    assert ("to keep up" in texts(page)) is bool(says) and says in texts(page)


@pytest.mark.parametrize("leaving", ["Leave", "Leave and delete my part", "the class ends"])
def test_a_students_timeline_shows_the_slots_that_are_over_and_goes_with_them(leaving: str) -> None:
    room, _ = server.store().create_class("Algebra", True, server.now())
    before = kept_by(open_page("join", code=room.code))
    page, begin = joined(room.code), server.now()
    seen = []
    for second in range(0, 26, 5):
        for half in (0.0, 0.5):
            at = begin + second + half
            page.session_state.student_stream.snapshot = Snapshot(LIVE, (reading(0),), at)
            page.run()
        seen.append("Only you see it" in texts(page))
    assert not page.exception
    assert seen[:2] == [False, False] and seen[-1]
    drawn = {name for name in kept_by(page) if "drawn" in name}
    assert drawn  # else there is nothing to forget
    if leaving == "the class ends":
        server.store().end_class(room.class_id, server.now())
        page.run()
    else:
        button(page, leaving).click().run()  # type: ignore[attr-defined]
    # The first holds the class, and no student; the second only says that this tab is to forget its seat.
    assert kept_by(page) - before <= {"rooms_seen", "seat_given_up"}
    assert page.session_state.seat_given_up is True
