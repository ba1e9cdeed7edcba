"""The API: HTTP/1.1 and JSON on a unix socket. It shows and it passes on; it decides nothing.

server     the socket, the connections, their time limits
dispatch   from a request to a handler: route, peer, permission, limits, errors
routes     the table of all that can be asked; what is not in it is denied
auth       who the peer is, and the one function that says what it may do
state      what the API needs of the daemon
preview    what a change would do, shown before and after it is done
files      the workloads directory, written so that a crash leaves the old file or the new one
The others hold the handlers, a file for each noun.
"""
