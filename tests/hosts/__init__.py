"""System tests of several real hosts, on packaging/lab."""
