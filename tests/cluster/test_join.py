"""Real commands, a real TLS server, the real process that signs."""

from __future__ import annotations

import json
import shutil
import ssl
import stat
import subprocess
import time
from pathlib import Path

import pytest

from nodeorch.cluster import certs, folder, tokens
from nodeorch.cluster import token as tokening
from nodeorch.clusterfiles import problems
from tests.cluster.conftest import FIRST, SECOND, Host, done

YEAR = 365 * 86400.0


def lived(host: Host) -> None:
    """All that a host of a fleet needs is there, readable by root alone, and fits."""
    assert problems(str(host.files)) == []
    for path in host.files.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(host.files.stat().st_mode) == 0o700
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(host.files / "node.crt", host.files / "node.key")
    about = certs.about((host.files / "node.crt").read_bytes())
    assert about.name == host.folder.name
    assert about.left(time.time()) > 0.99


def test_init_makes_a_fleet_of_one_and_no_second(h1: Host) -> None:
    out = json.loads(h1.run("init", "demo", "--address", FIRST, "--name", "h1", "--json"))
    assert "Made the fleet demo" in out["words"][0] and "serf agent -config-file" in out["words"][1]
    lived(h1)
    assert (h1.files / "ca.key").exists()
    text = h1.drop_in.read_text()
    for line in ('name = "h1"', 'name = "demo"', f'address = "{FIRST}"', "port = 7444"):
        assert line in text
    before = (h1.files / "ca.crt").read_bytes()
    assert "in the fleet demo already" in h1.refused("init", "--address", FIRST)
    h1.drop_in.unlink()
    assert "holds the files of a fleet" in h1.refused("init", "--address", FIRST)
    assert (h1.files / "ca.crt").read_bytes() == before


def test_openssl_agrees_with_the_certificate(h1: Host) -> None:
    h1.init()
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", h1.files / "ca.crt"]
    for purpose in ("sslserver", "sslclient"):
        command = [*verify, "-purpose", purpose, "-verify_hostname", "h1", h1.files / "node.crt"]
        subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--address", "10.77.0.99", "--name", "h1"), "no interface of this host has it"),
        (("--address", "here", "--name", "h1"), "not an IP address"),
        (("--address", "127.0.0.1", "--name", "h1"), "loopback"),
        (("--address", FIRST, "--name", "localhost"), "as this node's name"),
    ],
)
def test_init_that_cannot_be_leaves_nothing(h1: Host, words: tuple[str, ...], told: str) -> None:
    assert told in h1.refused("init", *words)
    assert h1.alone()


def test_a_host_joins(h1: Host, h2: Host) -> None:
    h1.init()
    with h1.door("h7"):
        out = h2.run(*h2.joining(h1.token()))
    assert "Joined the fleet demo, with h1, h7" in out
    lived(h2)
    assert not (h2.files / "ca.key").exists()
    for name in ("ca.crt", "keyring.json"):
        assert (h2.files / name).read_bytes() == (h1.files / name).read_bytes()
    serf = json.loads((h2.files / "serf.json").read_text())
    assert serf["retry_join"] == [f"{FIRST}:7946", "10.77.0.9:7946"]
    assert (serf["node_name"], serf["bind"]) == ("h2", f"{SECOND}:7946")
    assert serf["rpc_auth"] != json.loads((h1.files / "serf.json").read_text())["rpc_auth"]
    assert 'zone = [\n    "a",\n    "b",\n]' in h2.drop_in.read_text()
    signer = json.loads((h2.files / "signer.json").read_text())
    assert signer == {"name": "h1", "address": FIRST, "port": 7444}
    key, certificate, ca = ((h2.files / n).read_bytes() for n in ("node.key", "node.crt", "ca.crt"))
    assert certs.belongs(key, certificate, ca)


def test_a_token_is_good_once_also_in_a_race(h1: Host, h2: Host, h3: Host) -> None:
    h1.init()
    token = h1.token()
    with h1.door():
        ends = [done(p) for p in [h2.start(*h2.joining(token)), h3.start(*h3.joining(token))]]
        assert sorted(code for code, _, _ in ends) == [0, 1], ends
        [told] = [err for code, _, err in ends if code]
        assert "the token has been used" in told
        assert [h2.alone(), h3.alone()].count(True) == 1
        loser = h2 if h2.alone() else h3
        assert "the token has been used" in loser.refused(*loser.joining(token))
        loser.run(*loser.joining(h1.token()))
    lived(h2)
    lived(h3)


def test_two_tokens_do_not_give_one_name_to_two_hosts(h1: Host, h2: Host, h3: Host) -> None:
    h1.init()
    with h1.door("h7"):
        h2.run(*h2.joining(h1.token()))
        token = h1.token()
        told = h3.refused(*h3.joining(token, name="h2"))
        assert f"a host at {SECOND} was given the name h2 a moment ago" in told
        assert "has the name h7" in h3.refused(*h3.joining(token, name="h7"))
        assert "has the name h1" in h3.refused(*h3.joining(token, name="h1"))
        assert h3.alone()
        h3.run(*h3.joining(token))


def test_a_token_ends(h1: Host, h2: Host) -> None:
    h1.init()
    mark = tokening.fingerprint((h1.files / "ca.crt").read_text())
    old = tokens.make(h1.files, "demo", mark, 60.0, time.time() - 600)
    ended = tokening.write(old)
    later = tokening.write(
        tokening.Token(old.fingerprint, old.id, old.secret, old.ends + int(YEAR), "d")
    )
    unknown = tokening.write(
        tokening.Token(mark, b"8 bytes.", old.secret, later_than_now(), "demo")
    )
    with h1.door():
        assert "the token was good until" in h2.refused(*h2.joining(ended))
        assert "the token has expired 9 minutes ago" in h2.refused(*h2.joining(later))
        assert "the token is not known here" in h2.refused(*h2.joining(unknown))
    assert h2.alone()


