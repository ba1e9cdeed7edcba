"""``nodeorch check``: is it valid? Without a daemon, without root, without a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import click
import msgspec

from nodeorch import clusterfiles
from nodeorch.cli.cluster_args import DEFAULT_CONFIG
from nodeorch.files import Unreadable, read_regular
from nodeorch.model.workload import Workload
from nodeorch.spec.load import SIZE_LIMIT, load_text
from nodeorch.spec.names import is_spec_name
from nodeorch.spec.problems import Problem, errors
from nodeorch.spec.settings import Settings, load_settings
from nodeorch.spec.together import check_together

_SETTINGS_FILE = "nodeorch.toml"
_SETTINGS_FOLDER = "nodeorch.d"
_FOLDERS = (_SETTINGS_FOLDER, "workloads.d")


class _Checked(NamedTuple):
    files: int
    problems: list[Problem]


@click.command("check")
@click.argument("paths", nargs=-1, required=True, metavar="FILE|DIR...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    help="How to print problems; github prints workflow commands.",
)
@click.option(
    "--config",
    metavar="FILE",
    help="Judge by this daemon configuration, and the nodeorch.d beside it (allowed mounts, "
    "default memory, labels).  [default: that of this host's daemon, if there is one]",
)
@click.pass_context
def command(
    context: click.Context, paths: tuple[str, ...], form: str | None, config: str | None
) -> None:
    """Check workload and configuration files.

    A folder means the *.toml in it, and in its nodeorch.d and workloads.d. Of a configuration
    with a [cluster] also its certificates and keys are looked at. Exits with 0 when all is valid
    (warnings are), 1 when not, 2 on wrong usage.
    """
    for path in (*paths, *((config,) if config else ())):
        if not os.path.lexists(path):
            raise click.UsageError(f"cannot check {path}: there is no such file or folder")
    if form is None:
        form = "json" if getattr(context.obj, "json", False) else "text"
    checked = _check(paths, config)
    _print(checked, form)
    context.exit(1 if errors(checked.problems) else 0)


def _check(paths: tuple[str, ...], config: str | None) -> _Checked:
    problems: list[Problem] = []
    files = list(dict.fromkeys(_files(paths, problems)))
    own = _with_drop_ins(config) if config else []
    settings_files = list(dict.fromkeys([*own, *filter(_is_settings, files)]))
    every = dict.fromkeys([*own, *files])
    read = {file: text for file in every if (text := _read(file, problems)) is not None}
    settings, found = load_settings([(f, read[f]) for f in settings_files if f in read])
    problems += found
    specs = {file: text for file, text in read.items() if file not in settings_files}
    if settings is not None and settings.cluster.name is not None:
        problems += map(_of_the_fleet, clusterfiles.problems(settings.cluster.files))
    if not settings_files:
        settings = _of_this_host()
    problems += _check_specs(specs, settings or Settings(), any(map(os.path.isdir, paths)))
    return _Checked(len(files), problems)


def _with_drop_ins(config: str) -> list[str]:
    """As the daemon reads them: a later file wins."""
    folder = os.path.join(os.path.dirname(config), _SETTINGS_FOLDER)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [config, *(os.path.join(folder, name) for name in names if is_spec_name(name))]


def _of_this_host() -> Settings | None:
    """What is wrong with them is not asked here, nor is it told."""
    files = _with_drop_ins(DEFAULT_CONFIG)
    texts = [(file, text) for file in files if (text := _read(file, [])) is not None]
    return load_settings(texts)[0]


def _check_specs(
    texts: dict[str, bytes], settings: Settings, whole_folder: bool
) -> Iterator[Problem]:
    loaded: dict[str, Workload] = {}
    origin: dict[str, str] = {}
    for file, text in texts.items():
        name = os.path.basename(file)
        workload, problems = load_text(
            text,
            file,
            stem=name.removesuffix(".toml") if is_spec_name(name) else None,
            default_memory=settings.defaults.memory,
            allowed_sources=settings.volumes.allowed,
            guarded=settings.guarded,
            known_labels=settings.known_labels,
        )
        yield from problems
        if workload is not None:
            loaded.setdefault(workload.name, workload)
            origin.setdefault(workload.name, file)
    by_name = {name: texts[file] for name, file in origin.items()}
    for together in check_together(loaded, origin, texts=by_name).values():
        # Of single files nobody says that they are all there are.
        yield from together if whole_folder else errors(together)


def _is_settings(file: str) -> bool:
    folder, name = os.path.split(os.path.abspath(file))
    return name == _SETTINGS_FILE or os.path.basename(folder) == _SETTINGS_FOLDER


def _files(paths: tuple[str, ...], problems: list[Problem]) -> Iterator[str]:
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        for folder in (path, *(os.path.join(path, name) for name in _FOLDERS)):
            if folder != path and not os.path.isdir(folder):
                continue
            try:
                names = sorted(os.listdir(folder))
            except OSError as error:
                words = (error.strerror or str(error)).lower()
                problems.append(_unreadable(folder, words, "check its owner and mode"))
                continue
            yield from (os.path.join(folder, name) for name in names if is_spec_name(name))


def _read(file: str, problems: list[Problem]) -> bytes | None:
    try:
        return read_regular(file, SIZE_LIMIT)
    except Unreadable as error:
        problems.append(_unreadable(file, error.why, error.fix))
        return None


def _unreadable(file: str, why: str, fix: str) -> Problem:
    stem = os.path.basename(file).removesuffix(".toml")
    return Problem(file, 1, 1, "E001", stem, f"cannot be read: {why}", fix, "error", "")


def _of_the_fleet(found: clusterfiles.FileProblem) -> Problem:
    severity = "warning" if found.unseen else "error"
    message = f"cannot be used: {found.why}"
    return Problem(found.path, 1, 1, found.code, "cluster.files", message, found.fix, severity, "")


def _print(checked: _Checked, form: str) -> None:
    bad = len(errors(checked.problems))
    warnings = len(checked.problems) - bad
    if form == "json":
        answer = {"valid": not bad, "files": checked.files, "problems": checked.problems}
        click.echo(msgspec.json.format(msgspec.json.encode(answer)))
        return
    for problem in checked.problems:
        click.echo(problem.github() if form == "github" else problem.text())
    if form == "text":
        words = [f"{checked.files} file{'' if checked.files == 1 else 's'} checked"]
        words += [
            f"{n} {what}{'' if n == 1 else 's'}"
            for n, what in ((bad, "error"), (warnings, "warning"))
            if n
        ]
        click.echo(", ".join(words) + ("" if checked.problems else ": valid"), err=bool(bad))
