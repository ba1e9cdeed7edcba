"""A soak: a host full of workloads under random faults, and what must be so in the end."""