def later_than_now() -> int:
    return int(time.time()) + 3600


def test_the_fleet_of_another_token_is_told(h1: Host, h2: Host, h3: Host) -> None:
    """Before anything secret is sent: the token is still good."""
    h1.init()
    h2.run("init", "demo", "--address", SECOND, "--name", "h2")
    token = h1.token()
    with h1.door(), h2.door():
        told = h3.refused(*h3.joining(token, at=SECOND))
        assert "this is not the fleet of the token" in told
        assert h3.alone()
        h3.run(*h3.joining(token))


def test_who_only_shows_the_right_ca_gets_no_secret(h1: Host, h2: Host, h3: Host) -> None:
    """The certificate of the CA is no secret; a certificate by it is what counts."""
    h1.init()
    h2.run("init", "demo", "--address", SECOND, "--name", "h2")
    shutil.copy(h1.files / "ca.crt", h2.files / "ca.crt")
    with h2.door():
        told = h3.refused(*h3.joining(h1.token(), at=SECOND))
    assert "its certificate is not of this fleet's CA" in told
    assert h3.alone()


def test_a_certificate_of_another_time_speaks_of_the_clock(h1: Host, h2: Host) -> None:
    h1.init()
    key, ca = ((h1.files / name).read_bytes() for name in ("ca.key", "ca.crt"))
    for shift, told in ((-2 * YEAR, "has ended"), (2 * YEAR, "has not begun")):
        own, csr = certs.request("h1")
        folder.write_pair(h1.files, own, certs.sign(key, ca, csr, "h1", time.time() + shift))
        with h1.door():
            words = h2.refused(*h2.joining(h1.token()))
        assert told in words and "this host's clock, which says" in words
        assert h2.alone()


def test_nobody_there_and_nonsense(h1: Host, h2: Host) -> None:
    h1.init()
    token = h1.token()
    assert "nobody listens there" in h2.refused(*h2.joining(token))
    for broken in (token[:-4], token[:20] + "x" + token[21:], "rubbish", ""):
        assert "cannot read the token" in h2.refused(*h2.joining(broken))
    assert "another version" in h2.refused(*h2.joining("nt2_" + token[4:]))
    assert h2.alone()


def test_a_host_without_the_key_of_the_ca_says_who_has_it(h1: Host, h2: Host, h3: Host) -> None:
    h1.init()
    with h1.door():
        h2.run(*h2.joining(h1.token()))
        token = h1.token()
    assert "does not have the key of the fleet's CA" in h2.refused("token")
    with h2.door():
        told = h3.refused(*h3.joining(token, at=SECOND))
    assert f"h1 has it: ask {FIRST}:7444" in told


def test_rotate_certificate_over_tls_and_here(h1: Host, h2: Host) -> None:
    h1.init()
    with h1.door():
        h2.run(*h2.joining(h1.token()))
        for host in (h1, h2):
            before = [(host.files / name).read_bytes() for name in ("node.key", "node.crt")]
            assert "good for a while" in host.run("rotate", "certificate", "--if-due")
            assert before == [(host.files / n).read_bytes() for n in ("node.key", "node.crt")]
            out = host.run("rotate", "certificate")
            assert f"The new certificate of {host.folder.name} is good until" in out
            assert "nodeorchd could not be told" in out
            after = [(host.files / name).read_bytes() for name in ("node.key", "node.crt")]
            assert before[0] != after[0] and before[1] != after[1]
            lived(host)
            assert len(list(host.files.glob("pair-*"))) == 1
    assert "nobody listens" in h2.refused("rotate", "certificate")
    lived(h2)


def test_a_certificate_that_is_due_is_renewed(h1: Host, h2: Host) -> None:
    h1.init()
    with h1.door():
        h2.run(*h2.joining(h1.token()))
        key, ca = ((h1.files / name).read_bytes() for name in ("ca.key", "ca.crt"))
        own, csr = certs.request("h2")
        old = certs.sign(key, ca, csr, "h2", time.time() - 0.7 * YEAR)
        folder.write_pair(h2.files, own, old)
        assert "is good until" in h2.run("rotate", "certificate", "--if-due")
        lived(h2)


def test_leave_sets_all_aside(h1: Host, h2: Host) -> None:
    h1.init()
    with h1.door():
        h2.run(*h2.joining(h1.token()))
    assert "copy it to another host's" in h1.refused("leave")
    code, _, told = done(h2.start("leave"))
    assert code == 69 and "cannot reach nodeorchd" in told
    assert h2.drop_in.exists()
    assert "Left the fleet" in h2.run("leave", "--force")
    assert not h2.drop_in.exists() and not h2.files.exists()
    [aside] = h2.folder.glob("cluster.left-*")
    assert (aside / "node.key").exists()
    assert "in no fleet" in h2.refused("leave")
    h2.init()


def test_a_broken_write_of_the_last_file_leaves_nothing(h1: Host, tmp_path: Path) -> None:
    (h1.folder / "nodeorch.d").write_text("a file where a folder should be")
    assert "cannot" in h1.refused("init", "--address", FIRST, "--name", "h1")
    assert not h1.files.exists()
