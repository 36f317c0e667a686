"""Every way to make a run in a Spark application, with real Spark and an MLflow server over HTTP: is it linked?"""

import json
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.optuna.storage import MlflowStorage
from mlflow.pyspark.optuna.study import MlflowSparkStudy
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.linalg import Vectors
from pyspark.ml.regression import LinearRegression
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import SparkSession
from pyspark.sql.pandas.functions import pandas_udf
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from tests.support.connect import running_connect_server
from tests.support.journals import in_spark_s_words
from tests.support.sandbox import Sandbox
from tests.support.spark import spark_environment, spark_submit

# MLflow's and pyspark's use of what others deprecated is not ours to settle.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> Iterator[Sandbox]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(mlflow_server)
    mlflow.set_experiment("links")
    yield Sandbox(tmp_path_factory.mktemp("links"), mlflow_server)
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def _shared(sandbox: Sandbox) -> Iterator[list[SparkSession]]:
    sessions: list[SparkSession] = []
    yield sessions
    for session in sessions:
        session.stop()


@pytest.fixture
def spark(sandbox: Sandbox, _shared: list[SparkSession]) -> SparkSession:
    """The module's application; a new one if a test before had its own."""
    if not _shared or _shared[-1].sparkContext._jsc is None:
        _shared.append(sandbox.start_spark("links"))
    return _shared[-1]


@pytest.fixture(autouse=True)
def no_run_left_open() -> Iterator[None]:
    yield
    while mlflow.active_run():
        mlflow.end_run()


def app_id(session: SparkSession) -> str:
    return str(session.sparkContext.applicationId)


def tagged_app(run_id: str) -> str | None:
    """The application that MLflow's tags name."""
    return mlflow.get_run(run_id).data.tags.get("spark.app.id")


def links(sandbox: Sandbox, run_id: str) -> list[tuple[str, str]]:
    """(application, source) of each link that the hook recorded of a run."""
    starts = [event for event in sandbox.events(run_id) if event["Event"] == "AfterglowRunStart"]
    return [(start["Application"]["App ID"], start["Source"]) for start in starts]


def count(session: SparkSession) -> None:
    session.sparkContext.parallelize(range(2), 2).count()


def test_threads_each_have_their_own_run(sandbox: Sandbox, spark: SparkSession) -> None:
    seen, jobs, barrier = len(sandbox.job_runs(spark)), {}, threading.Barrier(3)

    def work(index: int) -> None:
        with mlflow.start_run() as run:
            barrier.wait()
            for _ in range(index):
                count(spark)
            jobs[run.info.run_id] = index

    threads = [threading.Thread(target=work, args=(index,)) for index in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [next(iter(job)) for job in sandbox.job_runs(spark)[seen:]]
    assert {run_id: found.count(run_id) for run_id in found} == jobs
    assert all(links(sandbox, run_id) == [(app_id(spark), "tag")] for run_id in jobs)


def test_a_run_made_by_mlflow_client(sandbox: Sandbox, spark: SparkSession) -> None:
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "rmse", 0.7)
    assert tagged_app(run_id) == app_id(spark)
    assert links(sandbox, run_id) == [(app_id(spark), "client")]


def test_a_run_of_an_earlier_process_that_is_logged_to_by_id(sandbox: Sandbox, spark: SparkSession) -> None:
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("links")
    assert experiment is not None
    made = client._tracking_client.store.create_run(experiment.experiment_id, "someone", 0, [], None)  # elsewhere
    run_id = made.info.run_id
    client.log_metric(run_id, "rmse", 0.7)
    assert links(sandbox, run_id) == [(app_id(spark), "client")]
    assert tagged_app(run_id) == app_id(spark)
    with mlflow.start_run(run_id=run_id):
        pass
    assert links(sandbox, run_id) == [(app_id(spark), "client"), (app_id(spark), "resumed")]
    only_logged = [event.get("Only Logged", False) for event in sandbox.events(run_id)]
    assert only_logged == [True, False, False]  # until it is active here


def test_a_session_that_starts_after_its_run(sandbox: Sandbox, spark: SparkSession) -> None:
    spark.stop()
    with mlflow.start_run() as run:
        assert tagged_app(run.info.run_id) is None
        late = sandbox.start_spark("late")
        count(late)
    assert links(sandbox, run.info.run_id) == [(app_id(late), "tag")]
    assert tagged_app(run.info.run_id) == app_id(late)
    assert sandbox.job_runs(late) == [{run.info.run_id}]
    late.stop()


