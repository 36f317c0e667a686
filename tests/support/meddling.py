"""A proxy before a real tracking server that meddles with its answers, as a gateway or a lost permission does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

Answer = tuple[int, bytes]  # status, body
Meddle = Callable[[str, Answer], Answer]  # of a path and what the server answers


class Proxy:
    """`uri` is where it listens. `meddle` may be set at any time."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.meddle: Meddle = lambda _path, answer: answer


@contextmanager
def meddling_proxy(server: str) -> Iterator[Proxy]:
    """A proxy before the tracking server at `server`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            headers = {"Content-Type": "application/json"}
            if workspace := self.headers.get("X-MLFLOW-WORKSPACE"):
                headers["X-MLFLOW-WORKSPACE"] = workspace
            asked = Request(server + self.path, data=body, headers=headers, method=self.command)
            try:
                with urlopen(asked, timeout=30) as found:
                    answer = found.status, found.read()
            except HTTPError as error:
                answer = error.code, error.read()
            status, content = proxy.meddle(self.path, answer)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_said: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        proxy = Proxy(f"http://127.0.0.1:{listening.server_address[1]}")
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listening.shutdown()
            thread.join(10)


def no_runs(path: str, answer: Answer) -> Answer:
    """Searches find no runs, as for somebody who may not read them; the rest is as it is."""
    return (200, b"{}") if path.endswith("/runs/search") else answer


def half_the_runs(path: str, answer: Answer) -> Answer:
    """Searches find every other run, and say that this is all."""
    if not path.endswith("/runs/search"):
        return answer
    found = json.loads(answer[1])
    return 200, json.dumps({"runs": found.get("runs", [])[::2]}).encode()


def without(status: int, error: str, searched: Meddle) -> Meddle:
    """Searches meddled with, and each run that is asked for by its id refused with this error of MLflow's."""
    refused = json.dumps({"error_code": error, "message": "no"}).encode()
    return lambda path, answer: (status, refused) if "/runs/get" in path else searched(path, answer)
