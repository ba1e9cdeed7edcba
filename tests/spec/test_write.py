"""A workload written as a spec file and read again is the same one."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect
from msgspec.structs import replace

from nodeorch.model.workload import File, Main, Workload
from nodeorch.spec import units
from nodeorch.spec.faults import Faults
from nodeorch.spec.load import load_text, parse
from nodeorch.spec.walk import compiled, convert, plain, shown, type_info
from nodeorch.spec.write import Unwritable, to_toml

ROOT = Path(__file__).parents[2]
TEXTS = [path.read_text() for path in sorted((ROOT / "configs" / "examples").glob("*.toml"))]
TEXTS += [
    text
    for text in re.findall(
        r"^```toml\n(.*?)^```$", (ROOT / "docs" / "specs.md").read_text(), re.S | re.M
    )
    if "[workload]" in text
]
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def _any(wrapped: inspect.Type) -> st.SearchStrategy[Any]:
    """Values of a type that have the form of it, whether or not they mean anything."""
    bare = plain(wrapped)
    kind: Any = bare.type
    match kind:
        case _ if bare.extra.get("unit") == "bytes":
            return st.integers(kind.ge or 0, 1 << 50)
        case _ if bare.extra.get("unit") == "seconds":
            return st.integers(0, 366 * 86400 * 1000).map(lambda n: n / 1000) | st.integers(
                0, 10**9
            ).map(lambda n: n / 10**6)
        case _ if bare.extra.get("unit") == "cpus":
            return st.integers(1, 10**6).map(lambda n: n / 1000)
        case inspect.StructType():
            return _struct(kind)
        case inspect.VarTupleType():
            return st.lists(_any(kind.item_type), max_size=2).map(tuple)
        case inspect.DictType():
            return st.dictionaries(WORDS, _any(kind.value_type), max_size=2)
        case inspect.EnumType():
            return st.sampled_from(list(kind.cls))
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            low = -units.INT_MAX if kind.ge is None else kind.ge
            return st.integers(low, units.INT_MAX if kind.le is None else kind.le)
    assert isinstance(kind, inspect.StrType)
    if kind.pattern:
        return st.from_regex(compiled(kind.pattern)).filter(lambda word: "\0" not in word)
    return WORDS.filter(lambda word: len(word) >= (kind.min_length or 0))


def _struct(info: inspect.StructType) -> st.SearchStrategy[Any]:
    required = {f.name: _any(f.type) for f in shown(info) if f.required}
    optional = {f.name: _any(f.type) for f in shown(info) if not f.required}
    keys = st.fixed_dictionaries(required, optional=optional)
    return keys.map(lambda given: info.cls(**given))


@settings(max_examples=100, deadline=None)
@given(_struct(type_info(Workload)), WORDS)
def test_any_workload_comes_back(workload: Workload, comment: str) -> None:
    files = tuple(f for f in workload.files if f.content is not None or f.source is not None)
    workload = replace(workload, files=files)
    faults = Faults()
    again = convert(parse(to_toml(workload, {}, comment).encode()), Workload, faults)
    assert faults.kept == []
    assert again == replace(workload, main=replace(workload.main, env_file=None))


@pytest.mark.parametrize("text", TEXTS)
def test_what_was_read_is_written_and_read_again(text: str) -> None:
    kept: dict[str, str] = {}

    def keep(name: str, digest: str, content: bytes) -> None:
        kept[digest] = content.decode()

    def load(written: str) -> Workload:
        workload, problems = load_text(
            written, "x.toml", read_file=lambda _: "SECRET=x", read_source=_source, keep=keep
        )
        assert workload is not None and not problems, [p.text() for p in problems]
        return workload

    first = load(text)
    written = to_toml(first, kept, "from h1")
    assert written.startswith("# from h1\n\n[workload]\n")
    files = tuple(replace(file, source=None) for file in first.files)
    assert load(written) == replace(first, main=replace(first.main, env_file=None), files=files)


def _source(path: str) -> bytes:
    return f"of {path}\r\n\\".encode()


def _with_file(**keys: Any) -> Workload:
    file = File(target="/etc/x", **keys)
    return Workload(main=Main(name="web", image="i"), files=(file,))


def test_people_can_read_it() -> None:
    text = "listen 8080\nuser web\n"
    digest = sha256(text.encode()).hexdigest()
    given = """
        [workload]
        name = "web"
        image = "localhost/web:1"
        [resources]
        memory = "64MiB"
        cpu = 2
        [stop]
        grace = "1m30s"
        [[files]]
        target = "/etc/x"
        content = "listen 8080\\nuser web\\n"
    """
    workload, _ = load_text(given, "web.toml")
    assert workload is not None and workload.files[0].digest == digest
    assert to_toml(workload, {digest: text}, "taken over from h2\x1b\nat noon") == (
        "# taken over from h2 \n# at noon\n\n"
        '[workload]\nname = "web"\nimage = "localhost/web:1"\n\n'
        '[resources]\nmemory = "64MiB"\ncpu = 2\n\n'
        '[[files]]\ntarget = "/etc/x"\ncontent = """\nlisten 8080\nuser web\n"""\n\n'
        '[stop]\ngrace = "1m30s"\n'
    )


def test_a_content_that_is_no_text_stays_at_its_source_or_cannot_be_written() -> None:
    assert 'source = "/srv/x"' in to_toml(_with_file(source="/srv/x", digest="ab"), {})
    with pytest.raises(Unwritable, match="content of /etc/x"):
        to_toml(_with_file(digest="ab"), {})
