"""The way back from an OpenID provider: to the journal and with what came of it, as an ASGI middleware.

Streamlit (1.67, web/server/starlette/starlette_auth_routes.py) leads everybody back to the home page, says nothing to
who was refused, and shows two words on an empty page where the provider is away.
"""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OUTCOME = "sign_in"  # the journal's query parameter
AWAY, REFUSED, BACK, OUT = "away", "refused", "back", "out"
SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        AWAY: "The sign-in service cannot be reached. Try again later; all but the journal works without it.",
        REFUSED: "The sign-in service did not let you in, or you turned back there.",
        BACK: "Signing in did not succeed. Try again.",  # for who is back, and nobody
        OUT: "You are signed out.",
    }
)
# Streamlit's routes, and the journal as seen from each. No part of an address that was asked for is led to.
JOURNAL: Mapping[str, str] = MappingProxyType(
    {"/auth/login": "../journal", "/auth/logout": "../journal", "/oauth2callback": "journal"}
)


class BackToTheJournal:
    """Leads to the journal where Streamlit's routes for signing in and out lead home or nowhere."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = next((r for r in JOURNAL if scope["type"] == "http" and scope["path"].endswith(r)), None)
        if route is None:
            await self.app(scope, receive, send)
            return
        failed = False

        async def changed(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start":
                failed = message["status"] >= 400
                if failed:
                    message = {**message, "status": 303, "headers": [(b"content-length", b"0")]}
                if failed or Headers(raw=message["headers"]).get("location", "").startswith("/"):
                    _lead(message, f"{JOURNAL[route]}?{OUTCOME}={_outcome(route, failed, scope['query_string'])}")
            elif failed:
                message = {**message, "body": b""}
            await send(message)

        await self.app(scope, receive, changed)


def _outcome(route: str, failed: bool, query: bytes) -> str:
    if route == "/auth/login":
        return AWAY if failed else BACK
    asked = parse_qs(query.decode("latin-1"))
    if "error" in asked:
        return REFUSED if asked["error"] == ["access_denied"] else BACK
    return BACK if "code" in asked else OUT  # a provider that has signed somebody out leads to the callback as well


def _lead(message: Message, location: str) -> None:
    kept = [(name, value) for name, value in message["headers"] if name.lower() != b"location"]
    message["headers"] = [*kept, (b"location", location.encode("ascii"))]
