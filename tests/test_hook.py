"""The driver-side hook, with real Spark and real MLflow: tags, job tags, recorded runs, and staying out of the way."""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import mlflow
import pytest
from py4j.clientserver import ClientServerConnection
from pyspark import InheritableThread
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

from afterglow import autolog, interpreter_exit
from afterglow.events import public_tracking_uri
from afterglow.hook import driver
from afterglow.journal import FileJournal
from afterglow.jvm_commands import NextCommand
from afterglow.notebook.spark_status import SparkStatus, SparkUse
from afterglow.recorder import Recorder
from afterglow.run_details import json_number, list_outputs, run_details
from afterglow.settings import Settings, read_settings
from afterglow.spark import read_application
from tests.support.sandbox import Sandbox
from tests.support.tracking import running_mlflow
from tests.test_listener import SECRET

# MLflow's and pyspark's use of what others deprecated is not ours to settle.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("hook")
    sandbox = Sandbox(folder, f"sqlite:///{folder}/mlflow.db")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(sandbox.tracking_uri)
    mlflow.create_experiment("hook", artifact_location=(sandbox.folder / "artifacts").as_uri())
    mlflow.set_experiment("hook")
    yield sandbox
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def spark(sandbox: Sandbox) -> Iterator[SparkSession]:
    session = sandbox.start_spark("hook-test")
    yield session
    session.stop()


@pytest.fixture(autouse=True)
def no_run_left_open() -> Iterator[None]:
    yield
    while mlflow.active_run():
        mlflow.end_run()


def run_tags(run_id: str) -> dict[str, str]:
    return dict(mlflow.get_run(run_id).data.tags)


def spark_tags(run_id: str) -> dict[str, str]:
    return {key: value for key, value in run_tags(run_id).items() if key.startswith("spark.")}


# -- what Spark says of runs while they run --------------------------------------------------------------------