def test_a_session_that_is_stopped_and_another_one(sandbox: Sandbox) -> None:
    first = sandbox.start_spark("first")
    with mlflow.start_run() as run:
        count(first)
    first_id = app_id(first)
    second = sandbox.start_spark("second")
    with mlflow.start_run() as other:
        count(second)
    assert links(sandbox, run.info.run_id) == [(first_id, "tag")]
    assert links(sandbox, other.info.run_id) == [(app_id(second), "tag")]
    assert (tagged_app(run.info.run_id), tagged_app(other.info.run_id)) == (first_id, app_id(second))
    assert sandbox.job_runs(second) == [{other.info.run_id}]
    second.stop()
    ends = [event for event in sandbox.events() if event["Event"] == "SparkListenerApplicationEnd"]
    assert len(ends) >= 2  # no listener says so here


def test_a_run_that_is_resumed_in_a_second_application(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sandbox.start_spark("first")
    first_id = app_id(first)
    with mlflow.start_run() as run:
        pass
    second = sandbox.start_spark("second")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    with mlflow.start_run():
        count(second)
    assert links(sandbox, run.info.run_id) == [(first_id, "tag"), (app_id(second), "resumed")]
    assert tagged_app(run.info.run_id) == first_id
    assert sandbox.job_runs(second) == [{run.info.run_id}]
    second.stop()


def test_a_run_that_stays_active_while_the_session_changes(sandbox: Sandbox) -> None:
    first = sandbox.start_spark("first")
    first_id = app_id(first)
    with mlflow.start_run() as run:
        second = sandbox.start_spark("second")
        count(second)
    assert links(sandbox, run.info.run_id) == [(first_id, "tag"), (app_id(second), "resumed")]
    assert sandbox.job_runs(second) == [{run.info.run_id}]
    second.stop()


def children_of(run_id: str) -> list[Any]:
    [experiment] = mlflow.search_experiments(filter_string="name = 'links'")
    tag = f"tags.mlflow.parentRunId = '{run_id}'"
    return list(mlflow.MlflowClient().search_runs([experiment.experiment_id], tag))


def test_children_that_autologging_makes_of_a_grid_search(sandbox: Sandbox, spark: SparkSession) -> None:

    features, target = load_iris(return_X_y=True)
    mlflow.sklearn.autolog(log_models=False, log_datasets=False, silent=True)
    try:
        with mlflow.start_run() as run:
            GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, cv=2).fit(features, target)
    finally:
        mlflow.sklearn.autolog(disable=True)
    children = [child.info.run_id for child in children_of(run.info.run_id)]
    assert len(children) == 2
    for run_id in (run.info.run_id, *children):
        assert tagged_app(run_id) == app_id(spark)
        assert links(sandbox, run_id) == [(app_id(spark), "tag")]


def test_children_that_autologging_makes_of_a_cross_validation(sandbox: Sandbox, spark: SparkSession) -> None:

    rows = [(float(i), Vectors.dense(float(i), float(i % 3))) for i in range(20)]
    frame = spark.createDataFrame(rows, ["label", "features"])
    model = LinearRegression(maxIter=1)
    grid = ParamGridBuilder().addGrid(model.regParam, [0.1, 1.0]).build()
    validator = CrossValidator(
        estimator=model, estimatorParamMaps=grid, evaluator=RegressionEvaluator(), numFolds=2, parallelism=2
    )
    seen = len(sandbox.job_runs(spark))
    mlflow.pyspark.ml.autolog(log_models=False, log_datasets=False, silent=True)
    try:
        with mlflow.start_run() as run:
            validator.fit(frame)
    finally:
        mlflow.pyspark.ml.autolog(disable=True)
    children = [child.info.run_id for child in children_of(run.info.run_id)]
    assert len(children) == 2
    assert all(links(sandbox, run_id) == [(app_id(spark), "tag")] for run_id in children)
    jobs = sandbox.job_runs(spark)[seen:]
    assert len(jobs) > 4
    assert all(job == {run.info.run_id} for job in jobs)


