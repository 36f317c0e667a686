"""Signs of life: for an application without the listener, and for a driver that outlives its application."""

import threading
import time
from collections.abc import Callable

from afterglow import spark
from afterglow.events import context_death
from afterglow.sessions import Session


class Heartbeats:
    """One thread a session, from its first event on. `has_open_runs` says whether the driver has some in a session."""

    def __init__(self, has_open_runs: Callable[[Session], bool]) -> None:
        self._has_open_runs = has_open_runs
        self._silent = False

    def stop(self) -> None:
        """Begin no more: in a forked child the parent beats, and an interpreter that exits starts no thread."""
        self._silent = True

    def begin(self, session: Session) -> None:
        """Beat for `session`, unless that is done already."""
        if not session.beats and not self._silent:
            session.beats = True
            threading.Thread(target=self._beat, args=(session,), name="afterglow-heartbeat", daemon=True).start()

    def _beat(self, session: Session) -> None:
        """A beat speaks for the application, so it takes an answer of its JVM; where the listener says that, it need
        not be said twice. Once the application is over it speaks for the driver, as long as that has open runs. On a
        thread of its own, since the recorder's may be waiting for MLflow."""
        while True:
            if session.is_alive():
                session.beat()
            elif not self._beat_alone(session):
                break
            time.sleep(session.settings.heartbeat_seconds)
        session.beats = False

    def _beat_alone(self, session: Session) -> bool:
        """The application is over; whether its driver still had something to beat for."""
        if not session.stopped and not session.is_connect:
            record_death(session)
        if session.listener_journal is not None and spark.jvm_is_gone(session.context):
            session.listener_journal = None  # py4j logs each call that it cannot make
        if not self._has_open_runs(session):
            return False
        session.beat_alone()
        return True


def record_stop(session: Session, event: dict[str, object]) -> None:
    """Record that the program stopped the context: the listener sees that itself, the hook's own journal has to be
    told `event`."""
    if spark.jvm_is_gone(session.context):  # a JVM outlives the stop of its context: this one was gone before
        record_death(session)
    else:
        session.record_in_file(event)


def record_death(session: Session) -> None:
    """Record that the context is no more, and that it was not the program that stopped it."""
    if session.died or not (session.listener_journal is not None or session.file_journal.is_open):
        return
    session.died, what = True, "Spark context was stopped"
    if spark.jvm_is_gone(session.context):
        session.listener_journal, what = None, "JVM died"
    session.record(context_death(session.application, f"its {what} under its Python driver"))
