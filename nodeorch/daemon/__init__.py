"""The daemon: the loop that holds the world, and what feeds and obeys it.

main         the composition: settings, adapters, start-up and shutdown order
supervisor   the loop: facts in, world, plan, actions out; what the API talks to
executor     one action → engine calls → Done or Failed
persist      what of the world has to be written, and when it was
specfiles    the workloads directory → SpecsSeen
enginelink   whether the engine answers, and what its event stream hints at
watches      keeps death watch, probes and usage samples in step with the world
settings     the daemon's own configuration files
"""