def test_runs_that_are_made_inside_executors(sandbox: Sandbox, spark: SparkSession) -> None:
    uri = sandbox.tracking_uri

    def in_pandas(frames: Any) -> Any:
        import mlflow  # noqa: PLC0415

        mlflow.set_tracking_uri(uri)
        for frame in frames:
            with mlflow.start_run() as run:
                yield frame.assign(run_id=run.info.run_id)

    def by_client(rows: Any) -> None:
        import mlflow  # noqa: PLC0415

        client = mlflow.MlflowClient(uri)
        for _ in rows:
            client.create_run("0", tags={"made": "by foreachPartition"})

    with mlflow.start_run():
        made = [row.run_id for row in spark.range(1).mapInPandas(in_pandas, "id long, run_id string").collect()]
        spark.sparkContext.parallelize([1], 1).foreachPartition(by_client)
    found = mlflow.MlflowClient().search_runs(["0"], "tags.made = 'by foreachPartition'")
    made += [run.info.run_id for run in found]
    assert len(made) == 2
    for run_id in made:
        tags = mlflow.get_run(run_id).data.tags
        assert tags["spark.app.id"] == app_id(spark)
        assert tags["spark.task.attempt.id"].isdigit()
    assert links(sandbox, made[0]) == []  # no driver saw it: the server makes the link of the tags


def test_a_run_that_is_made_inside_a_pandas_udf(sandbox: Sandbox, spark: SparkSession) -> None:
    uri = sandbox.tracking_uri

    def train(ids: pd.Series) -> pd.Series:
        mlflow.set_tracking_uri(uri)
        with mlflow.start_run(experiment_id="0") as run:
            return pd.Series([run.info.run_id] * len(ids))

    udf: Any = pandas_udf  # its types know no function that takes and gives a series of texts
    made = spark.range(1).select(udf(train, "string")("id").alias("run_id")).first()
    assert made is not None
    tags = mlflow.get_run(made.run_id).data.tags
    assert tags["spark.app.id"] == app_id(spark)
    assert tags["spark.task.attempt.id"].isdigit()


def test_the_study_and_the_trials_of_optuna_on_spark(sandbox: Sandbox, spark: SparkSession) -> None:
    experiment = mlflow.create_experiment("optuna on spark")
    study = MlflowSparkStudy("depth", MlflowStorage(experiment_id=experiment), mlflow_tracking_uri=sandbox.tracking_uri)
    study.optimize(lambda trial: (trial.suggest_float("x", -1, 1) - 0.5) ** 2, n_trials=2, n_jobs=2)
    runs = mlflow.MlflowClient().search_runs([experiment])
    trials = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(trials) == 2
    assert len(runs) == 3  # and the study itself
    for run in runs:
        assert tagged_app(run.info.run_id) == app_id(spark), run.info.run_name
    assert all(run.data.tags["spark.task.attempt.id"].isdigit() for run in trials)
    [study_run] = [run.info.run_id for run in runs if run not in trials]
    assert (app_id(spark), "client") in links(sandbox, study_run)


def test_runs_that_a_streaming_query_logs(sandbox: Sandbox, spark: SparkSession, tmp_path: Path) -> None:
    made: list[str] = []

    def train(batch: Any, number: int) -> None:
        with mlflow.start_run(run_name=f"batch {number}") as run:
            batch.count()
            made.append(run.info.run_id)

    stream = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 2).load()
    query = stream.writeStream.foreachBatch(train).option("checkpointLocation", str(tmp_path))
    running = query.trigger(processingTime="0 seconds").start()
    while len(made) < 2 and running.isActive:
        running.awaitTermination(1)
    running.stop()
    assert len(made) >= 2
    jobs = sandbox.job_runs(spark)
    for run_id in made[:2]:
        assert links(sandbox, run_id) == [(app_id(spark), "tag")]
        assert {run_id} in jobs


@pytest.fixture
def connect_server(tmp_path: Path) -> Iterator[str]:
    """A Connect server with the listener, its AFTERGLOW_HOME in `tmp_path / "server"`; gives its URI."""
    with running_connect_server(tmp_path) as uri:
        yield uri


