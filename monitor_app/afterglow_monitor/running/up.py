"""`afterglow up`: the web process, with a worker that it starts, watches and restarts."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing

from afterglow_monitor.access.here import is_loopback
from afterglow_monitor.clock import now_ms
from afterglow_monitor.errors import MonitorError
from afterglow_monitor.running import logs
from afterglow_monitor.settings import Settings
from afterglow_store import open_store, tokens

logger = logging.getLogger(__name__)

RESTART_S = (1.0, 30.0)  # pause before a worker that died is started again: first, and at most
STEADY_S = 60.0  # a worker that lived this long is started again after the first pause
STOP_S = 10.0


def serve(settings: Settings) -> None:
    """Serve Monitor until it is interrupted. Raises MonitorError when the port is taken, or anyone could come."""
    _refuse_strangers(settings)
    _refuse_taken_port(settings.monitor.address, settings.monitor.port)
    logs.start(settings, "web")
    worker = Worker()
    worker.start()
    try:
        _serve_web(settings)
    finally:
        worker.stop()


def _serve_web(settings: Settings) -> None:
    import uvicorn  # noqa: PLC0415 - the worker's supervisor is tested without it

    uvicorn.run(
        "afterglow_monitor.app:app",
        host=settings.monitor.address,
        port=settings.monitor.port,
        log_level="warning",
        log_config=None,  # its lines are written as ours
    )


def _refuse_strangers(settings: Settings) -> None:
    """On an address that others reach it starts only if there is something that it would let them in by."""
    if is_loopback(settings.monitor.address) or settings.sign_in.configured or settings.collector.secrets:
        return
    with closing(open_store(settings.store.url)) as store, store.read() as conn:
        if tokens.any_good(conn, now=now_ms()):
            return
    raise MonitorError(
        f"monitor.address = {settings.monitor.address!r} is one that other machines reach, and nobody there could show "
        "who he is: set up [sign_in] in afterglow.toml for people, or make a token for programs: "
        "`afterglow tokens create`. docs/access.md says how"
    )


def _refuse_taken_port(address: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as exc:
            raise MonitorError(
                f"Monitor cannot listen on {address}:{port}: {exc.strerror}. "
                "Choose another one with --port, or monitor.port in afterglow.toml"
            ) from exc


class Worker:
    """The worker process, kept alive. `stop` mirrors `start`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._keep_alive, name="afterglow-worker-watch", daemon=True)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        self._process = _start_worker()
        self._watch.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._watch.join(STOP_S)

    def _keep_alive(self) -> None:
        pause = RESTART_S[0]
        while self._process is not None:
            began = time.monotonic()
            code = self._process.wait()
            _close_pipe(self._process)
            if self._stopping.is_set():
                return
            pause = RESTART_S[0] if time.monotonic() - began > STEADY_S else pause
            logger.warning("the worker ended with %s: starting it again in %.0f s", code, pause)
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2, RESTART_S[1])
            self._process = _start_worker()


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _start_worker() -> subprocess.Popen[bytes]:
    # Its standard input is a pipe that we hold: when we die, however we die, it reads the end of it and stops too.
    command = [sys.executable, "-m", "afterglow_monitor.running.worker", "--follow-parent"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ.copy())  # noqa: S603 - our own module
