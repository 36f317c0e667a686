"""The command line: `afterglow …`.

Each command is imported when it is called: `spark-conf` and `submit` run on drivers, where only the light part of the
package is installed.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

import afterglow

COMMANDS = {  # name: module, what --help says of it
    "demo": ("demo", "Run two real Spark jobs with the listener, then serve Monitor with what they left."),
    "up": ("server", "Serve Monitor, and keep the store up to date in the background."),
    "ingest": ("ingest", "Take journals and Spark event logs into the store."),
    "sync": ("sync", "Read the configured MLflow servers into the store once."),
    "spark-conf": ("spark", "Print the arguments for spark-submit that load the listener."),
    "submit": ("spark", "Run spark-submit with the listener loaded."),
    "ship": ("ship", "Send journals that dead drivers left on this host to a collector."),
    "apps": ("lists", "List Spark applications, newest first."),
    "experiments": ("lists", "List MLflow experiments by their newest run."),
    "link": ("link", "Say of which Spark application runs without a link are."),
    "settle": ("settle", "Write into MLflow what became of orphaned runs."),
    "runs": ("lists", "List MLflow runs, newest first, each with its Spark applications."),
    "snapshots": ("snapshots", "List the snapshots of a run, an experiment or an application."),
    "snapshot": ("snapshots", "Show a run as it was."),
    "prune": ("prune", "Delete what is older than store.keep_days."),
    "forget": ("forget", "Erase a run, a user or an experiment from Afterglow's store."),
    "diff": ("snapshots", "Show what changed between two snapshots, or since one."),
    "tokens": ("tokens", "Tokens for programs: create, list, revoke."),
    "alerts": ("alerts", "Show what was told, or try whether it arrives."),
    "db": ("db", "Upgrade, back up, restore and check the store."),
    "doctor": ("doctor", "Check all that Afterglow needs here, and say what to do."),
    "usage": ("usage", "Add up what Spark jobs used: by run, experiment, user, application or day."),
}


NAMES = {"spark-conf": "spark_conf_command"}  # where the function cannot be called like the command


class Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # click would import every command for its first line, and with it what a driver has not installed.
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            module: Any = importlib.import_module(f"afterglow_monitor.cli.{COMMANDS[cmd_name][0]}")
        except ModuleNotFoundError as exc:
            raise click.ClickException(
                f"`afterglow {cmd_name}` needs {exc.name}, which is not installed: pip install 'afterglow[monitor]'"
            ) from exc
        command: click.Command = getattr(module, NAMES.get(cmd_name, cmd_name))
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(afterglow.__version__, prog_name="afterglow")
def cli() -> None:
    """Afterglow remembers what a Spark application leaves behind: its MLflow runs, its jobs, and what each run cost.

    \b
    See it work:         afterglow demo
    Attach it to a job:  spark-submit $(afterglow spark-conf) job.py
    Look:                afterglow up, then http://127.0.0.1:8501
    """


def main() -> None:
    try:
        cli()
    except BrokenPipeError:  # afterglow runs | head
        sys.exit(0)
