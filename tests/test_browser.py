"""The whole story in real Chromium, over real WebRTC, with a camera whose picture the test chooses."""

import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, Playwright, expect

from fer.aggregate import SLOT_S
from fer.store.sql import SqlStore
from tests import browser as b
from tests.fakes import bucket

pytestmark = b.MARKS
DRAWN = "canvas, svg.marks"
# How many pictures a video shows in two seconds.
PICTURES = """video => new Promise(done => {
    let n = 0;
    const count = () => { n += 1; video.requestVideoFrameCallback(count); };
    video.requestVideoFrameCallback(count);
    setTimeout(() => done(n), 2000);
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[b.App]:
    """A server whose group floor is two."""
    with b.running_app(folder, FER_MIN_GROUP="2") as running:
        yield running


@pytest.fixture(scope="module")
def started() -> Iterator[Playwright]:
    with b.playwright() as running:
        yield running


@pytest.fixture(scope="module")
def chromium(started: Playwright, folder: Path) -> Iterator[Browser]:
    """A browser before whose camera sits a face."""
    browser = b.launch(started, b.record_camera(folder / "face.mjpeg", b.face()))
    yield browser
    browser.close()


@pytest.fixture
def pages(chromium: Browser) -> Iterator[list[Page]]:
    """Pages to close after the test, so that the next one begins with an empty server."""
    opened: list[Page] = []
    yield opened
    for page in opened:
        page.context.close()


def a_class(chromium: Browser, pages: list[Page], app: b.App) -> b.Classroom:
    pages.append(b.new_page(chromium))
    return b.make_class(pages[-1], app.url)


def a_student(browser: Browser, pages: list[Page], app: b.App, code: str) -> Page:
    """A student on camera, in a context of their own."""
    page = b.new_page(browser)
    pages.append(page)
    b.join(page, app.url, code)
    b.press_start(page)
    return page


def test_a_deep_link_opened_before_anything_else_shows_the_whole_app(
    started: Playwright, chromium: Browser, pages: list[Page], tmp_path: Path
) -> None:
    with b.running_app(tmp_path) as fresh:
        pages.append(b.new_page(chromium))
        pages[-1].goto(f"{fresh.url}/join?code=ABC234")
        expect(pages[-1].get_by_role("link", name="The model")).to_be_visible()
        expect(pages[-1].get_by_label("Class code")).to_have_value("ABC234")


def test_two_students_move_the_class_mood_and_one_leaves(chromium: Browser, pages: list[Page], app: b.App) -> None:
    room = a_class(chromium, pages, app)
    expect(room.page.get_by_text("Nobody is connected yet")).to_be_visible()

    first = a_student(chromium, pages, app, room.code)
    expect(first.get_by_text("Only you see this")).to_be_visible()
    expect(room.page.get_by_text("1 of at least 2 students contribute")).to_be_visible()

    second = a_student(chromium, pages, app, room.code)
    expect(second.get_by_text("Only you see this")).to_be_visible()
    b.expect_figures(room, 2, 2)
    # A slot of five seconds is shown when it is over and both have been in it.
    b.wait_for(lambda: room.metric("Valence now") != "–", 15, "the mood of a whole slot")
    bars = room.page.get_by_test_id("stVegaLiteChart").first
    expect(bars).to_be_visible()

    # The chart is redrawn in place: an element that we mark survives the next refreshes.
    bars.locator(DRAWN).first.evaluate("element => { element.dataset.marked = 'yes' }")
    before = frames_written(app)
    b.wait_for(lambda: frames_written(app) > before + 4, 10, "more readings in the database")
    assert bars.locator("[data-marked=yes]").count() == 1

    assert not app.has_loaded("site-packages/tensorflow/")
    assert b.written_files(app) <= {app.log, *b.database_files(app)}

    first.get_by_role("button", name="Leave", exact=True).click()
    assert b.expect_figures(room, 1, 1) <= 2
    expect(first.get_by_text("You have left the class")).to_be_visible()
    expect(room.page.get_by_text("1 of at least 2 students contribute")).to_be_visible()


def test_a_tab_that_is_closed_is_gone_within_two_seconds(chromium: Browser, pages: list[Page], app: b.App) -> None:
    room = a_class(chromium, pages, app)
    for _ in range(2):  # a second try, where the machine was busy with something else
        student = a_student(chromium, pages, app, room.code)
        b.expect_figures(room, 1, 1)
        student.close()
        if (took_s := b.expect_figures(room, 0, 0)) <= 2:
            break
    assert took_s <= 2


def test_a_browser_that_is_killed_is_gone_within_twelve_seconds(
    started: Playwright, chromium: Browser, pages: list[Page], app: b.App, folder: Path
) -> None:
    room = a_class(chromium, pages, app)
    before = chromium_processes()
    doomed = b.launch(started, folder / "face.mjpeg")
    a_student(doomed, [], app, room.code)
    b.expect_figures(room, 1, 1)
    for process in chromium_processes() - before:
        os.kill(process, signal.SIGKILL)
    assert b.expect_figures(room, 0, 0) <= 12


@pytest.mark.parametrize(
    ("picture", "sentence"), [("faceless", "No face is seen"), ("black", "Your camera sends black")]
)
def test_a_camera_that_shows_no_face_is_connected_and_does_not_contribute(
    picture: str, sentence: str, started: Playwright, chromium: Browser, pages: list[Page], app: b.App, folder: Path
) -> None:
    room = a_class(chromium, pages, app)
    camera = b.record_camera(folder / f"{picture}.mjpeg", getattr(b, picture)())
    other = b.launch(started, camera)
    student = a_student(other, [], app, room.code)
    expect(student.get_by_text(sentence)).to_be_visible()
    expect(student.get_by_text("You are not contributing")).to_be_visible()
    b.expect_figures(room, 1, 0)
    other.close()


def test_the_mood_of_two_is_withheld_where_three_are_needed(
    chromium: Browser, pages: list[Page], tmp_path: Path
) -> None:
    with b.running_app(tmp_path, FER_MIN_GROUP="3") as strict:
        room = a_class(chromium, pages, strict)
        for _ in range(2):
            a_student(chromium, pages, strict, room.code)
        b.expect_figures(room, 2, 2)
        expect(room.page.get_by_text("2 of at least 3 students contribute")).to_be_visible()
        b.wait_for(lambda: frames_written(strict) > 12, 15, "readings in the database")
        assert room.metric("Valence now") == "–"
        assert room.page.get_by_test_id("stVegaLiteChart").count() == 0


def test_the_overlay_sends_the_picture_back_and_the_own_picture_is_shown_without_it(
    chromium: Browser, pages: list[Page], app: b.App
) -> None:
    room = a_class(chromium, pages, app)
    student = a_student(chromium, pages, app, room.code)
    expect(student.get_by_text("Only you see this")).to_be_visible()
    expect(student.get_by_label("Your own picture")).to_be_visible()
    student.get_by_text("Show the overlay").click()
    expect(student.get_by_text("and allow the camera")).to_be_visible()
    b.press_start(student)
    returned = student.frame_locator(b.CAMERA).locator("video")
    b.wait_for(lambda: returned.evaluate("video => video.videoWidth") > 0, 20, "the picture to come back")
    expect(student.get_by_text("Only you see this")).to_be_visible()
    student.screenshot(path=b.screenshot("overlay-desktop"))


def test_a_server_that_is_late_asks_browsers_for_fewer_pictures(
    chromium: Browser, pages: list[Page], tmp_path: Path
) -> None:
    # Every process of this server begins with a governor for which anything is late.
    (tmp_path / "sitecustomize.py").write_text("from fer import governor\ngovernor.LATE_S = governor.EASY_S = 0.0\n")
    with b.running_app(tmp_path, FER_MIN_GROUP="1", PYTHONPATH=f"{tmp_path}{os.pathsep}{b.ROOT}") as late:
        room = a_class(chromium, pages, late)
        student = a_student(chromium, pages, late, room.code)
        expect(student.get_by_text("Only you see this")).to_be_visible()
        picture = student.get_by_label("Your own picture")
        expect(room.page.get_by_text("Many cameras are on")).to_be_visible()
        b.wait_for(lambda: 0 < picture.evaluate(PICTURES) <= 6, 60, "two pictures a second")
        assert picture.evaluate("video => [video.videoWidth, video.videoHeight]") == [320, 240]
        expect(student.get_by_text("Only you see this")).to_be_visible()
        b.expect_figures(room, 1, 1)


def test_a_class_that_ends_turns_the_cameras_off(chromium: Browser, pages: list[Page], app: b.App) -> None:
    room = a_class(chromium, pages, app)
    student = a_student(chromium, pages, app, room.code)
    b.expect_figures(room, 1, 1)
    room.page.get_by_role("button", name=re.compile("End the class")).click()
    room.page.get_by_role("button", name="End it now").click()
    expect(room.page.get_by_text("This class has ended")).to_be_visible()
    expect(student.get_by_text("The class has ended. Your camera is off")).to_be_visible()
    assert student.locator(b.CAMERA).count() == 0


def test_code_and_key_open_the_class_again(chromium: Browser, pages: list[Page], app: b.App) -> None:
    room = a_class(chromium, pages, app)
    pages.append(b.new_page(chromium))
    again = pages[-1]
    again.goto(f"{app.url}/teach")
    again.get_by_label("Class code").fill(room.code)
    again.get_by_label("Instructor key").fill(room.key)
    again.get_by_test_id("stBaseButton-secondaryFormSubmit").filter(has_text="Open").click()
    expect(again.get_by_role("heading", name="Algebra")).to_be_visible()
    assert room.key not in again.url and room.key not in app.log.read_text()


@pytest.mark.parametrize(("size", "viewport"), [("desktop", b.DESKTOP), ("phone", b.PHONE)])
def test_every_page_is_whole_at_this_width(
    size: str, viewport: dict[str, int], chromium: Browser, pages: list[Page], app: b.App, tmp_path: Path
) -> None:
    room = a_class(chromium, pages, app)
    for _ in range(2):
        a_student(chromium, pages, app, room.code)
    b.expect_figures(room, 2, 2)
    page = b.new_page(chromium, viewport)
    pages.append(page)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name, waits_for in (("", "How is the class doing?"), ("model", "What it must not be used for")):
        page.goto(f"{app.url}/{name}")
        expect(page.get_by_text(waits_for)).to_be_visible()
        b.look(page, name or "home", size)
    page.goto(f"{app.url}/photo")
    picture = tmp_path / "me.png"
    b.cv2.imwrite(str(picture), b.face())
    page.locator("input[type=file]").set_input_files(picture)
    expect(page.get_by_role("button", name="JSON")).to_be_visible()
    b.look(page, "photo", size)
    b.join(page, app.url, room.code)
    b.look(page, "join", size)
    b.press_start(page)
    expect(page.get_by_text("Only you see this")).to_be_visible()
    b.look(page, "student", size)
    page.goto(f"{app.url}/teach")
    page.get_by_label("Class code").fill(room.code)
    page.get_by_label("Instructor key").fill(room.key)
    page.get_by_test_id("stBaseButton-secondaryFormSubmit").filter(has_text="Open").click()
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    b.look(page, "teach", size)
    page.get_by_text("Compact").click()
    expect(page.get_by_label("Mark this moment")).to_have_count(0)
    b.look(page, "compact", size)
    for name, waits_for in (
        ("classes", "listed here"),
        ("recording", "A recorded class"),
        (f"show?code={room.code}", "Scan"),
    ):
        page.goto(f"{app.url}/{name}")
        expect(page.get_by_text(waits_for).first).to_be_visible()
        b.look(page, name.split("?")[0], size)
    assert errors == []


def frames_written(app: b.App) -> int:
    """How many readings have reached the database."""
    with sqlite3.connect(f"file:{app.database}?mode=ro", uri=True, timeout=5) as connection:
        return int(connection.execute("SELECT coalesce(sum(n), 0) FROM buckets").fetchone()[0])


def chromium_processes() -> set[int]:
    return {p.pid for p in psutil.Process().children(recursive=True) if "chrom" in p.name()}


def test_a_class_without_cameras_is_counted_by_taps_and_asks_for_no_camera(
    app: b.App, chromium: Browser, pages: list[Page]
) -> None:
    instructor = b.new_page(chromium)
    student = b.new_page(chromium, b.PHONE)
    pages += [instructor, student]
    instructor.goto(f"{app.url}/teach")
    instructor.get_by_label("Where is it held?").click()
    instructor.get_by_role("option", name="In the EU or EEA").click()
    expect(instructor.get_by_text("self-report alone")).to_be_visible()
    instructor.get_by_label("Title").fill("Ethics")
    instructor.get_by_role("button", name="Make the class").click()
    key = instructor.get_by_test_id("stCode").first.inner_text().strip()
    label = instructor.get_by_role("button", name=re.compile("Join code")).inner_text()
    room = b.Classroom(instructor, re.findall(r"[A-Z0-9]{6}", label)[0], key)
    student.add_init_script("navigator.mediaDevices.getUserMedia = () => { document.title = 'ASKED FOR A CAMERA' }")
    student.goto(f"{app.url}/join?code={room.code}")
    student.get_by_role("button", name="Join", exact=True).click()
    student.get_by_role("button", name="Lost").click()
    expect(student.get_by_role("button", name="Lost ✓")).to_be_visible()
    b.wait_for(lambda: (room.metric("Lost"), room.metric("Students connected")) == ("1", "1"), 15, "the tap")
    assert student.locator(b.CAMERA).count() == 0
    assert student.get_by_role("button", name="Lost ✓").bounding_box()["height"] >= 48  # type: ignore[index]
    assert student.title() != "ASKED FOR A CAMERA"
    student.close()
    b.wait_for(lambda: room.metric("Students connected") == "0", 15, "the student to be gone")


def test_a_demo_class_shows_every_chart_within_ten_seconds(app: b.App, chromium: Browser, pages: list[Page]) -> None:
    page = b.new_page(chromium)
    pages.append(page)
    page.goto(f"{app.url}/teach")
    page.get_by_role("button", name="Try a demo class").click()
    expect(page.get_by_text("This class is simulated")).to_be_visible(timeout=10_000)
    expect(page.locator(DRAWN).nth(3)).to_be_visible(timeout=10_000)


def test_a_whole_class_from_its_link_to_its_report(
    started: Playwright, chromium: Browser, pages: list[Page], folder: Path, tmp_path: Path
) -> None:
    """Three students, one without a camera; what they say, a marked moment, an alert, a pause, the end, the report."""
    faces = b.record_camera(folder / "changing.mjpeg", b.face(), b.frowning(), seconds=(8, 120))
    with b.running_app(tmp_path, FER_MIN_GROUP="2") as app:
        cameras = b.launch(started, faces)
        room = a_class(chromium, pages, app)
        on_camera = [a_student(cameras, [], app, room.code) for _ in range(2)]
        silent = b.new_page(chromium, b.PHONE)
        pages.append(silent)
        silent.goto(f"{app.url}/join?code={room.code}")
        silent.get_by_role("button", name="Join without a camera").click()
        b.wait_for(lambda: room.metric("Students connected") == "3", 30, "three students")
        be_calm_until_now(app, room.code, students=2)

        silent.get_by_role("button", name="Lost").click()
        on_camera[0].get_by_role("button", name="Slower").click()
        b.wait_for(lambda: (room.metric("Lost"), room.metric("Slower")) == ("1", "1"), 15, "what they say")
        room.page.get_by_label("Mark this moment").fill("Exercise <3>")
        room.page.get_by_label("Mark this moment").press("Enter")
        expect(room.page.get_by_role("button", name="1 marked")).to_be_visible()
        # The cameras change to a frowning face: half a minute of it, in slots that are shown when they are over.
        expect(room.page.get_by_text("more negative expressions than is usual")).to_be_visible(timeout=90_000)

        room.page.get_by_role("button", name="Pause").click()
        for student in on_camera:
            expect(student.get_by_text("The class is paused")).to_be_visible()
        room.page.get_by_role("button", name="Go on").click()
        expect(on_camera[0].get_by_text("Only you see this")).to_be_visible()

        room.page.get_by_role("button", name="End the class").click()
        room.page.get_by_role("button", name="End it now").click()
        expect(silent.get_by_text("The class has ended")).to_be_visible()
        with room.page.expect_download() as downloaded:
            room.page.get_by_role("button", name="Report (HTML)").click()
        downloaded.value.save_as(report := tmp_path / "report.html")
        cameras.close()

    offline = b.new_page(chromium, offline=True)
    pages.append(offline)
    offline.goto(report.as_uri())
    expect(offline.get_by_role("heading", name="Algebra")).to_be_visible()
    expect(offline.get_by_text("there were more negative expressions than is usual")).to_be_visible()
    expect(offline.get_by_role("cell", name="Exercise <3>")).to_be_visible()
    expect(offline.locator(DRAWN).first).to_be_visible()


def be_calm_until_now(app: b.App, code: str, students: int, minutes: float = 4) -> None:
    """What the class showed before the test began, as the store keeps it: the alert compares with the usual."""
    store = SqlStore(f"sqlite:///{app.database}")
    room = store.find_class(code)
    assert room is not None
    first = store.slots(room.class_id, 0)[0].start
    for i in range(1, round(minutes * 60 / SLOT_S)):
        at = first - SLOT_S * i
        store.put([bucket(f"{s:032x}", at, 8, class_id=room.class_id) for s in range(students)], [], [])
