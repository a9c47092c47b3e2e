"""deploy/ on loopback, without containers: nginx before two replicas on one PostgreSQL."""

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fer.aggregate import NOW_S, SLOT_S, mood
from fer.store.sql import SqlStore
from fer.store.writer import Writer
from tests import browser as b
from tests import postgres, proxy
from tests.fakes import bucket, present
from tests.visitor import visit

COOKIE = "classmood_replica"


@dataclass(frozen=True)
class Site:
    proxy: proxy.Proxy
    replicas: tuple[b.App, b.App]
    database: postgres.Server

    def get(self, path: str, cookie: str = "", method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection("127.0.0.1", self.proxy.port, timeout=30, context=self.proxy.tls)
        connection.request(method, path, headers={**({"Cookie": f"{COOKIE}={cookie}"} if cookie else {}), **headers})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def answered_by(self, cookie: str) -> str:
        """The address of the replica that answers who sends that cookie."""
        request = f"/healthz?{time.monotonic_ns()}"
        assert self.get(request, cookie).status == 200
        b.wait_for(lambda: request in self.proxy.log.read_text(), 10, "nginx's log")
        (line,) = (line for line in self.proxy.log.read_text().splitlines() if line.endswith(request))
        return line.split(" ")[-3]  # after a replica that did not answer the one that did


@contextmanager
def running_site(folder: Path, **settings: str) -> Iterator[Site]:
    """Two replicas with these settings, and what stands before and behind them."""
    if proxy.binary() is None:
        pytest.skip(proxy.ABSENT)
    if postgres.binary("initdb") is None:
        pytest.skip(postgres.ABSENT)
    folders = [folder / name for name in ("app1", "app2", "nginx")]
    for made in folders:
        made.mkdir()
    with ExitStack() as stack:
        database = stack.enter_context(postgres.running())
        environ = {"FER_DATABASE_URL": database.url, "STREAMLIT_SERVER_ADDRESS": "127.0.0.1", **settings}
        one, two = (stack.enter_context(b.running_app(made, **environ)) for made in folders[:2])
        addresses = [_address(app) for app in (one, two)]
        yield Site(stack.enter_context(proxy.running(folders[2], addresses)), (one, two), database)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site"), FER_MIN_GROUP="1") as running:
        yield running


def cookies_of_both(site: Site) -> tuple[str, str]:
    """A cookie that leads to each replica."""
    found: dict[str, str] = {}
    for i in range(100):
        found.setdefault(site.answered_by(f"visitor{i}"), f"visitor{i}")
        if len(found) == 2:
            return found[_address(site.replicas[0])], found[_address(site.replicas[1])]
    raise AssertionError("one replica answers everybody")


def _address(app: b.App) -> str:
    return app.url.removeprefix("http://").replace("localhost", "127.0.0.1")


def test_a_visitor_stays_with_the_replica_that_answered_first(site: Site) -> None:
    given = site.get("/").headers["Set-Cookie"]
    assert all(word in given for word in ("Secure", "HttpOnly", "SameSite=Lax"))
    cookie = given.split(";")[0].removeprefix(f"{COOKIE}=")
    assert len(cookie) == 32 and f"{COOKIE}={cookie}" in site.get("/", cookie).headers["Set-Cookie"]
    assert len({site.answered_by(cookie) for _ in range(10)}) == 1
    cookies_of_both(site)


def test_a_page_opens_over_the_websocket_of_either_replica(site: Site) -> None:
    for cookie in cookies_of_both(site):
        with visit(site.proxy.url, {"Cookie": f"{COOKIE}={cookie}"}, site.proxy.tls) as visitor:
            assert b"How is the class doing?" in visitor.open()


@pytest.mark.browser
@pytest.mark.flaky(reruns=2)
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(b.chromium_path() is None, reason="Chromium is not installed: sudo apt install chromium")
def test_a_class_goes_through_the_proxy_and_its_policy_stops_nothing(site: Site, tmp_path: Path) -> None:
    with b.playwright() as started:
        chromium = b.launch(started, b.record_camera(tmp_path / "face.mjpeg", b.face()))
        instructor, student = (b.new_page(chromium, ignore_https_errors=True) for _ in range(2))
        said: list[str] = []
        for page in (instructor, student):
            page.on("console", lambda message: said.append(message.text))
        room = b.make_class(instructor, site.proxy.url)
        b.join(student, site.proxy.url, room.code)
        b.press_start(student)
        b.expect(student.get_by_text("Only you see this")).to_be_visible()
        b.expect(instructor.get_by_test_id("stVegaLiteChart").first).to_be_visible()
        chromium.close()
    assert [line for line in said if "Content Security Policy" in line] == []


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Strict-Transport-Security", "max-age=31536000"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Referrer-Policy", "same-origin"),
        ("Permissions-Policy", r"camera=\(self\), microphone=\(\)"),
        ("Content-Security-Policy", "default-src 'self'.*frame-ancestors 'self'"),
    ],
)
def test_every_answer_has_the_headers_that_protect_it(site: Site, header: str, value: str) -> None:
    for path in ("/", "/healthz", "/no/such/page", "/metrics"):
        assert re.match(value, site.get(path).headers[header] or ""), path


