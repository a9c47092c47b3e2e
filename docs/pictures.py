"""Makes the pictures of the README: python docs/pictures.py (needs what ./setup.sh test installs).

The student and the photo are the real thing before a fake camera; the class is simulated.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import expect  # noqa: E402

from fer.aggregate import SLOT_S  # noqa: E402
from fer.store.sql import SqlStore  # noqa: E402
from fer.types import Bucket, Presence  # noqa: E402
from tests import browser as b  # noqa: E402

DOCS = ROOT / "docs"


def simulate(store: SqlStore, code: str, now: float, students: int = 24, minutes: int = 6) -> None:
    """Rows of a lesson: some cheer, a surprise three minutes ago, a hard minute, relief."""
    room = store.find_class(code)
    assert room is not None
    rng = np.random.default_rng(3)
    faces = rng.dirichlet([1, 0.3, 0.6, 4, 1.2, 1, 7], students)
    rows = []
    for start in np.arange((now - 60 * minutes) // SLOT_S * SLOT_S, now, SLOT_S):
        minute = (start - now) / 60
        lesson = np.ones(7)
        lesson[3] += 0.8 * np.sin(1.2 * minute)
        lesson[5] += 6 * np.exp(-((minute + 3) ** 2) / 0.05)
        lesson[[0, 4]] += 5 * np.exp(-((minute + 1.4) ** 2) / 0.08)
        for i, face in enumerate(faces):
            probs = rng.dirichlet(face * lesson / (face @ lesson) * 40)
            rows.append(Bucket(room.class_id, f"simulated{i:023d}", 0, float(start), 10, probs * rng.binomial(10, 0.9)))
    here = [Presence(room.class_id, f"simulated{i:023d}", now + 60, int(i > 1)) for i in range(students)]
    store.put(rows, here, [])


def main() -> None:
    import time

    with tempfile.TemporaryDirectory() as name, b.running_app(Path(name)) as app, b.playwright() as started:
        folder = Path(name)
        camera = b.record_camera(folder / "face.mjpeg", b.face())
        browser = b.launch(started, camera)
        for size, viewport in (("desktop", b.DESKTOP), ("phone", b.PHONE)):
            page = b.new_page(browser, viewport)
            room = b.make_class(page, app.url, "Algebra, Monday 9:00")
            page.get_by_role("button", name="I have saved it").click()
            simulate(SqlStore(f"sqlite:///{app.database}"), room.code, time.time())
            expect(page.get_by_test_id("stVegaLiteChart").nth(2)).to_be_visible()
            page.wait_for_timeout(2500)
            page.screenshot(path=DOCS / f"teach-{size}.png")
            student = b.new_page(browser, viewport)
            b.join(student, app.url, room.code)
            b.press_start(student)
            expect(student.get_by_text("Only you see this")).to_be_visible()
            student.wait_for_timeout(2500)
            student.screenshot(path=DOCS / f"student-{size}.png")
            student.context.close()
            page.goto(f"{app.url}/photo")
            b.cv2.imwrite(str(folder / "photo.png"), b.data.astronaut()[:, :, ::-1])
            page.locator("input[type=file]").set_input_files(folder / "photo.png")
            expect(page.get_by_role("button", name="JSON")).to_be_visible()
            page.wait_for_timeout(1500)
            page.screenshot(path=DOCS / f"photo-{size}.png")
        browser.close()


if __name__ == "__main__":
    main()
