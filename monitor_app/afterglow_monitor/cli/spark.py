"""`afterglow spark-conf` and `afterglow submit`: attaching the listener to a job. These run on the driver's machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from afterglow.spark_conf import SparkConfError, collector_conf, listener_conf, spark_defaults

# spark-submit's options that set the same things as the properties that we add to.
_OPTIONS = {"--jars": "spark.jars", "--driver-class-path": "spark.driver.extraClassPath"}


@click.command("spark-conf")
@click.option("--collector", metavar="URL", help="Have the journal sent to the collector at this address.")
@click.option("--secret-file", metavar="FILE", help="The file on the driver's host with the collector's secret.")
def spark_conf_command(collector: str | None, secret_file: str | None) -> None:
    """Print the arguments that load the listener.

    \b
    spark-submit $(afterglow spark-conf) job.py

    It adds to the spark.extraListeners, spark.jars and spark.driver.extraClassPath of the active spark-defaults.conf
    instead of replacing them. It prints nothing to standard output unless the listener's jar is readable.
    Where a job passes these three itself, use `afterglow submit`, which merges them.
    """
    if secret_file and not collector:
        raise click.UsageError("--secret-file is for --collector")
    try:
        conf = listener_conf() | collector_conf(collector, secret_file)
    except SparkConfError as exc:
        raise click.ClickException(str(exc)) from exc
    for key, value in conf.items():
        if any(char.isspace() for char in value):
            raise click.ClickException(
                f"{key} has a space in it ({value!r}), which $(afterglow spark-conf) would "
                "split: use `afterglow submit` instead of spark-submit"
            )
    click.echo(" ".join(f"--conf {key}={value}" for key, value in conf.items()))


@click.command(
    "submit",
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    },
)
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[SPARK-SUBMIT-ARGUMENTS]...")
def submit(args: tuple[str, ...]) -> None:
    """Run spark-submit with the listener loaded, and with all its own arguments.

    \b
    afterglow submit --master yarn --jars mine.jar job.py --its-own-argument

    Where the listener's jar is missing the job runs without it, and standard error says what to do.
    """
    program = find_spark_submit()
    os.execv(program, [program, *with_listener(list(args))])  # noqa: S606 - the user's own spark-submit


def with_listener(args: list[str]) -> list[str]:
    """spark-submit's arguments and ours. No job fails for want of the listener: then they are what they were."""
    kept, given = split_arguments(args)
    try:
        conf = listener_conf(defaults={**spark_defaults(), **given})
    except SparkConfError as exc:
        click.echo(f"Afterglow's listener is left out of this application: {exc}", err=True)
        return args
    return [*(part for key, value in conf.items() for part in ("--conf", f"{key}={value}")), *kept]


def split_arguments(args: list[str]) -> tuple[list[str], dict[str, str]]:
    """spark-submit's arguments without those that set what we set, and these as properties.

    Only spark-submit's own are looked at: what comes after the job's file belongs to the job.
    """
    kept: list[str] = []
    given: dict[str, str] = {}
    at = 0
    while at < len(args) and args[at].startswith("-"):
        name, equals, value = args[at].partition("=")
        used = 1 if equals or name in _FLAGS else 2
        if not equals:
            value = args[at + 1] if used == 2 and at + 1 < len(args) else ""
        key, value = _property(name, value)
        if key in ("spark.extraListeners", "spark.jars", "spark.driver.extraClassPath"):
            given[key] = value
        else:
            kept += args[at : at + used]
        at += used
    return kept + args[at:], given


_FLAGS = frozenset({"--verbose", "-v", "--supervise", "--version", "--help", "-h", "--usage-error"})


def _property(name: str, value: str) -> tuple[str | None, str]:
    if name in _OPTIONS:
        return _OPTIONS[name], value
    if name in ("--conf", "-c"):
        key, _, setting = value.partition("=")
        return key, setting
    return None, value


def find_spark_submit() -> str:
    """The spark-submit to run: SPARK_HOME's, the one on the PATH, or the installed pyspark's."""
    if home := os.environ.get("SPARK_HOME"):
        return str(Path(home) / "bin" / "spark-submit")
    if found := shutil.which("spark-submit"):
        return found
    from importlib.util import find_spec  # noqa: PLC0415

    pyspark = find_spec("pyspark")
    if pyspark is not None and pyspark.origin:
        return str(Path(pyspark.origin).parent / "bin" / "spark-submit")
    raise click.ClickException("no spark-submit: set SPARK_HOME, put it on the PATH, or pip install pyspark")
