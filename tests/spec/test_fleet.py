"""Failover, placement and scope: what is refused, with which words, and what is not."""

from __future__ import annotations

import pytest

from nodeorch.decide.template import diff, template
from nodeorch.model.placing import Failback, FailoverMode, Scope
from nodeorch.model.workload import Workload
from nodeorch.spec.load import load_text
from nodeorch.spec.problems import Problem

HEAD = '[workload]\nname = "web"\nimage = "localhost/web:1"\n'
FLEET = HEAD + 'scope = "fleet"\n'
AVAILABLE = '[failover]\nmode = "available"\n'
VOLUME = '[[volumes]]\nname = "data"\ntarget = "/data"\n'
LABELS = {"zone": {"a", "b"}, "disk": {"ssd"}}


def good(text: str, **options: object) -> Workload:
    workload, problems = load_text(text, "web.toml", **options)  # type: ignore[arg-type]
    assert workload is not None and problems == (), [p.text() for p in problems]
    return workload


def bad(text: str, **options: object) -> list[Problem]:
    workload, problems = load_text(text, "web.toml", **options)  # type: ignore[arg-type]
    assert workload is None
    return list(problems)


def test_what_is_written_is_what_is_meant() -> None:
    web = good(
        HEAD + AVAILABLE + 'after = "5s"\nprefer = ["h2", "h1"]\nfailback = "idle"\n'
        '[placement]\nconstraints = { zone = ["a", "b"] }\nspread = "zone"\navoid = ["db"]\n'
    )
    assert (web.failover.mode, web.failover.after) == (FailoverMode.AVAILABLE, 5.0)
    assert (web.failover.prefer, web.failover.failback) == (("h2", "h1"), Failback.IDLE)
    assert web.placement.constraints == {"zone": ("a", "b")}
    assert (web.placement.spread, web.placement.avoid) == ("zone", ("db",))
    assert web.resources.memory, "a host that is to run it knows what it asks for"
    assert good(FLEET).main.scope is Scope.FLEET


def test_at_most_once_says_what_there_is_instead() -> None:
    (problem,) = bad(HEAD + '[failover]\nmode = "exclusive"\n')
    assert problem.brief() == (
        "web.toml:5:8: error[E270]: web.failover.mode: at most one copy is not there yet; "
        'use "available" if two copies may run for a moment, else remove mode'
    )


@pytest.mark.parametrize("where", ['name = "data"', 'source = "/srv/data"'])
def test_data_of_one_host_pins_a_workload(where: str) -> None:
    volume = f'[[volumes]]\n{where}\ntarget = "/data"\n'
    for moves in (HEAD + AVAILABLE, FLEET):
        (problem,) = bad(moves + volume)
        assert (problem.code, problem.field) == ("E272", "web.volumes[0]")
        assert "exists on one host only" in problem.message
        assert "shared = true" in problem.fix
        assert good(moves + volume + "shared = true\n").volumes[0].shared
    good(HEAD + volume)
    good(HEAD + 'scope = "every-host"\n' + volume)


def test_a_volume_of_no_kind_is_told_that_alone() -> None:
    (problem,) = bad(FLEET + '[[volumes]]\ntarget = "/data"\n')
    assert problem.code == "E202"


def test_what_travels_or_is_empty_anyway_pins_nothing() -> None:
    good(FLEET + 'env_file = "/etc/web/env"\n[[volumes]]\ntmpfs = "1MiB"\ntarget = "/x"\n')
    good(FLEET + '[[files]]\nsource = "/srv/x"\ntarget = "/x"\n')


@pytest.mark.parametrize(
    "text",
    [
        '[failover]\nafter = "1s"\n',
        '[failover]\nprefer = ["h2"]\n',
        '[failover]\nfailback = "now"\n',
        '[placement]\navoid = ["db"]\n',
        '[placement]\nspread = "zone"\n',
        '[placement]\nconstraints = { zone = ["a"] }\n',
    ],
)
def test_words_without_effect_are_told(text: str) -> None:
    (problem,) = bad(HEAD + text)
    assert problem.code == "E274" and problem.fix
    table = text.partition("\n")[0] + "\n"
    good(FLEET + text if table == "[placement]\n" else HEAD + text.replace(table, AVAILABLE))


def test_a_mistake_in_the_mode_is_the_only_one_that_is_told() -> None:
    (problem,) = bad(HEAD + '[failover]\nmode = "avalable"\nafter = "1s"\n')
    assert problem.code == "E106"


@pytest.mark.parametrize("text", [AVAILABLE, ""])
def test_a_job_stays(text: str) -> None:
    scope = "" if text else 'scope = "every-host"\n'
    (problem,) = bad(HEAD + 'kind = "job"\n' + scope + text)
    assert problem.code == "E271" and "its past is unknown" in problem.message
    good(HEAD + scope + text)


@pytest.mark.parametrize(
    ("scope", "words"), [("fleet", "run elsewhere anyway"), ("every-host", "all hosts run it")]
)
def test_a_scope_moves_by_itself(scope: str, words: str) -> None:
    (problem,) = bad(f'{HEAD}scope = "{scope}"\n{AVAILABLE}')
    assert problem.code == "E273" and words in problem.message


def test_replicas_with_a_host_port_may_meet() -> None:
    port = "[[ports]]\ncontainer = 80\nhost = 8080\n"
    (problem,) = bad(FLEET + "replicas = 2\n" + port)
    assert problem.code == "E205" and "two of them may come to run on one host" in problem.message
    good(FLEET + "replicas = 1\n" + port)


def test_known_labels_are_asked_for() -> None:
    text = FLEET + '[placement]\nspread = "zone"\nconstraints = { zone = ["b"], disk = ["ssd"] }\n'
    good(text, known_labels=LABELS)
    good(FLEET + '[placement]\nspread = "host"\n', known_labels={})


def test_labels_that_no_node_has_are_an_error_where_somebody_knows_them() -> None:
    text = (
        FLEET + '[placement]\nconstraints = { zoen = ["a"], zone = ["a", "x"] }\nspread = "dis"\n'
    )
    good(text)
    found = bad(text, known_labels=LABELS)
    assert [(p.code, p.line, p.column, p.field) for p in found] == [
        ("E278", 6, 17, "web.placement.constraints.zoen"),
        ("E278", 6, 44, "web.placement.constraints.zone[1]"),
        ("E278", 7, 10, "web.placement.spread"),
    ]
    assert found[0].message == 'no node of this fleet has a label "zoen"'
    assert found[0].fix.startswith('did you mean "zone"? known: disk, zone; ')
    assert found[1].message == 'no node of this fleet has zone = "x"'
    assert "known: a, b;" in found[1].fix
    assert 'did you mean "disk"?' in found[2].fix
    assert "known: none;" in bad(text, known_labels={})[0].fix


def test_nothing_of_it_makes_a_new_container() -> None:
    before = good(HEAD + VOLUME)
    for text in (
        HEAD + 'scope = "every-host"\n' + VOLUME,
        HEAD + VOLUME + "shared = true\n" + AVAILABLE + 'failback = "now"\n',
        FLEET + VOLUME + 'shared = true\n[placement]\navoid = ["db"]\n',
    ):
        after = good(text)
        assert after != before and template(after) == template(before)
        assert {change.effect for change in diff(before, after)} == {"live"}
    moved = good(HEAD + VOLUME.replace("/data", "/other") + "shared = true\n")
    assert template(moved) != template(before)


def test_what_ran_before_there_were_fleets_runs_on() -> None:
    """As made by the last version that knew nothing of them."""
    assert template(good(HEAD + VOLUME)) == "7656b82f4960f2b3d3065a2b"
