"""The verbs that need no daemon: check, init, schema."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from nodeorch.cli import check, init, schema
from nodeorch.spec.load import load_text

ROOT = Path(__file__).parents[2]
SPEC = '[workload]\nname = "{}"\nimage = "localhost/web:1"\n'


@pytest.fixture(autouse=True)
def no_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine is on which the tests run."""
    monkeypatch.setattr(check, "DEFAULT_CONFIG", "/does/not/exist/nodeorch.toml")


def run_check(*arguments: str | Path, json_flag: bool | None = None) -> Result:
    context = None if json_flag is None else SimpleNamespace(json=json_flag)
    return CliRunner().invoke(check.command, [str(word) for word in arguments], obj=context)


def write(folder: Path, name: str, more: str = "") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(SPEC.format(name) + more)
    return path


def test_valid(tmp_path: Path) -> None:
    result = run_check(write(tmp_path, "web"))
    assert (result.exit_code, result.output) == (0, "1 file checked: valid\n")


def test_invalid(tmp_path: Path) -> None:
    path = write(tmp_path, "web", "replicsa = 1\n")
    result = run_check(path, write(tmp_path, "api", "init = 1\n"))
    assert result.exit_code == 1
    assert f"{path}:4:1: error[E101]: web.workload.replicsa: unknown key" in result.output
    assert "error[E102]: api.workload.init" in result.output
    assert "2 files checked, 2 errors\n" in result.output


@pytest.mark.parametrize("arguments", [[], ["/does/not/exist"], ["--format", "xml", "/etc"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert run_check(*arguments).exit_code == 2


def test_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "web", 'after = ["db", "later"]\n')
    write(tmp_path, "db")
    (tmp_path / ".hidden.toml").write_text("garbage")
    (tmp_path / "web.toml~").write_text("garbage")
    (tmp_path / "web.toml.dpkg-new").write_text("garbage")
    result = run_check(tmp_path)
    assert result.exit_code == 0
    assert result.output.startswith(f"{tmp_path}/web.toml:4:16: warning[W303]: web.workload.after")
    assert "2 files checked, 1 warning" in result.output
    assert "later" not in run_check(tmp_path / "web.toml").output


def test_files_that_contradict_each_other(tmp_path: Path) -> None:
    port = "[[ports]]\ncontainer = 80\nhost = 8080\n"
    write(tmp_path, "a", port)
    write(tmp_path, "b", port)
    result = run_check(tmp_path)
    assert result.exit_code == 1
    assert "b.toml:6:8: error[E302]: b.ports[0].host" in result.output


def test_a_name_that_is_not_the_files(tmp_path: Path) -> None:
    (tmp_path / "api.toml").write_text(SPEC.format("web"))
    assert "E201" in run_check(tmp_path).output
    (tmp_path / "draft").write_text(SPEC.format("web"))
    assert run_check(tmp_path / "draft").exit_code == 0


def test_things_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (10 << 20))
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "binary.toml").write_bytes(os.urandom(64) + b"\xff")
    result = run_check(tmp_path, "--format", "json")
    assert result.exit_code == 1
    found = {Path(p["file"]).stem: p["message"] for p in json.loads(result.output)["problems"]}
    assert set(found) == {"pipe", "loop", "large", "folder", "binary"}
    assert "named pipe" in found["pipe"]
    assert "circle" in found["loop"]


def test_formats(tmp_path: Path) -> None:
    path = write(tmp_path, "web", "replicsa = 1\n")
    github = run_check(path, "--format", "github").output
    assert github.startswith(f"::error file={path},line=4,col=1,title=E101::web.workload.replicsa")
    for result in (run_check(path, "--format", "json"), run_check(path, json_flag=True)):
        answer = json.loads(result.output)
        assert (answer["valid"], answer["files"], result.exit_code) == (False, 1, 1)
        (problem,) = answer["problems"]
        assert (problem["line"], problem["column"], problem["code"]) == (4, 1, "E101")
    assert run_check(path, json_flag=False).output.startswith(str(path))
    good = json.loads(run_check(write(tmp_path, "api"), "--format", "json").output)
    assert good == {"valid": True, "files": 1, "problems": []}


def test_the_daemons_folder(tmp_path: Path) -> None:
    (tmp_path / "nodeorch.d").mkdir()
    (tmp_path / "workloads.d").mkdir()
    (tmp_path / "nodeorch.toml").write_text("[defaults]\nmemory = false\n")
    (tmp_path / "nodeorch.d" / "10.toml").write_text('[volumes]\nallowed = ["/usr"]\n')
    volume = '[[volumes]]\nsource = "/usr/share/x"\ntarget = "/x"\n'
    web = write(tmp_path / "workloads.d", "web", f'[resources]\nmemory = "8MiB"\n{volume}')
    assert run_check(tmp_path).exit_code == 0
    assert "E228" in run_check(web).output
    web.write_text(SPEC.format("web"))
    assert "E220" in run_check(tmp_path).output
    assert "E220" in run_check(web, "--config", tmp_path / "nodeorch.toml").output
    (tmp_path / "nodeorch.d" / "10.toml").write_text("[volume]\n")
    assert "did you mean" in run_check(tmp_path).output


def test_init_writes_a_valid_spec(tmp_path: Path) -> None:
    path = tmp_path / "web.toml"
    runner = CliRunner()
    arguments = ["web", "--image", "localhost/web:2", "-o", str(path)]
    assert runner.invoke(init.command, arguments).exit_code == 0
    workload, problems = load_text(path.read_bytes(), str(path), stem="web")
    assert problems == ()
    assert workload is not None
    assert workload.main.image == "localhost/web:2"
    assert path.read_text().startswith("#:schema ")

    path.write_text("precious")
    refused = runner.invoke(init.command, arguments)
    assert refused.exit_code == 1
    assert "--force" in refused.output
    assert path.read_text() == "precious"
    assert runner.invoke(init.command, [*arguments, "--force"]).exit_code == 0
    assert path.read_text() != "precious"


def test_what_init_comments_out_is_valid() -> None:
    text = init.template("web", "localhost/web:1")
    active = re.sub(r"(?m)^# ", "", text)
    assert active.count("\n#") < text.count("\n#")
    workload, problems = load_text(active, "web.toml")
    assert [problem.text() for problem in problems] == []
    assert workload is not None
    assert workload.probes.readiness is not None
    assert workload.volumes


def test_init_prints_and_refuses_bad_names() -> None:
    runner = CliRunner()
    assert '[workload]\nname = "web"' in runner.invoke(init.command, ["web", "-o", "-"]).output
    assert runner.invoke(init.command, ["../web", "-o", "-"]).exit_code == 2


@pytest.mark.parametrize("kind", ["workload", "settings"])
def test_schema_prints_what_is_shipped(kind: str) -> None:
    output = CliRunner().invoke(schema.command, [kind]).output
    assert output == (ROOT / "configs" / f"{kind}.schema.json").read_text()
