"""The OpenMetrics text format, version 1.0: https://prometheus.io/docs/specs/om/open_metrics_spec/

A family is described once, in a table (catalogue.py); this turns it and what is read for it
into text. docs/decisions/0017 says why it is not prometheus-client that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from itertools import accumulate
from typing import Generic, NamedTuple, TypeVar

from nodeorch.meters import Histogram

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

R = TypeVar("R")

Labels = tuple[str, ...]
Value = float | Histogram | str
"""A number; for a histogram what was observed; for a state set the state it is in."""


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"
    STATES = "stateset"


class Family(NamedTuple, Generic[R]):
    """Samples of one name. ``R`` is what they are read from."""

    name: str
    """Without the suffixes that the format adds, such as _total; ends with the unit."""
    kind: Kind
    unit: str
    """Empty: it counts things."""
    labels: Labels
    help: str
    read: Callable[[R], Iterable[tuple[Labels, Value]]]
    states: Labels = ()
    """Of a state set: all that there are."""

    @property
    def samples(self) -> tuple[str, ...]:
        """The names that its samples have, as a query writes them."""
        return tuple(self.name + suffix for suffix in _SUFFIXES[self.kind])


_SUFFIXES = {
    Kind.COUNTER: ("_total",),
    Kind.GAUGE: ("",),
    Kind.HISTOGRAM: ("_bucket", "_count", "_sum"),
    Kind.INFO: ("_info",),
    Kind.STATES: ("",),
}


def render(families: Iterable[Family[R]], source: R) -> bytes:
    """The exposition. Every family is announced, also one that has no sample at present."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# TYPE {family.name} {family.kind.value}")
        if family.unit:
            lines.append(f"# UNIT {family.name} {family.unit}")
        lines.append(f"# HELP {family.name} {_escape(family.help)}")
        for values, value in family.read(source):
            pairs = [_pair(*pair) for pair in zip(family.labels, values, strict=True)]
            lines += _samples(family, pairs, value)
    lines.append("# EOF\n")
    return "\n".join(lines).encode()


def _samples(family: Family[R], pairs: list[str], value: Value) -> Iterable[str]:
    name = family.name
    if isinstance(value, Histogram):
        bounds = [*(repr(float(bound)) for bound in value.bounds), "+Inf"]
        sums = list(accumulate(value.counts))
        buckets = [
            f"{name}_bucket{_braces([*pairs, _pair('le', bound)])} {count}"
            for bound, count in zip(bounds, sums, strict=True)
        ]
        labels = _braces(pairs)
        return [*buckets, f"{name}_count{labels} {sums[-1]}", f"{name}_sum{labels} {value.total}"]
    if isinstance(value, str):
        # One that the table lacks is shown, too: better one sample more than none that is true.
        states = family.states if value in family.states else (*family.states, value)
        return [
            f"{name}{_braces([*pairs, _pair(name, state)])} {int(state == value)}"
            for state in states
        ]
    return [f"{name}{_SUFFIXES[family.kind][0]}{_braces(pairs)} {value}"]


def _pair(label: str, text: str) -> str:
    return f'{label}="{_escape(text)}"'


def _braces(pairs: list[str]) -> str:
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
