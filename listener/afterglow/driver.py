"""The runs that are open in this driver process, and what happens to them: made, resumed, logged to, ended.

The patches call in here, on the job's thread. Every such method returns quickly, and raises nothing.
"""

import functools
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from afterglow import spark
from afterglow.boundary import never_raises
from afterglow.events import RunEvent, application_end, driver_end
from afterglow.heartbeats import Heartbeats, record_death, record_stop
from afterglow.notebook_cell import cell_tags
from afterglow.recorder import Recorder
from afterglow.run_records import RunRecords
from afterglow.sessions import Session, Sessions

EXIT_SECONDS = 0.8  # to wait for the queue at exit; the rest of the second is for writing without MLflow
MAX_RUNS = 10_000


@dataclass
class OpenRun:
    """A run that was made or became active in this process."""

    run_id: str
    tracking_uri: str
    source: str
    has_application: bool  # MLflow's tags name one
    ended: bool = False
    only_logged: bool = False  # by its id: neither made nor active here
    linked: set[Session] = field(default_factory=set)


@dataclass(frozen=True)
class LogCall:
    """A call of MLflow's log_metric, log_param, log_batch or set_tag, or the like, without the run's id."""

    method: str
    positional: tuple[Any, ...]
    named: Mapping[str, Any]


class RunWatch(Protocol):
    """Whoever wants to know of each run that this process makes or touches, with Spark or without: a notebook's cells.
    It is told on the job's thread, and has to return at once."""

    def touched(self, run_id: str, tracking_uri: str, run: Any = None) -> None:
        """It was made or became active, and is given then, or something was logged to it."""

    def logged(self, run_id: str, tracking_uri: str, call: "LogCall") -> None:
        """Metrics, params, tags or files were logged to it, or a tag was taken away."""

    def ended(self, run_id: str, tracking_uri: str, status: str) -> None:
        """It was given a final status."""


