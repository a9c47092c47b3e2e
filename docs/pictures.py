"""Makes the pictures of the README: python docs/pictures.py (needs what ./setup.sh test installs).

The student and the photo are the real thing before a fake camera; the class is the demo class.
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import expect  # noqa: E402

from tests import browser as b  # noqa: E402

DOCS = ROOT / "docs"


def main() -> None:
    with tempfile.TemporaryDirectory() as name, b.running_app(Path(name)) as app, b.playwright() as started:
        folder = Path(name)
        camera = b.record_camera(folder / "face.mjpeg", b.face())
        browser = b.launch(started, camera)
        for size, viewport in (("desktop", b.DESKTOP), ("phone", b.PHONE)):
            page = b.new_page(browser, viewport)
            page.goto(f"{app.url}/teach")
            page.get_by_role("button", name="Try a demo class").click()
            expect(page.get_by_test_id("stVegaLiteChart").nth(2)).to_be_visible()
            page.wait_for_timeout(2500)
            page.screenshot(path=DOCS / f"teach-{size}.png")
            student = b.new_page(browser, viewport)
            b.join(student, app.url, b.make_class(student, app.url).code)
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
