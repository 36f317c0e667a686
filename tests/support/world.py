"""A store with a bit of everything in it: what a team's Monitor looks like after a month.

All of it goes through the real ingest. Every name that a test looks for is a constant here.
"""

from __future__ import annotations

import random
from pathlib import Path

from afterglow_store import Store, ingest_file
from tests.support.journals import Journal, model_outputs, run_id_of

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
HOSTILE = "<img src=x onerror=alert(1)> **bold** [a](http://192.0.2.1/x) ![](http://192.0.2.1/p.png) :red[red] $x^2$"
LONG = "nightly-feature-pipeline-" + "-".join(f"partition{n:03}" for n in range(24)) + "-end"
YARN_PROXY = "spark.org.apache.hadoop.yarn.server.webproxy.amfilter.AmIpFilter.param"
CV_APP, SKLEARN_APP, SEARCH_APP, LIVE_APP = (
    "local-1790000000001",
    "local-1790000000002",
    "app-20261001-0042",
    "app-live",
)
CV_PARENT, PLAIN, FAILED_RUN = run_id_of("cv"), run_id_of("plain"), run_id_of("broken")
SEARCH_RUNS = 300
CELLAR = "s3a://cellar"  # where what is read and written lies
PROXY = "http://rm.example.com:8088/proxy/app-live"  # of YARN, to the live application's own UI
COMMIT = "3f2a9c1d7be04c55a1e6d8f90b7c2e41a6d35f08"
CODE = {  # as MLflow tags it
    "mlflow.source.git.commit": COMMIT,
    "mlflow.source.git.branch": "tuning",
    "mlflow.source.git.dirty": "true",
}


def cross_validation(folder: Path, start: int) -> Path:
    """A plain fit, a CrossValidator with children, a second run: what the demo's first job does."""
    journal = Journal(folder, CV_APP, name="wine-quality-cv", start=start, user="ada")
    plain = journal.wait(4).run_start(
        PLAIN, "linear-baseline", params={"regParam": "0.1", "maxIter": "50", "featuresCol": "features"}
    )
    journal.job(
        PLAIN, seconds=6, description="treeAggregate at WeightedLeastSquares.scala:107", tasks=4, reads=f"{CELLAR}/wine"
    )
    journal.job(PLAIN, seconds=3, writes=f"{CELLAR}/features")
    journal.run_end(plain, metrics={"rmse": 0.7412, "r2": 0.3121}, outputs=model_outputs())
    parent = journal.wait(1).run_start(CV_PARENT, "cross-validator", params={"numFolds": "3", "parallelism": "2"})
    for _fold in range(6):
        journal.job(CV_PARENT, seconds=5, description="count at CrossValidator")
    for number in range(6):
        child = journal.run_start(
            run_id_of(f"cv-{number}"), f"regParam={0.01 * 3**number:.2f}", parent=CV_PARENT,
            params={"regParam": f"{0.01 * 3**number:.4f}", "elasticNetParam": str(number % 2)},
        )  # fmt: skip
        journal.run_end(child, metrics={"avg_rmse": 0.71 + 0.01 * number, "std_rmse": 0.012})
    journal.run_end(
        parent,
        metrics={"best_rmse": 0.7133, "r2": 0.364, "train.loss": "NaN", "divergence": "Infinity"},
        outputs=model_outputs([("best_parameters.json", 204), ("search_results.csv", 1_204)]),
        registered_versions=[{"name": "wine-quality", "version": "3"}],
        tags=parent["tags"] | {"team": "cellar", "stage": "candidate"} | CODE,
    )
    return journal.wait(2).end()


def sklearn(folder: Path, start: int) -> Path:
    """Runs on data that Spark prepared; a nested one, and one that fails."""
    journal = Journal(folder, SKLEARN_APP, name="diabetes-sklearn", start=start, user="grace")
    where = {"experiment_id": "2", "experiment_name": "diabetes-progression", "source_name": "diabetes.py"}
    outer_id = run_id_of("sk-outer")
    outer = journal.wait(3).run_start(outer_id, "random-forest", params={"n_estimators": "200"}, **where)
    journal.job(outer_id, seconds=4, description="prepare features")
    inner = journal.run_start(run_id_of("sk-inner"), "permutation-importance", parent=outer_id, **where)
    journal.job(run_id_of("sk-inner"), seconds=2)
    journal.run_end(inner, metrics={"bmi": 0.21, "s5": 0.18})
    journal.run_end(outer, metrics={"training_r2_score": 0.921, "training_mae": 17.21}, outputs=model_outputs())
    broken = journal.wait(1).run_start(FAILED_RUN, "gradient-boosting", params={"learning_rate": "-1"}, **where)
    journal.job(FAILED_RUN, seconds=2, error="Job aborted due to stage failure: Task 3 in stage 9.0 failed 4 times")
    journal.run_end(broken, "FAILED")
    return journal.wait(1).end("ValueError: The 'learning_rate' parameter must be a float in (0.0, inf). Got -1.")


