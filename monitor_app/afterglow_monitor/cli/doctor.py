"""`afterglow doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from afterglow_monitor.running.doctor import WRONG, examine, worst


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def doctor(as_json: bool) -> None:
    """Check all that Afterglow needs here, on a driver's machine or the server's, and say what to do. Exits with 1
    where something is wrong."""
    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.state:8} {finding.what}: {finding.said}")
            if finding.todo:
                click.echo(f"{'':8}   {finding.todo}")
    if as_json:
        click.echo(json.dumps([asdict(each) for each in findings], indent=2))
    if worst(findings) == WRONG:
        raise SystemExit(1)
