"""A small OpenID Connect provider on loopback: discovery, a form that asks who one is, codes with PKCE, JWKS, logout.

It is as strict as the specifications ask: OpenID Connect Core 1.0, RFC 7636 (S256 only), RP-Initiated Logout 1.0.
"""

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "classmood", "only-the-app-and-the-provider-know"
REFUSE, ALLOW = "Refuse", "Let me in"
FIELD = "Who are you?"


@dataclass
class Provider:
    """What it knows: its people, by what they type; the codes that it has given; who has signed out."""

    port: int
    people: Mapping[str, Mapping[str, str]]
    key: RSAKey
    redirect_uri: str = ""
    impostor: RSAKey | None = None  # who signs in this provider's name, with a key of their own
    server: ThreadingHTTPServer | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    signed_out: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def discovery(self) -> str:
        return f"{self.issuer}/.well-known/openid-configuration"

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/end",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "profile", "email"],
        }

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.key.as_dict(private=False)]}

    def accepts(self, asked: Mapping[str, str]) -> bool:
        """Whether an authorization request is one that this provider answers."""
        return (
            asked.get("client_id") == CLIENT_ID
            and asked.get("redirect_uri") == self.redirect_uri
            and asked.get("response_type") == "code"
            and "openid" in asked.get("scope", "").split()
            and asked.get("code_challenge_method") == "S256"
            and all(asked.get(name) for name in ("state", "nonce", "code_challenge"))
        )

    def way_back(self, asked: Mapping[str, str], said: Mapping[str, str]) -> str:
        """Where the browser goes after the form: with a code, or with what went wrong."""
        if said.get("press") == REFUSE or said.get("login") not in self.people:
            found = {"error": "access_denied", "error_description": "not let in"}
        else:
            code = secrets.token_urlsafe(24)
            self.codes[code] = {**asked, "login": said["login"]}
            found = {"code": code}
        return f"{self.redirect_uri}?{urlencode({**found, 'state': asked['state']})}"

    def exchange(self, said: Mapping[str, str], credentials: str) -> tuple[int, dict[str, Any]]:
        """A code for an ID token, once."""
        if credentials != f"{CLIENT_ID}:{CLIENT_SECRET}":
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(said.get("code", ""), None)
        digest = hashlib.sha256(said.get("code_verifier", "").encode()).digest()
        if (
            asked is None
            or said.get("grant_type") != "authorization_code"
            or said.get("redirect_uri") != asked["redirect_uri"]
            or base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        header, claims = {"alg": "RS256", "kid": self.key.kid}, {**claims, **self.people[asked["login"]]}
        token = jwt.encode(header, claims, self.impostor or self.key, ["RS256"])
        answer = {"access_token": secrets.token_urlsafe(24), "token_type": "Bearer", "expires_in": 300}
        return 200, {**answer, "id_token": token}

    def end(self, asked: Mapping[str, str]) -> str | None:
        """Where the browser goes after signing out, for whom this provider knows."""
        if asked.get("post_logout_redirect_uri") != self.redirect_uri:
            return None
        self.signed_out.append(str(jwt.decode(asked["id_token_hint"], self.key, ["RS256"]).claims["sub"]))
        return self.redirect_uri

    def listen(self) -> None:
        """Answer from now on, in a thread; always at the same port."""
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Meanwhile nobody answers at its port."""
        self.close()
        try:
            yield
        finally:
            self.listen()


def new_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)


@contextmanager
def running(people: Mapping[str, Mapping[str, str]]) -> Iterator[Provider]:
    """A provider on a free port; each of its people has claims, of which "sub" is one."""
    provider = Provider(0, people, new_key())
    provider.listen()
    try:
        yield provider
    finally:
        provider.close()


def secrets_file(provider: Provider) -> str:
    """Streamlit's secrets.toml for an app on localhost that trusts this provider."""
    return (
        "[auth]\n"
        'redirect_uri = "http://localhost:{port}/oauth2callback"\n'  # Streamlit fills in its own port
        f'cookie_secret = "{secrets.token_hex(32)}"\n'
        f'client_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"\n'
        f'server_metadata_url = "{provider.discovery}"\n'
    )


def _form(asked: Mapping[str, str]) -> str:
    buttons = "".join(f'<button name="press" value="{press}">{press}</button>' for press in (ALLOW, REFUSE))
    action = html.escape(f"/authorize?{urlencode(asked)}")
    return (
        '<!doctype html><html lang="en"><title>Provider</title><h1>The provider</h1>'
        f'<form method="post" action="{action}"><label>{FIELD} <input name="login"></label>{buttons}</form></html>'
    )


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, asked = self._asked()
            documents: Mapping[str, Callable[[], dict[str, Any]]] = {
                "/.well-known/openid-configuration": provider.metadata,
                "/jwks": provider.jwks,
            }
            if path in documents:
                self._answer(200, json.dumps(documents[path]()), "application/json")
            elif path == "/authorize" and provider.accepts(asked):
                self._answer(200, _form(asked), "text/html; charset=utf-8")
            elif path == "/end" and (there := provider.end(asked)):
                self._lead(there)
            else:
                self._answer(400, f"not a request that is answered: {self.path}", "text/plain")

        def do_POST(self) -> None:
            path, asked = self._asked()
            said = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            if path == "/authorize" and provider.accepts(asked):
                self._lead(provider.way_back(asked, said))
            elif path == "/token":
                given = self.headers.get("Authorization", "").removeprefix("Basic ")
                status, answer = provider.exchange(said, unquote(base64.b64decode(given).decode()))
                self._answer(status, json.dumps(answer), "application/json")
            else:
                self._answer(400, f"not a request that is answered: {self.path}", "text/plain")

        def _asked(self) -> tuple[str, dict[str, str]]:
            parts = urlsplit(self.path)
            return parts.path, dict(parse_qsl(parts.query))

        def _lead(self, there: str) -> None:
            self.send_response(303)
            self.send_header("Location", there)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _answer(self, status: int, text: str, kind: str) -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the log of a test is the app's."""

    return Handler
