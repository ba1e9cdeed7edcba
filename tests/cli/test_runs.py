"""nodeorch run and runs, as a person types them, and what status says of jobs."""

from __future__ import annotations

import json
import threading

from msgspec.structs import replace

from tests.api.harness import WEB, Harness
from tests.api.test_jobs import NIGHTLY, finish
from tests.cli.conftest import Cli
from tests.lab.wait import wait_for


def run_and_finish(harness: Harness, cli: Cli, code: int, *more: str) -> tuple[int, str, str]:
    """``nodeorch run job --wait``, whose process exits with that code."""
    number = 1 + len(harness.client.get("/v1/workloads/job/runs"))

    def obey() -> None:
        wait_for(lambda: len(harness.client.get("/v1/workloads/job/runs")) == number, 10)
        harness.obey()
        finish(harness, number, code)

    helper = threading.Thread(target=obey)
    helper.start()
    said = cli("run", "job", "--wait", *more)
    helper.join(10)
    return said


def test_run_wait_exits_with_the_code_of_the_job(harness: Harness, cli: Cli) -> None:
    harness.declare(NIGHTLY)
    code, out, err = run_and_finish(harness, cli, 0)
    assert (code, err) == (0, "") and "job: run 1 succeeded" in out
    code, out, _ = run_and_finish(harness, cli, 42, "--", "--flag", "x")
    assert code == 42 and "run 2 failed" in out and "exited with code 42" in out
    code, out, _ = cli("runs", "job")
    lines = out.splitlines()
    assert lines[0].split() == ["RUN", "STATE", "MADE", "TOOK", "TRIES", "EXIT", "WHY", "REASON"]
    assert lines[1].split()[:2] == ["2", "failed"] and ", with --flag x" in lines[1]
    assert lines[2].split()[:2] == ["1", "succeeded"]
    views = json.loads(cli("runs", "job", "--json")[1])
    assert [v["exit_code"] for v in views] == [42, 0]


def test_run_in_all_its_ways_to_say_no(harness: Harness, cli: Cli) -> None:
    harness.declare(NIGHTLY, WEB)
    code, out, _ = cli("run", "job", "--dry-run", "--wait")
    assert code == 0 and "run 1 begins" in out and "nothing was changed" in out
    assert cli("run", "web")[0] == 1 and cli("run", "none")[0] == 1
    code, out, err = cli("run", "job", "--wait", "--timeout", "50ms")
    assert code == 75 and "run 1 of job is pending" in err
    assert "has not ended" in cli("run", "job")[2]
    assert (
        cli("runs", "web")[2] == "nodeorch: cannot show the runs of web: it is a service, no job\n"
    )
    assert "there is no workload none" in cli("runs", "none")[2]


def test_a_run_that_is_not_in_time_says_why(harness: Harness, cli: Cli) -> None:
    harness.declare(NIGHTLY)

    def missing() -> None:
        world = harness.standin.world
        state = world.workloads["job"]
        state = replace(state, record=replace(state.record, image_error="there is no such image"))
        harness.standin.put(replace(world, workloads=world.workloads | {"job": state}))

    harness.do(missing)
    code, _, err = cli("run", "job", "--wait", "--timeout", "50ms")
    assert code == 75
    assert (
        "run 1 of job is pending: cannot get image localhost/web:1: there is no such image" in err
    )


def test_status_shows_the_next_and_the_last_run(harness: Harness, cli: Cli) -> None:
    harness.declare(NIGHTLY)
    assert "next run at 2023-11-15 03:30 UTC" in cli("status")[1]
    run_and_finish(harness, cli, 3)
    out = cli("status", "job")[1]
    assert "schedule  30 3 * * * (UTC)" in out
    assert "next run  2023-11-15 03:30 UTC, in" in out
    assert "last run  1 failed" in out and "exited with code 3" in out
