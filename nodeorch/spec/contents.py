"""Config files: their content leaves the workload for the shelf, and its digest stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

from msgspec.structs import replace

from nodeorch.model.workload import File, Workload
from nodeorch.spec.faults import Fault, Faults, quote
from nodeorch.spec.mounts import normalise
from nodeorch.spec.rules_io import host_path, mount_target

Read = Callable[[str], bytes]
"""A path → its bytes; raises OSError."""
Keep = Callable[[str, str, bytes], None]
"""(workload, digest, content); raises OSError."""


def rules(w: Workload, allowed: tuple[str, ...], guarded: tuple[str, ...]) -> Iterator[Fault]:
    targets = {normalise(volume.target) for volume in w.volumes}
    for i, file in enumerate(w.files):
        path = ("files", i)
        if (file.content is None) == (file.source is None):
            both = file.content is not None
            found = "has content and source" if both else "has neither content nor source"
            fix = 'write content = """...""" or source = "/..." (of the host)'
            yield Fault(path, "E251", found, "keep exactly one of them" if both else fix)
        if file.source is not None:
            yield from host_path((*path, "source"), file.source, allowed, guarded)
        target = normalise(file.target)
        if fault := mount_target(target, (*path, "target"), targets):
            yield fault
        targets.add(target)


def shelved(workload: Workload, read: Read | None, keep: Keep | None, faults: Faults) -> Workload:
    """The workload with digests in the place of contents.

    ``read`` None: sources are not read and get no digest. ``keep`` None: nothing is kept.
    """
    files = tuple(
        _one(workload.name, i, file, read, keep, faults) for i, file in enumerate(workload.files)
    )
    return replace(workload, files=files)


def _one(
    name: str, i: int, file: File, read: Read | None, keep: Keep | None, faults: Faults
) -> File:
    source = None if file.source is None else normalise(file.source)
    shown = replace(
        file,
        target=normalise(file.target),
        source=source,
        content=None,
        mode=f"{int(file.mode, 8):04o}",
    )
    if file.content is not None:
        content = file.content.encode()
    elif source is None or read is None:
        return shown
    else:
        try:
            content = read(source)
        except OSError as error:
            words = getattr(error, "why", None) or error.strerror or str(error)
            message = f"cannot read {quote(source)}: {words}"
            fix = "create it, or write content instead"
            faults.add(Fault(("files", i, "source"), "E252", message, fix))
            return shown
    digest = sha256(content).hexdigest()
    if keep is not None:
        try:
            keep(name, digest, content)
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            message = f"cannot keep the content of {quote(shown.target)}: {words}"
            fix = "look at the disk of the daemon's state"
            faults.add(Fault(("files", i), "E252", message, fix))
    return replace(shown, digest=digest)