def test_the_figures_are_not_for_visitors_and_http_leads_to_https(site: Site) -> None:
    assert site.get("/metrics").status == 404
    connection = http.client.HTTPConnection("127.0.0.1", site.proxy.plain_port, timeout=30)
    connection.request("GET", "/join?code=ACX4K7", headers={"Host": "class.example.org"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, "https://class.example.org/join?code=ACX4K7")


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/", 2 << 20, 413), ("/_stcore/upload_file/a/b", 211 << 20, 413)],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_sent(site: Site, path: str, size: int, status: int) -> None:
    assert site.get(path, method="PUT", **{"Content-Length": str(size)}).status == status


class SignsIn(BaseHTTPRequestHandler):
    """A replica that answers as Streamlit does after signing in at a provider whose tokens are long."""

    def do_GET(self) -> None:
        self.send_response(302)
        for i in range(4):
            self.send_header("Set-Cookie", f"_streamlit_user_{i}={'a' * 4000}")
        self.send_header("Location", "journal")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.skipif(proxy.binary() is None, reason=proxy.ABSENT)
def test_the_long_cookies_of_a_sign_in_come_through(tmp_path: Path) -> None:
    replica = ThreadingHTTPServer(("127.0.0.1", 0), SignsIn)
    threading.Thread(target=replica.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with proxy.running(tmp_path, [f"127.0.0.1:{replica.server_port}"] * 2) as before:
            connection = http.client.HTTPSConnection("127.0.0.1", before.port, timeout=30, context=before.tls)
            connection.request("GET", "/oauth2callback?code=1")
            answer = connection.getresponse()
            connection.close()
    finally:
        replica.shutdown()
        replica.server_close()
    cookies = answer.headers.get_all("Set-Cookie")
    assert answer.status == 302 and sum(cookie.startswith("_streamlit_user") for cookie in cookies) == 4


SLOW = {
    "headers that do not end": b"GET / HTTP/1.1\r\nHost: class.example.org\r\nX-Slow: ",
    "a body that does not end": (
        b"PUT /_stcore/upload_file/a/slow HTTP/1.1\r\nHost: class.example.org\r\nContent-Length: 100000\r\n\r\nbegin"
    ),
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
def test_a_slow_upload_is_dropped_and_never_reaches_a_replica(site: Site, sent: bytes) -> None:
    plain = socket.create_connection(("127.0.0.1", site.proxy.port), timeout=20)
    with site.proxy.tls.wrap_socket(plain, server_hostname="127.0.0.1") as slow:
        slow.sendall(sent)
        begin = time.monotonic()
        try:
            while slow.recv(4096):
                pass
        except (ConnectionError, ssl.SSLEOFError):
            pass
        assert time.monotonic() - begin < 10 * proxy.PATIENCE_S
    reached = [line for line in site.proxy.log.read_text().splitlines() if "slow" in line and not line.startswith("- ")]
    assert reached == []


def test_a_hundred_slow_clients_keep_nobody_waiting(site: Site) -> None:
    slow = [socket.create_connection(("127.0.0.1", site.proxy.port), timeout=20) for _ in range(100)]
    try:
        assert site.get("/healthz").status == 200
    finally:
        for connection in slow:
            connection.close()


def test_students_of_both_replicas_are_one_class_and_a_replica_that_is_killed_takes_nothing_with_it(site: Site) -> None:
    first, second = cookies_of_both(site)
    stores = SqlStore(site.database.url), SqlStore(site.database.url)  # each replica has a pool of its own
    writers = [Writer(lambda store=store: store) for store in stores]  # type: ignore[misc]
    now = time.time() // SLOT_S * SLOT_S
    room, _ = stores[0].create_class("Algebra", True, now - 60)
    for writer, students in zip(writers, ("abc", "def"), strict=True):
        for student in students:
            mine = [bucket(student, now - at, n=2, class_id=room.class_id) for at in (15, 10, 5)]
            writer.put(mine, present(student, now, class_id=room.class_id))
        assert writer.flush()
    for store in stores:
        slots = store.slots(room.class_id, 0.0)
        assert [(slot.n_streams, slot.n_faces) for slot in slots] == [(6, 6)] * 3
        here = store.presences(room.class_id, now - NOW_S)
        assert mood(here, store.latest(room.class_id, now - NOW_S), 5, now).contributing == 6

    site.replicas[0].process.kill()
    site.replicas[0].process.wait(10)
    assert site.answered_by(first) == site.answered_by(second) == _address(site.replicas[1])
    with visit(site.proxy.url, {"Cookie": f"{COOKIE}={first}"}, site.proxy.tls) as visitor:
        assert b"Join a class" in visitor.open("join")
    # Its students connect to the other one; what was written twice counts once, and who is gone fades.
    writers[1].put(
        [bucket("a", now - 5, n=2, class_id=room.class_id)], present("new-a", now + 11, class_id=room.class_id)
    )
    for student in "def":
        writers[1].put([], present(student, now + 11, class_id=room.class_id))
    assert writers[1].flush()
    assert [slot.n_streams for slot in stores[1].slots(room.class_id, 0.0)] == [6, 6, 6]
    assert len(stores[1].presences(room.class_id, now + 11 - NOW_S)) == 4
    for writer in writers:
        writer.close()
