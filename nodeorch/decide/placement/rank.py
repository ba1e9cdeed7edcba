"""In which order a workload would take the hosts, all else being equal.

Weighted rendezvous hashing: each pair of workload and host has a number that depends on nothing
else, the lowest wins. So a host that goes takes only its own away, and one that comes takes only
what ranks it first. (Thaler, Ravishankar: Using name-based mappings to increase hit rates, 1998;
with weights Schindelhauer, Schomaker: Weighted distributed hash tables, 2005.)

Names are hashed once, by BLAKE2. The number of a pair is the product of both hashes modulo a
prime, a universal family (Carter, Wegman 1979): ten million pairs are affordable that way. Only
sums, products and quotients are taken, which IEEE 754 makes the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import repeat
from operator import mod, mul

PRIME = 1_073_741_789
"""The greatest below 2**30: Python multiplies numbers of one 30-bit digit fastest."""
FIRST = 12
"""So many are looked for one by one; after that it pays to sort."""
_TAKEN = PRIME


def key(kind: str, name: str) -> int:
    """A number of 1 … PRIME - 1 for a name; ``kind`` keeps hosts and workloads apart."""
    digest = blake2b(name.encode(), digest_size=8, person=kind.encode()).digest()
    return int.from_bytes(digest, "big") % (PRIME - 1) + 1


def weight(memory: int) -> int:
    """What a host's share is proportional to: its bytes, to three binary digits.

    Few weights make few lists to go through, and a host on which little changes keeps its.
    """
    drop = max(0, memory.bit_length() - 3)
    return max(1, memory >> drop << drop)


def cost(number: int, weight: int) -> float:
    """-ln(1 - u) / weight, of which the lowest wins with a chance proportional to the weight.

    The series of 2 artanh(u / (2 - u)), rising in u.
    """
    t = number / (2 * PRIME - number)
    s = t * t
    return t * (1 + s * (1 / 3 + s * (1 / 5 + s * (1 / 7 + s / 9)))) / weight


class Pool:
    """Hosts that some workloads may choose from, by index."""

    def __init__(self, members: Sequence[int], keys: Sequence[int], weights: Sequence[int]) -> None:
        self.members = members
        self.full_for: int | None = None
        """So many bytes, and any more, are free on none of them."""
        by_weight: dict[int, list[int]] = {}
        for member in members:
            by_weight.setdefault(weights[member], []).append(member)
        self.values: dict[str, frozenset[str]] = {}
        """Label → all values that it has on them, as far as these have been looked up."""
        self._classes = [
            (weight, held, [keys[member] for member in held]) for weight, held in by_weight.items()
        ]

    def ranked(self, ask_key: int, open_to: Callable[[int], bool]) -> Iterator[int]:
        """The members that are open to the workload with this key, the one it ranks first first."""
        columns = [
            (weight, held, list(map(mod, map(mul, keys, repeat(ask_key)), repeat(PRIME))))
            for weight, held, keys in self._classes
        ]
        heads = [_head(*column) for column in columns]
        for _ in range(min(FIRST, len(self.members))):
            head = min(heads)
            which = heads.index(head)
            weight, held, numbers = columns[which]
            numbers[head[1]] = _TAKEN
            heads[which] = _head(weight, held, numbers)
            if open_to(held[head[1]]):
                yield held[head[1]]
        rest = [
            (cost(number, weight), member)
            for weight, held, numbers in columns
            for member, number in zip(held, numbers, strict=True)
            if open_to(member) and number != _TAKEN
        ]
        rest.sort()
        for _, member in rest:
            yield member


def _head(weight: int, held: Sequence[int], numbers: list[int]) -> tuple[float, int]:
    """The least cost of a list, and where in the list it is."""
    least = min(numbers)
    return cost(least, weight), numbers.index(least)
