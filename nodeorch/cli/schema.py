"""``nodeorch schema``: the JSON Schema for editors."""

from __future__ import annotations

import json

import click

from nodeorch.spec.schema import schema


@click.command("schema")
@click.argument("kind", type=click.Choice(["workload", "settings"]), default="workload")
def command(kind: str) -> None:
    """Print the JSON Schema of workload files, or of the daemon's settings."""
    click.echo(json.dumps(schema(kind), indent=2, ensure_ascii=False))