def test_runs_of_a_connect_client(sandbox: Sandbox, connect_server: str, tmp_path: Path) -> None:
    program = """
        import mlflow, sys
        from pyspark.sql import SparkSession
        with mlflow.start_run():
            spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
            spark.range(10).count()
            with mlflow.start_run(nested=True):
                spark.range(11).count()
        assert not spark.getTags()
        print(spark.session_id)
        """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), connect_server],
        env=spark_environment(tmp_path / "client", {"MLFLOW_TRACKING_URI": sandbox.tracking_uri}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    client = journal_events(tmp_path / "client" / "journal")
    server = of_the_server(tmp_path / "server" / "journal")
    application = next(event for event in server if event["Event"] == "SparkListenerApplicationStart")
    jobs = [event for event in server if event["Event"] == "SparkListenerJobStart"]
    starts = [event for event in client if event["Event"] == "AfterglowRunStart"]
    assert client[0]["Connect Session"] == done.stdout.split()[-1]
    assert [start["Application"]["App ID"] for start in starts] == [application["App ID"]] * 2
    assert [tagged_app(start["Run ID"]) for start in starts] == [application["App ID"]] * 2
    assert list(dict.fromkeys(served(server))) == [start["Run ID"] for start in starts]
    assert len(served(server)) == len(jobs)


def served(events: list[dict[str, Any]]) -> list[str]:
    """The run that each job of a Connect server's journal served."""
    jobs = [event for event in events if event["Event"] == "SparkListenerJobStart"]
    tags = [tag for job in jobs for tag in job["Properties"]["spark.job.tags"].split(",")]
    return [tag.split("_Tag_mlflow.run_id=")[1] for tag in tags if "_Tag_mlflow.run_id=" in tag]


def of_the_server(folder: Path) -> list[dict[str, Any]]:
    """Its journal's events once two runs were served: its listener writes a moment after the jobs."""
    deadline = time.monotonic() + 15
    while len(set(served(found := journal_events(folder)))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def journal_events(folder: Path) -> list[dict[str, Any]]:
    [journal] = folder.glob("*.jsonl")
    return list(in_spark_s_words(events_of(journal)))


def events_of(journal: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.read_text().splitlines()]


@pytest.mark.parametrize(
    "imports",
    [
        "import mlflow, pyspark",
        "import pyspark, mlflow",
        "from mlflow import start_run; from pyspark.sql import SparkSession",
        "from mlflow import start_run; import afterglow; afterglow.autolog(); import pyspark",
        "import afterglow; afterglow.autolog(); import pyspark; from mlflow import start_run",
    ],
)
def test_the_hook_is_on_in_whatever_order_things_are_imported(imports: str) -> None:
    program = (
        f"{imports}\n"
        "import mlflow, pyspark, sys\n"
        "assert type(mlflow.tracking.fluent._active_run_stack.get()).__name__ == 'RunStack'\n"
        "assert hasattr(mlflow.tracking._tracking_service.client.TrackingServiceClient.create_run, '_afterglow')\n"
        "assert hasattr(pyspark.SparkContext.__init__, '_afterglow')\n"
        "assert not [each for each in sys.meta_path if type(each).__name__ == 'ImportWatch'], 'still watching'\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_with_unpinned_threads_runs_are_linked_and_no_job_is_given_to_the_wrong_one(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    job = spark_submit(
        """
        import threading, mlflow
        from pyspark.sql import SparkSession
        context = SparkSession.builder.getOrCreate().sparkContext
        both_run = threading.Barrier(2)

        def work():
            with mlflow.start_run() as run:
                both_run.wait()
                assert context.parallelize(range(4), 2).count() == 4
                both_run.wait()
                assert mlflow.get_run(run.info.run_id).data.tags["spark.app.id"] == context.applicationId

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        context.parallelize(range(4), 2).count()  # of no run
        """,
        home=tmp_path,
        environment={"PYSPARK_PIN_THREAD": "false", "MLFLOW_TRACKING_URI": sandbox.tracking_uri},
    ).succeeded()
    assert (job.stdout + job.stderr).count("PYSPARK_PIN_THREAD=false") == 1
    assert "InheritableThread" not in job.stderr  # which would not help
    events = journal_events(tmp_path / "journal")
    begun = [event for event in events if event["Event"] == "SparkListenerJobStart"]
    assert [event.get("Properties", {}).get("spark.job.tags") for event in begun] == [None] * 3
    ended = {event["Run ID"] for event in events if event["Event"] == "AfterglowRunEnd"}
    assert len(ended) == 2
    for run_id in ended:
        assert tagged_app(run_id) == next(each["App ID"] for each in events if "App ID" in each)


def test_with_the_listener_there_is_one_journal_and_it_works_on_after_stop(sandbox: Sandbox, tmp_path: Path) -> None:
    job = spark_submit(
        """
        import mlflow, sys, time
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.getOrCreate()
        mlflow.start_run()
        spark.sparkContext.parallelize(range(2), 2).count()
        spark.stop()
        time.sleep(1)
        mlflow.end_run()
        sys.exit(3)
        """,
        home=tmp_path,
        environment={"MLFLOW_TRACKING_URI": sandbox.tracking_uri},
        conf={"spark.afterglow.heartbeat.interval": "200ms"},
    )
    assert job.returncode == 3
    events = journal_events(tmp_path / "journal")
    by_name = {event["Event"]: event for event in events}
    run_id = by_name["AfterglowRunStart"]["Run ID"]
    assert by_name["AfterglowJournalStart"]["Writer"] == "listener"
    assert by_name["SparkListenerJobStart"]["Properties"]["spark.job.tags"] == f"mlflow.run_id={run_id}"
    assert by_name["AfterglowRunEnd"]["Run"]["status"] == "FINISHED"
    assert by_name["AfterglowDriverEnd"]["Error"] == "SystemExit: 3"
    names = [event["Event"] for event in events]
    stopped, ended = names.index("SparkListenerApplicationEnd"), names.index("AfterglowRunEnd")
    beats = [event for event in events[stopped:ended] if event["Event"] == "AfterglowHeartbeat"]
    assert {"Event", "Timestamp", "Seq"} in [set(event) for event in beats]  # the hook's; the listener counts losses
    [journal] = (tmp_path / "journal").glob("*.jsonl")
    numbers = [event["Seq"] for event in events_of(journal)]
    assert numbers == list(range(len(numbers)))


def test_jobs_of_a_raw_thread_are_given_to_no_run_and_that_is_said_once(sandbox: Sandbox, tmp_path: Path) -> None:
    job = spark_submit(
        """
        import threading, mlflow
        from pyspark import InheritableThread
        from pyspark.sql import SparkSession
        count = SparkSession.builder.getOrCreate().sparkContext.parallelize(range(2), 2).count

        def runs(thread):
            with mlflow.start_run() as run:
                count()
                other = thread(target=count)
                other.start()
                other.join()
            count()  # of no run, and of nobody's concern

        runs(InheritableThread)
        print("WELL SO FAR", flush=True)
        for _ in range(2):
            runs(threading.Thread)
        """,
        home=tmp_path,
        environment={"MLFLOW_TRACKING_URI": sandbox.tracking_uri},
    ).succeeded()
    events = journal_events(tmp_path / "journal")
    first, second, third = [event["Run ID"] for event in events if event["Event"] == "AfterglowRunStart"]
    jobs = [event["Properties"].get("spark.job.tags") for event in events if event["Event"] == "SparkListenerJobStart"]
    tags = [f"mlflow.run_id={run_id}" for run_id in (first, second, third)]
    assert jobs == [tags[0], tags[0], None, tags[1], None, None, tags[2], None, None]
    [said] = [line for line in job.stderr.splitlines() if "InheritableThread" in line]
    assert second in said
    assert "1 that began" in said


def test_a_child_that_the_driver_forked_links_its_run_and_leaves_the_parents_journal_alone(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    job = spark_submit(
        """
        import multiprocessing, os, mlflow
        from pyspark.sql import SparkSession
        context = SparkSession.builder.getOrCreate().sparkContext

        def work(name):
            with mlflow.start_run(run_name=name, nested=True):
                mlflow.log_param("depth", 5)

        with mlflow.start_run(run_name="parent"):
            context.parallelize(range(2), 2).count()
            child = os.fork()
            if child == 0:
                work("forked")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            process = multiprocessing.get_context("fork").Process(target=work, args=("of multiprocessing",))
            process.start()
            process.join(60)
            assert process.exitcode == 0, process.exitcode
            context.parallelize(range(2), 2).count()
        """,
        home=tmp_path,
        environment={"MLFLOW_TRACKING_URI": sandbox.tracking_uri},
    ).succeeded()
    assert "Afterglow " not in job.stderr.replace("Afterglow:", "Afterglow ")
    [events] = [each for each in map(events_of, job.journals) if each[0]["Writer"] == "listener"]
    starts = [event for event in events if event["Event"] == "AfterglowRunStart"]
    assert [start["Run"]["run_name"] for start in starts] == ["parent"]
    assert [event["Event"] for event in events].count("AfterglowDriverEnd") == 1
    assert [event["Seq"] for event in events] == list(range(len(events)))
    [application] = [event for event in events if event["Event"] == "SparkListenerApplicationStart"]
    started = [event for event in in_spark_s_words(events) if event["Event"] == "SparkListenerJobStart"]
    jobs = [event["Properties"]["spark.job.tags"] for event in started]
    assert jobs == [f"mlflow.run_id={starts[0]['Run ID']}"] * 2
    for name in ("forked", "of multiprocessing"):
        [run] = mlflow.search_runs(
            filter_string=f"attributes.run_name = '{name}'", search_all_experiments=True, output_format="list"
        )
        assert tagged_app(run.info.run_id) == application["App ID"]
