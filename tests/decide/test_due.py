"""Due times under clocks that jump, days of 23 and 25 hours, and daemons that were not there."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nodeorch.decide.due import FAR, judge
from nodeorch.model.workload import Concurrency
from nodeorch.schedule import Schedule
from tests.decide.jobstory import NOON, JobStory, job, wall_of

MINUTELY = "* * * * *"
BERLIN = "Europe/Berlin"


def quick(**parts: object) -> JobStory:
    """Its runs are allowed abreast, so that every due time makes one."""
    parts.setdefault("keep", 100)
    return JobStory(job(concurrency=Concurrency.ALLOW, **parts)).up()


def done(story: JobStory) -> JobStory:
    for run in story.record().active:
        story.finish(run.number)
    return story


# summer time -------------------------------------------------------------------------------


def days(expression: str, begin: str, seconds: float) -> list[str]:
    wall = wall_of(begin, BERLIN)
    spec = job(schedule=expression, timezone=BERLIN, keep=100)
    story = JobStory(spec, wall=wall).up()
    for _ in range(int(seconds // 300)):
        story.live(300)
        for run in story.record().active:
            story.finish(run.number)
    return [w.partition(" due at ")[2] for w in story.said("RunBegan") if " due at " in w]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 2 * * *", ["28 02:30 CET", "29 03:00 CEST", "30 02:30 CEST"]),
        ("30 3 * * *", ["28 03:30 CET", "29 03:30 CEST", "30 03:30 CEST"]),
    ],
)
def test_the_night_without_the_hour_loses_no_run(expression: str, expected: list[str]) -> None:
    found = days(expression, "2026-03-28T00:00", 3 * 86400)
    assert [w.removeprefix("2026-03-") for w in found] == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 2 * * *", ["24 02:30 CEST", "25 02:30 CEST", "26 02:30 CET"]),
        ("30 3 * * *", ["24 03:30 CEST", "25 03:30 CET", "26 03:30 CET"]),
    ],
)
def test_the_night_with_the_hour_twice_doubles_no_run(expression: str, expected: list[str]) -> None:
    found = days(expression, "2026-10-24T00:00", 3 * 86400)
    assert [w.removeprefix("2026-10-") for w in found] == expected


def test_every_hour_is_every_hour_that_passes() -> None:
    found = days("0 * * * *", "2026-10-25T00:30", 5 * 3600)
    hours = [w.removeprefix("2026-10-25 ") for w in found]
    assert hours == ["01:00 CEST", "02:00 CEST", "02:00 CET", "03:00 CET", "04:00 CET"]


# steps of the clock ------------------------------------------------------------------------


def test_a_clock_set_back_doubles_nothing() -> None:
    story = quick(schedule="0 * * * *").live(3601)
    assert story.dues() == ["01 13:00"]
    done(story).set_clock(-3000).live(3100)
    assert story.dues() == ["01 13:00"], "13:00 comes a second time"
    story.live(3600)
    assert story.dues() == ["01 13:00", "01 14:00"]


def test_a_clock_set_forward_runs_what_it_leapt_over_once() -> None:
    story = quick(schedule=MINUTELY).live(61)
    story.set_clock(1800)
    assert story.dues() == ["01 12:01", "01 12:31"]
    assert "29 due before 2026-06-01 12:31 UTC passed unseen" in story.said("RunMissed")[0]
    done(story).live(60)
    assert story.dues()[2:] == ["01 12:32"]


def test_what_is_too_late_is_missed_and_said() -> None:
    story = quick(schedule="0 * * * *", catch_up=600.0).set_clock(3600 + 1200)
    assert story.dues() == []
    assert "the run due at 2026-06-01 13:00 UTC was missed" in story.record().skipped
    story.live(2401)
    assert story.dues() == ["01 14:00"]


def test_a_clock_that_was_wrong_for_a_while_takes_no_run_away() -> None:
    """Forward by two hours, and put right a minute later."""
    story = quick(schedule="*/10 * * * *").live(601)
    story.set_clock(7200).live(60)
    story.set_clock(-7200)
    assert story.dues() == ["01 12:10", "01 14:10"]
    story.live(7200)
    expected = [f"01 {12 + m // 60}:{m % 60:02}" for m in range(20, 140, 10) if m != 130]
    assert story.dues()[2:] == expected, "each once; 14:10 has had its run"


def test_a_host_that_boots_in_another_year_is_not_silent_for_years() -> None:
    years = 9 * 365 * 86400.0
    story = quick(schedule=MINUTELY, catch_up=0.0).live(61)
    story.restart_daemon(boot_id="boot-2", down=30.0).set_clock(years).live(300)
    assert len(story.dues()) > 2, "it runs, in the wrong year"
    done(story).set_clock(-years).live(1)
    before = len(story.dues())
    story.live(180)
    assert len(story.dues()) == before + 3


def test_a_year_lived_in_the_wrong_year_does_not_silence_the_next() -> None:
    story = quick(schedule="0 * * * *")
    story.brief = True
    story.live(4 * FAR).set_clock(-3 * FAR)
    assert "more than a day ahead" in str(story.said("ClockSet"))
    before = story.record().last
    story.live(5 * 3600)
    assert story.record().last == before + 5


def test_one_declared_under_a_wrong_clock_runs_when_it_is_right() -> None:
    story = quick(schedule=MINUTELY).set_clock(-5 * 365 * 86400.0).live(121)
    assert story.record().last == 2


# daemons -----------------------------------------------------------------------------------


def test_a_restart_over_the_due_time_loses_nothing_whatever_the_window() -> None:
    story = quick(schedule=MINUTELY, catch_up=0.0).live(55)
    story.restart_daemon(down=8.0)
    assert story.dues() == ["01 12:01"]


def test_a_night_without_a_daemon_is_made_up_for_once() -> None:
    story = quick(schedule="0 * * * *").live(3601)
    done(story).restart_daemon(down=5 * 3600 + 60)
    assert story.dues() == ["01 13:00", "01 18:00"]
    done(story).restart_daemon()
    assert len(story.dues()) == 2


def test_a_new_schedule_makes_up_for_nothing() -> None:
    story = quick(schedule="0 3 * * *")
    story.specs(job(schedule="0 11 * * *", catch_up=86400.0)).settle()
    assert story.record().runs == ()
    story.live(23 * 3600 + 1)
    assert story.dues() == ["02 11:00"]


def test_a_zone_that_is_gone_is_said_and_stops_nothing() -> None:
    story = JobStory(job(schedule=MINUTELY, timezone="Nowhere/Land")).up().live(300)
    assert story.record().runs == () and "no such time zone" in story.record().skipped
    assert len(story.said("RunMissed")) == 1
    story.command("run", "job").settle()
    assert story.running() == {"job.1.g1"}


# whatever happens --------------------------------------------------------------------------

EVERY = ["*/4 * * * *", "*/7 * * * *", "5,20 * * * *", "0 */2 * * *", "30 2 * * *", "@hourly"]
moves = st.lists(
    st.one_of(
        st.tuples(st.just("live"), st.integers(1, 5000)),
        st.tuples(st.just("live"), st.integers(1, 200)),
        st.tuples(st.just("set"), st.integers(-9000, 9000)),
        st.tuples(st.just("daemon"), st.integers(1, 5000)),
        st.tuples(st.just("reboot"), st.integers(1, 5000)),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves, st.sampled_from(EVERY), st.sampled_from([0.0, 600.0, 86400.0]))
@example([("set", 3600), ("live", 10), ("set", -3600), ("live", 7000)], "*/4 * * * *", 0.0)
@example([("live", 3700), ("set", -3600), ("live", 3700)], "@hourly", 600.0)
def test_no_run_is_lost_and_none_is_doubled(
    stream: list[tuple[str, int]], expression: str, window: float
) -> None:
    """Over any steps of the clock of less than a day, restarts and reboots: each due time has one
    run at most; each that the daemon saw come has exactly one; the late ones are in the window."""
    schedule = Schedule(expression)
    spec = job(schedule=expression, catch_up=window, concurrency=Concurrency.ALLOW, keep=100)
    story = JobStory(spec, wall=NOON + 17.3).up()
    story.brief = True
    ran: Counter[float] = Counter()
    lived, seen = [], 0
    for move, number in stream:
        before = story.wall
        if move == "live":
            story.live(number)
            lived.append((before, story.wall))
        elif move == "set":
            if abs(story.wall + number - NOON) < FAR / 2:
                story.set_clock(number)
        else:
            boot = f"boot-{story.now}" if move == "reboot" else None
            story.restart_daemon(boot_id=boot, down=float(number))
        for run in story.record().runs:
            if run.number > seen:
                assert run.due is not None
                ran[run.due] += 1
                assert run.made_wall - run.due <= max(window, 10.0) + 1.0
        seen = story.record().last
        done(story)
    assert all(times == 1 for times in ran.values()), "doubled"
    for since, until in lived:
        due = schedule.after(since)
        while due is not None and due <= until:
            assert ran[due] == 1, f"{due} was lived through from {since} to {until}"
            due = schedule.after(due)


@given(st.lists(st.integers(-80000, 80000), max_size=30))
def test_the_stretches_stay_apart_and_few(steps: list[int]) -> None:
    schedule, spent, wall = Schedule("*/5 * * * *"), (), NOON
    for step in steps:
        wall += step
        spent = judge(spent, schedule, wall, 600.0).spent
        assert len(spent) <= 16
        assert all(a <= b for a, b in spent)
        assert all(x[1] < y[0] for x, y in pairwise(spent))
