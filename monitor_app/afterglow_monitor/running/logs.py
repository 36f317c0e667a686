"""What the server's processes write to standard error: a line of text or a JSON object for each, without secrets."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import orjson

from afterglow_monitor.errors import BadSettings
from afterglow_monitor.secrets import hushed, read_secret
from afterglow_monitor.settings import LogSettings, Settings

# What of others is not worth a line: each second that a pass takes longer, each step of a schema that is up to date,
# each try to reach a server that is down, each cache that Streamlit makes before its runtime.
_QUIETER = {"apscheduler": logging.ERROR, "alembic": logging.WARNING, "mlflow": logging.WARNING,
            "apprise": logging.ERROR, "httpx": logging.WARNING, "urllib3.connectionpool": logging.ERROR,
            "streamlit.runtime.caching.cache_data_api": logging.ERROR}  # fmt: skip


def start(settings: Settings, process: str) -> None:
    """Write this process's log as the settings say. `process`: web or worker."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings.log, process, secrets_of(settings)))
    logging.basicConfig(level=settings.log.level.upper(), handlers=[handler], force=True)
    for name, level in _QUIETER.items():
        logging.getLogger(name).setLevel(level)
    if process == "web":
        _take_over_streamlit()


def _take_over_streamlit() -> None:
    """It gives each of its loggers a handler of its own, when it first asks for it, and none of its lines to others."""
    from streamlit import logger as of_streamlit  # noqa: PLC0415 - the worker does without

    def through_ours(logger: logging.Logger) -> None:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        logger.propagate = True
        logger.setLevel(_QUIETER.get(logger.name, logger.level))

    of_streamlit.setup_formatter = through_ours
    for logger in of_streamlit._loggers.values():
        through_ours(logger)


def formatter(settings: LogSettings, process: str, secrets: Iterable[str] = ()) -> logging.Formatter:
    return (_Json if settings.format == "json" else _Text)(process, secrets)


def secrets_of(settings: Settings) -> list[str]:
    """All that the settings refer to and that is there, longest first: what no line may have in it."""
    said = [*settings.collector.secrets, settings.sign_in.client_secret, settings.sign_in.cookie_secret]
    said += [reference for server in settings.mlflow for reference in (server.credentials, server.database)]
    said += [reference for rule in settings.alerts for reference in rule.to]
    found: set[str] = set()
    for reference in filter(None, said):
        try:
            found.add(read_secret(reference, "log"))
        except BadSettings:
            continue
    return sorted((each for each in found if len(each) >= 6), key=len, reverse=True)


class _Plain(logging.Formatter):
    def __init__(self, process: str, secrets: Iterable[str]) -> None:
        super().__init__()
        self._process, self._secrets = process, list(secrets)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return hushed(text)

    def _trace(self, record: logging.LogRecord) -> str | None:
        return self._without_secrets(self.formatException(record.exc_info)) if record.exc_info else None


class _Text(_Plain):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        message = self._without_secrets(record.getMessage())
        line = f"{time} {record.levelname} {self._process} {record.name}: {message}"
        trace = self._trace(record)
        return line if trace is None else f"{line}\n{trace}"


class _Json(_Plain):
    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": os.getpid(),
            "logger": record.name,
            "message": self._without_secrets(record.getMessage()),
        }
        trace = self._trace(record)
        return orjson.dumps(said if trace is None else said | {"exception": trace}).decode()
