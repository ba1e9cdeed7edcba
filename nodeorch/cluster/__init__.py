"""Making a fleet of hosts: its CA, its tokens, its files; in commands that end at once.

messages  what is said when a host joins, or renews its certificate: JSON
token     the one line that is carried from a host of the fleet to the next one
tokens    those that were made here, and what became of them
certs     keys and certificates; the one module that imports ``cryptography``
place     where a daemon's fleet is: its settings, its folder, the file that makes it a member
folder    the files of a fleet, written all or none
sign      who asks gets a certificate, or why not: ``python -m nodeorch.cluster sign|renew``
command   how a daemon runs that
reach     HTTPS to another host
init, join, renew, ring, leave   the verbs of ``nodeorch cluster``
services  the units, where systemd runs; elsewhere what a person is to do
"""
