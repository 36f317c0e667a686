"""People at Monitor, as far as its server can tell: they speak Streamlit's protocol, but draw nothing.

Each follows a new address every few seconds and waits for the answer to end, and asks again for what refreshes itself
as often as the page said, as a browser does. They get every answer in full: a browser says which parts it still has.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets import Subprotocol
from websockets.sync.client import ClientConnection, connect

ANSWER_S = 60.0
Asks = Callable[[random.Random], str]  # a new query string


@dataclass
class Session:
    """`took_ms` of each address that was followed; `errors` are the exceptions that its pages showed."""

    address: str
    asks: Asks
    seed: int
    took_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    refreshed: int = 0
    _query: str = ""
    _refreshes: dict[str, tuple[float, float]] = field(default_factory=dict)  # by fragment: how often (s), when next

    def act(self, every_s: float, until: float) -> None:
        """A new address every so many seconds, up to a moment of `time.monotonic`."""
        chance = random.Random(self.seed)
        began = time.monotonic() + chance.uniform(0, every_s)
        try:
            stream = f"{self.address.replace('http', 'ws', 1)}/_stcore/stream"
            with connect(stream, subprotocols=[Subprotocol("streamlit")], max_size=None) as socket:
                for number in itertools.count():
                    if (due := began + number * every_s) > until:
                        return
                    self._refresh_until(due, socket)
                    self._follow(self.asks(chance), socket)
        except Exception as exc:  # noqa: BLE001 - of whatever kind, it is what a person would see
            self.errors.append(f"{type(exc).__name__}: {exc}")

    def _follow(self, query: str, socket: ClientConnection) -> None:
        self._query, self._refreshes = query, {}
        began = time.monotonic()
        socket.send(self._rerun())
        while not self._hear(socket.recv(ANSWER_S)):
            pass
        self.took_ms.append((time.monotonic() - began) * 1_000)

    def _refresh_until(self, moment: float, socket: ClientConnection) -> None:
        while (now := time.monotonic()) < moment:
            for fragment, (every, due) in [*self._refreshes.items()]:
                if due <= now:
                    socket.send(self._rerun(fragment))
                    self._refreshes[fragment] = (every, max(due + every, now))
                    self.refreshed += 1
            try:
                self._hear(socket.recv(min(0.05, moment - now)))
            except TimeoutError:
                continue

    def _rerun(self, fragment: str = "") -> bytes:
        message = BackMsg()
        message.rerun_script.query_string = self._query
        message.rerun_script.context_info.timezone = "UTC"
        if fragment:
            message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, True
        sent: bytes = message.SerializeToString()
        return sent

    def _hear(self, said: bytes | str) -> bool:
        """Whether that was the end of the answer to an address."""
        assert isinstance(said, bytes)
        message = ForwardMsg.FromString(said)
        if message.HasField("auto_rerun"):
            every = message.auto_rerun.interval
            self._refreshes[message.auto_rerun.fragment_id] = (every, time.monotonic() + every)
        if message.delta.new_element.HasField("exception"):
            self.errors.append(message.delta.new_element.exception.message)
        ended = message.WhichOneof("type") == "script_finished"
        return ended and bool(message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY)


@contextmanager
def at_once(address: str, asks: Asks, *, count: int, every_s: float, seconds: float) -> Iterator[list[Session]]:
    """So many of them at work for `seconds`, each in a thread of its own; they have ended when it is left."""
    sessions = [Session(address, asks, seed) for seed in range(count)]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=each.act, args=(every_s, until), daemon=True) for each in sessions]
    for thread in threads:
        thread.start()
    yield sessions
    for thread in threads:
        thread.join()
