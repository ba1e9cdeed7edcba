"""One text → a workload, or all problems with their places."""

from __future__ import annotations

import msgspec
import pytest

from nodeorch.files import read_regular
from nodeorch.model.workload import MIB, Condition, Workload
from nodeorch.spec.load import SIZE_LIMIT, load_text
from nodeorch.spec.problems import Problem

HEAD = '[workload]\nname = "web"\nimage = "localhost/web:1"\n'


def load(text: str | bytes, **options: object) -> tuple[Workload | None, tuple[Problem, ...]]:
    return load_text(text, "web.toml", **options)  # type: ignore[arg-type]


def good(text: str, **options: object) -> Workload:
    workload, problems = load(text, **options)
    assert [problem.text() for problem in problems] == []
    assert workload is not None
    return workload


def bad(text: str | bytes, **options: object) -> list[tuple[str, int, int, str]]:
    workload, problems = load(text, **options)
    assert workload is None
    return [(p.code, p.line, p.column, p.field) for p in problems]


@pytest.mark.parametrize("policy", ["always", "never"])
def test_a_job_with_a_restart_policy_is_told_so_whichever_it_is(policy: str) -> None:
    text = HEAD + 'kind = "job"\n[restart]\nbackoff = { initial = "1s" }\n'
    good(text, default_memory=64 * MIB)
    found = bad(text + f'policy = "{policy}"\n', default_memory=64 * MIB)
    assert found == [("E263", 7, 10, "web.restart.policy")]


def test_the_whole_of_a_workload() -> None:
    web = good(
        HEAD
        + """
        command = ["httpd", "-f"]
        env = { MODE = "prod" }
        after = ["db"]
        needs = { cache = "started" }
        [resources]
        memory = "64MiB"
        cpu = "500m"
        [[ports]]
        container = 8080
        host = 18080
        [[volumes]]
        source = "/srv//x/../y/"
        target = "/data/"
        [probes.readiness]
        http = { port = 8080 }
        interval = "1s"
        timeout = "500ms"
        [restart]
        backoff = { initial = "100ms", max = "1m30s" }
        [stop]
        signal = "SIGINT"
        [security]
        capabilities = ["CAP_CHOWN", "net_raw", "CHOWN"]
        """
    )
    assert web.main.command == ("httpd", "-f")
    assert web.conditions == {"db": Condition.READY, "cache": Condition.STARTED}
    assert (web.resources.memory, web.resources.cpu, web.resources.pids) == (64 * MIB, 0.5, 256)
    assert (web.ports[0].host, web.ports[0].address) == (18080, "127.0.0.1")
    assert (web.volumes[0].source, web.volumes[0].target) == ("/srv/y", "/data")
    assert web.probes.readiness is not None
    assert (web.probes.readiness.interval, web.probes.readiness.timeout) == (1.0, 0.5)
    assert web.restart.backoff.max == 90.0
    assert web.stop.signal == "INT"
    assert web.security.capabilities == ("CHOWN", "NET_RAW")
    assert web.security.read_only
    assert web.security.no_new_privileges


def test_a_workload_survives_json() -> None:
    web = good(HEAD + '[probes.liveness]\nexec = ["true"]\n[[ports]]\ncontainer = 1\n')
    assert msgspec.json.decode(msgspec.json.encode(web), type=Workload) == web


def test_all_problems_at_once_each_in_its_place() -> None:
    assert bad(
        """[workload]
name = "Web"
command = "httpd"
after = ["a", 3]

[[ports]]
container = 80
[[ports]]
container = 80
hots = 1

[probes]
readiness.interval = 5
liveness = { exec = ["true"], timeuot = "1s" }
[resources.ulimits.nofile]
soft = 2
hard = 1
"""
    ) == [
        ("E103", 1, 2, "web.workload.image"),
        ("E105", 2, 8, "web.workload.name"),
        ("E102", 3, 11, "web.workload.command"),
        ("E102", 4, 15, "web.workload.after[1]"),
        ("E101", 10, 1, "web.ports[1].hots"),
        ("E107", 13, 22, "web.probes.readiness.interval"),
        ("E101", 14, 31, "web.probes.liveness.timeuot"),
        ("E213", 16, 8, "web.resources.ulimits.nofile.soft"),
    ]


