"""The workloads directory → SpecsSeen. Reading is bounded and never blocks on a FIFO."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from nodeorch.files import read_env, read_regular, read_source
from nodeorch.model.facts import SpecsSeen
from nodeorch.model.workload import Workload
from nodeorch.model.world import World
from nodeorch.spec.contents import Keep
from nodeorch.spec.load import load_text
from nodeorch.spec.names import is_spec_name
from nodeorch.spec.problems import Problem
from nodeorch.spec.together import check_together

LIMIT = 1 << 20
ENV_LIMIT = 1 << 18
SOURCE_LIMIT = 1 << 20


class SpecFiles:
    """Reads the directory; a file whose bytes have not changed is not parsed again."""

    def __init__(
        self,
        directory: Path,
        default_memory: int | None,
        allowed_sources: tuple[str, ...],
        guarded: tuple[str, ...],
        keep: Keep | None = None,
        known_labels: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._directory = directory
        self._default_memory = default_memory
        self._allowed = allowed_sources
        self._guarded = guarded
        self._keep = keep
        self._known_labels = known_labels
        self._parsed: dict[str, tuple[bytes, Workload | None, tuple[Problem, ...]]] = {}
        self._accepted: dict[str, Workload] = {}

    def remember(self, accepted: Mapping[str, Workload]) -> None:
        """What was in force before this daemon started: it keeps its claims to ports."""
        self._accepted = dict(accepted)

    @property
    def refers(self) -> bool:
        """Whether a change of another file could be a change of what was read."""
        return any(_reads_another_file(workload) for _, workload, _ in self._parsed.values())

    def read(self) -> SpecsSeen:
        """One pass. Blocking: call it in a thread."""
        try:
            names = sorted(n for n in os.listdir(self._directory) if is_spec_name(n))
        except OSError as error:
            words = f"cannot read {self._directory}: {error.strerror}; nothing is deleted"
            return SpecsSeen(workloads={}, unreadable=words)
        workloads: dict[str, Workload] = {}
        rejected: dict[str, str] = {}
        for name in names:
            stem = name.removesuffix(".toml")
            workload, problem = self._one(name, stem)
            if workload is None:
                rejected[stem] = problem
            else:
                workloads[stem] = workload
        for stem in self._parsed.keys() - {n.removesuffix(".toml") for n in names}:
            del self._parsed[stem]
        self._together(workloads, rejected)
        told = {_text(stem): _text(words) for stem, words in rejected.items()}
        return SpecsSeen(workloads=workloads, rejected=told)

    def _one(self, name: str, stem: str) -> tuple[Workload | None, str]:
        path = self._directory / name
        try:
            text = read_regular(path, LIMIT)
        except OSError as error:
            return None, str(error)
        kept = self._parsed.get(stem)
        if kept is None or kept[0] != text or _reads_another_file(kept[1]):
            workload, problems = load_text(
                text,
                str(path),
                stem=stem,
                default_memory=self._default_memory,
                allowed_sources=self._allowed,
                guarded=self._guarded,
                read_file=self._read_env,
                read_source=self._read_source,
                keep=self._keep,
                known_labels=self._known_labels,
            )
            kept = (text, workload, problems)
            self._parsed[stem] = kept
        errors = [p for p in kept[2] if p.severity == "error"]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return kept[1], errors[0].brief() + more if errors else ""

    def _read_env(self, path: str) -> str:
        return read_env(path, ENV_LIMIT, self._allowed, self._guarded)

    def _read_source(self, path: str) -> bytes:
        return read_source(path, SOURCE_LIMIT, self._allowed, self._guarded)

    def _together(self, workloads: dict[str, Workload], rejected: dict[str, str]) -> None:
        files = {stem: str(self._directory / f"{stem}.toml") for stem in workloads}
        texts = {stem: self._parsed[stem][0] for stem in workloads}
        found = check_together(workloads, files, accepted=self._accepted, texts=texts)
        for stem, problems in found.items():
            errors = [p for p in problems if p.severity == "error"]
            if errors:
                rejected[stem] = errors[0].brief()
                workloads.pop(stem, None)
        last_good = {stem: w for stem, w in self._accepted.items() if stem in rejected}
        self._accepted = last_good | workloads


def _text(name: str) -> str:
    """A file's name need not be text; what is told of it must be."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _reads_another_file(workload: Workload | None) -> bool:
    return workload is None or workload.main.env_file is not None or bool(workload.files)


def own_workloads(world: World) -> dict[str, Workload]:
    """What is declared here: copies of other hosts' workloads have their files there."""
    return {n: s.workload for n, s in world.workloads.items() if not s.record.home}
