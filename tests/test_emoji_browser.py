"""The emoji mirror in real Chromium: the emoji is in the picture that comes back, and in the snapshot."""

import base64
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from tests import browser as b

pytestmark = b.MARKS
GRAB = """video => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    return canvas.toDataURL("image/png").split(",")[1];
}"""


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A visitor of the emoji page who has pressed START, before a camera with a face."""
    folder = tmp_path_factory.mktemp("emoji")
    camera = b.record_camera(folder / "face.mjpeg", b.face())
    with b.running_app(folder) as app, b.playwright() as started:
        browser = b.launch(started, camera)
        page = b.new_page(browser)
        page.goto(f"{app.url}/emoji")
        b.press_start(page)
        yield page
        browser.close()


def yellow(picture: np.ndarray) -> float:
    """The share of the middle of the mirrored face that has an emoji's yellow; the face itself has none."""
    height, width = picture.shape[:2]
    y, x = round(0.30 * height), round((1 - 0.437) * width)
    part = picture[y - height // 16 : y + height // 16, x - width // 24 : x + width // 24].astype(int)
    return float(((part[:, :, 2] > 190) & (part[:, :, 1] > 140) & (part[:, :, 0] < 110)).mean())


def returned(page: Page) -> np.ndarray:
    """The picture that the visitor sees now."""
    video = page.frame_locator(b.CAMERA).locator("video")
    content = base64.b64decode(video.evaluate(GRAB) or "")
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    return np.zeros((48, 64, 3), np.uint8) if picture is None else picture


def test_the_picture_comes_back_with_the_emoji_on_the_face(visitor: Page) -> None:
    assert yellow(b.face()[:, ::-1]) < 0.05
    b.wait_for(lambda: yellow(returned(visitor)) > 0.5, 30, "an emoji in the picture that comes back")
    expect(visitor.get_by_text("happy")).to_be_visible()
    b.look(visitor, "emoji", "desktop")


def test_the_snapshot_is_the_picture_with_its_emoji(visitor: Page, tmp_path: Path) -> None:
    b.wait_for(lambda: yellow(returned(visitor)) > 0.5, 30, "an emoji in the picture that comes back")
    with visitor.expect_download() as download:
        visitor.get_by_role("button", name="Snapshot").click()
    download.value.save_as(tmp_path / "emoji.png")
    picture = cv2.imread(str(tmp_path / "emoji.png"))
    assert picture is not None and picture.shape[1] >= 320
    assert yellow(picture) > 0.5


def test_uncovered_the_face_is_seen_again(visitor: Page) -> None:
    visitor.get_by_text("Cover the faces").click()
    b.wait_for(lambda: 0 < returned(visitor).std() and yellow(returned(visitor)) < 0.1, 20, "the face to be free")


def test_the_mirror_fits_on_a_phone(visitor: Page) -> None:
    visitor.set_viewport_size(b.PHONE)
    b.wait_for(lambda: returned(visitor).std() > 0, 20, "the picture")
    b.look(visitor, "emoji", "phone")
    visitor.set_viewport_size(b.DESKTOP)
