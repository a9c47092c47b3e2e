"""The journal's page as Streamlit's own AppTest runs it."""

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fer import archive, classify, journal, live, oidc, server, ui, ui_journal, ui_keeper
from fer.errors import JournalError, StoreError
from fer.labels import LABELS
from fer.live import LIVE
from fer.sitting import LOST_S
from fer.store.journals import LOCKED_S, TRIES, Journals
from fer.types import Entry, Frame, Head, Keeper, Trial
from tests.conftest import ROOT
from tests.fakes import FakeClassifier, probs_of

pytestmark = pytest.mark.filterwarnings("default")
PASSPHRASE = "correct horse battery"
PROBS = tuple(map(float, probs_of("happy")))
SCRIPT = "<script>alert(1)</script> *bold* 🎈 $x$ [link](http://evil.example)"


@pytest.fixture(autouse=True)
def fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test has a database and resources of its own, and a model that reads every face as happy."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("FER_DATABASE_URL", f"sqlite:///{tmp_path / 'journal.sqlite3'}")
    monkeypatch.setenv("FER_DETECTOR", "cascade")
    st.cache_resource.clear()
    card = server.classifier().card
    fake = FakeClassifier()
    fake.card = card  # type: ignore[attr-defined]
    monkeypatch.setattr(classify, "load", lambda name: fake)
    st.cache_resource.clear()
    yield
    server.close()
    st.cache_resource.clear()


def open_page() -> AppTest:
    return AppTest.from_file(str(ROOT / "pages" / "journal.py"), default_timeout=30).run()


def texts(page: AppTest) -> str:
    kinds = (page.title, page.subheader, page.markdown, page.error, page.warning, page.info, page.success, page.caption)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def press(page: AppTest, label: str) -> AppTest:
    return next(button for button in page.button if button.label == label).click().run()


def go(page: AppTest, section: str) -> AppTest:
    return next(one for one in page.segmented_control if one.label == "Section").set_value(section).run()


def make(name: str = "Ada", passphrase: str = PASSPHRASE, again: str | None = None) -> AppTest:
    page = open_page()
    fields = [field for field in page.text_input][2:]
    for field, typed in zip(fields, (name, passphrase, passphrase if again is None else again), strict=True):
        field.input(typed)
    return press(page, "Make it")


def sign_in(page: AppTest, name: str, passphrase: str) -> AppTest:
    for field, typed in zip(page.text_input, (name, passphrase), strict=False):
        field.input(typed)
    return press(page, "Open")


def who(page: AppTest) -> Keeper:
    return page.session_state.journal_keeper  # type: ignore[no-any-return]


def fill(page: AppTest, n: int = 1, label: str = "sad", **more: Any) -> list[Entry]:
    made = [Entry(f"{i:032x}", 1.75e9 + 86400 * i, label, PROBS, **more) for i in range(n)]
    ui_keeper.journals().put(who(page), made, {})
    return made


def picture_of(frame: Frame) -> bytes:
    return cv2.imencode(".png", frame)[1].tobytes()


def take(page: AppTest, frame: Frame) -> AppTest:
    next(one for one in page.segmented_control if one.label == "Source").set_value("Upload").run()
    return page.file_uploader[0].upload("me.png", picture_of(frame), "image/png").run()


def head(n: int = 40) -> Head:
    """A head that reads happy faces as sad."""
    weights = np.eye(7)
    weights[[LABELS.index("happy"), LABELS.index("sad")]] = weights[[LABELS.index("sad"), LABELS.index("happy")]]
    return Head(1.75e9, tuple(map(tuple, (5 * weights).tolist())), (0.0,) * 7, Trial(n, 0.5, 0.8, 14, 2, 0.002), True)


def test_a_visitor_sees_what_a_journal_is_and_two_ways_in() -> None:
    page = open_page()
    assert not page.exception and page.title[0].value == "A private journal"
    assert [tab.label for tab in page.tabs] == ["Open my journal", "Make a journal"]


