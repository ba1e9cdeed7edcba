"""Where in a fleet movable workloads run: a pure function that every host computes alike.

asks    what is asked of the fleet, and which hosts there are
place   ``place(asks, hosts, before)``: what is held stays, what has lost its host finds a new one
search  the search for one host: preferences, spread, rank and load
rank    rendezvous hashing with weights
table   how full hosts are while places are given out
why     why a host cannot run a workload, in words
"""

from __future__ import annotations

from nodeorch.decide.placement.asks import Ask, Candidate, Placement
from nodeorch.decide.placement.place import place
from nodeorch.decide.placement.why import refusals

__all__ = ["Ask", "Candidate", "Placement", "place", "refusals"]
