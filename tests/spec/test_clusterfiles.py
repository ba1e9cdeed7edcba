"""What is wrong with a fleet's files, as `nodeorch check` and the daemon's start find it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nodeorch.cli import check
from nodeorch.clusterfiles import problems

KEY = base64.b64encode(bytes(32)).decode()
PEM = "-----BEGIN CERTIFICATE-----\n"


def write(path: Path, content: str | Any, mode: int = 0o600) -> None:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "cluster"
    made.mkdir(mode=0o700)
    for name in ("ca.crt", "node.crt"):
        write(made / name, PEM, 0o644)
    write(made / "node.key", "-----BEGIN PRIVATE KEY-----\n")
    write(made / "rpc.key", "secret\n")
    write(made / "keyring.json", [KEY])
    serf = {"keyring_file": str(made / "keyring.json"), "rpc_auth": "secret"}
    write(made / "serf.json", serf)
    return made


def found(folder: Path) -> list[tuple[str, str]]:
    return [(Path(p.path).name, p.code) for p in problems(str(folder))]


def test_good_files(folder: Path) -> None:
    assert problems(str(folder)) == []
    (folder / "keyring.json").unlink()
    write(folder / "serf.json", {"encrypt_key": KEY, "rpc_auth": "secret"})
    assert problems(str(folder)) == [], "a key in serf.json needs no ring"


FILES = ["ca.crt", "node.crt", "node.key", "serf.json", "rpc.key", "keyring.json"]


@pytest.mark.parametrize("name", FILES)
def test_each_is_needed(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (problem,) = problems(str(folder))
    assert str(problem) == (
        f"cannot use {folder / name}: there is no such file; "
        "make it by `nodeorch cluster init` or `nodeorch cluster join`"
    )
    assert (problem.code, problem.unseen) == ("E290", False)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_keys_are_for_one_user(folder: Path, name: str, mode: int) -> None:
    (folder / name).chmod(mode)
    secret, writable = not name.endswith(".crt"), mode & 0o022
    expected = [(name, "E291")] if secret or writable else []
    assert found(folder) == expected
    for problem in problems(str(folder)):
        assert problem.why == ("others may change it" if writable else "others may read it")
        assert f"chmod {'0600' if secret else '0644'} {folder / name}" in problem.fix
        assert ("make new keys" in problem.fix) == (not writable)


def test_the_key_of_the_ca_is_only_where_it_is(folder: Path) -> None:
    write(folder / "ca.key", "-----BEGIN PRIVATE KEY-----\n")
    assert found(folder) == []
    (folder / "ca.key").chmod(0o644)
    assert found(folder) == [("ca.key", "E291")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_keys_of_another_user(folder: Path) -> None:
    os.chown(folder / "node.key", 12345, 0)
    os.chown(folder / "ca.crt", 12345, 0)
    (problem,) = problems(str(folder))
    assert (Path(problem.path).name, problem.code) == ("node.key", "E291")
    assert "user 12345" in problem.why


@pytest.mark.parametrize(
    ("serf", "words"),
    [
        ({"rpc_auth": "secret"}, "not encrypted"),
        ({"rpc_auth": "secret", "keyring_file": ""}, "not encrypted"),
        ({"rpc_auth": "secret", "encrypt_key": "c2hvcnQ="}, "not encrypted"),
        ({"rpc_auth": "secret", "encrypt_key": "*"}, "not encrypted"),
        ({"keyring_file": "keyring.json"}, "without rpc_auth"),
        ({"keyring_file": "keyring.json", "rpc_auth": ""}, "without rpc_auth"),
        ({"keyring_file": "keyring.json", "rpc_auth": "other"}, "not the key in rpc.key"),
    ],
)
def test_serf_without_its_keys(folder: Path, serf: dict[str, str], words: str) -> None:
    write(folder / "serf.json", serf)
    (problem,) = problems(str(folder))
    assert (problem.code, Path(problem.path).name) == ("E292", "serf.json")
    assert words in problem.why and problem.fix


@pytest.mark.parametrize("ring", ["[]", "{}", "[", '["x"]', "[1]", f'["{KEY}", ""]', "\xff"])
def test_a_ring_without_keys(folder: Path, ring: str) -> None:
    write(folder / "keyring.json", ring)
    assert found(folder) == [("keyring.json", "E292")]


def test_what_is_no_file_of_that_kind(folder: Path) -> None:
    write(folder / "serf.json", "[]")
    write(folder / "node.crt", "", 0o644)
    (folder / "ca.crt").unlink()
    os.mkfifo(folder / "ca.crt")
    write(folder / "rpc.key", "x" * (1 << 19))
    assert found(folder) == [
        ("ca.crt", "E290"),
        ("rpc.key", "E290"),
        ("node.crt", "E290"),
        ("serf.json", "E290"),
    ]


def _check(folder: Path, name: str = "shop") -> tuple[int, str]:
    config = folder.parent / "nodeorch.toml"
    config.write_text(
        f'[cluster]\n{f"name = {json.dumps(name)}" if name else ""}\naddress = "10.0.0.5"\n'
        f'files = "{folder}"\nlabels = {{ zone = ["a", "b"] }}\n'
    )
    done = CliRunner().invoke(check.command, [str(folder.parent)])
    return done.exit_code, done.output


def test_check_refuses_a_peer_without_key(folder: Path) -> None:
    assert _check(folder) == (0, "1 file checked: valid\n")
    (folder / "node.key").unlink()
    code, output = _check(folder)
    assert code == 1
    assert f"{folder}/node.key:1:1: error[E290]: cluster.files: cannot be used: there is" in output
    assert _check(folder, name="")[0] == 0, "without a fleet nobody needs it"


def test_check_only_warns_of_what_this_user_may_not_see(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refusing(path: str, *rest: Any, **keys: Any) -> int:
        if str(path).endswith("node.key"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest, **keys)

    monkeypatch.setattr(os, "open", refusing)
    code, output = _check(folder)
    assert code == 0
    assert "warning[E290]: cluster.files: cannot be used: permission denied; look as root" in output


def test_check_holds_labels_against_those_of_the_fleet(folder: Path) -> None:
    spec = '[workload]\nname = "web"\nimage = "localhost/web:1"\nscope = "fleet"\n'
    path = folder.parent / "web.toml"
    path.write_text(spec + '[placement]\nconstraints = { zone = ["c"] }\n')
    code, output = _check(folder)
    assert code == 1
    assert "web.toml:6:25: error[E278]: web.placement.constraints.zone[0]: no node" in output
    assert _check(folder, name="")[0] == 0


def test_check_judges_a_spec_by_the_configuration_of_this_host_and_its_drop_ins(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder.parent / "web.toml"
    path.write_text(
        '[workload]\nname = "web"\nimage = "localhost/web:1"\nscope = "fleet"\n'
        '[placement]\nconstraints = { zone = ["c"] }\n'
    )
    _check(folder)
    config, drop_ins = folder.parent / "nodeorch.toml", folder.parent / "nodeorch.d"
    drop_ins.mkdir()
    config.rename(drop_ins / "50-cluster.toml")
    config.write_text("")
    monkeypatch.setattr(check, "DEFAULT_CONFIG", "/does/not/exist")
    assert _exit(path) == 0
    assert _exit(path, "--config", str(config)) == 1
    monkeypatch.setattr(check, "DEFAULT_CONFIG", str(config))
    assert _exit(path) == 1
    (folder / "node.key").unlink()
    path.write_text(path.read_text().replace('"c"', '"a"'))
    assert _exit(path) == 0, "what is wrong with this host is no fault of the spec"
    assert _exit(path, "--config", str(config)) == 1


def _exit(path: Path, *more: str) -> int:
    return CliRunner().invoke(check.command, [str(path), *more]).exit_code
