"""The vocabulary of nodeorch: frozen structs and enums, and nothing that acts.

workload    what a person declares, in a TOML file (:mod:`nodeorch.model.workload`)
replica     one of the copies a workload asks for; each fills a *slot*, numbered from 0
instance    the container that fills a slot, of one *generation* (:mod:`nodeorch.model.world`)
generation  the number of an accepted version of a workload, rising by one with each change
template    the part of a workload that is baked into a container at its creation
world       all that the deciders may know: desired, observed, remembered, in flight
fact        something an adapter saw; it goes into the world (:mod:`nodeorch.model.facts`)
action      something to do, with a key (what it touches) and a why (:mod:`nodeorch.model.actions`)
hold        something decided *not* to be done (yet), with its why
note        a line of the journal: what `nodeorch why` and `nodeorch events` show
"""
