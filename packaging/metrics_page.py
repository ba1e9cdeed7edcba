"""Writes the tables of docs/metrics.md from the catalogue: `python packaging/metrics_page.py`.

With --check it writes nothing, and exits with 1 if they are not what the catalogue says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "metrics.md"
BEGIN = "<!-- From here on: made by packaging/metrics_page.py. -->\n"


def tables() -> Iterator[str]:
    from nodeorch.api.catalogue import SECTIONS

    for section in SECTIONS:
        yield f"## {section.title}\n\n"
        yield "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n"
        for family in section.metrics:
            labels = ", ".join(f"`{label}`" for label in family.labels) or "-"
            kind = f"{family.kind.value}, {family.unit}" if family.unit else family.kind.value
            shown = family.samples[0].removesuffix("_bucket")
            yield f"| `{shown}` | {kind} | {labels} | {family.help} |\n"
        yield "\n"


def page() -> str:
    head = PAGE.read_text().partition(BEGIN)[0]
    return head + BEGIN + "\n" + "".join(tables()).rstrip("\n") + "\n"


def main() -> int:
    wanted = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted)
    elif PAGE.read_text() != wanted:
        print(f"cannot accept {PAGE}: the catalogue says something else; run {sys.argv[0]}")
        return 1
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
