"""A question that may take for ever, asked in a process of its own that ends with it."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

_SPAWN = multiprocessing.get_context("spawn")
STARTUP_SECONDS = 180  # MLflow's import on a busy machine

Ask = Callable[[Any], Any]


@dataclass(frozen=True)
class Answer:
    milliseconds: float
    answer: Any


class Capped:
    """Asks in a process that is started at the first question and kept for the next ones.

    `make`, called once in that process, gives the function that answers; both go there by pickle. A context.
    """

    def __init__(self, make: Callable[[], Ask]) -> None:
        self._make = make
        self._process: Any = None

    def ask(self, question: Any, seconds: float) -> Answer | None:
        """The answer and the time it took, or None if that is more than `seconds`. Raises what asking raised."""
        if self._process is None:
            self._start()
        self._pipe.send(question)
        if not self._pipe.poll(seconds):
            self.stop()
            return None
        found = self._receive()
        assert isinstance(found, Answer)
        return found

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def __enter__(self) -> "Capped":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(self._make, theirs), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(STARTUP_SECONDS):
            self.stop()
            raise TimeoutError(f"nothing was ready to answer within {STARTUP_SECONDS} s")
        self._receive()

    def _receive(self) -> Any:
        found = self._pipe.recv()
        if isinstance(found, Exception):
            self.stop()
            raise found
        return found


def _serve(make: Callable[[], Ask], pipe: "Connection[Any, Any]") -> None:
    try:
        ask = make()
        pipe.send(None)
        while True:
            question = pipe.recv()
            started = time.perf_counter()
            answer = ask(question)
            pipe.send(Answer((time.perf_counter() - started) * 1_000, answer))
    except EOFError:
        return
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is told to whoever asked
        pipe.send(exc)
