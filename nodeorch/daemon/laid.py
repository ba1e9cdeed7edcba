"""A workload's config files as mounts, laid out before each creation and each start."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from nodeorch.fleetports import Mirror
from nodeorch.model.workload import File, Volume, Workload
from nodeorch.ports import EngineError, Shelf


async def with_files(shelf: Shelf, spec: Workload) -> Workload:
    """The workload with its files as read-only mounts. Raises EngineError refused."""
    if not spec.files:
        return spec
    sources = await lay(shelf, spec.name, spec.files)
    mounts = [
        Volume(target=file.target, source=source, read_only=True)
        for file, source in zip(spec.files, sources, strict=True)
    ]
    return replace(spec, volumes=(*spec.volumes, *mounts))


async def lay(shelf: Shelf, workload: str, files: tuple[File, ...]) -> list[str]:
    """Where each file lies, with the content and mode that were declared."""
    sources = []
    for file in files:
        try:
            mode = int(file.mode, 8)
            sources.append(await asyncio.to_thread(shelf.lay, workload, file.digest, mode))
        except OSError as error:
            words = error.strerror or str(error)
            fix = "reload its spec, or apply it anew"
            raise EngineError("refused", f"cannot lay out {file.target}: {words}; {fix}") from error
    return sources


class MirroredShelf:
    """ports.Shelf, which finds what a copy of another host needs among what was mirrored."""

    def __init__(self, shelf: Shelf, mirror: Mirror) -> None:
        self._shelf = shelf
        self._mirror = mirror
        self.keep = shelf.keep
        self.workloads = shelf.workloads
        self.tidy = shelf.tidy

    def lay(self, workload: str, digest: str, mode: int) -> str:
        try:
            return self._shelf.lay(workload, digest, mode)
        except FileNotFoundError:
            self._shelf.keep(workload, digest, self._mirror.read(workload, digest))
            return self._shelf.lay(workload, digest, mode)
