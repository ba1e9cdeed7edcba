"""Two hosts of one name are told from one that restarts."""

from __future__ import annotations

from nodeorch.adapters.peers.names import TAKEN, Names
from nodeorch.model.facts import Fact, NameTaken


class Told:
    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.now = 10.0
        self.names = Names(self.facts.append, lambda: self.now)


def test_one_that_comes_back_after_it_was_replaced_is_another_host() -> None:
    told = Told()
    told.names.replaced("b", "first", "second", "192.0.2.2")
    assert told.facts == []
    told.names.replaced("b", "second", "first", "192.0.2.1")
    assert told.facts == [NameTaken("b", "192.0.2.1")]
    told.names.replaced("b", "first", "second", "192.0.2.2")
    assert told.facts[1:] == [NameTaken("b", "192.0.2.2")]
    told.names.replaced("b", "second", "first", "192.0.2.1")
    assert len(told.facts) == 2, "once is enough"


def test_restarts_and_new_links_of_one_daemon_are_nothing() -> None:
    told = Told()
    for run in range(20):
        told.names.replaced("b", f"run{run}", f"run{run}", "192.0.2.1")
        told.names.replaced("b", f"run{run}", f"run{run}", "192.0.2.1")
        told.names.replaced("b", f"run{run}", f"run{run + 1}", "192.0.2.1")
    told.names.replaced("c", "run2", "run3", "192.0.2.3")
    assert told.facts == []


def test_a_name_is_free_again_once_the_other_is_gone_for_a_while() -> None:
    told = Told()
    told.names.taken("b", "192.0.2.1")
    told.now += TAKEN
    told.names.taken("b", "192.0.2.2")
    told.names.tick()
    told.now += 1
    told.names.tick()
    assert told.facts == [NameTaken("b", "192.0.2.1"), NameTaken("b", "192.0.2.2")]
    told.now += TAKEN
    told.names.tick()
    assert told.facts[2:] == [NameTaken("b", "")]
    told.names.taken("b", "192.0.2.1")
    assert told.facts[3:] == [NameTaken("b", "192.0.2.1")]