@pytest.mark.parametrize(
    "name, passphrase, again, sentence",
    [
        ("Ada", "short", "short", "10 to 200 signs"),
        ("", PASSPHRASE, PASSPHRASE, "needs a name"),
        ("Ada", PASSPHRASE, "another passphrase", "not the same"),
    ],
)
def test_a_journal_that_cannot_be_made_says_why(name: str, passphrase: str, again: str, sentence: str) -> None:
    page = make(name, passphrase, again)
    assert sentence in texts(page) and "journal_keeper" not in page.session_state


def test_a_wrong_passphrase_opens_nothing_and_five_lock_it() -> None:
    make()
    page = open_page()
    for _ in range(TRIES):
        page = sign_in(page, "Ada", "not the passphrase")
        assert "do not open a journal" in texts(page)
    page = sign_in(page, "Ada", PASSPHRASE)
    assert f"opens again in {LOCKED_S / 60:.0f} minutes" in texts(page)
    assert "journal_keeper" not in page.session_state


def test_signing_out_forgets_keeper_and_key() -> None:
    page = make()
    assert page.session_state.journal_key
    page = press(page, "Sign out")
    assert "You have signed out" in texts(page)
    for name in ("journal_keeper", "journal_key", "journal_head"):
        assert name not in page.session_state


def test_who_is_away_for_half_an_hour_is_signed_out() -> None:
    page = make()
    page.session_state.journal_seen_at -= ui_keeper.IDLE_S - 60
    page.run()
    assert "journal_keeper" in page.session_state
    page.session_state.journal_seen_at -= ui_keeper.IDLE_S + 1
    page.run()
    assert "have been signed out" in texts(page) and "journal_key" not in page.session_state


@pytest.mark.parametrize("section, said", [
    ("Timeline", "There is no entry yet"), ("Overview", "begins with your first entry"),
    ("Model", "There is too little to learn from"), ("Data", "What is kept"),
])  # fmt: skip
def test_an_empty_journal_says_so_in_every_section(section: str, said: str) -> None:
    page = go(make(), section)
    assert not page.exception and said in texts(page)


def test_a_correction_with_note_and_tags_is_saved_as_it_was_meant(astronaut: Frame) -> None:
    page = take(make(), astronaut)
    assert "Read as **😊️ happy** by the general model" in texts(page)
    page.radio[0].set_value("sad")
    page.text_area[0].input(SCRIPT)
    page.text_input[0].input("home, #After sport")
    page = press(page, "Save")
    (kept,) = ui_keeper.journals().entries(who(page).keeper_id)
    assert (kept.label, kept.note, kept.tags) == ("sad", SCRIPT, ("home", "after sport"))
    np.testing.assert_allclose(kept.probs, PROBS)
    assert ui_keeper.journals().pictures(who(page).keeper_id) == {}
    shown = texts(go(page, "Timeline"))
    assert "read as happy" in shown and ui.plain(SCRIPT) in shown and SCRIPT not in shown


def test_a_picture_is_kept_only_if_ticked_and_only_sealed(astronaut: Frame, tmp_path: Path) -> None:
    page = take(make(), astronaut)
    page.checkbox[0].check()
    page = press(page, "Save")
    (sealed,) = ui_keeper.journals().pictures(who(page).keeper_id).values()
    assert b"JFIF" not in sealed and cv2.imdecode(np.frombuffer(sealed, np.uint8), 1) is None
    assert b"JFIF" not in b"".join(path.read_bytes() for path in tmp_path.glob("journal.sqlite3*"))
    content = ui_journal.exported(who(page), page.session_state.journal_key)
    (picture,) = archive.unpack(content).pictures.values()
    assert max(cv2.imdecode(np.frombuffer(picture, np.uint8), 1).shape) <= journal.PORTRAIT_PX


