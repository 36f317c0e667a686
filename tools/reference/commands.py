"""The command line, as `--help` has it."""

from __future__ import annotations

import inspect

import click

from afterglow_monitor.cli import COMMANDS, cli
from reference.markdown import code, page, paragraphs, prose, table


def commands() -> str:
    listed = [(f"[{code(name)}](#afterglow-{name})", about) for name, (_, about) in COMMANDS.items()]
    shown = (_shown(each, "afterglow", depth=2) for each in _subcommands(cli))
    return page("Command line", _help(cli), table(["command", "does"], listed), *shown)


def _subcommands(group: click.Group) -> list[click.Command]:
    context = click.Context(group)
    return [found for name in group.list_commands(context) if (found := group.get_command(context, name))]


def _shown(command: click.Command, parent: str, *, depth: int) -> str:
    name = f"{parent} {command.name}"
    context = click.Context(command, info_name=name)
    inner = _subcommands(command) if isinstance(command, click.Group) else []
    return paragraphs(
        f"{'#' * depth} `{name}`",
        f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```",
        _help(command),
        _options(command, context),
        *(_shown(each, name, depth=depth + 1) for each in inner),
    )


def _help(command: click.Command) -> str:
    """Its help; what click would not fill is a block of code."""
    said = inspect.cleandoc(command.help or "").split("\n\n")
    return paragraphs(*(_as_it_is(each) if each.startswith("\b") else prose(each) for each in said))


def _as_it_is(paragraph: str) -> str:
    lines = paragraph.removeprefix("\b").strip("\n")
    return f"```text\n{lines}\n```"


def _options(command: click.Command, context: click.Context) -> str:
    records = [each.get_help_record(context) for each in command.params if isinstance(each, click.Option)]
    rows = [(code(name), prose(text)) for name, text in filter(None, records)]
    return table(["option", "does"], rows) if rows else ""
