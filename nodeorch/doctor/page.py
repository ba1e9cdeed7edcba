"""``python -m nodeorch.doctor.page >docs/doctor.md``: the catalogue as a page."""

from __future__ import annotations

from collections.abc import Iterator

from nodeorch.doctor.catalogue_cluster import CLUSTER
from nodeorch.doctor.catalogue_kernel import KERNEL
from nodeorch.doctor.catalogue_node import NODE
from nodeorch.doctor.catalogue_podman import PODMAN
from nodeorch.doctor.finding import Entry

HEAD = """\
# What `nodeorch doctor` finds

`nodeorch doctor` looks at this host and says what is wrong with it, what that means, and how to
put it right. It needs no daemon. Run it as root; others see less, and are told what.

```
nodeorch doctor [--config FILE] [--strict] [--deep] [--no-trial] [--json]
```

| grade | meaning | exit code |
|---|---|---|
| error | nodeorch cannot do its work, or the host is open | 1 |
| warning | it works, with less, or not for long | 0; with `--strict` 1 |
| note | good to know | 0 |

It changes nothing, with one exception: to see whether containers start here, it starts two that
end at once, and removes them (`nodeorch-doctor-…`). They have no network and no image, only a
program of 130 bytes. `--deep` starts a third, in a bridge network; `--no-trial` starts none. When
nobody listens on Podman's socket, root's doctor asks through a service of its own
(`podman system service`), which ends with it; not so with `--no-trial`.

Fixes are shell lines for root, fitted to this host: the package manager, the file where a setting
belongs, the paths of the configuration. In the list below what is filled in stands in braces.
`--json` prints `{"ok": …, "findings": [{"code", "severity", "found", "means", "fix"}],
"unseen": […]}`.
"""
GROUPS = (
    ("Podman", PODMAN),
    ("nodeorch, its files and its company", NODE),
    ("Several hosts", CLUSTER),
    ("The host", KERNEL),
)


def page() -> str:
    parts = [HEAD]
    for title, entries in GROUPS:
        parts.append(f"## {title}\n")
        parts += (_entry(code, entry) for code, entry in entries.items())
    return "\n".join(parts)


def _entry(code: str, entry: Entry) -> str:
    fix = "\n".join(_lines(entry))
    return f"### `{code}` ({entry.severity})\n\n{entry.means}\n\n```sh\n{fix}\n```\n"


def _lines(entry: Entry) -> Iterator[str]:
    if entry.fix:
        yield entry.fix
    if entry.argument:
        yield f"# on the kernel's command line: {entry.argument}"
    if entry.setting:
        table, line = entry.setting
        yield f"# in containers.conf, below [{table}]:\n{line}"


if __name__ == "__main__":
    print(page(), end="")
