"""Real places that alerts are told at: a webhook, and a mail server. They keep what they get."""

from __future__ import annotations

import asyncio
import email
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    address: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # to the next requests; then 200


@contextmanager
def webhook() -> Iterator[Webhook]:
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = hook.answers.pop(0) if hook.answers else 200
            if status == 200:
                hook.got.append(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        hook.address = f"json://127.0.0.1:{server.server_port}/a-secret-path"
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join(10)


@dataclass
class MailServer:
    port: int = 0
    got: list[EmailMessage] = field(default_factory=list)


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """SMTP as far as a client needs it to leave a mail here."""
    mails, started, over = MailServer(), threading.Event(), threading.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            word = line.split(b" ")[0].strip().upper()
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                mails.got.append(email.message_from_bytes(data[:-5], policy=default))
            writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            await writer.drain()
            if word == b"QUIT":
                break
        writer.close()
        await writer.wait_closed()

    async def serve() -> None:
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            mails.port = server.sockets[0].getsockname()[1]
            started.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert started.wait(30)
        yield mails
    finally:
        over.set()
        thread.join(10)
