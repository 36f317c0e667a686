"""What this driver process knows: its Spark applications, the runs that are open in it, and what to record of both.

The patches call in here, on the job's thread. Every such method returns quickly, and raises nothing.
"""

import functools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from afterglow import connect, spark
from afterglow.events import RunEvent, application_end, context_death, driver_end, heartbeat
from afterglow.journal import FileJournal, Journal, ListenerJournal, find_listener
from afterglow.recorder import Recorder
from afterglow.run_details import RunDetails, run_details
from afterglow.settings import Settings

logger = logging.getLogger("afterglow")

EXIT_SECONDS = 0.8  # to wait for the queue at exit; the rest of the second is for writing without MLflow
MAX_RUNS = 10_000

_Method = TypeVar("_Method", bound=Callable[..., Any])


def never_raises(method: _Method) -> _Method:
    """The boundary between the job and us: whatever goes wrong in here is logged, once a method."""
    said: set[str] = set()

    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception as error:  # the job must not notice
            if method.__qualname__ not in said:
                said.add(method.__qualname__)
                logger.warning("Afterglow: %s failed: %r", method.__qualname__, error, exc_info=True)
            return None

    return guarded  # type: ignore[return-value]


@dataclass
class Session:
    """One SparkContext of this process, or one session of a Connect client; kept after it stopped, since its
    runs may end later."""

    context: Any
    application: spark.Application
    settings: Settings
    job_tags: spark.JobTags | connect.SessionTags | None  # None where a job cannot be told from those of other threads
    file_journal: FileJournal
    listener_journal: ListenerJournal | None = None
    beats: bool = False
    stopped: bool = False  # by the program
    died: bool = False  # under the program, and that is told

    @property
    def is_connect(self) -> bool:
        """Whether the application runs elsewhere, for others too."""
        return connect.is_session(self.context)

    def is_alive(self) -> bool:
        """Whether the application, or the Connect session, still runs."""
        if self.stopped or self.died:
            return False
        return connect.answers(self.context) if self.is_connect else spark.answers(self.context)

    def record(self, event: dict[str, Any]) -> bool:
        """Hand `event` to the listener, or else to the hook's own journal."""
        listener = self.listener_journal
        return (listener is not None and listener.record(event)) or self.file_journal.record(event)

    def flush(self, seconds: float) -> bool:
        """Wait for at most `seconds` until all events are on disk."""
        journal: Journal = self.listener_journal or self.file_journal
        return journal.flush(seconds)


def _classic_session(context: Any) -> Session:
    settings, application = spark.read_context_settings(context), spark.read_application(context)
    tags = spark.JobTags(context) if spark.pins_threads(context) else None
    return Session(context, application, settings, tags, _file_journal(settings, application))


def _connect_session(context: Any) -> Session:
    settings, application = connect.client_settings(), connect.read_application(context)
    journal = _file_journal(settings, application, connect_session=context.session_id)
    return Session(context, application, settings, connect.SessionTags(context), journal)


def _file_journal(
    settings: Settings, application: spark.Application, connect_session: str | None = None
) -> FileJournal:
    return FileJournal(settings.journal_dir, application, settings.heartbeat_seconds, connect_session=connect_session)


@dataclass
class OpenRun:
    """A run that was made or became active in this process."""

    run_id: str
    tracking_uri: str
    source: str
    has_application: bool  # MLflow's tags name one
    ended: bool = False
    only_logged: bool = False  # by its id: neither made nor active here
    # The sessions that it is linked to, by the identity of their SparkContext.
    linked: set[int] = field(default_factory=set)


