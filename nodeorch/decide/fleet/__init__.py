"""Several hosts: what this one makes of the others, and what it then runs. The rest of
:mod:`nodeorch.decide` knows of it only that some workloads have a home elsewhere.

step         after each fact: standings, our own view, which declaration counts, who runs what
members      which hosts are there, which are lost, and whether it is rather us who are cut off
mirrors      views of other hosts, and our own
graves       who owns a name: terms, and what was removed on purpose
copies       where workloads are now, here and by others' reports
affected     which workloads a fact can have moved
seats        who runs what
holding      a seat laid over the workloads, as if a file had declared it
whereabouts  where a workload runs, for people
view         members and homes, for people
"""
