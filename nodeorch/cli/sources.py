"""The spec files that a person names: a file, a directory, or - for the standard input."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence

import click

LARGEST = 1024 * 1024
"""Bytes; the daemon takes no more."""


def gather(paths: Sequence[str]) -> dict[str, str]:
    """File name → text. Raises click.ClickException."""
    files: dict[str, str] = {}
    for path in paths:
        found = {p: os.path.basename(p) for p in _expand(path)}
        for each, name in found.items():
            text = _read(each)
            name = name if name.endswith(".toml") else f"{_declared(text, each)}.toml"
            if name in files:
                raise click.ClickException(f"cannot apply {each}: there are two files {name}")
            files[name] = text
    return files


def _expand(path: str) -> list[str]:
    if path == "-" or not os.path.isdir(path):
        return [path]
    names = sorted(n for n in os.listdir(path) if n.endswith(".toml") and not n.startswith("."))
    if not names:
        raise click.ClickException(f"cannot apply {path}: there is no .toml file in it")
    return [os.path.join(path, name) for name in names]


def _read(path: str) -> str:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(LARGEST + 1)
    except OSError as error:
        raise click.ClickException(f"cannot read {path}: {error.strerror}") from error
    if len(data) > LARGEST:
        raise click.ClickException(f"cannot apply {path}: it is over 1 MiB")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise click.ClickException(f"cannot apply {path}: it is not UTF-8 text") from error


def _declared(text: str, path: str) -> str:
    """The workload's name, for what has no file name of its own."""
    try:
        name = tomllib.loads(text)["workload"]["name"]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        words = f"cannot apply {path}: it has no readable workload.name ({error})"
        raise click.ClickException(words) from error
    return str(name)
