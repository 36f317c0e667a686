"""A made-up fortnight of a team, with the truth: which application each of its runs without a link was made in.

Drawn from a seed. The hard parts are those of real teams: people who share a host, who have two applications open at
once or one right after the other, notebooks that are all called alike, runs of plain Python beside one's own Spark,
runs of applications that the store never heard of, users and hosts that nobody recorded, clocks that differ.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from afterglow_store import Store
from afterglow_store.runs import take_in_run
from afterglow_store.schema import application, application_conf, job

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
START = 1_790_000_000_000
PEOPLE = ("anna", "bela", "chen", "dana", "Emre", "root", "svc-etl", "jovyan")
HOSTS = ("node1.example.com", "node2.example.com", "10.0.0.7", "gateway")
# Each script, and what it calls its application: nothing, so that Spark does; like itself; or as it likes.
SCRIPTS = {
    "train.py": "train.py",
    "score.py": "score.py",
    "features.py": "etl",
    "nightly_refresh.py": "Nightly refresh",
    "churn-model.py": "churn_model",
}
RUNS = 200


@dataclass
class App:
    """An application as it was. `known`: whether the store has heard of it."""

    user: str
    host: str
    script: str | None  # None: a notebook
    start: int
    end: int
    known: bool
    id: int | None = None
    jobs: int = 0


@dataclass
class Team:
    """Draws the applications and the runs of one seed; `truth` is each run's application in the store, or None."""

    seed: int
    apps: list[App] = field(default_factory=list)
    truth: dict[str, int | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def fill(self, store: Store) -> None:
        for number in range(60):
            self._applications(number)
        with store.write() as conn:
            for number, app in enumerate(self.apps):
                if app.known:
                    app.id = self._store_application(conn, number, app)
            while len(self.truth) < RUNS:
                inside = self.draw.random() < 0.7
                made = self._of_application(self.draw.choice(self.apps)) if inside else self._outside_of_spark()
                self._store_run(conn, *made)

    def _applications(self, number: int) -> None:
        """One application; or two at once, two in a row, or the same script five times at once."""
        user, host = self.draw.choice(PEOPLE), self.draw.choice(HOSTS)
        start = START + number * 4 * HOUR + self.draw.randrange(HOUR)
        notebook = self.draw.random() < 0.4
        length = self.draw.randrange(HOUR, 9 * HOUR) if notebook else self.draw.randrange(3 * MINUTE, 50 * MINUTE)
        script = None if notebook else self.draw.choice(list(SCRIPTS))
        first = App(user, host, script, start, start + length, known=self.draw.random() < 0.94)
        self.apps.append(first)
        kind = self.draw.random()
        if kind < 0.2:  # a second one while the first is open, perhaps of another script or on another host
            begin = start + self.draw.randrange(length // 2)
            other = self.draw.choice((script, *SCRIPTS))
            at = self.draw.choice((host, self.draw.choice(HOSTS)))
            self.apps.append(App(user, at, other, begin, begin + self.draw.randrange(5 * MINUTE, 2 * HOUR), known=True))
        elif kind < 0.35:  # back to back
            begin = first.end + self.draw.randrange(20 * SECOND)
            self.apps.append(App(user, host, script, begin, begin + length, known=True))
        elif kind < 0.42:  # a sweep
            for nth in range(1, 5):
                begin = start + nth * self.draw.randrange(1, 5 * SECOND)
                self.apps.append(App(user, host, script, begin, begin + length, known=True))

    def _store_application(self, conn: sa.Connection, number: int, app: App) -> int:
        row: dict[str, Any] = {
            "app_id": f"app-{number}", "attempt": "", "start_time": app.start, "end_time": app.end,
            "driver_host": "localhost" if self.draw.random() < 0.15 else app.host, "user_name": app.user,
            "name": SCRIPTS[app.script] if app.script else "pyspark-shell", "status": "ENDED",
            "last_event_time": app.end,
        }  # fmt: skip
        added = conn.execute(sa.insert(application).values(**row).returning(application.c.id)).scalar_one()
        on_yarn = app.script is not None and self.draw.random() < 0.3
        files = f"hdfs:///jobs/{app.script},hdfs:///jobs/helpers.py" if on_yarn else ""
        properties = {"spark.app.name": row["name"], "spark.yarn.dist.files": files}
        conn.execute(sa.insert(application_conf).values(application_id=added, spark_properties=properties))
        app.id = int(added)
        for _burst in range(self.draw.randrange(4) if app.script is None else 5):
            self._store_job(conn, app, self.draw.randrange(app.start, app.end))
        return app.id

    def _store_job(self, conn: sa.Connection, app: App, start: int) -> None:
        end = min(app.end, start + self.draw.randrange(SECOND, 2 * MINUTE))
        row = {"application_id": app.id, "job_id": app.jobs, "status": "SUCCEEDED", "start_time": start}
        conn.execute(sa.insert(job).values(**row, end_time=end))
        app.jobs += 1

    def _of_application(self, app: App) -> tuple[App, int, int, str, bool]:
        lasts = app.end - app.start
        if app.script is not None and self.draw.random() < 0.5:  # the job is one run
            began, ended = app.start + lasts // 20, app.end - lasts // 20
        else:
            began = app.start + self.draw.randrange(lasts)
            ended = min(app.end - 1, began + self.draw.randrange(SECOND, max(2 * SECOND, lasts // 4)))
        return app, began, ended, app.script or "ipykernel_launcher.py", self.draw.random() < 0.3

    def _outside_of_spark(self) -> tuple[App, int, int, str, bool]:
        """Plain Python on somebody's host or on a laptop: every second one while they have Spark open."""
        near = self.draw.choice(self.apps)
        began = near.start + self.draw.randrange(near.end - near.start)
        if self.draw.random() < 0.5:
            began = START + self.draw.randrange(10 * DAY)
        ended = began + self.draw.randrange(SECOND, 30 * MINUTE)
        host = near.host if self.draw.random() < 0.3 else "laptop"
        source = self.draw.choice(("ipykernel_launcher.py", "plot.py", "tune.py", "<console>"))
        if near.script is not None and self.draw.random() < 0.05:  # the same script, once without Spark
            source = near.script
        nowhere = App(near.user, host, None, 0, 0, known=False)
        return nowhere, began, ended, source, False

    def _store_run(self, conn: sa.Connection, app: App, began: int, ended: int, source: str, spark: bool) -> None:
        if app.id is not None and self.draw.random() < 0.7:  # the others work on what Spark has prepared
            self._store_job(conn, app, self.draw.randrange(began, ended))
        run_id = UUID(int=self.draw.getrandbits(128)).hex
        skew = self.draw.randrange(-2 * SECOND, 2 * SECOND)
        tags = {"mlflow.source.name": source}
        if self.draw.random() < 0.4:
            tags["hostname"] = app.host.partition(".example")[0]
        if spark:
            tags["estimator_class"] = "pyspark.ml.regression.LinearRegression"
        user = None if self.draw.random() < 0.1 else app.user.lower()
        details: dict[str, Any] = {
            "run_id": run_id, "run_name": f"run {len(self.truth)}", "experiment_id": "1", "experiment_name": "team",
            "status": "FINISHED", "start_time": began + skew, "end_time": ended + skew, "user": user, "tags": tags,
            "source_name": source, "source_type": "LOCAL", "lifecycle_stage": "active",
        }  # fmt: skip
        take_in_run(conn, details, server="team", tracking_uri="http://127.0.0.1:5000", as_of=ended)
        self.truth[run_id] = app.id
