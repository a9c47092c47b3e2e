"""A visitor without a browser: Streamlit's own websocket, spoken just far enough to open a page."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect


@dataclass(frozen=True)
class Visitor:
    """A page that stays open; `words` is everything that it has shown, as the messages hold it."""

    socket: ClientConnection

    def open(self, page: str = "", query: str = "") -> bytes:
        """Run the page named as its address is; returns what it shows once it has."""
        message = BackMsg()
        message.rerun_script.page_name, message.rerun_script.query_string = page, query
        self.socket.send(message.SerializeToString())
        shown = b""
        while True:
            content = self.socket.recv(timeout=60)
            assert isinstance(content, bytes)
            shown += content
            answer = ForwardMsg.FromString(content)
            if answer.WhichOneof("type") == "script_finished":
                return shown


@contextmanager
def visit(url: str, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Visitor]:
    """A visitor of the app at `url`, which begins with http."""
    address = "ws" + url.removeprefix("http") + "/_stcore/stream"
    options: dict[str, Any] = {"ssl": tls} if tls else {}
    with connect(address, subprotocols=["streamlit"], additional_headers=headers, proxy=None, **options) as socket:  # type: ignore[list-item]
        yield Visitor(socket)
