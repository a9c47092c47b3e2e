"""A journal's whole life in real Chromium: two keepers, a correction, a model of one's own, export, deletion."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer import archive
from fer.labels import LABELS
from fer.types import Entry

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

from tests import browser as b

pytestmark = b.MARKS


@pytest.fixture
def app(tmp_path: Path) -> Iterator[b.App]:
    with b.running_app(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser before whose camera sits a smiling face."""
    with b.playwright() as started:
        browser = b.launch(started, b.record_camera(tmp_path_factory.mktemp("camera") / "face.mjpeg", b.face()))
        yield browser
        browser.close()


def make(chromium: Browser, app: b.App, name: str, viewport: dict[str, int] = b.DESKTOP) -> Page:
    page = b.new_page(chromium, viewport)
    page.goto(f"{app.url}/journal")
    page.get_by_role("tab", name="Make a journal").click()
    panel = page.get_by_role("tabpanel").filter(visible=True)
    panel.get_by_label("Name").fill(name)
    panel.get_by_label("Passphrase", exact=True).fill(f"{name} has a long passphrase")
    panel.get_by_label("The passphrase again").fill(f"{name} has a long passphrase")
    panel.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    return page


def go(page: Page, section: str) -> None:
    page.get_by_test_id("stButtonGroup").first.get_by_text(section, exact=True).click()


def take(page: Page) -> None:
    """Take a picture with the camera and wait for its reading."""
    page.get_by_role("button", name="Take Photo").click()
    expect(page.get_by_text(re.compile("^Read as"))).to_be_visible()


def five_seconds(page: Page) -> None:
    """Choose the five seconds and wait for the camera's START."""
    page.get_by_test_id("stButtonGroup").get_by_text("5 seconds", exact=True).click()
    page.mouse.move(0, 0)  # what is pointed at has another contrast
    expect(page.frame_locator(b.CAMERA).first.get_by_role("button", name="START")).to_be_visible()


def of_a_keeper_who_calls_happy_surprise(path: Path, n: int = 42) -> Path:
    """An exported journal."""
    entries = []
    for i in range(n):
        read = LABELS[i % 7]
        probs = tuple(0.76 if label == read else 0.04 for label in LABELS)
        label = "surprise" if read == "happy" else read
        entries.append(Entry(f"{i:032x}", 1.75e9 + 86400 * i, label, probs, f"day {i}"))
    path.write_bytes(archive.pack(entries, {}))
    return path


def test_two_keepers_correct_learn_export_and_delete(chromium: Browser, app: b.App, tmp_path: Path) -> None:
    ada, bob = make(chromium, app, "Ada"), make(chromium, app, "Bob", b.PHONE)

    # Ada corrects what her face was read as, and keeps the picture.
    take(ada)
    expect(ada.get_by_text("happy by the general model")).to_be_visible()
    ada.get_by_role("radiogroup", name="What does it show?").get_by_text("surprise").click()
    ada.get_by_label("Note").fill("The first <script>document.title = 'HACKED'</script> 🎈")
    ada.get_by_text("Keep the picture").click()
    ada.get_by_role("button", name="Save").click()
    expect(ada.get_by_text("Saved as")).to_be_visible()

    # She brings her older entries, and learns from all of them.
    go(ada, "Data")
    ada.locator("input[type=file]").set_input_files(of_a_keeper_who_calls_happy_surprise(tmp_path / "old.zip"))
    ada.get_by_role("button", name="Take it in").click()
    expect(ada.get_by_text("42 added, 0 were there already")).to_be_visible()
    go(ada, "Model")
    ada.get_by_role("button", name="Learn from my entries").click()
    expect(ada.get_by_text("It was better")).to_be_visible()
    assert not app.has_loaded("site-packages/sklearn/")  # that was in another process
    go(ada, "New")
    take(ada)
    expect(ada.get_by_text("surprise by your own model")).to_be_visible()

    # The timeline shows picture and note as they were; nothing of it reaches Bob.
    go(ada, "Timeline")
    ada.get_by_label("Search").fill("first")
    ada.get_by_label("Search").press("Enter")
    expect(ada.get_by_text("The first <script>")).to_be_visible()
    expect(ada.get_by_role("img", name="A face that shows")).to_be_visible()
    assert ada.title() != "HACKED"
    go(ada, "Overview")
    expect(ada.get_by_test_id("stVegaLiteChart").locator("canvas, svg.marks").nth(1)).to_be_visible()
    go(bob, "Timeline")
    expect(bob.get_by_text("There is no entry yet")).to_be_visible()
    go(bob, "New")
    take(bob)
    expect(bob.get_by_text("happy by the general model")).to_be_visible()
    assert bob.evaluate("document.documentElement.scrollWidth <= window.innerWidth")  # nothing wider than a phone

    # She takes everything with her, and leaves nothing behind.
    go(ada, "Data")
    with ada.expect_download() as download:
        ada.get_by_role("button", name="Download 43 entries").click()
    found = archive.unpack(Path(download.value.path()).read_bytes())
    assert len(found.entries) == 43 and len(found.pictures) == 1 and not found.left_out
    ada.get_by_label("To delete everything").fill("Ada")
    ada.get_by_role("button", name="Delete my journal").click()
    expect(ada.get_by_text("Your journal has been deleted")).to_be_visible()
    for file in app.database.parent.glob("classmood.sqlite3*"):
        assert b"document.title" not in file.read_bytes()
    for page in (ada, bob):
        page.context.close()