class Driver:
    """The state behind the patches; one a process."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self._sessions: dict[int, Session] = {}
        self._runs: OrderedDict[str, OpenRun] = OrderedDict()  # the latest, ended ones too
        self._lock = threading.RLock()
        self._thread = threading.local()
        self._clients: dict[str, Any] = {}
        self._said_unpinned = False
        self._forked = False
        self._exiting = False  # Python starts no thread any more

    def forget_parent(self) -> None:
        """In a forked child: it has its parent's sockets to the JVM and its parent's journals, and must use
        neither. Runs made in it are linked by tags, and recorded in a journal of its own."""
        self._forked = True
        self.recorder = Recorder()
        self._lock = threading.RLock()
        self._clients = {}
        for session in self._sessions.values():
            session.job_tags = None
            session.listener_journal = None
            session.file_journal = _file_journal(session.settings, session.application)

    # -- Spark -------------------------------------------------------------------------------------------

    def session(self) -> Session | None:
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

    def knows(self, context: Any) -> bool:
        """Whether a SparkContext or Connect session was met before."""
        return id(context) in self._sessions

    def _meet(self, context: Any) -> Session:
        with self._lock:
            if id(context) in self._sessions:
                return self._sessions[id(context)]
            make = _connect_session if connect.is_session(context) else _classic_session
            session = self._sessions[id(context)] = make(context)
        if session.settings.enabled and not session.is_connect:
            spark.tell_workers(context, session.application)
            self.recorder.put(lambda may_read: self._find_listener(session))
        return session

    def _find_listener(self, session: Session) -> None:
        listener = find_listener(session.context)
        if listener is not None:
            session.listener_journal = ListenerJournal(listener)

    @never_raises
    def context_started(self, innermost_run_id: str | None) -> None:
        """A SparkContext was created by this thread, whose innermost active run is given: link what is open."""
        session = self.session()
        if session is None:
            return
        for run in list(self._runs.values()):
            if not run.ended:
                self._link(run, session)
        if innermost_run_id is not None:
            self._tag_jobs(session, innermost_run_id)

    @never_raises
    def context_stopping(self, context: Any) -> None:
        """A SparkContext is about to stop. The listener sees that itself; the hook's own journal has to be told."""
        session = self._sessions.get(id(context))
        if session is not None and session.settings.enabled and not session.is_connect:
            session.stopped, event = True, application_end()
            self.recorder.put(lambda may_read: self._record_stop(session, event))

    def _record_stop(self, session: Session, event: dict[str, Any]) -> None:
        if spark.jvm_is_gone(session.context):  # a JVM outlives the stop of its context: this one was gone before
            self._record_death(session)
        elif session.file_journal.is_open:
            session.file_journal.record(event)

    # -- runs --------------------------------------------------------------------------------------------

    @never_raises
    def tags_for_new_run(self) -> dict[str, str] | None:
        """The tags that tie a run made now to the running application, or None."""
        session = self.session()
        return spark.worker_tags() if session is None else session.application.run_tags()

    @never_raises
    def run_created(self, run: Any, tracking_uri: str, source: str) -> None:
        """MLflow made a run, by whatever API. `source` is `tag` or `client`."""
        if self._on_recorder_thread():
            return
        known = self._remember(run.info.run_id, tracking_uri, source, tags=run.data.tags)
        session = self.session()
        if session is not None:
            known.linked.add(id(session.context))
            self._record_start(known, session, source, run)

    @never_raises
    def run_activated(self, run: Any, tracking_uri: str) -> None:
        """A run became this thread's innermost active one: new, resumed, implicit or by autologging."""
        known = self._runs.get(run.info.run_id)
        if known is None:
            known = self._remember(run.info.run_id, tracking_uri, "resumed", tags=run.data.tags)
        if known.source == "client" and not known.linked:
            known.source = "tag"  # made by start_run, before there was a Spark application
        session = self.session()
        if known.ended or known.only_logged:
            if known.only_logged:
                known.source = "resumed"
            known.ended = known.only_logged = False
            if session is not None:
                known.linked.discard(id(session.context))
        if session is None:
            return
        self._link(known, session)
        carried = self._tag_jobs(session, known.run_id)
        if carried is not None:
            self._carried[known.run_id] = carried

    @never_raises
    def run_deactivated(self, run: Any, innermost_run_id: str | None) -> None:
        """This thread's innermost run ended; its parent's id, if it has one, is given."""
        carried = self._carried.pop(run.info.run_id, None)
        session = self.session()
        if session is None:
            return
        # Without a parent of its own the thread goes back to the run that it inherited, if that still runs.
        if innermost_run_id is None and carried is not None and self._is_open(carried):
            innermost_run_id = carried
        self._tag_jobs(session, innermost_run_id)

    @never_raises
    def run_terminated(self, run_id: str, tracking_uri: str, status: str, *, at_exit: bool = False) -> None:
        """Somebody in this process gave the run a final status; `at_exit`: MLflow did, since the interpreter exits."""
        if self._on_recorder_thread():
            return
        known = self._runs.get(run_id)
        if known is None:
            session = self.session()
            sessions = [] if session is None else [session]
        else:
            known.ended = True
            sessions = [session for key, session in self._sessions.items() if key in known.linked]
        if sessions:
            source = "client" if known is None else known.source
            elsewhere = known is None or known.only_logged
            event = RunEvent("AfterglowRunEnd", run_id, tracking_uri, source, status, at_exit, elsewhere)
            self.recorder.put(lambda may_read: self._record_end(event, sessions, may_read))

    @never_raises
    def run_logged_to(self, run_id: str, tracking_uri: str) -> None:
        """Somebody in this process logged to a run by its id; it may have been made elsewhere."""
        if run_id in self._runs or self._on_recorder_thread():
            return
        session = self.session()
        if session is not None:
            known = self._remember(run_id, tracking_uri, "client", tags={})
            known.only_logged = True
            self._link(known, session)

    def _remember(self, run_id: str, tracking_uri: str, source: str, *, tags: Mapping[str, str]) -> OpenRun:
        known = OpenRun(run_id, tracking_uri, source, has_application="spark.app.id" in tags)
        self._runs[run_id] = known
        if len(self._runs) > MAX_RUNS:
            self._runs.popitem(last=False)
        return known

    def _is_open(self, run_id: str) -> bool:
        known = self._runs.get(run_id)
        return known is not None and not known.ended

    def _link(self, run: OpenRun, session: Session) -> None:
        """Link a run that exists already to `session`, and tag it with it if it has no application yet."""
        if id(session.context) in run.linked:
            return
        run.linked.add(id(session.context))
        source = run.source
        if not run.has_application:
            run.has_application = True
            self.recorder.put(lambda may_read: self._tag_run(run, session))
        elif len(run.linked) > 1:
            source = "resumed"  # it is another application's run, and was active here too
        self._record_start(run, session, source, run.run_id)

    def _tag_jobs(self, session: Session, run_id: str | None) -> str | None:
        if session.job_tags is None:
            self._say_unpinned(session)
            return None
        try:
            return session.job_tags.swap(run_id)
        except Exception as error:  # noqa: BLE001 - py4j's errors for a JVM that is gone are many
            session.job_tags = None
            logger.warning("Afterglow tags no more Spark jobs of this application: %r", error)
            return None

    def _say_unpinned(self, session: Session) -> None:
        if (
            not self._said_unpinned
            and not self._forked
            and not session.is_connect
            and not spark.pins_threads(session.context)
        ):
            self._said_unpinned = True
            logger.warning(
                "Afterglow links runs to this application but no Spark jobs to runs: with PYSPARK_PIN_THREAD=false "
                "a job cannot be told from those of other threads"
            )

    @property
    def _carried(self) -> dict[str, str]:
        """Of this thread: run id -> the run that the thread's jobs were tagged with before."""
        carried: dict[str, str] = self._thread.__dict__.setdefault("carried", {})
        return carried

    # -- on the recorder's thread ------------------------------------------------------------------------

    def _on_recorder_thread(self) -> bool:
        return threading.current_thread() is self.recorder.thread

    def _record_start(self, run: OpenRun, session: Session, source: str, read_from: Any) -> None:
        event = RunEvent("AfterglowRunStart", run.run_id, run.tracking_uri, source, only_logged=run.only_logged)

        def step(may_read: bool) -> None:
            details = self._details(run.tracking_uri, read_from, full=False) if may_read else None
            if event.claim():
                self._record(session, event.to_json(session.application, details))

        self.recorder.put(step)

    def _record_end(self, event: RunEvent, sessions: list[Session], may_read: bool) -> None:
        details = self._details(event.tracking_uri, event.run_id, full=True) if may_read else None
        if event.claim():
            for session in sessions:
                self._record(session, event.to_json(session.application, details))

    def _record(self, session: Session, event: dict[str, Any]) -> None:
        if not session.record(event):
            self.recorder.count_drop(f"{event['Event']} was taken neither by the listener nor by a journal")
        elif not session.beats and not self._forked and not self._exiting:
            session.beats = True
            threading.Thread(target=self._beat, args=(session,), name="afterglow-heartbeat", daemon=True).start()

    def _details(self, tracking_uri: str, run: Any, *, full: bool) -> RunDetails | None:
        try:
            return run_details(self._client(tracking_uri), run, outputs=full, versions=full)
        except Exception as error:  # noqa: BLE001 - whatever MLflow's store raises; the event itself still counts
            run_id = run if isinstance(run, str) else run.info.run_id
            logger.warning("Afterglow could not read run %s: %s", run_id, error)
            return None

    def _tag_run(self, run: OpenRun, session: Session) -> None:
        from mlflow.entities import RunTag  # noqa: PLC0415 - loaded already, or there would be no run

        client = self._client(run.tracking_uri)
        if "spark.app.id" not in client.get_run(run.run_id).data.tags:  # the first application keeps the tags
            tags = [RunTag(key, value) for key, value in session.application.run_tags().items()]
            client.log_batch(run.run_id, tags=tags)

    def _client(self, tracking_uri: str) -> Any:
        if tracking_uri not in self._clients:
            from mlflow import MlflowClient  # noqa: PLC0415 - loaded already, or there would be no run

            try:
                client = MlflowClient(tracking_uri)
            except Exception:  # noqa: BLE001 - it asks Spark for the registry's URI, and the JVM may be gone
                client = MlflowClient(tracking_uri, tracking_uri)
            self._clients[tracking_uri] = client
        return self._clients[tracking_uri]

    # -- heartbeats and the end --------------------------------------------------------------------------

    def _beat(self, session: Session) -> None:
        """A beat speaks for the application, so it takes an answer of its JVM; where the listener says that, it need
        not be said twice. Once the application is over it speaks for the driver, as long as that has open runs. On a
        thread of its own, since the recorder's may be waiting for MLflow."""
        while not self._forked:
            if session.is_alive():
                if session.file_journal.is_open:
                    session.file_journal.record(heartbeat(self.recorder.dropped))
            elif not self._beat_alone(session):
                break
            time.sleep(session.settings.heartbeat_seconds)
        session.beats = False

    def _beat_alone(self, session: Session) -> bool:
        """The application is over; whether its driver still had something to beat for."""
        if not session.stopped and not session.is_connect:
            self._record_death(session)
        if session.listener_journal is not None and spark.jvm_is_gone(session.context):
            session.listener_journal = None  # py4j logs each call that it cannot make
        if not self._has_open_runs(session):
            return False
        return session.record(heartbeat(self.recorder.dropped if session.listener_journal is None else None))

    def _has_open_runs(self, session: Session) -> bool:
        ours = [run for run in list(self._runs.values()) if id(session.context) in run.linked]
        return any(not run.ended and not run.only_logged for run in ours)

    def _record_death(self, session: Session) -> None:
        """The context is no more, and the program has not stopped it."""
        if session.died or not (session.listener_journal is not None or session.file_journal.is_open):
            return
        session.died, what = True, "Spark context was stopped"
        if spark.jvm_is_gone(session.context):
            session.listener_journal, what = None, "JVM died"
        session.record(context_death(session.application, f"its {what} under its Python driver"))

    @never_raises
    def interpreter_exits(self, outcome: str, error: str | None) -> None:
        """Record how the driver ended, and wait for at most a second until all is written."""
        self._exiting = True
        sessions = [session for session in self._sessions.values() if session.settings.enabled]
        for session in [] if self._forked else sessions:
            event = driver_end(session.application, outcome, error)
            self.recorder.put(functools.partial(self._record_driver_end, session, event))
        if sessions:
            self.recorder.close(EXIT_SECONDS)

    def _record_driver_end(self, session: Session, event: dict[str, Any], may_read: bool) -> None:
        if session.listener_journal is not None or session.file_journal.is_open:
            if not session.is_connect and not session.stopped:
                # Only the recorder's thread may wait for the JVM's answer: the one that exits follows it if need be.
                is_alive = session.is_alive() if may_read else not spark.jvm_is_gone(session.context)
                if not is_alive:
                    self._record_death(session)
            session.record(event)
            session.flush(0.5)
