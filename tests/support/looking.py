"""A person who has signed in and looks at Monitor: all that its server sends him, byte for byte, without a browser."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value, generate_xsrf_token_string
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME, XSRF_COOKIE_NAME
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from afterglow_monitor.access.links import signed
from afterglow_monitor.access.people import Person
from afterglow_monitor.clock import now_ms

PATIENCE_SECONDS = 60.0
Address = Mapping[str, str | Sequence[str]]  # what follows the ? of a page's


@dataclass(frozen=True)
class Looker:
    """Who shows at `address` the cookie of a sign-in with these `claims`, signed with the server's `key`."""

    address: str
    key: str
    claims: Mapping[str, Any]

    def page(self, asked: Address) -> bytes:
        """Everything that draws the page of this address, its tables too."""
        token = generate_xsrf_token_string()
        headers = {"Cookie": f"{self._cookie()}; {XSRF_COOKIE_NAME}={token}"}
        with connect(
            f"ws://{urlsplit(self.address).netloc}/_stcore/stream",
            subprotocols=[Subprotocol("streamlit"), Subprotocol(token)],
            origin=Origin(self.address),
            additional_headers=headers,
            max_size=None,
        ) as socket:
            message = BackMsg()
            message.rerun_script.query_string = urlencode(asked, doseq=True)
            socket.send(message.SerializeToString())
            deadline, sent = time.monotonic() + PATIENCE_SECONDS, list[bytes]()
            while True:
                sent.append(socket.recv(deadline - time.monotonic(), decode=False))
                if ForwardMsg.FromString(sent[-1]).WhichOneof("type") == "script_finished":
                    return b"".join(sent)

    def get(self, path: str, *, link: bool = False) -> tuple[int, bytes]:
        """Status and body of an answer; `link`: asked for as a link of a page asks for it."""
        name = str(self.claims["email"])
        person = Person(name, "viewer", frozenset(), frozenset())
        target = signed(path, person, self.key, now=now_ms()) if link else path
        request = urllib.request.Request(self.address + target, headers={"Cookie": self._cookie()})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read()

    def _cookie(self) -> str:
        said = {"iat": now_ms() / 1000, "origin": self.address, "is_logged_in": True, **self.claims}
        return f"{USER_COOKIE_NAME}={create_signed_value(self.key, USER_COOKIE_NAME, json.dumps(said)).decode()}"
