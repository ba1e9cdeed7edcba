"""nodeorch stats"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from nodeorch.cli.args import NAME
from nodeorch.cli.session import Session, pass_session

View = dict[str, Any]

WIDTH = 80
"""Columns where the output is no terminal."""
BESIDE = 46
"""Columns beside the blocks: what they show, and the figures."""
MOST = 120
"""Points of an hour."""
CPU_TOP = 10.0
"""Percent of one CPU that the blocks of an idle instance reach up to: noise is no mountain."""


@click.command("stats")
@click.argument("name", type=NAME)
@pass_session
def command(session: Session, name: str) -> None:
    """Show what a workload's instances used in the last hour."""
    view = session.client.get(f"/v1/workloads/{name}/stats")
    if session.json:
        session.print_json(view)
        return
    columns = os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else WIDTH
    show(view, max(10, min((columns or WIDTH) - BESIDE, MOST)))


def show(view: View, width: int) -> None:
    """``width``: of the rows of blocks, at most."""
    from nodeorch.cli import render

    if not view["instances"]:
        render.say(f"{view['workload']}: no instance ran in the last hour")
    for number, instance in enumerate(view["instances"]):
        if number:
            render.say()
        points = instance["points"]
        words = f"the last {render.age(points[0]['at'])}" if points else "no samples yet"
        if instance["memory_limit_bytes"]:
            words += f", memory limit {render.size(instance['memory_limit_bytes'])}"
        render.say(f"{render.clean(instance['name'])}: {render.state(instance['state'])}, {words}")
        if points:
            _rows(instance, points, width)


def _rows(instance: View, points: Sequence[View], width: int) -> None:
    from nodeorch.cli.render import percent

    cpu = [p["cpu_percent"] for p in points]
    _row("cpu", cpu, width, max(_highest(cpu), CPU_TOP), percent)
    memory = [p["memory_bytes"] for p in points]
    limit = instance["memory_limit_bytes"]
    _row("memory", memory, width, limit or _highest(memory), _bytes)
    for kind in ("cpu", "memory", "io"):
        pressure = [p["pressure"][kind] for p in points]
        if any(value is not None for value in pressure):
            _row(f"waits {kind}", pressure, width, 100.0, percent)


def _row(
    title: str,
    values: Sequence[float | None],
    width: int,
    top: float,
    text: Callable[[float | None], str],
) -> None:
    from nodeorch.cli import render, spark

    drawn = spark.line(spark.squeezed(values, width), top, spark.blocks())
    known = [value for value in values if value is not None]
    most = max(known) if known else None
    figures = f"now {text(values[-1] if values else None):>8}  most {text(most):>8}"
    render.say(f"  {title:<13} {drawn:<{width}}  {figures}")


def _highest(values: Sequence[float | None]) -> float:
    return max((value for value in values if value is not None), default=0.0)


def _bytes(value: float | None) -> str:
    from nodeorch.cli.render import size

    return size(None if value is None else int(value))
