"""Alerts: what the rules of the settings ask for is looked for in the store, and told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from afterglow_monitor.charting.expectations import expectation, unusual
from afterglow_monitor.errors import BadSettings, CannotTell
from afterglow_monitor.format import duration, metric
from afterglow_monitor.running.telling import tell
from afterglow_monitor.settings import AlertRule, Settings
from afterglow_store import Query, Store, items, search_applications
from afterglow_store import alerts as kept
from afterglow_store.alerts import LATE_MS, Event, Message
from afterglow_store.status import ENDED, FAILED, LOST, ORPHANED, RUNNING, SUCCEEDED, SUSPECT

logger = logging.getLogger(__name__)

UNREACHABLE_MS = 60_000  # a tracking server is told of that has not answered for so long
LINES = 20  # events in one message
NAME, REASON = 200, 600  # characters of them
SAME_NAME = 100  # applications, of which an expectation is had

Row = Mapping[str, Any]


class Alerts:
    """What one worker remembers of them: nothing that another one would miss."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._usual: set[int] = set()  # applications that ended and took no longer than expected

    def look_and_tell(self, now: int) -> None:
        """Note what has happened since the last time, and tell what is to be told now (ms)."""
        self.look(now)
        self.tell(now)

    def look(self, now: int) -> None:
        for rule in self._settings.alerts:
            kept.note(self._store, rule.name, rule.to, list(self._events(rule, now)), now=now)

    def tell(self, now: int) -> None:
        quiet = {rule.name: int(rule.quiet_minutes * 60_000) for rule in self._settings.alerts}
        rules = {rule.name: rule for rule in self._settings.alerts}
        for message in kept.claim(self._store, quiet, now=now) if quiet else ():
            error = _send(rules[message.rule], message)
            if error is not None:
                logger.warning("alert %s to %s: %s", message.rule, message.target, error)
            kept.told(self._store, message, now=now, error=error)

    def _events(self, rule: AlertRule, now: int) -> Iterator[Event]:
        names = [server.name for server in self._settings.mlflow]
        late = max(LATE_MS, int(2_000 * self._settings.status.grace_seconds))
        since = kept.fresh_from(self._store, rule.name, now=now, servers=names, late_ms=late)
        yield from _FOUND[rule.when](self, rule, since, now)

    def _runs(self, rule: AlertRule, since: int, now: int) -> Iterator[Event]:
        for status in _OF_RUNS[rule.when]:
            with self._store.read() as conn:
                rows = kept.runs(conn, rule.name, status, since=since, filter=rule.runs_filter, now=now)
            for row in rows:
                yield Event(row["run_id"], row["time"], self._of_run(rule, row))

    def _of_run(self, rule: AlertRule, row: Row) -> str:
        what = f"{_WHAT[rule.when]}: {_named(row['name'] or row['run_id'], NAME)}"
        why = row["status_reason"]
        if rule.when == "metric":
            value = metric((row["metrics"] or {}).get(rule.metric))
            limit = f"above {rule.above:g}" if rule.above is not None else f"below {rule.below:g}"
            why = f"{rule.metric} = {value}, {limit}"
        where = f"Experiment {_named(row['experiment'], NAME)}, server {row['server']}, run {row['run_id']}"
        return self._text(what, where, why, {"page": "run", "id": row["run_id"]})

    def _applications(self, rule: AlertRule, since: int, _: int) -> Iterator[Event]:
        status = FAILED if rule.when == "application failed" else LOST
        with self._store.read() as conn:
            rows = kept.applications(conn, rule.name, [status], since=since)
        for row in rows:
            yield Event(str(row["id"]), row["time"], self._of_application(rule, row, row["status_reason"]))

    def _anomalies(self, rule: AlertRule, since: int, _: int) -> Iterator[Event]:
        with self._store.read() as conn:
            rows = kept.applications(conn, rule.name, [SUCCEEDED, ENDED, FAILED], since=since)
        self._usual &= {row["id"] for row in rows}
        for row in rows:
            if row["id"] in self._usual:
                continue
            causes = self._causes(row)
            if causes:
                yield Event(str(row["id"]), row["time"], self._of_application(rule, row, "; ".join(causes)))
            else:
                self._usual.add(row["id"])

    def _causes(self, row: Row) -> list[str]:
        with self._store.read() as conn:
            found = search_applications(conn, Query(app=row["name"], limit=SAME_NAME, count=False)).rows
            same = [each for each in found if each["name"] == row["name"]]
            properties = items.spark_properties_of(conn, [each["id"] for each in same])
        its = next((each for each in same if each["id"] == row["id"]), None)
        expected = expectation([each["duration_ms"] for each in same if each["duration_ms"] is not None])
        if row["name"] is None or its is None or expected is None:
            return []
        causes = unusual(its, same, expected, properties)
        took = f"it took {duration(its['duration_ms'])}, expected were up to {duration(expected.high)}"
        return [took, *causes] if causes else []

    def _of_application(self, rule: AlertRule, row: Row, why: str | None) -> str:
        what = f"{_WHAT[rule.when]}: {_named(row['name'] or row['app_id'], NAME)}"
        page = {"page": "application", "id": row["app_id"], "start": str(row["start_time"])}
        return self._text(what, f"Application {row['app_id']}", why, page)

    def _servers(self, rule: AlertRule, _: int, now: int) -> Iterator[Event]:
        names = [server.name for server in self._settings.mlflow]
        with self._store.read() as conn:
            rows = kept.unreachable_servers(conn, rule.name, names=names, before=now - UNREACHABLE_MS)
        for row in rows:
            what = f"{_WHAT[rule.when]}: {row['name']}"
            text = self._text(what, f"Tracking server {row['uri']}", row["last_error"], {"tab": "server"})
            yield Event(row["key"], row["time"] or now, text)

    def _text(self, what: str, where: str, why: str | None, page: Mapping[str, str]) -> str:
        url = self._settings.monitor.url.rstrip("/")
        lines = [what, where, _named(why, REASON) if why else None, f"{url}/?{urlencode(page)}" if url else None]
        return "\n".join(line for line in lines if line)


