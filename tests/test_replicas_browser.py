"""One class on two replicas in real Chromium, behind nginx and on PostgreSQL; then one replica is killed."""

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

from fer.store import sql
from fer.store.sql import SqlStore
from fer.types import Slot
from tests import browser as b
from tests.test_deploy import COOKIE, Site, cookies_of_both, running_site

pytestmark = b.MARKS


TOKEN = "token"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path, FER_MIN_GROUP="2", FER_METRICS_TOKEN=TOKEN) as running:
        yield running


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Browser]:
    with b.playwright() as started:
        yield b.launch(started, b.record_camera(tmp_path / "face.mjpeg", b.face()))


def page_of(chromium: Browser, site: Site, cookie: str) -> Page:
    """A page whose visitor nginx has sent to the replica of that cookie before."""
    page = b.new_page(chromium, ignore_https_errors=True)
    page.context.add_cookies([{"name": COOKIE, "value": cookie, "url": site.proxy.url, "secure": True}])
    return page


def cameras(app: b.App) -> int:
    """How many cameras are connected to that replica itself."""
    address = app.url.replace("localhost", "127.0.0.1")
    request = urllib.request.Request(f"{address}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    text = urllib.request.urlopen(request, timeout=10).read().decode()
    return int(float(re.search(r"^classmood_cameras (\S+)$", text, re.M).group(1)))  # type: ignore[union-attr]


def rows(store: SqlStore) -> dict[tuple[float, str, int], int]:
    """How many readings each bucket in the database holds, by its start, stream and face."""
    c = sql.buckets.c
    with store.begin() as connection:
        found = connection.execute(sa.select(c.start, c.stream_id, c.face_id, c.n))
        return {(start, stream_id, face_id): n for start, stream_id, face_id, n in found}


def test_a_class_on_two_replicas_has_one_mood_and_goes_on_when_one_is_killed(site: Site, chromium: Browser) -> None:
    doomed, other = cookies_of_both(site)
    instructor, moved, stays = (page_of(chromium, site, cookie) for cookie in (other, doomed, other))
    room = b.make_class(instructor, site.proxy.url)
    for student in (moved, stays):
        b.join(student, site.proxy.url, room.code)
        b.press_start(student)
        expect(student.get_by_text("Only you see this")).to_be_visible()
    b.expect_figures(room, 2, 2, limit_s=60)
    assert [cameras(replica) for replica in site.replicas] == [1, 1]
    b.wait_for(lambda: room.metric("Valence now") != "–", 60, "a mood, which needs both")

    store = SqlStore(site.database.url)
    class_id = store.find_class(room.code).class_id  # type: ignore[union-attr]
    before = rows(store)
    most = 0

    def back() -> bool:
        """Whether the instructor is shown both again; at no time are there more."""
        nonlocal most
        most = max(most, int(room.metric("Students connected")), int(room.metric("Contributing")))
        return room.metric("Contributing") == "2" and cameras(site.replicas[1]) == 2

    site.replicas[0].process.kill()
    expect(moved.get_by_text("You are in the class again")).to_be_visible()
    b.press_start(moved)
    expect(moved.get_by_text("Only you see this")).to_be_visible()
    b.wait_for(back, 60, "both to contribute by one replica")
    assert most == 2

    def slots() -> list[Slot]:
        return store.slots(class_id, 0)

    back_at = slots()[-1].start
    b.wait_for(lambda: 2 in [slot.n_streams for slot in slots() if slot.start > back_at], 60, "both in a new slot")
    after = rows(store)
    assert all(after[key] >= n for key, n in before.items())
    assert max(slot.n_streams for slot in slots()) == 2

    moved.get_by_role("button", name="Leave and delete my part").click()
    expect(moved.get_by_text("what you contributed has been deleted")).to_be_visible()
    assert {slot.n_streams for slot in slots()} == {1}
    moved.reload()
    expect(moved.get_by_label("Class code")).to_have_value(room.code)
    expect(stays.get_by_text("Only you see this")).to_be_visible()