class Driver:
    """The state behind the patches; one a process."""

    watch: RunWatch | None = None

    def __init__(self) -> None:
        self.recorder = Recorder()
        self._heartbeats = Heartbeats(self._has_open_runs)
        self._records = RunRecords(self.recorder, self._heartbeats)
        self._sessions = Sessions(met=self._met)
        self._runs: OrderedDict[str, OpenRun] = OrderedDict()  # the latest, ended ones too
        self._thread = threading.local()
        self._forked = False

    def forget_parent(self) -> None:
        """In a forked child: it has its parent's sockets to the JVM and its parent's journals, and must use
        neither. Runs made in it are linked by tags, and recorded in a journal of its own."""
        self._forked = True
        self.watch = None  # its threads and locks are the parent's
        self.recorder = Recorder()
        self._heartbeats.stop()
        self._records = RunRecords(self.recorder, self._heartbeats)
        self._sessions.leave_to_parent()

    # -- Spark -------------------------------------------------------------------------------------------

    def knows(self, context: Any) -> bool:
        """Whether a SparkContext or Connect session was met before."""
        return self._sessions.of(context) is not None

    def _met(self, session: Session) -> None:
        self.recorder.put(lambda may_read: session.look_for_listener())

    @never_raises
    def context_started(self, innermost_run_id: str | None) -> None:
        """A SparkContext was created by this thread, whose innermost active run is given: link what is open."""
        session = self._sessions.running()
        if session is None:
            return
        for run in list(self._runs.values()):
            if not run.ended:
                self._link(run, session)
        if innermost_run_id is not None:
            session.tag_jobs(innermost_run_id)

    @never_raises
    def context_stopping(self, context: Any) -> None:
        """A SparkContext is about to stop. The listener sees that itself; the hook's own journal has to be told."""
        session = self._sessions.of(context)
        if session is not None and session.settings.enabled and not session.is_connect:
            session.stopped, event = True, application_end()
            if not self.recorder.put(lambda may_read: record_stop(session, event)):
                session.count_loss()

    # -- runs --------------------------------------------------------------------------------------------

    @never_raises
    def tags_for_new_run(self) -> dict[str, str] | None:
        """The tags that tie a run made now to the running application and the notebook's cell, or None."""
        session = self._sessions.running()
        application = spark.worker_tags() if session is None else session.application.run_tags()
        return {**(application or {}), **cell_tags()} or None

    @never_raises
    def run_created(self, run: Any, tracking_uri: str, source: str) -> None:
        """MLflow made a run, by whatever API. `source` is `tag` or `client`."""
        if self._on_recorder_thread():
            return
        self._tell("touched", run.info.run_id, tracking_uri, run)
        known = self._remember(run.info.run_id, tracking_uri, source, tags=run.data.tags)
        session = self._sessions.running()
        if session is not None:
            known.linked.add(session)
            event = RunEvent("AfterglowRunStart", known.run_id, tracking_uri, source)
            self._records.start(event, session, run)

    @never_raises
    def run_activated(self, run: Any, tracking_uri: str) -> None:
        """A run became this thread's innermost active one: new, resumed, implicit or by autologging."""
        self._tell("touched", run.info.run_id, tracking_uri, run)
        known = self._runs.get(run.info.run_id)
        if known is None:
            known = self._remember(run.info.run_id, tracking_uri, "resumed", tags=run.data.tags)
        if known.source == "client" and not known.linked:
            known.source = "tag"  # made by start_run, before there was a Spark application
        session = self._sessions.running()
        if known.ended or known.only_logged:
            if known.only_logged:
                known.source = "resumed"
            known.ended = known.only_logged = False
            if session is not None:
                known.linked.discard(session)
        if session is None:
            return
        self._link(known, session)
        carried = session.tag_jobs(known.run_id)
        if carried is not None:
            self._carried[known.run_id] = carried

    @never_raises
    def run_deactivated(self, run: Any, innermost_run_id: str | None) -> None:
        """This thread's innermost run ended; its parent's id, if it has one, is given."""
        carried = self._carried.pop(run.info.run_id, None)
        session = self._sessions.running()
        if session is None:
            return
        # Without a parent of its own the thread goes back to the run that it inherited, if that still runs.
        if innermost_run_id is None and carried is not None and self._is_open(carried):
            innermost_run_id = carried
        session.tag_jobs(innermost_run_id)

    @never_raises
    def run_terminated(self, run_id: str, tracking_uri: str, status: str, *, at_exit: bool = False) -> None:
        """Somebody in this process gave the run a final status; `at_exit`: MLflow did, since the interpreter exits."""
        if self._on_recorder_thread():
            return
        self._tell("ended", run_id, tracking_uri, status)
        known = self._runs.get(run_id)
        if known is None:
            session = self._sessions.running()
            sessions = [] if session is None else [session]
        else:
            known.ended = True
            sessions = list(known.linked)
        if sessions:
            source = "client" if known is None else known.source
            elsewhere = known is None or known.only_logged
            event = RunEvent("AfterglowRunEnd", run_id, tracking_uri, source, status, at_exit, elsewhere)
            self._records.end(event, sessions)

    @never_raises
    def run_logged_to(self, run_id: str, tracking_uri: str, call: LogCall) -> None:
        """Somebody in this process logged to a run by its id; it may have been made elsewhere."""
        if self._on_recorder_thread():
            return
        self._tell("logged", run_id, tracking_uri, call)
        if run_id in self._runs:
            return
        session = self._sessions.running()
        if session is not None:
            known = self._remember(run_id, tracking_uri, "client", tags={})
            known.only_logged = True
            self._link(known, session)

    @never_raises
    def run_touched(self, run_id: str, tracking_uri: str, call: LogCall) -> None:
        """Somebody in this process tagged a run, or gave it files."""
        if not self._on_recorder_thread():
            self._tell("logged", run_id, tracking_uri, call)

    @never_raises
    def _tell(self, what: str, *arguments: Any) -> None:
        if self.watch is not None:
            getattr(self.watch, what)(*arguments)

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
        if session in run.linked:
            return
        run.linked.add(session)
        source = run.source
        if not run.has_application:
            run.has_application = True
            self._records.tag(run.run_id, run.tracking_uri, session.application)
        elif len(run.linked) > 1:
            source = "resumed"  # it is another application's run, and was active here too
        self._record_start(run, session, source, run.run_id)

    def _record_start(self, run: OpenRun, session: Session, source: str, read_from: Any) -> None:
        event = RunEvent("AfterglowRunStart", run.run_id, run.tracking_uri, source, only_logged=run.only_logged)
        self._records.start(event, session, read_from)

    def _has_open_runs(self, session: Session) -> bool:
        ours = [run for run in list(self._runs.values()) if session in run.linked]
        return any(not run.ended and not run.only_logged for run in ours)

    @property
    def _carried(self) -> dict[str, str]:
        """Of this thread: run id -> the run that the thread's jobs were tagged with before."""
        carried: dict[str, str] = self._thread.__dict__.setdefault("carried", {})
        return carried

    def _on_recorder_thread(self) -> bool:
        return threading.current_thread() is self.recorder.thread

    # -- the end -----------------------------------------------------------------------------------------

    @never_raises
    def interpreter_exits(self, outcome: str, error: str | None) -> None:
        """Record how the driver ended, and wait for at most a second until all is written."""
        sessions = self._sessions.enabled()
        self._heartbeats.stop()
        for session in [] if self._forked else sessions:
            event = driver_end(session.application, outcome, error)
            if not self.recorder.put(functools.partial(_record_driver_end, session, event)):
                session.count_loss()
        if sessions:
            self.recorder.close(EXIT_SECONDS)


def _record_driver_end(session: Session, event: dict[str, Any], may_read: bool) -> None:
    if session.listener_journal is None and not session.file_journal.is_open:
        return
    if not session.is_connect and not session.stopped:
        # Only the recorder's thread may wait for the JVM's answer: the one that exits follows it if need be.
        is_alive = session.is_alive() if may_read else not spark.jvm_is_gone(session.context)
        if not is_alive:
            record_death(session)
    if session.lost:
        session.beat()  # the last that says how much
    session.record(event)
    session.close(0.5)