_OF_RUNS = {
    "run failed": (FAILED,),
    "run orphaned": (ORPHANED,),
    "run suspect": (SUSPECT,),
    "metric": (RUNNING, "FINISHED", FAILED, "KILLED"),
}
_WHAT = {
    "run failed": "Run failed",
    "run orphaned": "Run orphaned",
    "run suspect": "Run suspect",
    "metric": "Metric past its threshold",
    "application failed": "Application failed",
    "application lost": "Application lost",
    "series anomaly": "Application took longer than expected",
    "tracking server unreachable": "Tracking server does not answer",
}
_FOUND: dict[str, Callable[[Alerts, AlertRule, int, int], Iterator[Event]]] = {
    **dict.fromkeys(_OF_RUNS, Alerts._runs),
    "application failed": Alerts._applications,
    "application lost": Alerts._applications,
    "series anomaly": Alerts._anomalies,
    "tracking server unreachable": Alerts._servers,
}


def _send(rule: AlertRule, message: Message) -> str | None:
    """What went wrong, if anything did."""
    try:
        tell(rule.read_target(message.target), title_of(message), body_of(message))
    except (CannotTell, BadSettings) as exc:
        return str(exc)
    except Exception as exc:  # whatever a service's plug-in raises costs no other message
        logger.exception("alert %s to %s", message.rule, message.target)
        return type(exc).__name__
    return None


def title_of(message: Message) -> str:
    first = str(message.rows[0]["text"]).partition("\n")[0]
    return f"[{message.rule}] " + (first if len(message.rows) == 1 else f"{len(message.rows)} events")


def body_of(message: Message) -> str:
    shown = [str(row["text"]) for row in message.rows[:LINES]]
    more = len(message.rows) - len(shown)
    return "\n\n".join([*shown, *([f"… and {more} more"] if more else [])])


def test(rule: AlertRule) -> dict[str, str | None]:
    """Send a message that is none to each place of a rule; what went wrong at each, if anything did."""
    row = {"text": f"This is a test of the rule {rule.name} ({rule.when}).\nNothing has happened."}
    return {target: _send(rule, Message(rule.name, target, [row])) for target in rule.to}


def _named(text: str | None, most: int) -> str:
    """On one line, and not too long."""
    line = " ".join((text or "–").split())
    return line if len(line) <= most else line[: most - 1] + "…"
