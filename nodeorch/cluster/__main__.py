"""``python -m nodeorch.cluster sign|renew``: a request on standard input, its answer on output."""

from __future__ import annotations

import sys

from nodeorch.cluster.messages import LONGEST
from nodeorch.cluster.sign import answered

CONTEXT = 1 << 20
"""Bytes of what the daemon says of the fleet, at most."""


def main() -> None:
    if sys.argv[1:] not in (["sign"], ["renew"]):
        sys.exit("usage: python -m nodeorch.cluster sign|renew")
    given = sys.stdin.buffer.read(CONTEXT + LONGEST + 1)
    sys.stdout.buffer.write(answered(sys.argv[1], given))


if __name__ == "__main__":
    main()