def search(folder: Path, start: int) -> Path:
    """A hyperparameter search of 300 runs on a cluster."""
    journal = Journal(folder, SEARCH_APP, name="churn-search", start=start, user="lin", master="yarn", attempt="1")
    journal.executors(6)
    chance = random.Random(7)
    where = {"experiment_id": "3", "experiment_name": "churn-forest", "source_name": "search.py"}
    for number in range(SEARCH_RUNS):
        run = run_id_of(f"search-{number}")
        params = {"maxDepth": str(chance.randint(2, 16)), "numTrees": str(chance.choice([20, 50, 100, 200]))}
        started = journal.run_start(run, f"trial-{number:03}", params=params, **where)
        journal.job(run, seconds=chance.uniform(1, 9))
        failed = number % 41 == 40
        auc = {} if failed else {"auc": round(chance.uniform(0.7, 0.93), 4), "loss": round(chance.uniform(0.2, 0.6), 4)}
        journal.run_end(
            started, "FAILED" if failed else "FINISHED", metrics=auc, tags=started["tags"] | {"search": "v2"}
        )
    return journal.wait(1).end()


def odd_names(folder: Path, start: int) -> Path:
    """Names that are too long, and names that would like to be HTML or Markdown."""
    journal = Journal(folder, "local-1790000000009", name=HOSTILE, start=start, user="mallory")
    where = {"experiment_id": "9", "experiment_name": HOSTILE}
    run = journal.run_start(
        run_id_of("hostile"), HOSTILE, params={"<b>x</b>": HOSTILE}, tags={"note": HOSTILE}, **where
    )
    journal.job(run["run_id"], description=HOSTILE)
    journal.run_end(run, metrics={"loss": "-Infinity", "tiny": 1.2e-17, "huge": 8.123e21})
    long = journal.run_start(run_id_of("long"), LONG, params={LONG[:250]: LONG * 8}, **where)
    journal.run_end(
        long, metrics={"rmse": 0.5}, outputs=[{"path": f"{LONG}/{n}.parquet", "size": n} for n in range(40)]
    )
    return journal.end(f"RuntimeError: {HOSTILE}")


def live(folder: Path, start: int) -> Journal:
    """An application that still runs, with a run that still runs."""
    journal = Journal(
        folder, LIVE_APP, name="recommender-nightly", start=start, user="ada", master="yarn", spark="3.5.9",
        properties={f"{YARN_PROXY}.PROXY_URI_BASES": PROXY},
    )  # fmt: skip
    journal.executors(3)
    where = {"experiment_id": "4", "experiment_name": "recommender-als", "source_name": "als.py"}
    run = journal.wait(8).run_start(
        run_id_of("als"), "als-rank-64", params={"rank": "64"}, metrics={"rmse": 0.91}, **where
    )
    journal.job(run["run_id"], seconds=20, description="ALS iteration")
    journal.job(run["run_id"], seconds=10, unfinished=True)
    journal.progress([1, 1, 2, 5, 16], dropped=2, bus_dropped=5)
    return journal


def fill(store: Store, folder: Path, *, now: int) -> None:
    """Put all of it into `store`: the newest a minute old at `now` (ms), the oldest 40 days."""
    paths = [
        cross_validation(folder, now - 25 * MINUTE),
        sklearn(folder, now - 3 * HOUR),
        search(folder, now - 2 * DAY),
        odd_names(folder, now - 5 * DAY),
        live(folder, now - 95_000).path,
    ]
    for day in (1, 2, 3, 4, 6, 9, 13, 20, 40):
        start = now - day * DAY - 90 * MINUTE
        journal = Journal(
            folder, f"app-2026-{day:04}", name="recommender-nightly", start=start, user="svc-etl", master="yarn"
        )
        journal.executors(3)
        where = {"experiment_id": "4", "experiment_name": "recommender-als", "source_name": "als.py"}
        run = journal.run_start(run_id_of(f"nightly-{day}"), f"nightly-{day:02}", params={"rank": "64"}, **where)
        journal.job(run["run_id"], seconds=60 + 7 * day, tasks=200)
        journal.run_end(run, metrics={"rmse": 0.9 + day / 1000})
        paths.append(journal.end())
    for path in paths:
        ingest_file(store, path, now=now)
