"""The real thing: a server of this app, real Chromium, and a camera whose picture the test chooses."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright
from skimage import data

expect.set_options(timeout=30_000)  # a shared machine may be slow; what must be quick is measured by itself
ROOT = Path(__file__).resolve().parent.parent
SCREENSHOTS = ROOT / "screenshots"
CAMERA = 'iframe[title*="webrtc_streamer"]'  # streamlit-webrtc's frame, with START and STOP
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage "
    "--use-fake-ui-for-media-stream --use-fake-device-for-media-stream"
).split()
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def chromium_path() -> str | None:
    """The installed Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("FER_CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)


MARKS = [
    pytest.mark.browser,
    # All pages of a browser share Chromium's fake camera, which about once in forty times stops for all of them, for
    # good, when another page opens it: no picture in any page's own preview any more. (Chromium 2026, Debian 12.)
    pytest.mark.flaky(reruns=2),
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(chromium_path() is None, reason="Chromium is not installed: sudo apt install chromium"),
]


def face() -> np.ndarray:
    """A real face (Eileen Collins; NASA, public domain) as a webcam shows it.  # (240, 320, 3) uint8 BGR"""
    return cv2.resize(data.astronaut()[:384, :, ::-1], (320, 240), interpolation=cv2.INTER_AREA)


def frowning() -> np.ndarray:
    """The same face with its mouth's corners drawn down and its brows lowered.  # (240, 320, 3) uint8 BGR"""
    picture = face()
    y, x = np.mgrid[0:240, 0:320].astype(np.float32)
    middle, mouth, brows, side = 140.0, 88.4, 60.5, 62.0  # where they are, and how large the face is, in pixels
    along = (x - middle) / (0.22 * side)
    corners = (along**2 - 0.5) * np.exp(-(((y - mouth) / (0.1 * side)) ** 2)) * np.exp(-((np.abs(along) / 1.6) ** 4))
    frown = np.exp(-(((y - brows) / (0.08 * side)) ** 2)) * np.exp(-(((x - middle) / (0.25 * side)) ** 2))
    moved = y - side * (0.2 * corners + 0.13 * frown)
    return cv2.remap(picture, x, moved.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def faceless() -> np.ndarray:
    """A room without anybody in it: a cup of coffee.  # (240, 320, 3) uint8 BGR"""
    return cv2.resize(data.coffee()[:, :, ::-1], (320, 240), interpolation=cv2.INTER_AREA)


def black() -> np.ndarray:
    """What a muted camera sends.  # (240, 320, 3) uint8 BGR"""
    return np.zeros((240, 320, 3), np.uint8)


def record_camera(
    path: Path, *pictures: np.ndarray, seconds: Sequence[float] = (4.0,), fps: int = 10, noise: int = 8
) -> Path:
    """An MJPEG file for Chromium's fake camera: each picture for some seconds, panned, with sensor noise, in a loop."""
    rng = np.random.default_rng(0)
    shown = [picture for picture, n in zip(pictures, seconds, strict=True) for _ in range(round(n * fps))]
    with av.open(str(path), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=fps, options={"qscale": "3"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuvj420p"
        for i, picture in enumerate(shown):
            shift = round(8 * np.sin(2 * np.pi * i / (4 * fps)))
            moved = np.roll(picture, (shift // 2, shift), (0, 1)).astype(np.int16)
            if noise and picture.any():
                moved += rng.integers(-noise, noise + 1, picture.shape)
            frame = av.VideoFrame.from_ndarray(np.clip(moved, 0, 255).astype(np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@dataclass
class App:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    database: Path

    def rss_mb(self) -> float:
        """Resident memory of the server's process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024  # type: ignore[union-attr]

    def has_loaded(self, library: str) -> bool:
        """Whether a shared object of that library is mapped into the server's process."""
        return library in Path(f"/proc/{self.process.pid}/maps").read_text()


@contextmanager
def running_app(folder: Path, script: Path = ROOT / "serve.py", **settings: str) -> Iterator[App]:
    """`streamlit run` on a free port with a database of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log, database = folder / "server.log", folder / "classmood.sqlite3"
    environ = {**os.environ, "FER_DATABASE_URL": f"sqlite:///{database}", **settings}
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=sink, stderr=subprocess.STDOUT)
    try:
        url = f"http://localhost:{port}"
        wait_for(lambda: _healthy(url), 60, f"the server, see {log}")
        yield App(url, process, log, database)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _healthy(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_for(condition: object, limit_s: float, what: str) -> float:
    """Poll until `condition()` is true; returns the seconds it took, fails after `limit_s`."""
    begin = time.monotonic()
    while not condition():  # type: ignore[operator]
        assert time.monotonic() - begin < limit_s, f"waited {limit_s} s for {what}"
        time.sleep(0.05)
    return time.monotonic() - begin


@contextmanager
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


def launch(started: Playwright, camera: Path | None = None) -> Browser:
    """A Chromium of its own, so that it can have a camera of its own, and be killed."""
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"] if camera else FLAGS
    return started.chromium.launch(executable_path=chromium_path(), args=flags)


def new_page(browser: Browser, viewport: dict[str, int] = DESKTOP, **options: object) -> Page:
    context: BrowserContext = browser.new_context(viewport=viewport, permissions=["camera"], **options)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(30_000)
    return page


@dataclass
class Classroom:
    """A class as made in the browser."""

    page: Page
    code: str
    key: str

    def metric(self, name: str) -> str:
        """The figure under that heading of the instructor's page."""
        return self.page.get_by_test_id("stMetric").filter(has_text=name).get_by_test_id("stMetricValue").inner_text()


def make_class(page: Page, url: str, title: str = "Algebra") -> Classroom:
    """Make a class with cameras as an instructor outside of the EU does."""
    page.goto(f"{url}/teach")
    page.get_by_label("Where is it held?").click()
    page.get_by_role("option", name="Elsewhere").click()
    page.get_by_label("Title").fill(title)
    page.get_by_text("I confirm that reading").click()
    page.get_by_role("button", name="Make the class").click()
    key = page.get_by_test_id("stCode").first.inner_text().strip()
    button = page.get_by_role("button", name=re.compile("Join code")).inner_text()
    return Classroom(page, re.findall(r"[A-Z0-9]{6}", button)[0], key)


def join(page: Page, url: str, code: str) -> None:
    """Open the join link and agree."""
    page.goto(f"{url}/join?code={code}")
    page.get_by_text("I understand and agree").click()
    page.get_by_role("button", name="Join", exact=True).click()


def press_start(page: Page) -> None:
    """Press START in streamlit-webrtc's frame."""
    page.frame_locator(CAMERA).first.get_by_role("button", name="START").click()


def press_stop(page: Page) -> None:
    page.frame_locator(CAMERA).first.get_by_role("button", name="STOP").click()


def expect_figures(room: Classroom, connected: int, contributing: int, limit_s: float = 15) -> float:
    """Wait until the instructor's page shows these figures; returns how long it took."""

    def shown() -> bool:
        return (room.metric("Students connected"), room.metric("Contributing")) == (str(connected), str(contributing))

    return wait_for(shown, limit_s, f"{connected} connected and {contributing} contributing")


def look(page: Page, name: str, size: str) -> None:
    """Keep a picture of the page, and see that nothing sticks out of it sideways and that everybody can use it."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=screenshot(f"{name}-{size}"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), f"{name} scrolls sideways"
    found = [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    assert not found, f"{name} at {size} width:\n" + "\n".join(found)


def screenshot(name: str) -> Path:
    SCREENSHOTS.mkdir(exist_ok=True)
    return SCREENSHOTS / f"{name}.png"


def database_files(app: App) -> set[Path]:
    return {app.database, *(app.database.with_name(app.database.name + tail) for tail in ("-wal", "-shm", "-journal"))}


def written_files(app: App) -> set[Path]:
    """The regular files that the server has open for writing."""
    folder = Path(f"/proc/{app.process.pid}")
    found = set()
    for link in (folder / "fd").iterdir():
        try:
            target = link.resolve()
            flags = int(re.search(r"flags:\s+(\d+)", (folder / "fdinfo" / link.name).read_text()).group(1), 8)  # type: ignore[union-attr]
        except (OSError, AttributeError):
            continue
        if target.is_file() and flags & (os.O_WRONLY | os.O_RDWR):
            found.add(target)
    return found


def instructor_page_samples(folder: Path, refreshes: int, every: int = 10) -> list[tuple[int, float]]:
    """DOM nodes and script heap in MB of the page of a demo class, each `every` refreshes, after garbage collection."""
    with running_app(folder) as app, playwright() as started:
        page = new_page(launch(started))
        page.goto(f"{app.url}/teach")
        page.get_by_role("button", name="Try a demo class").click()
        expect(page.locator("canvas, svg.marks").nth(3)).to_be_visible()
        tools = page.context.new_cdp_session(page)
        tools.send("Performance.enable")
        samples = []
        for _ in range(0, refreshes, every):
            page.wait_for_timeout(1000 * every)
            tools.send("HeapProfiler.collectGarbage")
            found = {metric["name"]: metric["value"] for metric in tools.send("Performance.getMetrics")["metrics"]}
            samples.append((int(found["Nodes"]), found["JSHeapUsedSize"] / 1e6))
    return samples


def one_student_rss_mb(folder: Path, samples: int = 10) -> list[float]:
    """Resident memory of the app with one student on camera, in MB, a second apart."""
    camera = record_camera(folder / "face.mjpeg", face())
    with running_app(folder, FER_MIN_GROUP="1") as app, playwright() as started:
        browser = launch(started, camera)
        room = make_class(new_page(browser), app.url)
        student = new_page(browser)
        join(student, app.url, room.code)
        press_start(student)
        expect(student.get_by_text("Only you see this")).to_be_visible()
        values = []
        for _ in range(samples):
            time.sleep(1)
            values.append(app.rss_mb())
        browser.close()
    return values
