"""A real Spark Connect server."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.spark import spark_command, spark_environment
from tests.support.sparks import LOCKED, Spark
from tests.support.tracking import free_port

CONNECT_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"


@contextmanager
def running_connect_server(folder: Path, conf: Mapping[str, str] | None = None, spark: Spark = LOCKED) -> Iterator[str]:
    """A Connect server with the listener, its AFTERGLOW_HOME in `folder / "server"`; gives its URI."""
    [jar] = spark.jars.glob("spark-connect_*.jar")
    port = free_port()
    command = spark_command(jar, conf={"spark.connect.grpc.binding.port": str(port), **(conf or {})}, spark=spark)
    command[-1:] = ["--class", CONNECT_SERVER, str(jar)]
    log = folder / "server.log"
    environment = spark_environment(folder / "server", spark=spark)
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as server,
    ):
        try:
            deadline = time.monotonic() + 90
            while "Connect server started" not in log.read_text():
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield f"sc://127.0.0.1:{port}"
        finally:
            server.terminate()
