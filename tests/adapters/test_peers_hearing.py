"""When a peer is heard, answers or is silent: the judgement alone, with made-up time."""

from __future__ import annotations

from math import inf

import pytest

from nodeorch.adapters.peers.hearing import (
    DOUBT,
    LOSS,
    MANY,
    QUIET,
    SILENCE,
    SLOW_QUIET,
    TRUST,
    WATCH,
    Ear,
    Pace,
)
from nodeorch.model.fleet import Hearing

NEVER, HEARD, ANSWERS, SILENT = Hearing


@pytest.fixture
def ear() -> Ear:
    """Of a host that was heard at 10.0."""
    ear = Ear(9.0)
    ear.heard(10.0, QUIET)
    assert ear.judge(10.0) is HEARD
    return ear


def test_quiet_is_doubted_then_silent_within_two_seconds(ear: Ear) -> None:
    assert not ear.doubted(11.49)
    assert ear.due(10.1) == 11.5
    assert ear.doubted(11.5)
    assert ear.judge(11.99) is HEARD
    assert ear.judge(12.0) is SILENT
    assert ear.words == "no beat for 1.5 s; its host answers no connection"
    assert QUIET + SILENCE == LOSS


def test_an_answer_tells_a_hung_daemon_from_a_host_without_power(ear: Ear) -> None:
    ear.answer(11.51, "refuses connections")
    assert ear.judge(11.51) is ANSWERS
    assert ear.words == "no beat for 1.5 s; its host refuses connections"
    assert ear.judge(13.5) is ANSWERS
    assert ear.judge(13.52) is SILENT
    ear.answer(20.0, "accepts connections")
    assert ear.judge(20.0) is ANSWERS
    ear.heard(20.1, QUIET)
    assert ear.judge(20.1) is HEARD
    assert ear.words == ""


def test_an_answer_from_before_the_doubt_proves_nothing(ear: Ear) -> None:
    ear.answer(11.4, "acknowledges what is sent")
    assert ear.judge(11.6) is HEARD
    assert ear.judge(12.0) is SILENT


def test_a_lost_link_is_doubted_at_once_and_has_its_own_two_seconds(ear: Ear) -> None:
    ear.lost(10.2, "the link was lost")
    assert ear.doubted(10.2)
    assert ear.knock_at() == 10.2
    assert ear.judge(12.19) is HEARD
    assert ear.judge(12.2) is SILENT
    assert ear.words == "the link was lost; its host answers no connection"


def test_the_loss_of_a_doubted_link_gives_no_second_grace(ear: Ear) -> None:
    ear.lost(11.9, "the link was lost")
    assert ear.judge(12.0) is SILENT


def test_a_host_that_was_never_heard_is_judged_after_two_seconds() -> None:
    ear = Ear(5.0)
    ear.answer(5.1, "refuses connections")
    assert ear.judge(5.1) is NEVER
    assert ear.judge(6.9) is NEVER
    assert ear.judge(7.0) is ANSWERS
    other = Ear(5.0)
    assert other.judge(6.9) is NEVER
    assert other.judge(7.0) is SILENT


def test_after_a_pause_of_ours_the_measuring_begins_anew(ear: Ear) -> None:
    ear.late(70.0, QUIET)
    assert ear.judge(70.0) is HEARD
    assert ear.judge(71.9) is HEARD
    assert ear.judge(72.0) is SILENT
    ear.late(90.0, QUIET)
    assert ear.judge(90.0) is SILENT, "what was judged in time stands"


def test_after_a_pause_of_ours_one_that_answered_still_does(ear: Ear) -> None:
    ear.lost(10.1, "the link was lost")
    ear.answer(10.2, "refuses connections")
    assert ear.judge(10.2) is ANSWERS
    ear.late(70.0, QUIET)
    assert ear.judge(71.9) is ANSWERS
    assert ear.judge(72.0) is SILENT


def test_a_link_that_was_lost_before_a_pause_of_ours_gets_its_time_again(ear: Ear) -> None:
    ear.lost(10.1, "the link was lost")
    ear.late(70.0, QUIET)
    assert ear.judge(71.9) is HEARD
    assert ear.judge(72.0) is SILENT


def test_attempts_to_connect_are_close_in_doubt_and_rarer_afterwards(ear: Ear) -> None:
    ear.knocked = ear.knock_at()
    assert ear.knocked == 11.5
    assert ear.knock_at() == 11.5 + DOUBT
    ear.knocked = 11.8
    ear.judge(12.0)
    assert ear.knock_at() == 11.8 + WATCH
    ear.answer(12.1, "acknowledges what is sent")
    assert ear.judge(12.1) is ANSWERS
    assert ear.knock_at() == 12.1 + TRUST, "one that acknowledges need not be asked"
    ear.lost(12.2, "the link was lost")
    assert ear.knock_at() == 12.1 + WATCH


def test_it_is_never_due_in_the_past_once_it_has_been_looked_at(ear: Ear) -> None:
    now = 10.0
    for _ in range(200):
        now = ear.due(now)
        ear.judge(now)
        if ear.doubted(now) and ear.knock_at() <= now:
            ear.knocked = now
        assert now < ear.due(now) < inf
    assert 10 < now < 200 * WATCH + 12


def test_large_fleets_beat_slower_and_doubt_later() -> None:
    assert Pace.of(MANY) == Pace()
    beat, quiet = Pace.of(MANY + 1)
    assert (beat, quiet) == (1.0, SLOW_QUIET)
    assert quiet > 2 * beat
