"""What nodeorch costs, beside what the bare engine or a peer costs, in one run."""
