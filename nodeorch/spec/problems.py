"""Problems: faults with a place, ready to be shown.

Codes, by their first digit: 0 the file, 1 the shape, 2 the meaning, 3 several files together.

==== =======================================================================
E001 cannot be read, or too large
E002 not UTF-8 text
E003 not TOML
E004 a key stands twice
E101 unknown key
E102 wrong type
E103 missing
E104 out of range
E105 does not have the required form
E106 not one of the choices
E107 a number without a unit
E108 a quantity that cannot be read
E109 a NUL character
E201 name differs from the file's
E202 volume: not exactly one of name, source, tmpfs
E203 probe: not exactly one of http, tcp, exec
E204 TLS keys of a probe without TLS, or a CA without a name
E205 several replicas with one fixed host port
E206 networks contradict each other
E207 published ports on a network that publishes none
E208 http, tcp or grpc probe, or http hook, without a network
E210 unknown capability
E211 unknown signal
E212 unknown ulimit
E213 soft ulimit above the hard one
E214 not an IP address
E215 a port stands twice
E216 a target of volumes or files stands twice, or must not be mounted over
E217 cpuset range is reversed or too high
E218 not an image reference
E219 too little memory or cpu to start anything
E220 memory is required
E221 empty command
E222 not a name of an environment variable
E223 backoff begins above its maximum
E224 needs itself
E225 not a user
E226 not a label
E227 a path that is never mounted
E228 a path outside the allowed folders
E229 not a host name
E230 not a network name
E231 env_file cannot be used
E232 not an HTTP header
E233 not a seccomp profile
E234 memory_high above memory
E235 too short
E236 not a workload name
E237 not a block device
E238 listens where others can reach it
E250 hook: not exactly one of exec and http
E251 file: not exactly one of content and source
E252 file: its source cannot be read, or its content not kept
E260 [job] in a service
E261 schedule cannot be read, or never comes
E262 unknown time zone
E263 a job cannot have that
E264 runs side by side with one host port
E270 at most one copy: not there yet
E271 a job that is to run elsewhere
E272 a volume of one host, of a workload that may run on another
E273 failover of what runs on several hosts anyway
E274 words about other hosts that have no effect
E275 avoids itself
E276 a name or a value stands twice
E277 a constraint that no host can meet
E278 a label that no node of the fleet has
E280 an address at which no other host reaches this one
E281 etcd without TLS
E290 a file of the fleet cannot be read, or not be used
E291 a key that others may read
E292 Serf without encryption or without a key for its RPC
E301 workloads wait for each other in a circle
E302 two workloads want one host port
W303 waits for a workload that is not declared (yet)
==== =======================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from nodeorch.spec.faults import Faults, Path, dotted

_WIDTH = 100


class Problem(Struct, frozen=True):
    file: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    code: str
    field: str
    """The workload's name (or the file's) and the dotted path: "web.resources.memory"."""
    message: str
    fix: str
    severity: str
    """"error" | "warning"."""
    source_line: str

    def brief(self) -> str:
        """One line: ``file:line:col: error[E101]: web.resources.memory: what; what to do``."""
        fix = f"; {self.fix}" if self.fix else ""
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.severity}[{self.code}]: {self.field}: {self.message}{fix}"

    def text(self) -> str:
        """``brief`` and the source line with a caret below."""
        if not self.source_line:
            return self.brief()
        start = max(0, self.column - 1 - _WIDTH * 3 // 4)
        shown = "".join(
            char if char.isprintable() else " " if char == "\t" else "·"
            for char in self.source_line[start : start + _WIDTH]
        )
        number = f"{self.line:5}"
        gutter = " " * len(number)
        caret = " " * (self.column - 1 - start) + "^"
        return f"{self.brief()}\n{number} | {shown}\n{gutter} | {caret}"

    def github(self) -> str:
        """A GitHub Actions workflow command."""
        fix = f"; {self.fix}" if self.fix else ""
        file, title = (_escape(word, "%\r\n:,") for word in (self.file, self.code))
        place = f"file={file},line={self.line},col={self.column},title={title}"
        return f"::{self.severity} {place}::{_escape(f'{self.field}: {self.message}{fix}', '%')}"


def _escape(text: str, chars: str) -> str:
    return "".join(
        f"%{ord(char):02X}" if char in chars or char in "\r\n" else char for char in text
    )


def locate(
    faults: Faults, source: bytes, file: str, stem: str, at: tuple[int, int] | None = None
) -> tuple[Problem, ...]:
    """Give each fault its place in the source, in the order of the places."""
    if not faults.kept:
        return ()
    lines = source.decode("utf-8", "replace").split("\n")
    problems = list(_placed(faults, source, lines, file, stem, at))
    problems.sort(key=lambda problem: (problem.line, problem.column, problem.code, problem.field))
    if faults.more:
        words = f"has more problems than these {len(faults.kept)}"
        fix = "repair these first"
        problems.append(Problem(file, 1, 1, "E001", stem, words, fix, "error", ""))
    return tuple(problems)


def _placed(
    faults: Faults,
    source: bytes,
    lines: list[str],
    file: str,
    stem: str,
    at: tuple[int, int] | None,
) -> Iterator[Problem]:
    find = None
    if at is None:
        # Imported here: tree-sitter costs memory that a daemon without problems can spare.
        from nodeorch.spec.positions import Positions

        find = Positions(source).find
    for fault in faults.kept:
        line, column = find(fault.path, fault.on_key) if find else at or (1, 1)
        line = min(max(line, 1), len(lines))
        text = lines[line - 1].rstrip("\r")
        column += _into(text, column, fault.inside)
        column = min(max(column, 1), len(text) + 1)
        yield Problem(
            file,
            line,
            column,
            fault.code,
            field_name(stem, fault.path),
            fault.message,
            fault.fix,
            fault.severity,
            text,
        )


def _into(text: str, column: int, inside: int) -> int:
    """Columns from a value's first quote to a character inside it; of other spellings none."""
    plain = text[column - 1 : column] in ("'", '"') and text[column : column + 2] != '""'
    return inside + 1 if inside and plain and "\\" not in text else 0


def field_name(stem: str, path: Path) -> str:
    """``web`` and ``("resources", "memory")`` as ``web.resources.memory``."""
    return dotted((stem, *path))


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.severity == "error")
