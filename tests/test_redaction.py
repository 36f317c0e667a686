"""Secrets planted wherever Spark lets them through: in no journal, no row, and nothing that the command line prints."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette

from afterglow.redaction import REDACTED, redact_text
from afterglow_monitor.rest import serving
from afterglow_store import Store, ingest_file, open_store
from afterglow_store.comparing import compare
from afterglow_store.items import run_by_id
from afterglow_store.runs import take_in_run
from afterglow_store.schema import application, metadata
from tests.support.asgi import Asgi
from tests.support.journals import SQL, Journal, run_id_of
from tests.test_listener import INNOCENT, SECRET

START = 1_790_000_000_000
TOKENS = {
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4",
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "GitHub": "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "Databricks": "dapi0123456789abcdef0123456789abcdef",
    "Slack": "xoxb-123456789012-abcdefghijkl",
}
SHAPES = {
    "bearer": f"Authorization: Bearer {SECRET}-4711",
    "userinfo": f"jdbc:postgresql://me:{SECRET}@db/wine",
    "userinfo with a slash": f"postgresql://me:it/{SECRET}@db/wine",
    "userinfo with a query": f"https://me:{SECRET}?#it@lake/a",
    "password without a user": f"redis://:aB/{SECRET}=@cache:6379/0",
    "password that begins as a port": f"postgresql://me:2024#{SECRET}@db/wine",
    "password with more than one at sign": f"https://me:a/b@{SECRET}@lake/a",
    "signature": f"https://a.blob.core.windows.net/c/f?sv=2022-11-02&sig={SECRET}%3D&se=1",
    "signature of S3": f"https://b.s3.amazonaws.com/f?X-Amz-Date=1&X-Amz-Signature={SECRET}",
    "pair": f"connect to x;password={SECRET};ssl=true",
    "option": f"--user me --api-token {SECRET} --depth 3",
    "json": f'{{"name": "x", "password": "{SECRET}"}}',
    "list": f'{{"passwords": ["a", "{SECRET}"], "name": "x"}}',
    "object": f'{{"credentials": {{"user": "x", "pass": "it\'s }} {SECRET}"}}, "name": "x"}}',
    "json in json": f'{{"all": "{{\\"passwords\\": [\\"{SECRET}\\"], \\"name\\": 1}}"}}',
    "table": f"CREATE TABLE t USING jdbc OPTIONS (user 'me', `password` '{SECRET}', 'api_key' \"{SECRET}\")",
    "map": f"HashMap(user -> me, password -> {SECRET})",
    "argument": f"read(user => 'me', secret => '{SECRET}')",
    **TOKENS,
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_has_the_shape_of_a_secret_goes_and_what_stands_around_it_stays(name: str) -> None:
    redacted = redact_text(f"before {SHAPES[name]} after")
    assert SECRET not in redacted
    assert not any(token in redacted for token in TOKENS.values())
    assert REDACTED in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith("after")
    assert redact_text(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        *INNOCENT.values(),
        "max_tokens=5, tokenizer=bert",
        "the bearer of good instruments",
        "hdfs://nn:8020/a@b",
        "https://registry/@scope/a@1",
        "zk://a:1,b:2/x@y",
    ],
)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ('{"pin_token": 4711, "b": -1}', '{"pin_token": "GONE", "b": -1}'),
        ('{"tokens": [[1], {"a": "]"}]} b', '{"tokens": "GONE"} b'),
        ("{'token': {'a': 'x'}, 'b': None}", "{'token': 'GONE', 'b': None}"),
        ('{"token": [1, "never closed', '{"token": "GONE"'),
        ('"all": "{\\"pin_token\\": 4711}"', '"all": "{\\"pin_token\\": \\"GONE\\"}"'),
        ("Map(password -> a(b)c, x -> y)", "Map(password -> GONE, x -> y)"),
        ("Map(x -> Map(password -> a)) b", "Map(x -> Map(password -> GONE)) b"),
        ("Map(token -> a1b2, x -> y)", "Map(token -> GONE, x -> y)"),
        ("Authorization: Basic dXNlcjpwYXNz, more", "Authorization: Basic GONE, more"),
        ('WHERE "token" = 5', 'WHERE "token" = 5'),
        ("SELECT token ->> 'x', secret -> 'y'", "SELECT token ->> 'x', secret -> 'GONE'"),
    ],
)
def test_only_the_value_goes(text: str, redacted: str) -> None:
    wanted = redacted.replace("GONE", REDACTED)
    assert redact_text(text) == wanted
    assert redact_text(wanted) == wanted


def test_a_key_of_tokens_as_words_may_be_one_of_a_secret_as_well() -> None:
    assert SECRET not in redact_text(f"tokenizer.password={SECRET} count_tokens_secret={SECRET}")
    assert SECRET not in redact_text(f"admin_token={SECRET} pin_token={SECRET} adminToken={SECRET}")


NASTY = [
    "a",
    "--",
    "a=",
    "a://",
    "a://@",
    "\\",
    '"',
    "token=",
    "token='",
    "token='\\",
    " ",
    "bearer ",
    "eyJa.",
    "ghp_",
    '"token":[',
    '"token":{\'',
    "token -> ",
    "token -> )",
    "password -> (",
    "(token '",
    "( token' '",
    "basic a",
]


@pytest.mark.parametrize("part", NASTY)
def test_a_quarter_of_a_megabyte_of_nasty_text_takes_no_time(part: str) -> None:
    text = "token@" + part * ((256 << 10) // len(part))
    began = time.process_time()
    redact_text(text)
    assert time.process_time() - began < 2


def plant(folder: Path) -> Path:
    """A journal that another program wrote, with secrets in every text of it."""
    all_of_them = "  ".join(SHAPES.values())
    made = Journal(folder, "local-1", name=f"train {all_of_them}", start=START, master=f"spark://u:{SECRET}@host:7077")
    made._write("SparkListenerEnvironmentUpdate", **{
        "Spark Properties": {
            "spark.my.password": SECRET,
            "spark.hadoop.fs.s3a.secret.key": SECRET,
            "spark.some.text": all_of_them,
            "spark.driver.extraJavaOptions": f"-Dmy.token={SECRET} -Dmy.color=red",
        },
        "JVM Information": {"Java Home": "/usr", "sun.java.command": f"Main --password {SECRET}"},
    })  # fmt: skip
    made.job(description=f"count {all_of_them}", error=f"no good: {all_of_them}")
    # What Spark copies into every job and stage of a query, and what a user sets for a thread.
    properties = {"spark.my.password": SECRET, "mlflow.tracking.token": SECRET, "spark.job.description": all_of_them}
    made._write("SparkListenerJobStart", Properties=properties, **{
        "Job ID": 9, "Submission Time": START, "Stage IDs": [9], "Stage Infos": [],
    })  # fmt: skip
    made._write("SparkListenerStageSubmitted", Properties=properties, **{
        "Stage Info": {"Stage ID": 9, "Stage Name": all_of_them},
    })  # fmt: skip
    made._write("SparkListenerExecutorRemoved", Timestamp=START, **{
        "Executor ID": "1", "Removed Reason": all_of_them,
    })  # fmt: skip
    made._write(f"{SQL}SparkListenerSQLExecutionStart", executionId=9, time=START, jobTags=[], description=all_of_them,
                physicalPlanDescription=all_of_them, Inputs=[{"Path": f"s3a://key:{SECRET}@lake/x"}],
                Outputs=[{"Table": all_of_them}])  # fmt: skip
    made._write("AfterglowContextDeath", Timestamp=START, Error=all_of_them)
    return made.end(error=f"ValueError: {all_of_them}")


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(store_url)
    ingest_file(opened, plant(tmp_path / "journal"), now=0)
    yield opened
    opened.close()


def test_no_planted_secret_is_in_the_store_or_printed(store: Store, store_url: str, tmp_path: Path) -> None:
    with store.read() as conn:
        for table in metadata.sorted_tables:
            for row in conn.execute(sa.select(table)):
                assert not hidden(str(row)), (table.name, row)
        assert REDACTED in str(conn.execute(sa.text("SELECT name, driver_error FROM application")).one())
    environment = {**os.environ, "AFTERGLOW_HOME": str(tmp_path), "AFTERGLOW_STORE_URL": store_url}
    command = [sys.executable, "-m", "afterglow_monitor.cli", "apps", "--since", "all", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "local-1" in done.stdout
    assert not hidden(done.stdout)


def test_addresses_of_a_run_lose_user_and_password_whoever_tells_of_it(tmp_path: Path) -> None:
    store, journal = open_store(f"sqlite:///{tmp_path}/store.db"), Journal(tmp_path, "local-1", name="a", start=START)
    addresses = {"artifact_uri": f"https://me:{SECRET}@lake/a", "source_name": f"https://{SECRET}@git/wine.git"}
    details = journal.run_start(run_id_of("wine"), "wine", params={"at": "u:p@h"}, **addresses)
    ingest_file(store, journal.end(), now=0)
    with store.write() as conn:
        row = run_by_id(conn, details["run_id"])
        assert row["artifact_uri"] == f"https://{REDACTED}@lake/a"
        assert row["source_name"] == f"https://{REDACTED}@git/wine.git"
        assert row["params"] == {"at": "u:p@h"}
        # What MLflow's own server says of it is no change, and no secret gets in that way.
        assert compare(conn, [details])[details["run_id"]].same
        news = details | {"status": "FINISHED"}
        assert take_in_run(conn, news, server=row["server"], tracking_uri="http://mlflow", as_of=START * 2)
        assert SECRET not in str(run_by_id(conn, details["run_id"]))
    store.close()


def test_of_a_secret_that_an_error_is_cut_through_nothing_is_left(store_url: str, tmp_path: Path) -> None:
    store = open_store(store_url)
    error = "x" * 3_983 + f" https://me:{SECRET}@lake/a"
    ingest_file(store, Journal(tmp_path, "local-2", name="train", start=START).end(error), now=0)
    with store.read() as conn:
        said = conn.scalar(sa.select(application.c.driver_error).where(application.c.app_id == "local-2"))
    assert (said or "").startswith("xxx")
    assert SECRET[:4] not in (said or "")
    store.close()


PARTS = ("", "/items", "/jobs", "/stages", "/sql", "/executors")


@pytest.mark.parametrize("path", [*(f"applications/local-1{part}" for part in PARTS), "search?text=train&since=all"])
def test_no_planted_secret_is_in_an_answer_of_the_api(store: Store, path: str) -> None:
    answer = Asgi(Starlette(routes=serving.routes(lambda: store))).ask("GET", f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    assert not hidden(answer.text)
    assert REDACTED in answer.text or path.endswith(("/items", "/executors"))


def hidden(text: str) -> list[str]:
    return [secret for secret in (SECRET, *TOKENS.values()) if secret in text]