def test_sparks_live_status_of_a_run_adds_up_to_what_its_event_log_says(sandbox: Sandbox, spark: SparkSession) -> None:
    with mlflow.start_run() as first:
        spark.range(1000).repartition(3).groupBy("id").count().count()
        spark.sparkContext.parallelize(range(4), 2).map(lambda number: time.sleep(0.05)).count()
    with mlflow.start_run() as second, pytest.raises(Exception, match="ZeroDivisionError"):
        spark.sparkContext.parallelize(range(2), 2).map(lambda number: 1 // 0).count()
    ids = [run.info.run_id for run in (first, second)]
    jobs = [runs for runs in sandbox.job_runs(spark) if runs & set(ids)]
    found = SparkStatus(spark.sparkContext).of_runs([*ids, "0" * 32])
    assert [found[each].jobs for each in ids] == [sum(each in runs for runs in jobs) for each in ids]
    assert found[ids[0]].core_seconds == pytest.approx(sandbox.core_seconds(spark, ids[0]), abs=1e-9)
    assert found[ids[0]].core_seconds > 0.2
    assert (found[ids[0]].failed_jobs, found[ids[1]].failed_jobs, found[ids[1]].running_jobs) == (0, 1, 0)
    assert found["0" * 32] == SparkUse()


# -- tags of runs ----------------------------------------------------------------------------------------------


def test_a_run_is_tagged_with_the_application_that_it_is_made_in(spark: SparkSession) -> None:
    context = spark.sparkContext
    with mlflow.start_run() as run:
        pass
    assert spark_tags(run.info.run_id) == {
        "spark.app.id": context.applicationId,
        "spark.app.name": "hook-test",
        "spark.app.startTime": str(context.startTime),
    }


def test_a_run_made_by_the_client_is_tagged_and_recorded_as_the_clients(sandbox: Sandbox, spark: SparkSession) -> None:
    client = mlflow.MlflowClient()
    run_id = client.create_run("1").info.run_id
    client.set_terminated(run_id, "KILLED")
    assert spark_tags(run_id)["spark.app.id"] == spark.sparkContext.applicationId
    start, end = sandbox.events(run_id)
    assert (start["Source"], end["Source"], end["Status"]) == ("client", "client", "KILLED")


def test_a_run_in_a_folder_is_tagged_and_recorded(
    sandbox: Sandbox, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    folder = tmp_path / "mlruns"
    mlflow.set_tracking_uri(folder.as_uri())
    try:
        with mlflow.start_run(experiment_id="0") as run:
            spark.range(2).count()
        start, end = sandbox.events(run.info.run_id)
        assert spark_tags(run.info.run_id)["spark.app.id"] == spark.sparkContext.applicationId
    finally:
        mlflow.set_tracking_uri(sandbox.tracking_uri)
    assert (start["Source"], start["Tracking URI"]) == ("tag", folder.as_uri())
    assert end["Run"]["experiment_name"] == "Default"
    assert {run.info.run_id} in sandbox.job_runs(spark)


def test_tags_given_by_hand_win_over_ours(spark: SparkSession) -> None:
    with mlflow.start_run(tags={"spark.app.name": "another name"}) as run:
        pass
    assert spark_tags(run.info.run_id)["spark.app.name"] == "another name"


# -- tags of jobs ----------------------------------------------------------------------------------------------


def test_spark_jobs_carry_the_innermost_run_only(sandbox: Sandbox, spark: SparkSession) -> None:
    seen = len(sandbox.job_runs(spark))
    count = spark.sparkContext.parallelize(range(4), 2).count
    count()
    with mlflow.start_run() as parent:
        count()
        with mlflow.start_run(nested=True) as child:
            count()
        count()
    count()
    outer, inner = {parent.info.run_id}, {child.info.run_id}
    assert sandbox.job_runs(spark)[seen:] == [set(), outer, inner, outer, set()]


def test_an_implicit_run_tags_the_jobs_after_it(sandbox: Sandbox, spark: SparkSession) -> None:
    seen = len(sandbox.job_runs(spark))
    mlflow.log_param("depth", 5)
    spark.sparkContext.parallelize([1]).count()
    run = mlflow.active_run()
    assert run is not None
    assert sandbox.job_runs(spark)[seen:] == [{run.info.run_id}]


def test_each_thread_tags_its_own_jobs(sandbox: Sandbox, spark: SparkSession) -> None:
    seen = len(sandbox.job_runs(spark))
    barrier = threading.Barrier(3)
    runs: list[str] = []

    def work() -> None:
        with mlflow.start_run() as run:
            barrier.wait()
            spark.sparkContext.parallelize([1]).count()
            barrier.wait()
            runs.append(run.info.run_id)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jobs = sandbox.job_runs(spark)[seen:]
    assert sorted(run for job in jobs for run in job) == sorted(runs)
    assert all(len(job) == 1 for job in jobs)


def test_a_thread_goes_back_to_the_run_that_it_inherited(sandbox: Sandbox, spark: SparkSession) -> None:
    seen = len(sandbox.job_runs(spark))
    own: list[str] = []
    count = spark.sparkContext.parallelize([1]).count

    def work() -> None:
        count()
        with mlflow.start_run() as run:
            count()
            own.append(run.info.run_id)
        count()

    with mlflow.start_run() as outer:
        thread = InheritableThread(target=work)
        thread.start()
        thread.join()
    inherited = {outer.info.run_id}
    assert sandbox.job_runs(spark)[seen:] == [inherited, set(own), inherited]


@pytest.fixture
def tag_commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What of this process's commands to the JVM sets or takes away a job tag, in their order."""
    sent: list[str] = []
    send_command = ClientServerConnection.send_command

    def listen(self: Any, command: str) -> Any:
        sent.extend(line for line in command.splitlines() if line in ("addJobTag", "removeJobTag"))
        return send_command(self, command)

    monkeypatch.setattr(ClientServerConnection, "send_command", listen)
    return sent


def test_the_jvm_hears_of_a_runs_tag_only_before_another_command(spark: SparkSession, tag_commands: list[str]) -> None:
    context = spark.sparkContext
    context.getLocalProperty("spark.job.tags")
    with mlflow.start_run() as first:
        assert tag_commands == []
        assert set(context.getJobTags()) == {f"mlflow.run_id={first.info.run_id}"}
        assert tag_commands == ["addJobTag"]
    assert set(context.getJobTags()) == set()
    assert tag_commands == ["addJobTag", "removeJobTag"]


def test_tags_of_the_users_own_stay(spark: SparkSession) -> None:
    context = spark.sparkContext
    context.addJobTag("mine")
    try:
        with mlflow.start_run() as parent:
            with mlflow.start_run(nested=True) as child:
                assert set(context.getJobTags()) == {"mine", f"mlflow.run_id={child.info.run_id}"}
            assert set(context.getJobTags()) == {"mine", f"mlflow.run_id={parent.info.run_id}"}
        assert set(context.getJobTags()) == {"mine"}
    finally:
        context.removeJobTag("mine")


class LeavesARunOpen:
    """A `java.util.function.Consumer`: the JVM calls it, and goes on by itself."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def accept(self, _: Any) -> None:
        self.runs.append(mlflow.start_run().info.run_id)

    class Java:
        implements: ClassVar = ["java.util.function.Consumer"]


def test_a_run_that_is_left_open_when_the_jvm_called_is_told_at_once(
    spark: SparkSession, tag_commands: list[str]
) -> None:
    gateway: Any = spark.sparkContext._gateway
    ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
    items = gateway.jvm.java.util.ArrayList()
    items.add("one")
    called = LeavesARunOpen()
    items.forEach(called)
    assert tag_commands == ["addJobTag"]
    [run_id] = called.runs
    mlflow.MlflowClient().set_terminated(run_id)


def test_the_jvm_is_asked_by_one_wrapper_however_many_contexts_there_were(spark: SparkSession) -> None:
    client: Any = spark.sparkContext._gateway._gateway_client  # type: ignore[union-attr]
    assert NextCommand.of(client) is NextCommand.of(client)
    assert NextCommand.of(object()) is None  # a gateway of another kind


# -- what is recorded ------------------------------------------------------------------------------------------


def test_start_and_end_of_a_run_are_recorded_with_its_details(sandbox: Sandbox, spark: SparkSession) -> None:
    with contextlib.suppress(ZeroDivisionError), mlflow.start_run(run_name="doomed") as run:
        mlflow.log_param("depth", 5)
        mlflow.log_metric("broken", float("nan"))
        mlflow.log_text("hello", "notes/a.txt")
        1 / 0  # noqa: B018
    start, end = sandbox.events(run.info.run_id)
    assert (start["Event"], end["Event"]) == ("AfterglowRunStart", "AfterglowRunEnd")
    assert start["Application"]["App ID"] == spark.sparkContext.applicationId
    assert (start["Source"], start["Thread"], start["Tracking URI"]) == ("tag", "MainThread", sandbox.tracking_uri)
    assert start["Run"]["status"] == "RUNNING"
    assert end["Status"] == end["Run"]["status"] == "FAILED"
    assert end["Run"]["run_name"] == "doomed"
    assert end["Run"]["experiment_name"] == "hook"
    assert end["Run"]["params"] == {"depth": "5"}
    assert end["Run"]["metrics"] == {"broken": "NaN"}
    assert end["Run"]["outputs"] == [{"path": "notes/a.txt", "size": 5}]
    assert end["Run"]["outputs_complete"] is True
    assert end["Run"]["registered_versions"] == []


def test_the_journal_is_private_and_numbers_its_lines(sandbox: Sandbox, spark: SparkSession) -> None:
    with mlflow.start_run():
        pass
    assert driver.recorder.wait_until_idle(20)
    for file in sandbox.journals.glob("*.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [line["Seq"] for line in lines] == list(range(len(lines)))
        assert all(next(iter(line)) == "Event" and list(line)[-1] == "Seq" for line in lines)
        assert lines[0]["Event"] == "AfterglowJournalStart"
        assert (lines[0]["Writer"], lines[0]["Instance"]) == ("hook", file.stem)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_autolog_may_be_called_while_a_run_is_active(spark: SparkSession) -> None:
    with mlflow.start_run() as run:
        autolog()
        autolog()
        assert mlflow.active_run() is run


def test_run_details_list_outputs_by_path_up_to_their_limits(sandbox: Sandbox, spark: SparkSession) -> None:
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        for name in ("b/2.txt", "a.txt", "b/1.txt"):
            mlflow.log_text("x", name)
    run_id = run.info.run_id
    details = run_details(client, run_id)
    assert [output["path"] for output in details["outputs"]] == ["a.txt", "b/1.txt", "b/2.txt"]
    assert details["outputs_complete"] is True
    assert list_outputs(client, run_id, max_outputs=2)[1] is False
    assert len(list_outputs(client, run_id, max_outputs=2)[0]) == 2
    assert list_outputs(client, run_id, max_seconds=-1) == ([], False)
    assert "outputs" not in run_details(client, client.get_run(run_id), outputs=False)


def test_run_details_name_the_registered_versions(sandbox: Sandbox, spark: SparkSession) -> None:
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        pass
    client.create_registered_model("wine")
    client.create_model_version("wine", f"{run.info.artifact_uri}/model", run.info.run_id)
    assert run_details(client, run.info.run_id)["registered_versions"] == [{"name": "wine", "version": "1"}]


def test_infinite_metrics_are_written_as_words() -> None:
    assert [json_number(value) for value in (1.5, float("inf"), float("-inf"))] == [1.5, "Infinity", "-Infinity"]


@pytest.mark.parametrize(
    ("uri", "public"),
    [
        ("http://user:secret@mlflow:5000/a", "http://mlflow:5000/a"),
        ("postgresql://user:secret@db/mlflow", "postgresql://db/mlflow"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("sqlite:///mlflow.db", f"sqlite:///{Path.cwd()}/mlflow.db"),
        ("./mlruns", f"file://{Path.cwd()}/mlruns"),
        ("file:///data/mlruns", "file:///data/mlruns"),
        ("databricks", "databricks"),
        ("databricks://profile", "databricks://profile"),
    ],
)
def test_a_tracking_uri_is_recorded_without_secrets_and_means_the_same_elsewhere(uri: str, public: str) -> None:
    assert public_tracking_uri(uri) == public


# -- what may go wrong -----------------------------------------------------------------------------------------


def test_mlflow_down_at_the_end_of_a_run_costs_the_details_only(
    sandbox: Sandbox, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with running_mlflow(tmp_path) as uri:
        client = mlflow.MlflowClient(uri)
        run_id = client.create_run("0").info.run_id
        assert len(sandbox.events(run_id)) == 1
    with pytest.raises(mlflow.MlflowException):
        client.set_terminated(run_id, "FINISHED")
    start, end = sandbox.events(run_id)
    assert start["Run"]["tags"]["spark.app.id"] == spark.sparkContext.applicationId
    assert (end["Event"], end["Status"], end["Tracking URI"]) == ("AfterglowRunEnd", "FINISHED", uri)
    assert "Run" not in end


def test_a_journal_folder_that_cannot_be_written_is_said_once(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    journal = FileJournal(tmp_path / "file" / "journal", read_application(spark.sparkContext))
    assert not journal.record({"Event": "AfterglowHeartbeat"})
    assert not journal.record({"Event": "AfterglowHeartbeat"})
    assert not journal.flush(1)
    assert len(caplog.records) == 1


def test_what_does_not_fit_into_the_queue_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    recorder, go_on = Recorder(max_queued=2), threading.Event()
    recorder.put(lambda may_read: print(go_on.wait(10)))
    taken = [recorder.put(lambda may_read: None) for _ in range(10)]
    go_on.set()
    assert recorder.dropped == taken.count(False) >= 7
    assert len(caplog.records) == 1


def test_steps_wait_until_the_job_is_quiet_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterglow.recorder.QUIET_SECONDS", 0.3)
    monkeypatch.setattr("afterglow.recorder.MAX_WAIT_SECONDS", 1.5)
    recorder, ran = Recorder(), threading.Event()
    began = time.monotonic()
    recorder.put(lambda may_read: ran.set())
    while not ran.is_set() and time.monotonic() < began + 10:
        recorder.put(lambda may_read: None)
        time.sleep(0.01)
    assert 1.4 < time.monotonic() - began < 9


def test_exit_does_not_wait_for_a_server_that_does_not_answer() -> None:
    recorder, recorded = Recorder(), []

    def stuck(may_read: bool) -> None:
        if may_read:
            time.sleep(30)
        recorded.append("stuck")

    recorder.put(stuck)
    recorder.put(lambda may_read: recorded.append("waiting"))
    time.sleep(0.2)
    started = time.monotonic()
    recorder.close(0.5)
    assert time.monotonic() - started < 1
    assert recorded == ["stuck", "waiting"]


def test_a_step_that_fails_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    recorder.put(lambda may_read: print(1 / 0))
    assert recorder.wait_until_idle(10)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"spark.afterglow.enabled": "false"}, ""),
        ({"spark.afterglow.enabled": "no"}, "spark.afterglow.enabled=no"),
        ({"spark.afterglow.journal.dir": "s3a://bucket/journal"}, "s3a://bucket/journal"),
        ({"spark.afterglow.heartbeat.interval": "soon"}, "spark.afterglow.heartbeat.interval=soon"),
    ],
)
def test_a_setting_switches_afterglow_off(
    properties: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not read_settings(properties.get).enabled
    assert said in caplog.text


def test_settings_read_as_the_listener_reads_them(afterglow_home: Path) -> None:
    assert read_settings(lambda key: None) == Settings(True, afterglow_home / "journal", 10.0)
    properties = {"spark.afterglow.journal.dir": "file:///data/j", "spark.afterglow.heartbeat.interval": "500ms"}
    assert read_settings(properties.get) == Settings(True, Path("/data/j"), 0.5)
    assert read_settings({"spark.afterglow.journal.dir": "~/j"}.get).journal_dir == Path.home() / "j"


# -- whole processes -------------------------------------------------------------------------------------------

SLOW_MACHINE_SECONDS = 3  # what an exit may take longer where tests run

START_SPARK = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
"""


def run_script(sandbox: Sandbox, folder: Path, *parts: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in `folder`, with a tracking store and an AFTERGLOW_HOME there."""
    file, output, errors = folder / "script.py", folder / "output", folder / "errors"
    file.write_text("\n".join(textwrap.dedent(part) for part in parts))
    shutil.copy(sandbox.folder / "mlflow.db", folder)  # making a new one takes seconds
    # Into files: its JVM would hold a pipe open for a while longer.
    with output.open("w") as stdout, errors.open("w") as stderr:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(file)],
            cwd=folder,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_EXPERIMENT")},
                "AFTERGLOW_HOME": str(folder / "afterglow"),
                "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            timeout=200,
            check=False,
        )
    return subprocess.CompletedProcess(done.args, done.returncode, output.read_text(), errors.read_text())


def journal_of(folder: Path) -> list[dict[str, Any]]:
    [file] = (folder / "afterglow" / "journal").glob("*.jsonl")
    events = [json.loads(line) for line in file.read_text().splitlines()]
    return [event for event in events if event["Event"] != "AfterglowHeartbeat"]


def test_without_spark_nothing_is_tagged_started_or_written(sandbox: Sandbox, tmp_path: Path) -> None:
    done = run_script(
        sandbox,
        tmp_path,
        """
        import sys, threading, mlflow
        with mlflow.start_run() as run:
            pass
        assert "spark.app.id" not in mlflow.get_run(run.info.run_id).data.tags
        assert not [thread.name for thread in threading.enumerate() if "afterglow" in thread.name]
        # MLflow's default tags import pyspark where it is installed; the JVM would be ours.
        pyspark = sys.modules.get("pyspark")
        assert pyspark is None or pyspark.SparkContext._gateway is None
        """,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "afterglow").exists()


def test_the_kill_switch_leaves_mlflow_and_spark_untouched(sandbox: Sandbox, tmp_path: Path) -> None:
    done = run_script(
        sandbox,
        tmp_path,
        """
        import sys
        finders = list(sys.meta_path)
        import afterglow, mlflow, pyspark
        afterglow.autolog()
        with mlflow.start_run():
            assert type(mlflow.tracking.fluent._active_run_stack.get()) is list
        client = mlflow.tracking.fluent.TrackingServiceClient
        for function in (pyspark.SparkContext.__init__, client.create_run, sys.exit):
            assert not hasattr(function, "_afterglow"), function
        assert not [finder for finder in sys.meta_path if "afterglow" in type(finder).__module__]
        """,
        AFTERGLOW_DISABLED="1",
    )
    assert done.returncode == 0, done.stderr


def test_a_run_left_open_ends_before_the_driver_does_and_within_a_second(sandbox: Sandbox, tmp_path: Path) -> None:
    program = "import mlflow, time; mlflow.start_run(); print(time.time()); raise ValueError('boom')"
    done = run_script(sandbox, tmp_path, START_SPARK, program)
    assert time.time() - float(done.stdout.split()[-1]) < 1 + SLOW_MACHINE_SECONDS
    assert done.returncode == 1
    *_, run_end, driver_end = events = journal_of(tmp_path)
    assert [event["Event"] for event in events] == [
        "AfterglowJournalStart",
        "AfterglowRunStart",
        "AfterglowRunEnd",
        "AfterglowDriverEnd",
    ]
    assert run_end["Run"]["status"] == "FINISHED"  # so MLflow says; the next line knows better
    assert (driver_end["Outcome"], driver_end["Error"]) == ("exception", "ValueError: boom")


def test_a_silent_mlflow_keeps_the_driver_for_two_seconds_at_most(sandbox: Sandbox, tmp_path: Path) -> None:
    done = run_script(
        sandbox,
        tmp_path,
        START_SPARK,
        """
        import mlflow, socket, time
        from afterglow.hook import driver
        silent = socket.create_server(("127.0.0.1", 0))  # takes connections, and says nothing
        mlflow.start_run()
        driver.run_terminated("1" * 32, f"http://127.0.0.1:{silent.getsockname()[1]}", "FINISHED")
        mlflow.end_run()
        print(time.time())
        """,
    )
    assert time.time() - float(done.stdout.split()[-1]) < 2 + SLOW_MACHINE_SECONDS, done.stderr
    assert done.returncode == 0, done.stderr
    *_, silent_end, run_end, driver_end = journal_of(tmp_path)
    assert "Run" not in silent_end
    assert "Run" not in run_end  # there was no time for it; the server's sync reads it
    assert driver_end["Outcome"] == "clean"


def test_a_dead_jvm_costs_neither_the_run_nor_its_record(sandbox: Sandbox, tmp_path: Path) -> None:
    done = run_script(
        sandbox,
        tmp_path,
        "import mlflow, os, signal, time",
        START_SPARK,
        """
        lang = spark._jvm.java.lang
        with mlflow.start_run():
            os.kill(int(lang.management.ManagementFactory.getRuntimeMXBean().getName().split("@")[0]), signal.SIGKILL)
            time.sleep(0.5)
            mlflow.log_param("depth", 5)
        """,
        MLFLOW_REGISTRY_URI=sandbox.tracking_uri,  # else each MlflowClient() asks the dead JVM for it, and fails
    )
    assert done.returncode == 0, done.stderr
    events = journal_of(tmp_path)
    told = {event["Event"]: event for event in events}
    assert len(events) == len(told) == 5
    assert len({json.dumps(event["Application"]) for event in events if "Application" in event}) == 1
    assert told["AfterglowRunEnd"]["Run"]["params"] == {"depth": "5"}
    assert told["AfterglowContextDeath"]["Error"] == "its JVM died under its Python driver"
    assert told["AfterglowDriverEnd"]["Outcome"] == "clean"


# -- how the interpreter ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("pass", "clean None"),
        ("sys.exit()", "clean None"),
        ("sys.exit(0)", "clean None"),
        ("sys.exit(3)", "exception SystemExit: 3"),
        ("def main(): sys.exit('no data')\nmain()", "exception SystemExit: no data"),
        ("1 / 0", "exception ZeroDivisionError: division by zero"),
        ("raise KeyboardInterrupt", "exception KeyboardInterrupt: "),
        ("try: sys.exit(1)\nexcept SystemExit: pass", "clean None"),
        ("try: sys.exit(1)\nexcept ValueError: pass", "exception SystemExit: 1"),
        ("try: sys.exit(1)\nfinally: print(end='')", "exception SystemExit: 1"),
        ("with open('/dev/null'): sys.exit(1)", "exception SystemExit: 1"),
        ("try: sys.exit(1)\nexcept SystemExit: sys.exit(0)", "clean None"),
        ("def main():\n  try: sys.exit(1)\n  except SystemExit: return 0\nmain()", "clean None"),
        ("try: 1 / 0\nexcept ZeroDivisionError: sys.exit(1)", "exception SystemExit: 1"),
        ("import threading\nt = threading.Thread(target=sys.exit, args=(1,)); t.start(); t.join()", "clean None"),
        ("sys.ps1 = '>>> '\n1 / 0", "clean None"),
    ],
)
def test_the_end_of_the_interpreter_is_told_apart(program: str, outcome: str) -> None:
    watch = "import atexit, sys\nfrom afterglow import interpreter_exit as it\nit.watch_sys_exit()\n"
    tell = "atexit.register(lambda: print(*it.outcome()))\n"
    done = subprocess.run(
        [sys.executable, "-c", watch + tell + program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == outcome + "\n", done.stderr


def test_of_a_secret_that_the_error_at_the_end_is_cut_through_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ValueError("x" * 220 + f" https://me:{SECRET}@lake/a " + "y" * 300)
    monkeypatch.setattr(sys, "last_value", error, raising=False)
    monkeypatch.setattr(interpreter_exit, "is_interactive", lambda: False)
    how, said = interpreter_exit.outcome()
    assert how == "exception"
    assert said is not None
    assert said.startswith("ValueError: xxx")
    assert said.endswith("yyy")
    assert SECRET[:4] not in said


def test_a_step_that_finds_no_thread_is_done_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    recorder, ran = Recorder(), []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_room)
        assert recorder.put(lambda may_read: ran.append("first"))
        assert recorder.thread is None
    assert recorder.put(lambda may_read: ran.append("second"))
    assert recorder.wait_until_idle(20)
    assert ran == ["first", "second"]
    recorder.close(5)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_room)
        alone = Recorder()
        alone.put(lambda may_read: ran.append("third"))
        alone.close(5)
    assert ran[-1] == "third"
