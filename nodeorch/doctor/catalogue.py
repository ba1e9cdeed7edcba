"""Every finding of ``nodeorch doctor``: code → how grave it is, what it means, the fix.

Data: docs/doctor.md is made from it. The order is that of the findings of one severity.
"""

from __future__ import annotations

from nodeorch.doctor.catalogue_cluster import CLUSTER
from nodeorch.doctor.catalogue_kernel import KERNEL
from nodeorch.doctor.catalogue_node import NODE
from nodeorch.doctor.catalogue_podman import PODMAN

CATALOGUE = {**PODMAN, **NODE, **CLUSTER, **KERNEL}
