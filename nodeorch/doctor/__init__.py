"""``nodeorch doctor``: what is wrong with this host, what it means, and how to put it right.

facts      what was seen of a host; a fact that could not be looked at is None
read       looks: files, /proc, Podman's socket, the daemon's socket; changes nothing
trial      starts a throw-away container: the only honest answer to "do containers start here?"
catalogue  every finding there is: how grave, what it means, the fix; data
look_*     small pure functions, facts → findings
examine    all of them, sorted, with the fixes filled in
page       docs/doctor.md out of the catalogue
"""
