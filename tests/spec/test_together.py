"""Several workloads: circles, ports, names that are not there; and who is at fault."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nodeorch.model.workload import Condition, Main, Port, Protocol, Workload
from nodeorch.spec.problems import Problem, errors
from nodeorch.spec.together import check_together


def workload(name: str, *after: str, ports: tuple[Port, ...] = ()) -> Workload:
    return Workload(main=Main(name=name, image="a", after=after), ports=ports)


def port(number: int, address: str = "127.0.0.1", protocol: str = "tcp") -> Port:
    return Port(container=80, host=number, address=address, protocol=Protocol(protocol))


def judge(*new: Workload, accepted: tuple[Workload, ...] = ()) -> dict[str, list[str]]:
    found = check_together({w.name: w for w in new}, {}, accepted={w.name: w for w in accepted})
    return {name: [problem.code for problem in problems] for name, problems in found.items()}


def test_nothing_wrong() -> None:
    assert judge() == {}
    assert judge(workload("a", "b", "c"), workload("b", "c"), workload("c")) == {}


def test_a_circle_is_shown() -> None:
    new = [workload("a", "b"), workload("b", "c"), workload("c", "a"), workload("d", "a")]
    found = check_together({w.name: w for w in new}, {"a": "/w/a.toml"})
    assert sorted(found) == ["a", "b", "c"]
    (problem,) = found["a"]
    assert problem.code == "E301"
    assert problem.message == "waits for itself: a → b → c → a"
    assert (problem.file, problem.field) == ("/w/a.toml", "a.workload.after[0]")


def test_a_circle_through_needs() -> None:
    a = workload("a", "b")
    b = replace(workload("b"), main=Main(name="b", image="a", needs={"a": Condition.STARTED}))
    found = check_together({"a": a, "b": b}, {})
    assert found["b"][0].field == "b.workload.needs.a"


def test_the_one_that_closes_the_circle_is_at_fault() -> None:
    a, b = workload("a"), workload("b", "a")
    assert judge(workload("a", "b"), b, accepted=(a, b)) == {"a": ["E301"]}
    assert judge(a, workload("b", "a"), accepted=(a, b)) == {}


def test_two_circles_are_both_found() -> None:
    new = (workload("a", "b"), workload("b", "a"), workload("c", "d"), workload("d", "c"))
    assert set(judge(*new)) == {"a", "b", "c", "d"}


def test_a_long_chain_is_no_circle_and_no_recursion() -> None:
    chain = [workload(f"w{i}", f"w{i + 1}") for i in range(3000)] + [workload("w3000")]
    assert judge(*chain) == {}


def test_one_port_for_two() -> None:
    a, b = workload("a", ports=(port(80),)), workload("b", ports=(port(80),))
    assert judge(b, a) == {"b": ["E302"]}
    assert judge(b, a, accepted=(b,)) == {"a": ["E302"]}
    assert judge(b, a, accepted=(workload("b"),)) == {"b": ["E302"]}


def test_addresses_and_protocols() -> None:
    def clash(left: Port, right: Port) -> bool:
        return bool(judge(workload("a", ports=(left,)), workload("b", ports=(right,))))

    assert not clash(port(80), port(81))
    assert not clash(port(80), port(80, "127.0.0.2"))
    assert not clash(port(53), port(53, protocol="udp"))
    assert clash(port(53, protocol="udp"), port(53, protocol="udp"))
    assert clash(port(80, "0.0.0.0"), port(80, "127.0.0.2"))
    assert clash(port(80, "127.0.0.2"), port(80, "::"))
    assert clash(port(80, "::1"), port(80, "0:0:0:0:0:0:0:1"))
    assert clash(port(80, "::ffff:127.0.0.1"), port(80))
    unpublished = Port(container=80)
    assert not clash(unpublished, unpublished)


def test_a_port_can_change_hands_in_one_pass() -> None:
    before = (workload("a", ports=(port(80),)),)
    assert judge(workload("a"), workload("b", ports=(port(80),)), accepted=before) == {}


def test_what_stays_in_force_keeps_its_port() -> None:
    """a's new version is refused, so its accepted one keeps port 80, and b cannot have it."""
    accepted = (workload("a", ports=(port(80),)), workload("c", ports=(port(90),)))
    new = (
        workload("a", ports=(port(90),)),
        workload("b", ports=(port(80),)),
        accepted[1],
    )
    assert judge(*new, accepted=accepted) == {"a": ["E302"], "b": ["E302"]}


def test_a_name_that_is_not_declared_is_a_warning() -> None:
    found = check_together({"a": workload("a", "later")}, {})
    assert [(p.code, p.severity) for p in found["a"]] == [("W303", "warning")]
    assert errors(found["a"]) == ()


def test_places_come_from_the_text() -> None:
    text = b'[workload]\nname = "a"\nimage = "a"\nafter = ["x",\n  "later"]\n'
    found = check_together({"a": workload("a", "x", "later")}, {"a": "a.toml"}, texts={"a": text})
    assert [(p.line, p.column) for p in found["a"]] == [(4, 10), (5, 3)]
    assert isinstance(found["a"][0], Problem)


_WORKLOADS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.tuples(st.sets(st.sampled_from("abcdefg")), st.sets(st.sampled_from([80, 81]))),
).map(
    lambda drawn: {
        name: workload(name, *sorted(after - {name}), ports=tuple(map(port, sorted(numbers))))
        for name, (after, numbers) in drawn.items()
    }
)


@given(_WORKLOADS, _WORKLOADS)
def test_what_remains_agrees(before: dict[str, Workload], new: dict[str, Workload]) -> None:
    refused = {name for name, p in check_together(before, {}).items() if errors(p)}
    accepted = {name: w for name, w in before.items() if name not in refused}
    assert not any(errors(p) for p in check_together(accepted, {}).values())
    refused = {name for name, p in check_together(new, {}, accepted=accepted).items() if errors(p)}
    force = {name: w for name, w in new.items() if name not in refused}
    force |= {name: accepted[name] for name in refused if name in accepted}
    assert not any(errors(p) for p in check_together(force, {}, accepted=accepted).values())
    assert not refused & {n for n, w in new.items() if accepted.get(n) == w and accepted == new}