def test_columns_count_characters_and_lines_may_end_in_crlf() -> None:
    text = HEAD.replace("\n", "\r\n") + 'labels = { "größe" = "é", b = 1 }\r\n'
    assert bad(text) == [
        ("E226", 4, 12, 'web.workload.labels."größe"'),
        ("E102", 4, 31, "web.workload.labels.b"),
    ]


def test_the_words_of_a_problem() -> None:
    _, problems = load(HEAD + '[resources]\nmemroy = "64MiB"\n')
    assert problems[0].text() == (
        'web.toml:5:1: error[E101]: web.resources.memroy: unknown key "memroy"; '
        'did you mean "memory"?\n'
        '    5 | memroy = "64MiB"\n'
        "      | ^"
    )
    assert problems[0].brief() == problems[0].text().split("\n")[0]
    assert problems[0].github() == (
        "::error file=web.toml,line=5,col=1,title=E101::web.resources.memroy: "
        'unknown key "memroy"; did you mean "memory"?'
    )


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("[resources]\nmemory = 268435456", 'write a unit: "256MiB"'),
        ("[resources]\nmemory = 64", 'write a unit, such as "64MiB" or "64B"'),
        ('[resources]\nmemory = "256Mi"', 'did you mean "256MiB"?'),
        ('[resources]\nmemory = "1g"', 'did you mean "1GiB"?'),
        ("[stop]\ngrace = 90", 'write a unit, such as "1m30s"'),
        ('[stop]\ngrace = "10 sec"', 'did you mean "10s"?'),
        ('[resources]\ncpu = "0.5"', "write 0.5 without quotes"),
        ('[[ports]]\ncontainer = "80"', "write 80 without quotes"),
        ('[security]\nread_only = "no"', "write false, without quotes"),
        ('[restart]\npolicy = "x"', 'write "always" or "on-failure" or "never"'),
        ("mem_limit = 1", "did you mean resources.memory?"),
        ("memory = 1", "it belongs in [resources]"),
        ('after = ["My_DB"]', 'did you mean "my-db"?'),
        ('[security]\ncapabilities = ["NET_BIND"]', 'did you mean "NET_ADMIN"?'),
        ("replicas: 2", "this looks like YAML; write key = value"),
        ("init = True", "write true or false, in lower case"),
        ("[resources]\nmemory = 64MiB", 'put text and quantities in quotes: "64MiB"'),
    ],
)
def test_it_says_what_to_do(text: str, fix: str) -> None:
    _, problems = load(HEAD + text + "\n")
    assert fix in [problem.fix for problem in problems]


def test_a_duplicate_names_the_first() -> None:
    _, problems = load(HEAD + '[[ports]]\ncontainer = 1\n[stop]\n[[ports]]\nhost = 1\n"host" = 2\n')
    (problem,) = problems
    assert (problem.code, problem.line, problem.field) == ("E004", 9, "web.ports[1].host")
    assert "line 8" in problem.message


def test_syntax_errors_have_their_place() -> None:
    assert bad(HEAD + 'x = "a\n') == [("E003", 4, 7, "web")]
    assert bad(HEAD + "x = [1,\n")[0][:2] == ("E003", 5)
    assert bad(b"[workload]\nname = \xff\n") == [("E002", 2, 8, "web")]


def test_what_is_too_large_is_not_read() -> None:
    assert bad(b"#" * (SIZE_LIMIT + 1)) == [("E001", 1, 1, "web")]


@pytest.mark.parametrize(
    "text",
    [
        "a=" + "[" * 50_000,
        "a=" + "{a=" * 50_000,
        ".".join("a" * 200_000) + " = 1",
        "[" + " . ".join(['"a"'] * 100_000) + "]",
        "a = 1" + "0" * 100_000,
        "a" * SIZE_LIMIT,
        "".join(f"k{i} = 1\n" for i in range(60_000)),
        "[[ports]]\n" * 60_000,
        HEAD + "ports = [" + "{container=1,host=1}," * 40_000 + "]",
        HEAD + "[workload.env]\n" + "".join(f"{i} = '1'\n" for i in range(60_000)),
        "[resources.ulimits]\n" + "".join(f"u{i}={{soft=1,hard=1}}\n" for i in range(30_000)),
    ],
    ids=[
        "arrays",
        "tables",
        "dots",
        "quoted-dots",
        "digits",
        "word",
        "keys",
        "elements",
        "ports",
        "env",
        "ulimits",
    ],
)
def test_monsters_are_refused_without_ado(text: str) -> None:
    workload, problems = load(text)
    assert workload is None
    assert 1 <= len(problems) <= 101


