"""The pure core: ``absorb(world, fact, now) -> world`` and ``plan(world, now) -> Plan``.

No clock, no random source, no I/O: ``now`` (CLOCK_BOOTTIME, seconds) is an argument and
jitter is a hash. Facts go in through ``absorb``, which only remembers and judges; ``plan``
looks at the whole world and says what to do, what not to do, and when to look again;
``begin`` writes down in the world that an action is under way, before it is.

absorb    dispatches a fact: specs, commands, observe (what adapters saw), results (of actions)
plan      the cycle over workloads that are not settled: replicas, upkeep, update, order, room
update    when a new generation is good, when it has failed, and the way back
restart   the accounting of deaths, and the backoff
limits    the kernel's limits against the declared ones
room      the node's memory: who may have how much of it
status    what a person is told about all this
watch     which processes to watch and which probes to run
"""
