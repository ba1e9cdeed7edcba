"""A config file's content is part of what a container is made from; where it came from is not."""

from __future__ import annotations

from nodeorch.decide.template import diff, template
from nodeorch.model.actions import StartContainer
from nodeorch.model.workload import File, Workload
from tests.decide.story import Story, workload

ONE, TWO = "1" * 64, "2" * 64


def with_file(digest: str = ONE, mode: str = "0444", source: str | None = None) -> Workload:
    return workload(files=(File(target="/etc/a", digest=digest, mode=mode, source=source),))


def test_content_and_mode_are_baked_and_the_source_is_not() -> None:
    one = template(with_file())
    assert template(workload()) != one
    assert template(with_file(TWO)) != one
    assert template(with_file(mode="0400")) != one
    assert template(with_file(source="/srv/a")) == one


def test_a_difference_is_shown_by_the_digests() -> None:
    (change,) = diff(with_file(ONE), with_file(TWO))
    assert (change.field, change.effect) == ("files /etc/a", "recreate")
    assert change.before == f"sha256:{ONE[:12]}, mode 0444"
    assert change.after == f"sha256:{TWO[:12]}, mode 0444"
    (change,) = diff(with_file(), with_file(source="/srv/a"))
    assert (change.field, change.after, change.effect) == (
        "files.source /etc/a",
        "/srv/a",
        "live",
    )


def test_each_generation_starts_with_its_own_files() -> None:
    story = Story(with_file(ONE)).up().wait(2).settle()
    story.specs(with_file(TWO)).settle()
    story.die("web.0.g1").settle()  # the previous one serves on until the new one is good
    starts = {a.key: a.files[0].digest for a in story.done if isinstance(a, StartContainer)}
    assert starts == {"web.0.g1": ONE, "web.0.g2": TWO}
    assert [a.key for a in story.done if isinstance(a, StartContainer)].count("web.0.g1") == 2
