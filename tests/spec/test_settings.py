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


CLUSTER = '[cluster]\nname = "shop"\naddress = "10.0.0.5"\n'
LEASE = '[lease]\nca = "/e/ca"\ncertificate = "/e/crt"\nkey = "/e/key"\n'


def test_a_fleet_and_its_lease() -> None:
    settings = good(
        CLUSTER + 'labels = { zone = ["a", "b"] }\n[node]\nlabels = { zone = "b" }\n' + LEASE,
        '[lease]\nendpoints = ["https://10.0.0.1:2379", "https://e.example.org:2379"]\n',
        '[cluster]\nserf = "[::1]:7374"\n',
    )
    assert (settings.cluster.name, settings.cluster.serf) == ("shop", "[::1]:7374")
    assert len(settings.lease.endpoints) == 2
    good('[cluster]\nname = "shop"\naddress = "fd00::5"\n')
    good('[lease]\nendpoints = ["http://127.0.0.1:2379", "http://[::1]:2379"]\n')
    good('[lease]\nendpoints = ["http://localhost:2379"]\n')


def test_labels_are_known_where_there_is_a_fleet() -> None:
    labels = '[node]\nlabels = { zone = "b", disk = "ssd" }\n'
    assert good(labels).known_labels is None
    assert good(CLUSTER).known_labels == {}
    assert good(labels, CLUSTER).known_labels == {"zone": {"b"}, "disk": {"ssd"}}
    all_of_them = 'labels = { zone = ["a", "b"], disk = ["ssd"], gpu = ["x"] }\n'
    known = good(labels, CLUSTER + all_of_them).known_labels
    assert known == {"zone": {"a", "b"}, "disk": {"ssd"}, "gpu": {"x"}}


@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        ('[cluster]\nname = "shop"\n', "E103", (1, 2, "cluster.address"), "required with name"),
        ('[cluster]\naddress = "h1"\n', "E214", (2, 11, "cluster.address"), "not an IP"),
        ('[cluster]\naddress = "127.0.0.1"\n', "E280", (2, 11, "cluster.address"), "loopback"),
        ('[cluster]\naddress = "::1"\n', "E280", (2, 11, "cluster.address"), "cannot reach"),
        ('[cluster]\naddress = "0.0.0.0"\n', "E280", (2, 11, "cluster.address"), "no host's own"),
        ('[cluster]\naddress = "224.0.0.1"\n', "E280", (2, 11, "cluster.address"), "no host's"),
        ('[cluster]\nserf = "10.0.0.5:7373"\n', "E238", (2, 8, "cluster.serf"), "fleet's key"),
        ('[cluster]\nserf = "127.0.0.1:0"\n', "E104", (2, 8, "cluster.serf"), "not a port"),
        ('[cluster]\nserf = "127.0.0.1"\n', "E105", (2, 8, "cluster.serf"), ""),
        ('[cluster]\nserf = "127.0.0.999:1"\n', "E214", (2, 8, "cluster.serf"), "not an IP"),
        ('[node]\nlabels = { "a b" = "c" }\n', "E226", (2, 12, 'node.labels."a b"'), "not a label"),
        ('[node]\nlabels = { host = "c" }\n', "E226", (2, 12, "node.labels.host"), "own name"),
        ('[node]\nlabels = { a = "b c" }\n', "E105", (2, 16, "node.labels.a"), "a label"),
        ('[cluster]\nlabels = { -a = ["b"] }\n', "E226", (2, 12, "cluster.labels.-a"), "a label"),
        ('[cluster]\nlabels = { a = [""] }\n', "E105", (2, 17, "cluster.labels.a[0]"), "a label"),
        ('[lease]\nendpoints = ["10.0.0.1:2379"]\n', "E105", (2, 14, "lease.endpoints[0]"), ""),
        ('[lease]\nendpoints = ["https://e"]\n', "E105", (2, 14, "lease.endpoints[0]"), ""),
        (
            LEASE + 'endpoints = ["https://e:0"]\n',
            "E104",
            (5, 14, "lease.endpoints[0]"),
            "has no port",
        ),
        (
            LEASE + 'endpoints = ["https://e:1", "https://e:1"]\n',
            "E276",
            (5, 29, "lease.endpoints[1]"),
            "stands twice",
        ),
        (
            '[lease]\nendpoints = ["http://10.0.0.1:2379"]\n',
            "E281",
            (2, 14, "lease.endpoints[0]"),
            "not encrypted",
        ),
        (
            LEASE.replace('key = "/e/key"', "") + 'endpoints = ["https://e:2379"]\n',
            "E103",
            (1, 2, "lease.key"),
            "required with https",
        ),
    ],
)
def test_a_fleet_that_cannot_be(
    text: str, code: str, place: tuple[int, int, str], words: str
) -> None:
    settings, problems = load_settings([("a.toml", text)])
    assert settings is None
    line, column, field = place
    assert [(p.code, p.line, p.column, p.field) for p in problems] == [
        (code, line, column, f"a.{field}")
    ]
    assert words in problems[0].message and problems[0].fix


def test_the_nodes_labels_are_some_of_the_fleets() -> None:
    fleet = '[cluster]\nlabels = { zone = ["a", "b"] }\n'
    settings, problems = load_settings(
        [("a.toml", '[node]\nlabels = { zone = "c", zoen = "a" }\n'), ("b.toml", fleet)]
    )
    assert settings is None
    assert [(p.file, p.code, p.column, p.field) for p in problems] == [
        ("a.toml", "E278", 19, "a.node.labels.zone"),
        ("a.toml", "E278", 24, "a.node.labels.zoen"),
    ]
    assert problems[0].message == 'no node of this fleet has zone = "c"'
    assert 'did you mean "zone"?' in problems[1].fix


def test_a_mistake_stands_where_the_last_word_on_it_is() -> None:
    """Not where its table is spoken of last, nor where the key was written and overridden."""
    _, problems = load_settings(
        [
            ("a.toml", '[cluster]\naddress = "127.0.0.1"\nserf = "127.0.0.2:1"\n'),
            ("b.toml", '\n[cluster]\naddress = "127.0.0.3"\n'),
            ("c.toml", '[cluster]\nname = "shop"\n[metrics]\nlisten = "0.0.0.0:1"\n'),
            ("d.toml", "[metrics]\neveryone = false\n"),
        ]
    )
    found = sorted((p.file, p.line, p.code) for p in problems)
    assert found == [("b.toml", 3, "E280"), ("c.toml", 4, "E238")]
