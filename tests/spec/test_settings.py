"""nodeorch.toml and nodeorch.d/*.toml."""

from __future__ import annotations

import pytest

from nodeorch.model.workload import MIB
from nodeorch.spec.names import is_name, is_spec_name
from nodeorch.spec.settings import Settings, load_settings


def good(*texts: str) -> Settings:
    settings, problems = load_settings([(f"{i}.toml", text) for i, text in enumerate(texts)])
    assert problems == ()
    assert settings is not None
    return settings


def test_nothing_is_the_default() -> None:
    assert good() == good("") == Settings()


def test_later_files_override_key_by_key() -> None:
    settings = good(
        '[paths]\nstate = "/a"\nsocket = "/a.sock"\n[volumes]\nallowed = ["/x", "/y"]\n',
        '[paths]\nstate = "/b"\n',
        '[volumes]\nallowed = ["/z"]\n[node]\nname = "h1"\novercommit = 2\n',
    )
    assert (settings.paths.state, settings.paths.socket) == ("/b", "/a.sock")
    assert settings.paths.workloads == "/etc/nodeorch/workloads.d"
    assert settings.volumes.allowed == ("/z",)
    assert (settings.node.name, settings.node.overcommit) == ("h1", 2.0)
    assert {"/b", "/a.sock", "/run/podman/podman.sock"} <= set(settings.guarded)


@pytest.mark.parametrize(
    ("written", "memory"), [('"1GiB"', 1024 * MIB), ('""', None), ("false", None)]
)
def test_the_default_memory_can_be_off(written: str, memory: int | None) -> None:
    assert good(f"[defaults]\nmemory = {written}\n").defaults.memory == memory


def test_problems_of_all_files_each_with_its_own() -> None:
    settings, problems = load_settings(
        [
            ("nodeorch.toml", '[paths]\nstat = "/a"\n'),
            ("nodeorch.d/a.toml", "[paths\n"),
            ("nodeorch.d/b.toml", "[node]\nmemory_reserve = 3\n[defaults]\nmemory = true\n"),
        ]
    )
    assert settings is None
    assert [(p.file, p.line, p.code, p.field) for p in problems] == [
        ("nodeorch.toml", 2, "E101", "nodeorch.paths.stat"),
        ("nodeorch.d/a.toml", 1, "E003", "a"),
        ("nodeorch.d/b.toml", 2, "E107", "b.node.memory_reserve"),
        ("nodeorch.d/b.toml", 4, "E102", "b.defaults.memory"),
    ]


@pytest.mark.parametrize("name", ["web.toml", "a.toml", "UPPER.toml", "x.y.toml"])
def test_specs(name: str) -> None:
    assert is_spec_name(name)


@pytest.mark.parametrize(
    "name",
    [
        ".web.toml",
        ".toml",
        "web.toml~",
        ".web.toml.swp",
        "web.toml.swp",
        "web.toml.dpkg-new",
        "web.toml.dpkg-old",
        "web.toml.rpmnew",
        "#web.toml#",
        "#web.toml",
        "web.json",
        "web",
        "",
    ],
)
def test_not_specs(name: str) -> None:
    assert not is_spec_name(name)


def test_names() -> None:
    assert all(map(is_name, ["a", "0", "web-1", "a" * 63]))
    for name in ["", "-a", "a-", "A", "a_b", "a.b", "../x", "a/b", "a" * 64, "a\n", "é", "a "]:
        assert not is_name(name)


@pytest.mark.parametrize("listen", ["127.0.0.1:9464", "127.0.0.2:1", "[::1]:65535"])
def test_metrics_may_listen_where_only_the_host_is(listen: str) -> None:
    assert good(f'[metrics]\nlisten = "{listen}"\n').metrics.listen == listen


@pytest.mark.parametrize(
    ("listen", "code"),
    [
        ("0.0.0.0:9464", "E238"),
        ("[::]:9464", "E238"),
        ("192.168.1.5:9464", "E238"),
        ("127.0.0.1:0", "E104"),
        ("127.0.0.1:65536", "E104"),
        ("127.0.0.999:9464", "E214"),
        ("9464", "E105"),
        ("localhost:9464", "E105"),
        ("127.0.0.1", "E105"),
    ],
)
def test_metrics_do_not_listen_elsewhere_by_mistake(listen: str, code: str) -> None:
    settings, problems = load_settings([("a.toml", f'[metrics]\nlisten = "{listen}"\n')])
    assert settings is None
    assert [(p.code, p.line, p.field) for p in problems] == [(code, 2, "a.metrics.listen")]
    assert problems[0].fix


def test_metrics_for_everyone_have_to_be_said() -> None:
    """In whichever file: what counts is what comes of all of them."""
    everywhere = '[metrics]\nlisten = "0.0.0.0:9464"\n'
    assert good(everywhere, "[metrics]\neveryone = true\n").metrics.everyone
    settings, problems = load_settings(
        [("a.toml", everywhere + "everyone = true\n"), ("b.toml", "[metrics]\neveryone = false\n")]
    )
    assert settings is None and [p.code for p in problems] == ["E238"]
