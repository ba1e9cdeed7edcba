"""Random storms over fleets of two to six hosts; see fleetstorm.py.

Always the same ones; ``FLEET_STORMS=500`` in the environment asks for so many others.
"""

from __future__ import annotations

import os

import pytest

from tests.decide.fleetstorm import storm

FEW = 12
MORE = int(os.environ.get("FLEET_STORMS", "0"))
SEEDS = range(1_000_000, 1_000_000 + MORE) if MORE else range(FEW)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_harms_nothing_and_leaves_what_is_declared(seed: int):
    storm(seed)
