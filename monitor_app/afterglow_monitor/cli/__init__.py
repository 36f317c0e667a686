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

COMMANDS = {
    "demo": "demo",
    "up": "server",
    "ingest": "server",
    "sync": "server",
    "spark-conf": "spark",
    "submit": "spark",
    "apps": "lists",
    "experiments": "lists",
    "runs": "lists",
}


NAMES = {"spark-conf": "spark_conf_command"}  # where the function cannot be called like the command


class Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            module: Any = importlib.import_module(f"afterglow_monitor.cli.{COMMANDS[cmd_name]}")
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
