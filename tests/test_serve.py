"""The service as a real process: its status, its log, and how it ends."""

import http.client
import json
import shutil
import signal
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import browser as b
from tests.conftest import ROOT
from tests.visitor import visit

TOKEN = "only-for-prometheus"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[b.App]:
    folder = tmp_path_factory.mktemp("serve")
    with b.running_app(folder, FER_METRICS_TOKEN=TOKEN, FER_LOG_FORMAT="json", FER_DETECTOR="cascade") as running:
        yield running


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_before_the_first_visitor_it_is_ready(app: b.App) -> None:
    status, content = get(f"{app.url}/healthz")
    assert (status, json.loads(content)) == (200, {"ready": True, "model": True, "database": True})


def test_while_the_database_is_away_it_is_not_ready_and_then_it_is_again(app: b.App) -> None:
    get(f"{app.url}/healthz")
    app.database.rename(app.database.with_suffix(".away"))
    status, content = get(f"{app.url}/healthz")
    assert (status, json.loads(content)) == (503, {"ready": False, "model": True, "database": False})
    app.database.with_suffix(".away").rename(app.database)
    assert get(f"{app.url}/healthz")[0] == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
def test_the_figures_are_for_who_has_the_token(app: b.App, headers: dict[str, str]) -> None:
    assert get(f"{app.url}/metrics", **headers)[0] == 404
    status, content = get(f"{app.url}/metrics", Authorization=f"Bearer {TOKEN}")
    assert status == 200 and b'classmood_ready{part="database"} 1.0' in content


@pytest.mark.parametrize(
    "path", ["/", "/component/streamlit_webrtc.component.webrtc_streamer/", "/media/", "/app/static/"]
)
@pytest.mark.parametrize("up", ["../", "..%2f", "%2e%2e/", "....//", "..\\"])
@pytest.mark.parametrize("target", ["etc/passwd", "classmood.sqlite3", "requirements.txt"])
def test_no_path_leads_to_a_file_of_the_server(app: b.App, path: str, up: str, target: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(app.url.rsplit(":", 1)[1]), timeout=30)
    for depth in (0, 1, 8):
        connection.request("GET", f"{path}{up * depth}{target}")
        content = connection.getresponse().read()
        assert not any(word in content for word in (b"root:x:0", b"SQLite format 3", b"psycopg"))


def test_every_line_of_the_log_is_an_object_and_none_tells_who_was_here(app: b.App) -> None:
    with visit(app.url) as visitor:
        assert b"How is the class doing?" in visitor.open()
        assert b"Join a class" in visitor.open("join", "code=SECRET99")
    written = app.log.read_text()
    served = written[written.index("{") :].splitlines()  # what Streamlit says before it serves is text
    assert all({"time", "level", "logger", "message"} <= set(json.loads(line)) for line in served)
    assert "SECRET99" not in written and "127.0.0.1" not in written


PAGE = """
import streamlit as st
from fer import ui, server
from fer.store import writer
from tests.fakes import bucket, present

writer.FLUSH_S = 3600.0  # it does not write by itself
now = server.now()
room, _ = server.store().create_class("Algebra", True, now)
waiting = [bucket("a", now + 5 * i, class_id=room.class_id) for i in range(50)]
server.writer().put(waiting, present("a", now, class_id=room.class_id))
st.write("handed over")
"""


@pytest.mark.parametrize("script", ["app.py", "serve.py"])
def test_a_process_that_is_told_to_end_writes_what_waits(script: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "serve.py", tmp_path)
    (tmp_path / "app.py").write_text(PAGE)
    with b.running_app(tmp_path, tmp_path / script, PYTHONPATH=str(ROOT)) as app:
        with visit(app.url) as visitor:
            assert b"handed over" in visitor.open()
            with sqlite3.connect(app.database) as connection:
                assert connection.execute("SELECT count(*) FROM buckets").fetchone() == (0,)
            app.process.send_signal(signal.SIGTERM)
            assert app.process.wait(20) in (0, -signal.SIGTERM)
        with sqlite3.connect(app.database) as connection:
            assert connection.execute("SELECT count(*) FROM buckets").fetchone() == (50,)
