"""What the signing process answers to what comes from the network."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from nodeorch.cluster import certs, folder, tokens
from nodeorch.cluster.command import signing
from nodeorch.cluster.messages import LONGEST
from nodeorch.cluster.sign import answered

NOW = 1_800_000_000.0


@pytest.fixture
def files(tmp_path: Path) -> Path:
    key, ca = certs.authority("demo", NOW)
    with folder.prepared(tmp_path / "cluster") as made:
        folder.write(made / folder.CA_KEY, key)
        folder.write(made / folder.CA, ca)
        folder.write(made / folder.RING, '["key"]')
        folder.write(made / folder.SERF, '{"advertise": "10.0.0.1:7946"}')
    return tmp_path / "cluster"


def given(files: Path, **changes: object) -> bytes:
    """A join that is good but for the changes."""
    made = tokens.make(files, "demo", b"f" * 32, 86400.0, time.time())
    asked = {
        "id": made.id.hex(),
        "secret": made.secret.hex(),
        "name": "h2",
        "address": "10.0.0.2",
        "port": 7444,
        "csr": certs.request("whatever")[1].decode(),
        "protocol": 1,
    }
    context = {
        "files": str(files),
        "cluster": "demo",
        "signer": {"name": "h1", "address": "10.0.0.1", "port": 7444},
    }
    return json.dumps(context).encode() + b"\n" + json.dumps(asked | changes).encode()


def ask(verb: str, text: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answered(verb, text))
    return found


def unburnt(files: Path) -> bool:
    return not list((files / "tokens").glob("*.used"))


def test_the_name_is_of_the_request_and_not_of_the_csr(files: Path) -> None:
    answer = ask("sign", given(files))
    assert certs.about(answer["certificate"].encode()).name == "h2"
    assert answer["hosts"] == {"h1": ["10.0.0.1", 7444]}
    assert not unburnt(files)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "H2"}, "BadRequest"),
        ({"name": "h2\n"}, "BadRequest"),
        ({"name": "../x"}, "BadRequest"),
        ({"name": "h1"}, "NameTaken"),
        ({"id": "../../ca.key"}, "BadRequest"),
        ({"id": "0" * 16}, "TokenUnknown"),
        ({"secret": "0" * 32}, "TokenUnknown"),
        ({"address": "example.org"}, "BadRequest"),
        ({"port": 0}, "BadRequest"),
        ({"csr": "-----BEGIN NONSENSE-----"}, "BadRequest"),
        ({"csr": "x" * 5000}, "BadRequest"),
        ({"protocol": 2}, "Version"),
    ],
)
def test_what_is_refused_burns_no_token(files: Path, changes: dict[str, object], code: str) -> None:
    answer = ask("sign", given(files, **changes))
    assert answer["code"] == code
    assert answer["error"].startswith("cannot ")
    assert unburnt(files)


def test_a_key_of_another_kind_and_a_forged_request_are_refused(files: Path) -> None:
    new = "openssl req -new -newkey rsa:2048 -noenc -keyout /dev/null -subj /CN=h2"
    command = new.split()
    rsa = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "not one for a key of EC P-256" in ask("sign", given(files, csr=rsa))["error"]
    forged = certs.request("h2")[1].decode().splitlines()
    forged[-2] = forged[-2][:-4] + ("AAA=" if forged[-2].endswith("=") else "AAAA")
    assert ask("sign", given(files, csr="\n".join(forged)))["code"] == "BadRequest"
    assert unburnt(files)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"x" * (LONGEST + 1), b"{}"])
def test_rubbish_is_told_from_a_crash(files: Path, body: bytes) -> None:
    context = given(files).partition(b"\n")[0]
    assert ask("sign", context + b"\n" + body)["code"] in ("BadRequest", "Version")


def test_the_process_has_one_answer_and_reads_no_module_of_its_folder(
    files: Path, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('this module is not ours')")
    command, env = signing("sign")
    done = subprocess.run(command, input=given(files), env=env, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cluster"] == "demo"
    wrong = subprocess.run([*command[:-1], "else"], env=env, capture_output=True)
    assert wrong.returncode == 1 and b"usage" in wrong.stderr


def test_it_signs_where_memory_is_never_both_written_and_executed(files: Path) -> None:
    """As a child of nodeorchd.service with MemoryDenyWriteExecute."""
    command, env = signing("sign")
    deny = (
        "import ctypes, os, sys; assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0; "  # MDWE
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    words = [command[0], "-c", deny, *command]
    done = subprocess.run(words, input=given(files), env=env, capture_output=True)
    assert done.returncode == 0 and b"certificate" in done.stdout, done.stderr


def test_renewals_are_for_the_host_of_the_certificate(files: Path) -> None:
    body = json.dumps({"csr": certs.request("h9")[1].decode(), "protocol": 1}).encode()
    context = json.dumps({"files": str(files), "host": "h2"}).encode()
    answer = ask("renew", context + b"\n" + body)
    assert certs.about(answer["certificate"].encode()).name == "h2"
    os.unlink(files / folder.CA_KEY)
    assert ask("renew", context + b"\n" + body)["code"] == "NotHere"


def test_no_certificate_outlives_the_ca(files: Path) -> None:
    key, ca = (files / folder.CA_KEY).read_bytes(), (files / folder.CA).read_bytes()
    late = NOW + certs.CA_LIFE.total_seconds() - 3600
    made = certs.sign(key, ca, certs.request("h2")[1], "h2", late)
    assert certs.about(made).ends == certs.about(ca).ends