@pytest.mark.parametrize(("size", "viewport"), [("desktop", b.DESKTOP), ("phone", b.PHONE)])
def test_five_seconds_are_read_and_saved_and_the_camera_stops_by_itself(
    size: str, viewport: dict[str, int], chromium: Browser, app: b.App
) -> None:
    page = make(chromium, app, "Ada", viewport)
    before = b.written_files(app)
    five_seconds(page)
    b.look(page, "journal-start", size)
    b.press_start(page)
    expect(page.get_by_text("s to go")).to_be_visible()
    page.screenshot(path=b.screenshot(f"journal-sitting-{size}"), full_page=True)
    assert b.written_files(app) <= before | b.database_files(app)  # while it is on camera
    expect(page.get_by_text(re.compile(r"The mean of \d+ readings"))).to_be_visible()
    expect(page.get_by_text("happy by the general model")).to_be_visible()
    expect(page.locator(b.CAMERA)).to_have_count(0)  # and with it the browser's hold on the camera
    b.look(page, "journal-sat", size)
    page.get_by_text("Keep the picture").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved as")).to_be_visible()
    go(page, "Timeline")
    expect(page.get_by_role("img", name="A face that shows: happy")).to_be_visible()
    for file in app.database.parent.glob("classmood.sqlite3*"):
        assert b"JFIF" not in file.read_bytes()
    page.context.close()


def test_stopped_early_and_read_again(chromium: Browser, app: b.App) -> None:
    page = make(chromium, app, "Ada")
    five_seconds(page)
    b.press_start(page)
    expect(page.get_by_text("s to go")).to_be_visible()
    b.press_stop(page)
    expect(page.get_by_text("It ended after")).to_be_visible()
    page.get_by_role("button", name="Read again").click()
    b.press_start(page)
    expect(page.get_by_text(re.compile(r"The mean of \d+ readings"))).to_be_visible()
    expect(page.get_by_text("It ended after")).to_have_count(0)
    page.context.close()


def test_a_camera_that_is_refused_says_what_to_change(chromium: Browser, app: b.App) -> None:
    page = make(chromium, app, "Ada")
    tools = page.context.new_cdp_session(page)
    visitor = tools.send("Target.getTargetInfo")["targetInfo"]["browserContextId"]
    refused = {"permission": {"name": "camera"}, "setting": "denied", "origin": app.url, "browserContextId": visitor}
    tools.send("Browser.setPermission", refused)
    five_seconds(page)
    expect(page.get_by_text("This page may not use the camera")).to_be_visible()
    b.press_start(page)
    expect(page.get_by_text("Press START and allow the camera")).to_be_visible()
    expect(page.get_by_text("s to go")).to_have_count(0)
    page.context.close()


def test_a_camera_that_is_pulled_half_way_ends_it(chromium: Browser, app: b.App) -> None:
    page = make(chromium, app, "Ada")
    five_seconds(page)
    b.press_start(page)
    expect(page.get_by_text("s to go")).to_be_visible()
    page.evaluate(f"document.querySelector('{b.CAMERA}').contentWindow.location.replace('about:blank')")
    expect(page.get_by_role("button", name="Read again")).to_be_visible()
    page.context.close()
