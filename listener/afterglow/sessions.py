"""The Spark applications of this process: finding the running one, tagging its jobs, and where its events go."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from afterglow import connect, spark
from afterglow.events import heartbeat, heartbeat_for_listener
from afterglow.journal import FileJournal, ListenerJournal, find_listener
from afterglow.settings import Settings

logger = logging.getLogger("afterglow")


@dataclass(eq=False)
class Session:
    """One SparkContext of this process, or one session of a Connect client; kept after it stopped, since its
    runs may end later."""

    context: Any
    application: spark.Application
    settings: Settings
    job_tags: spark.JobTags | connect.SessionTags | None  # None where a job cannot be told from those of other threads
    file_journal: FileJournal
    listener_journal: ListenerJournal | None = None
    beats: bool = False  # a thread writes heartbeats
    stopped: bool = False  # by the program
    died: bool = False  # under the program, and that is told
    says_unpinned: bool = False  # once, at the first run
    lost: int = 0  # events of it that reached no journal
    _told: int = 0  # … of which the listener's journal says so
    # A signal handler may count while its thread does.
    _counting: Any = field(default_factory=threading.RLock, repr=False)

    @property
    def is_connect(self) -> bool:
        """Whether the application runs elsewhere, for others too."""
        return connect.is_session(self.context)

    def is_alive(self) -> bool:
        """Whether the application, or the Connect session, still runs."""
        if self.stopped or self.died:
            return False
        return connect.answers(self.context) if self.is_connect else spark.answers(self.context)

    def tag_jobs(self, run_id: str | None) -> str | None:
        """Tag the jobs of this thread with `run_id` from now on; returns the run that they were tagged with before."""
        if self.job_tags is None:
            self._say_unpinned()
            return None
        try:
            return self.job_tags.swap(run_id)
        except Exception as error:  # noqa: BLE001 - py4j's errors for a JVM that is gone are many
            self.job_tags = None
            logger.warning("Afterglow tags no more Spark jobs of this application: %r", error)
            return None

    def look_for_listener(self) -> None:
        """From now on events go to the Java listener, if it is there. Asks the JVM: call it off the job."""
        listener = find_listener(self.context)
        if listener is not None:
            self.listener_journal = ListenerJournal(listener)

    def record(self, event: dict[str, Any]) -> bool:
        """Hand `event` to the listener, or else to the hook's own journal. Counts it as lost where neither takes it."""
        listener, taken = self.listener_journal, False
        try:
            taken = (listener is not None and listener.record(event)) or self.file_journal.record(event)
        finally:
            if not taken:
                self.count_loss()
        return taken

    def record_in_file(self, event: dict[str, Any]) -> None:
        """Add `event` to the hook's own journal, if there is one already."""
        if self.file_journal.is_open and not self.file_journal.record(event):
            self.count_loss()

    def count_loss(self) -> None:
        """One event is lost. The number goes into the heartbeats."""
        with self._counting:
            self.lost += 1

    def beat(self) -> None:
        """The application lives. Where the listener says so, only what the hook lost is left to say."""
        if self.file_journal.is_open:
            self.file_journal.record(heartbeat(self.lost - self._told))
        elif self.lost > self._told:
            self._beat_through_listener()

    def beat_alone(self) -> None:
        """The application is over, and its driver works on: the listener's journal says so as long as there is one."""
        if not self._beat_through_listener():
            self.file_journal.record(heartbeat(self.lost - self._told))

    def _beat_through_listener(self) -> bool:
        """What the hook's own journal counts once there is one, it counts from there on."""
        lost = self._told if self.file_journal.is_open else self.lost
        listener = self.listener_journal
        if listener is None or not listener.record(heartbeat_for_listener(lost)):
            return False
        self._told = lost
        return True

    def close(self, seconds: float) -> None:
        """The interpreter exits: wait for at most `seconds` until all events are on disk, and the hook's own sent."""
        if self.listener_journal is not None:
            self.listener_journal.flush(seconds)
        self.file_journal.close(seconds)

    def leave_to_parent(self) -> None:
        """In a forked child: the JVM's sockets and the journals are its parent's."""
        if isinstance(self.job_tags, spark.JobTags):
            self.job_tags.forget()
        self.job_tags, self.says_unpinned = None, False
        self.listener_journal = None
        self.lost, self._told, self._counting = 0, 0, threading.RLock()
        self.file_journal = _file_journal(self.settings, self.application)
        self.beats = True  # the parent does

    def _say_unpinned(self) -> None:
        if self.says_unpinned:
            self.says_unpinned = False
            logger.warning(
                "Afterglow links runs to this application but no Spark jobs to runs: with PYSPARK_PIN_THREAD=false "
                "a job cannot be told from those of other threads"
            )


class Sessions:
    """All sessions that this process had, switched off ones too. `met` is called with each new SparkContext's."""

    def __init__(self, met: Callable[[Session], None]) -> None:
        self._met = met
        self._sessions: dict[int, Session] = {}  # by the identity of their context
        self._lock = threading.RLock()
        self._forked = False

    def running(self) -> Session | None:
        """The running SparkContext or Connect session; None without Spark, or switched off for it."""
        context = spark.active_context() or connect.active_session()
        if context is None:
            return None
        session = self._sessions.get(id(context))
        if session is None:
            if self._forked:
                return None
            session = self._meet(context)
        return session if session.settings.enabled else None

    def of(self, context: Any) -> Session | None:
        """The session of a SparkContext or Connect session, if it was met before."""
        return self._sessions.get(id(context))

    def enabled(self) -> list[Session]:
        """Those that are not switched off."""
        return [session for session in self._sessions.values() if session.settings.enabled]

    def leave_to_parent(self) -> None:
        """In a forked child: meet none any more, and use nothing of the parent's."""
        self._forked = True
        self._lock = threading.RLock()
        for session in self._sessions.values():
            session.leave_to_parent()

    def _meet(self, context: Any) -> Session:
        with self._lock:
            if id(context) in self._sessions:
                return self._sessions[id(context)]
            make = _connect_session if connect.is_session(context) else _classic_session
            session = self._sessions[id(context)] = make(context)
        if session.settings.enabled and not session.is_connect:
            spark.tell_workers(context, session.application)
            self._met(session)
        return session


def _classic_session(context: Any) -> Session:
    settings, application = spark.read_context_settings(context), spark.read_application(context)
    journal, pinned = _file_journal(settings, application), spark.pins_threads(context)
    tags = spark.JobTags(context) if pinned else None
    return Session(context, application, settings, tags, journal, says_unpinned=not pinned)


def _connect_session(context: Any) -> Session:
    settings, application = connect.client_settings(), connect.read_application(context)
    journal = _file_journal(settings, application, connect_session=context.session_id)
    return Session(context, application, settings, connect.SessionTags(context), journal)


def _file_journal(
    settings: Settings, application: spark.Application, connect_session: str | None = None
) -> FileJournal:
    return FileJournal(
        settings.journal_dir,
        application,
        settings.heartbeat_seconds,
        rules=settings.journal_rules,
        connect_session=connect_session,
        collector=settings.collector,
    )
