"""Where the way back from an OpenID provider leads, without a provider and without Streamlit."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from fer.oidc import AWAY, BACK, OUT, OUTCOME, REFUSED, SENTENCES, BackToTheJournal


def led(path: str, query: str = "", status: int = 302, location: str = "/") -> tuple[int, str, bytes]:
    """Status, where it leads, and the body of what a browser gets that asks an app which answers so."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"location", location.encode()), (b"set-cookie", b"kept=1"), (b"content-length", b"5")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"words"})

    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "path": path, "query_string": query.encode(), "headers": []}
    asyncio.run(BackToTheJournal(app)(scope, receive, send))
    headers = dict(sent[0]["headers"])
    assert int(headers[b"content-length"]) == len(sent[1]["body"])
    assert (b"set-cookie" in headers) == (status < 400)
    return sent[0]["status"], headers[b"location"].decode(), sent[1]["body"]


@pytest.mark.parametrize(("path", "query", "status", "journal", "outcome"), [
    ("/auth/login", "provider=token", 400, "../journal", AWAY),
    ("/auth/login", "provider=too-old", 302, "../journal", BACK),
    ("/auth/logout", "", 302, "../journal", OUT),
    ("/oauth2callback", "", 302, "journal", OUT),
    ("/oauth2callback", "code=1&state=2", 302, "journal", BACK),
    ("/oauth2callback", "error=access_denied&state=2", 302, "journal", REFUSED),
    ("/oauth2callback", "error=server_error&state=2", 302, "journal", BACK),
    ("/under/a/path/oauth2callback", "code=1&state=2", 302, "journal", BACK),
    ("//elsewhere.example/auth/login", "", 404, "../journal", AWAY),
])  # fmt: skip
def test_the_way_back_leads_to_the_journal_and_says_what_came_of_it(
    path: str, query: str, status: int, journal: str, outcome: str
) -> None:
    assert outcome in SENTENCES
    given, location, body = led(path, query, status)
    assert location == f"{journal}?{OUTCOME}={outcome}"
    assert (given, body) == ((303, b"") if status >= 400 else (302, b"words"))


@pytest.mark.parametrize(("path", "status", "location"), [
    ("/auth/login", 302, "https://issuer.example/authorize?state=1"),
    ("/auth/logout", 302, "https://issuer.example/end"),
    ("/journal", 302, "/"),
    ("/healthz", 302, "/"),
])  # fmt: skip
def test_every_other_answer_is_left_as_it_is(path: str, status: int, location: str) -> None:
    assert led(path, status=status, location=location) == (status, location, b"words")
