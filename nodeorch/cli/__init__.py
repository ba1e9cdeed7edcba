"""The command ``nodeorch``: one file for each verb, imported when it is called.

main      the verbs, the global options, errors and exit codes
session   what a verb gets: the client, whether to print JSON
args      how names and times are written
render    everything that is printed for people
follow    waiting with progress on a terminal
"""