def test_a_wrong_value_is_not_judged_a_second_time() -> None:
    assert bad(HEAD + '[[volumes]]\ntarget = "/d"\nsource = "srv"\n') == [
        ("E105", 6, 10, "web.volumes[0].source")
    ]
    assert bad(
        HEAD + '[probes.liveness]\ntcp = {port = 1}\ntimeout = "20s"\ninterval = "1 h"\n'
    ) == [("E108", 7, 12, "web.probes.liveness.interval")]


def test_the_name_is_the_files() -> None:
    assert good(HEAD, stem="web").name == "web"
    assert bad(HEAD, stem="api") == [("E201", 2, 8, "web.workload.name")]


def test_memory_has_a_default_or_is_required() -> None:
    assert good(HEAD).resources.memory == 256 * MIB
    assert good(HEAD, default_memory=MIB * 8).resources.memory == 8 * MIB
    assert bad(HEAD, default_memory=None) == [("E220", 1, 1, "web.resources.memory")]
    assert bad(HEAD + "[resources]\npids = 3\n", default_memory=None) == [
        ("E220", 4, 2, "web.resources.memory")
    ]


def test_names_reject_a_trailing_newline() -> None:
    assert bad(HEAD.replace('"web"', '"web\\n"'))[0][0] == "E105"


def test_integers_fit_64_bits() -> None:
    assert bad(HEAD + f"[[ports]]\ncontainer = {10**25}\n")[0][0] == "E104"
    text = HEAD + f"[resources.ulimits]\ncore = {{ soft = {10**25}, hard = {10**25} }}\n"
    assert [code for code, *_ in bad(text)] == ["E104", "E104"]


@pytest.mark.parametrize("number", ["inf", "nan", "-inf"])
def test_numbers_are_finite(number: str) -> None:
    assert bad(HEAD + f"[resources]\ncpu = {number}\n")[0][0] in ("E104", "E107")
    assert bad(HEAD + f"[resources]\nmemory = {number}\n")[0][0] == "E107"


ENV = HEAD + 'env = { A = "spec" }\nenv_file = "/etc/web/env"\n'


def test_env_file_is_merged_below_env() -> None:
    content = "# comment\n\nA=file\nB = 'two words'\nC=\n"
    asked: list[str] = []

    def read(path: str) -> str:
        asked.append(path)
        return content

    web = good(ENV, read_file=read)
    assert web.main.env == {"A": "spec", "B": "two words", "C": ""}
    assert asked == ["/etc/web/env"]
    assert good(ENV).main.env == {"A": "spec"}


def test_env_file_faults_name_the_line_and_never_the_text() -> None:
    for secret in ("hunter2", "hunter 2=x", "hunter/+2==", "=hunter2"):
        _, problems = load(ENV, read_file=lambda path, secret=secret: f"A=1\n{secret}\n")
        (problem,) = problems
        assert (problem.code, problem.line) == ("E231", 5)
        assert "line 2" in problem.message
        assert "hunter" not in problem.text()


def test_env_file_that_cannot_be_read() -> None:
    def read(path: str) -> str:
        raise PermissionError(13, "Permission denied")

    _, problems = load(ENV, read_file=read)
    assert "Permission denied" in problems[0].message

    def absent(path: str) -> str:
        return read_regular("/nonexistent/env", 10).decode()

    _, problems = load(ENV, read_file=absent)
    assert problems[0].message.count("cannot read") == 1 and "no such file" in problems[0].message
    assert bad(ENV.replace("/etc/web/env", "/etc/shadow"))[0][0] == "E227"
    assert bad(ENV.replace("/etc/web/env", "/root/env"))[0][0] == "E228"


def test_what_a_terminal_might_obey_is_not_shown() -> None:
    _, problems = load(HEAD + '"\\u001b[31m\u202e" = 1\n')
    assert "\x1b" not in problems[0].text()
    assert "\u202e" not in problems[0].text()