def test_a_picture_without_a_face_is_a_sentence() -> None:
    page = take(make(), np.full((240, 320, 3), 128, np.uint8))
    assert "No face was found" in texts(page) and not page.radio


def test_of_twelve_faces_the_keeper_says_which_is_theirs(face_crop: Frame) -> None:
    tile = cv2.copyMakeBorder(cv2.resize(face_crop, (120, 131)), 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(128,) * 3)
    page = take(make(), np.tile(tile, (3, 4, 1)))
    (choice,) = page.selectbox
    assert choice.label.startswith("12 faces were found") and len(choice.options) == 12
    page = press(choice.set_value(7).run(), "Save")
    assert len(ui_keeper.journals().entries(who(page).keeper_id)) == 1


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_a_sentence(content: bytes) -> None:
    page = make()
    next(one for one in page.segmented_control if one.label == "Source").set_value("Upload").run()
    page = page.file_uploader[0].upload("bad.png", content, "image/png").run()
    assert not page.exception and page.error


def test_a_database_that_is_full_loses_nothing_that_was_typed(
    astronaut: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = take(make(), astronaut)

    def full(*_: object) -> int:
        raise StoreError("The database cannot be used: database or disk is full.")

    page.text_area[0].input("a long day")
    with monkeypatch.context() as patched:
        patched.setattr(Journals, "put", full)
        page = press(page, "Save")
    assert "disk is full" in texts(page) and page.text_area[0].value == "a long day"
    page = press(page, "Save")
    assert [entry.note for entry in ui_keeper.journals().entries(who(page).keeper_id)] == ["a long day"]


class Sat:
    """A journal's page before which somebody sits, and the camera, clock and START of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.shown = server.now(), SimpleNamespace(playing=False, signalling=False)
        monkeypatch.setattr(server, "now", lambda: self.now)
        monkeypatch.setattr(live, "camera", lambda *_: SimpleNamespace(state=self.shown))
        monkeypatch.setattr(server, "Pace", partial(live.Pace, clock=lambda: self.now))
        monkeypatch.setattr(live.Pace, "check", lambda pace: None)
        self.page = make()
        next(one for one in self.page.segmented_control if one.label == "Source").set_value("5 seconds").run()
        self.stream = self.page.session_state.journal_stream
        self.stream._clock = lambda: self.now

    def press_start(self) -> None:
        self.shown.playing = True
        self.page.run()

    def sit(self, seconds: float, frame: Frame, every_s: float = 0.2) -> AppTest:
        for _ in range(round(seconds / every_s)):
            self.stream.on_frame(av.VideoFrame.from_ndarray(frame, format="bgr24"))
            self.now += every_s
        page = self.page.run()
        self.shown.playing = not self.stream.stopped  # a camera that was taken from the page is off
        return page

    def counts_down(self) -> str:
        return " ".join(bar.proto.text for bar in self.page.get("progress"))


@pytest.fixture
def sat(monkeypatch: pytest.MonkeyPatch) -> Sat:
    return Sat(monkeypatch)


def test_five_seconds_are_counted_down_and_end_by_themselves(sat: Sat, scene: Frame) -> None:
    assert "Press **START**" in texts(sat.page) and "stops by itself" in texts(sat.page)
    sat.press_start()
    assert "Connecting" in texts(sat.page) and not sat.counts_down()
    sat.sit(2.0, scene)
    assert "3 s to go" in sat.counts_down() and not sat.page.radio
    page = sat.sit(3.2, scene)
    assert not page.exception and not sat.counts_down()
    assert "Read as **😊️ happy** by the general model" in texts(page)
    assert "The mean of 25 readings" in texts(page) and len(page.get("vega_lite_chart")) == 1
    assert sat.stream.stopped and "journal_stream" not in page.session_state


def test_what_five_seconds_showed_is_corrected_and_saved_as_a_photo_is(sat: Sat, scene: Frame) -> None:
    sat.press_start()
    page = sat.sit(5.2, scene)
    page.radio[0].set_value("sad")
    page.checkbox[0].check()
    page = press(page, "Save")
    (kept,) = ui_keeper.journals().entries(who(page).keeper_id)
    assert kept.label == "sad"
    np.testing.assert_allclose(kept.probs, PROBS, atol=1e-6)
    assert len(ui_keeper.journals().pictures(who(page).keeper_id)) == 1
    (picture,) = archive.unpack(ui_journal.exported(who(page), page.session_state.journal_key)).pictures.values()
    assert cv2.imdecode(np.frombuffer(picture, np.uint8), 1).shape[2] == 3
    assert "Press **START**" in texts(page) and "journal_sat" not in page.session_state


def test_unless_ticked_no_picture_of_five_seconds_is_kept(sat: Sat, scene: Frame, tmp_path: Path) -> None:
    sat.press_start()
    page = press(sat.sit(5.2, scene), "Save")
    assert len(ui_keeper.journals().entries(who(page).keeper_id)) == 1
    assert ui_keeper.journals().pictures(who(page).keeper_id) == {}
    assert {path.suffix for path in tmp_path.iterdir()} <= {".sqlite3", ".sqlite3-wal", ".sqlite3-shm"}


def test_five_seconds_without_a_face_are_a_sentence_and_can_be_had_again(sat: Sat, scene: Frame) -> None:
    sat.press_start()
    empty = np.full((240, 320, 3), 128, np.uint8)
    assert "No face is seen" in texts(sat.sit(2.0, empty))
    page = sat.sit(3.2, empty)
    assert "No face was seen" in texts(page) and "It ended" not in texts(page) and not page.radio
    page = press(page, "Read again")
    assert "Press **START**" in texts(page) and page.session_state.journal_stream is not sat.stream


def test_a_keeper_who_stops_early_has_what_was_read_until_then(sat: Sat, scene: Frame) -> None:
    sat.press_start()
    sat.sit(2.0, scene)
    sat.shown.playing = False
    page = sat.page.run()
    assert "It ended after 1.8 of 5 seconds." in texts(page) and "The mean of 10 readings" in texts(page)


def test_a_connection_that_is_lost_half_way_ends_it_with_what_was_read(sat: Sat, scene: Frame) -> None:
    sat.press_start()
    sat.sit(1.0, scene)
    sat.now += LOST_S
    page = sat.page.run()
    assert "It ended after 0.8 of 5 seconds." in texts(page) and "The mean of 5 readings" in texts(page)
    assert sat.stream.stopped


def test_stopped_before_the_first_picture_nothing_has_begun(sat: Sat) -> None:
    sat.press_start()
    sat.shown.playing = False
    page = sat.page.run()
    assert "Press **START**" in texts(page) and "It ended" not in texts(page)


def test_a_connection_that_never_comes_is_a_sentence(sat: Sat) -> None:
    sat.press_start()
    sat.now += live.CONNECT_S + 1
    assert "The connection failed" in texts(sat.page.run())


def test_of_several_faces_the_main_one_is_read(sat: Sat, face_crop: Frame) -> None:
    faces = np.full((240, 320, 3), 128, np.uint8)
    faces[30:210, 10:175] = cv2.resize(face_crop, (165, 180))
    faces[60:150, 215:297] = cv2.resize(face_crop, (82, 90))
    sat.press_start()
    page = sat.sit(5.2, faces)
    assert "2 faces were seen; the main one was read." in texts(page) and "The mean of 25 readings" in texts(page)


def test_five_seconds_count_as_a_camera_and_a_full_server_says_so(
    sat: Sat, scene: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_CAPACITY", "1")
    server.settings.clear()
    sat.press_start()
    sat.sit(1.0, scene)
    assert server.full() and "s to go" in sat.counts_down()  # it has its place, and keeps it
    other = server.new_sitting_stream()
    assert not other.here
    sat.sit(4.2, scene)
    assert not server.full()
    other.on_frame(av.VideoFrame.from_ndarray(scene, format="bgr24"))
    page = press(sat.page, "Read again")
    assert "The server is full" in texts(page) and "Press **START**" not in texts(page)
    other.stop()
    assert "Press **START**" in texts(press(page, "Ask again"))


def test_five_seconds_are_slowed_as_students_are_and_read_all_the_same(sat: Sat, scene: Frame) -> None:
    server.pace().per_s = 0.1 * server.pace().wanted_per_s
    sat.press_start()
    page = sat.sit(5.2, scene)
    assert "The mean of 3 readings" in texts(page) and "It ended" not in texts(page)


def test_who_signs_out_in_the_middle_leaves_nothing_of_it(sat: Sat, scene: Frame) -> None:
    sat.press_start()
    sat.sit(2.0, scene)
    page = press(sat.page, "Sign out")
    assert sat.stream.stopped
    assert not {"journal_stream", "journal_sat"} & set(page.session_state._state.filtered_state)


def test_an_own_model_reads_five_seconds_and_the_entry_keeps_the_general_reading(
    monkeypatch: pytest.MonkeyPatch, scene: Frame
) -> None:
    sat = Sat(monkeypatch)
    sat.page.session_state.journal_head = head()
    sat.press_start()
    page = sat.sit(5.2, scene)
    assert "sad** by your own model" in texts(page)
    page = press(page, "Save")
    (kept,) = ui_keeper.journals().entries(who(page).keeper_id)
    assert kept.label == "sad" and LABELS[int(np.argmax(kept.probs))] == "happy"


def test_one_keeper_sees_nothing_of_another(astronaut: Frame) -> None:
    ada = make("Ada")
    fill(ada, note="Ada's secret", tags=("hers",))
    bob = make("Bob", "another passphrase")
    for section in ("Timeline", "Overview", "Model", "Data"):
        assert "secret" not in texts(go(bob, section)) and "hers" not in texts(bob)
    assert archive.unpack(ui_journal.exported(who(bob), bob.session_state.journal_key)).entries == ()
    assert "secret" in texts(go(ada, "Timeline"))


def test_search_edit_delete_and_undo() -> None:
    page = make()
    fill(page, 2, note="rain", tags=("home",))
    page = go(page, "Timeline")
    page = page.text_input[0].input("sunshine").run()
    assert "No entry has all of these words" in texts(page)
    page = page.text_input[0].input("RAIN home").run()
    page = press(page, "Edit")
    page.radio[0].set_value("fear")
    page.text_area[0].input("sun")
    page = press(page, "Save")
    store = ui_keeper.journals()
    assert [(entry.label, entry.note) for entry in store.entries(who(page).keeper_id)] == [
        ("sad", "rain"),
        ("fear", "sun"),
    ]
    page = page.text_input[0].input("").run()
    before = store.entries(who(page).keeper_id)
    page = press(page, "Delete")
    assert store.entries(who(page).keeper_id) == before[:1]
    page = press(page, "Undo")
    assert store.entries(who(page).keeper_id) == before and "was deleted" not in texts(page)


def test_a_long_timeline_is_shown_in_parts() -> None:
    page = make()
    fill(page, 25)
    page = go(page, "Timeline")
    deletable = lambda: sum(button.label == "Delete" for button in page.button)  # noqa: E731
    assert deletable() == ui_journal.A_PAGE
    page = press(page, "Show more (15)")
    page = press(page, "Show more (5)")
    assert deletable() == 25


def test_overview_counts_and_draws() -> None:
    page = make()
    fill(page, 3)
    page = go(page, "Overview")
    assert [metric.value for metric in page.metric] == ["3", "0", "3"]
    assert len(page.get("vega_lite_chart")) == 2 and not page.exception


def labelled(page: AppTest, n: int = 84) -> None:
    """Entries of a keeper who calls fear surprise, and has the model's other readings right."""
    made = []
    for i in range(n):
        read = LABELS[i % 7]
        probs = tuple(map(float, probs_of(read, 0.6 + 0.004 * (i // 7))))
        made.append(Entry(f"{i:032x}", 1.75e9 + i, "surprise" if read == "fear" else read, probs))
    ui_keeper.journals().put(who(page), made, {})


def test_learning_shows_before_and_after_and_is_taken_back_by_one_tap(astronaut: Frame) -> None:
    page = make()
    labelled(page)
    page = press(go(page, "Model"), "Learn from my entries")
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown == {"General model right": "86%", "Own model right": "100%"}
    assert "**Your own model** of" in texts(page) and "was better" in texts(page)
    assert page.session_state.journal_head.in_use
    page = press(page, "Go back to the general model")
    assert page.session_state.journal_head is None and "**The general model** reads" in texts(page)
    again = sign_in(open_page(), "Ada", PASSPHRASE)
    assert again.session_state.journal_head is None


def test_a_model_in_use_reads_new_pictures_and_the_entry_keeps_the_general_reading(astronaut: Frame) -> None:
    page = make()
    ui_keeper.journals().put_head(who(page).keeper_id, head())
    page = take(sign_in(open_page(), "Ada", PASSPHRASE), astronaut)
    assert "sad** by your own model" in texts(page)
    page = press(page, "Save")
    (kept,) = ui_keeper.journals().entries(who(page).keeper_id)
    assert kept.label == "sad" and LABELS[int(np.argmax(kept.probs))] == "happy"


def test_a_class_gets_the_general_model_whatever_the_student_sees(
    scene: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing = SimpleNamespace(state=SimpleNamespace(playing=True, signalling=False))
    monkeypatch.setattr(live, "camera", lambda *_: playing)
    room, _ = server.store().create_class("Algebra", True, server.now())
    page = AppTest.from_file(str(ROOT / "pages" / "join.py"), default_timeout=30)
    page.query_params["code"] = room.code
    page.session_state.journal_head = head()
    page.run()
    page.checkbox[0].check()
    page = press(page, "Join")
    stream = page.session_state.student_stream
    stream.pace.per_s = 1000.0
    for _ in range(4):  # through the real pipeline and writer, while the page shows the keeper's own reading
        stream.on_frame(av.VideoFrame.from_ndarray(scene, format="bgr24"))
        page.run()
    assert stream.snapshot.state == LIVE and stream.snapshot.errors == 0
    assert ui.expression("sad") in texts(page) and "the class gets the general model's reading" in texts(page)
    server.writer().flush()
    for slot in server.store().slots(room.class_id, 0):
        assert LABELS[int(slot.mean_probs.argmax())] == "happy"
    assert server.store().slots(room.class_id, 0)


def test_an_export_comes_in_at_another_profile_and_twice_changes_nothing(astronaut: Frame) -> None:
    ada = take(make("Ada"), astronaut)
    ada.checkbox[0].check()
    ada = press(ada, "Save")
    content = ui_journal.exported(who(ada), ada.session_state.journal_key)
    bob = go(make("Bob", "another passphrase"), "Data")
    for added, there in ((1, 0), (0, 1)):
        bob.file_uploader[0].upload("journal.zip", content, "application/zip").run()
        bob = press(bob, "Take it in")
        assert f"{added} added, {there} were there already, 0 left out." in texts(bob)
    assert archive.unpack(ui_journal.exported(who(bob), bob.session_state.journal_key)).pictures


def test_an_archive_that_is_not_to_be_trusted_is_a_sentence_and_changes_nothing() -> None:
    page = go(make(), "Data")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("../../etc/passwd", "x")
    page.file_uploader[0].upload("journal.zip", out.getvalue(), "application/zip").run()
    page = press(page, "Take it in")
    assert "leads out of it" in texts(page) and not page.exception
    assert ui_keeper.journals().entries(who(page).keeper_id) == []


def test_bad_rows_are_counted_and_named() -> None:
    page = go(make(), "Data")
    good = archive.pack([Entry("1" * 32, 1.75e9, "sad", PROBS)], {})
    with zipfile.ZipFile(io.BytesIO(good)) as made:
        table = made.read(archive.TABLE).decode() + "bad,row\r\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as changed:
        changed.writestr(archive.TABLE, table)
    page.file_uploader[0].upload("journal.zip", out.getvalue(), "application/zip").run()
    page = press(page, "Take it in")
    assert "1 added, 0 were there already, 1 left out." in texts(page)
    assert "Row 2" in page.warning[0].value


NEW = "another horse entirely"


def change(page: AppTest, old: str, new: str, again: str) -> AppTest:
    page = go(page, "Data")
    fields = [field for field in page.text_input if "assphrase" in field.label]
    for field, typed in zip(fields, (old, new, again), strict=True):
        field.input(typed)
    return press(page, "Change the passphrase")


def test_a_changed_passphrase_keeps_the_pictures_and_signs_out_elsewhere(astronaut: Frame) -> None:
    page = take(make(), astronaut)
    page.checkbox[0].check()
    page = press(page, "Save")
    elsewhere = sign_in(open_page(), "Ada", PASSPHRASE)
    before = archive.unpack(ui_journal.exported(who(page), page.session_state.journal_key)).pictures
    page = change(page, PASSPHRASE, NEW, NEW)
    assert "Your passphrase has been changed." in [toast.value for toast in page.toast]
    assert archive.unpack(ui_journal.exported(who(page), page.session_state.journal_key)).pictures == before != {}
    page = press(take(go(page, "New"), astronaut), "Save")
    assert len(ui_keeper.journals().entries(who(page).keeper_id)) == 2  # whoever changed it goes on

    elsewhere = elsewhere.run()
    assert "You have been signed out: the passphrase was changed" in texts(elsewhere)
    assert not {"journal_keeper", "journal_key"} & set(elsewhere.session_state._state.filtered_state)
    assert "do not open a journal" in texts(sign_in(elsewhere, "Ada", PASSPHRASE))
    again = sign_in(elsewhere, "Ada", NEW)
    assert (
        archive.unpack(ui_journal.exported(who(again), again.session_state.journal_key)).pictures.keys()
        >= before.keys()
    )


def test_an_entry_that_was_deleted_before_the_change_comes_back_with_its_picture(astronaut: Frame) -> None:
    page = take(make(), astronaut)
    page.checkbox[0].check()
    page = press(go(press(page, "Save"), "Timeline"), "Delete")
    page = press(change(page, PASSPHRASE, NEW, NEW), "Undo")
    assert len(archive.unpack(ui_journal.exported(who(page), page.session_state.journal_key)).pictures) == 1


@pytest.mark.parametrize("old, new, again, sentence", [
    ("not the passphrase", NEW, NEW, "The old passphrase is not right. Nothing was changed."),
    (PASSPHRASE, NEW, "something else", "are not the same. Nothing was changed."),
    (PASSPHRASE, "short", "short", "10 to 200 signs"),
])  # fmt: skip
def test_a_passphrase_that_is_not_changed_says_why(old: str, new: str, again: str, sentence: str) -> None:
    page = change(make(), old, new, again)
    assert sentence in texts(page) and "journal_keeper" in sign_in(open_page(), "Ada", PASSPHRASE).session_state


def test_everything_is_deleted_by_whoever_types_their_name() -> None:
    page = make()
    fill(page, 3)
    ui_keeper.journals().put_head(who(page).keeper_id, head())
    keeper = who(page)
    page = go(page, "Data")
    page.text_input[-1].input("ada")
    page = press(page, "Delete my journal")
    assert "Nothing was deleted" in texts(page) and len(ui_keeper.journals().entries(keeper.keeper_id)) == 3
    page.text_input[-1].input("Ada")
    page = press(page, "Delete my journal")
    assert "Your journal has been deleted" in texts(page) and "journal_keeper" not in page.session_state
    assert ui_keeper.journals().entries(keeper.keeper_id) == []
    with pytest.raises(JournalError):
        ui_keeper.journals().open("Ada", PASSPHRASE, server.now())


def vouch_for(monkeypatch: pytest.MonkeyPatch, **more: object) -> dict[str, object]:
    """What an OpenID provider says of Ada, who has just signed in there."""
    claims = {"is_logged_in": True, "iss": "https://issuer.example", "sub": "42", "name": "Ada", "iat": server.now()}
    monkeypatch.setattr(ui_keeper, "provider", lambda: True)
    monkeypatch.setattr(st, "user", {**claims, **more})
    return st.user  # type: ignore[return-value]


def test_who_signs_in_elsewhere_has_a_journal_without_pictures(
    monkeypatch: pytest.MonkeyPatch, astronaut: Frame
) -> None:
    monkeypatch.setattr(ui_keeper, "provider", lambda: True)
    assert [button.label for button in open_page().button] == ["Sign in"]
    claims = vouch_for(monkeypatch)
    page = take(open_page(), astronaut)
    assert "The journal of Ada" in texts(page) and not page.checkbox
    assert "Change the passphrase" not in [button.label for button in go(open_page(), "Data").button]
    page = press(page, "Save")
    assert len(ui_keeper.journals().entries(who(page).keeper_id)) == 1
    assert who(open_page()) == who(page)
    claims["sub"] = "43"
    assert ui_keeper.journals().entries(who(open_page()).keeper_id) == []


@pytest.mark.parametrize("issued_at", [None, "today", -ui_keeper.IDLE_S - 1])
def test_who_signed_in_elsewhere_long_ago_signs_in_again(monkeypatch: pytest.MonkeyPatch, issued_at: object) -> None:
    vouch_for(monkeypatch, iat=server.now() + issued_at if isinstance(issued_at, float) else issued_at)
    page = open_page()
    assert [button.label for button in page.button] == ["Sign in"] and "journal_keeper" not in page.session_state
    assert "more than half an hour ago" in texts(page)


def test_who_signs_out_of_what_is_elsewhere_ends_the_run_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = vouch_for(monkeypatch)
    monkeypatch.setattr(st, "logout", claims.clear)
    page = press(open_page(), "Sign out")
    assert "You have signed out" in texts(page)
    assert [button.label for button in page.button] == ["Sign out"]  # a run more would have shown "Sign in"
    assert [button.label for button in page.run().button] == ["Sign in"]


@pytest.mark.parametrize("outcome", [*oidc.SENTENCES, "<script>", ""])
def test_what_came_of_signing_in_elsewhere_is_a_sentence_of_ours(monkeypatch: pytest.MonkeyPatch, outcome: str) -> None:
    page = AppTest.from_file(str(ROOT / "pages" / "journal.py"), default_timeout=30)
    page.query_params[oidc.OUTCOME] = outcome
    assert not page.run().info  # nobody signs in elsewhere here
    monkeypatch.setattr(ui_keeper, "provider", lambda: True)
    assert [info.value for info in page.run().info] == [text for key, text in oidc.SENTENCES.items() if key == outcome]
    vouch_for(monkeypatch)
    assert "The journal of Ada" in texts(page.run()) and not page.info


def test_a_provider_that_is_not_set_up_as_it_should_be_is_the_operators_affair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ui_keeper, "provider", lambda: True)
    page = press(open_page(), "Sign in")
    assert "Signing in is not set up as it should be" in texts(page) and not page.exception


def test_who_is_named_by_an_address_can_copy_it_to_delete_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    vouch_for(monkeypatch, name="", email="ada@school.example")
    page = go(open_page(), "Data")
    page.text_input[-1].input("ada@\u2060school.example")
    page = press(page, "Delete my journal")
    assert "Your journal has been deleted" in texts(page)
