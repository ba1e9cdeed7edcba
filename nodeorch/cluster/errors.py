"""What a person, or the host that asked, is told when something cannot be done."""

from __future__ import annotations


class ClusterError(Exception):
    """``str()`` is a sentence: "cannot …: why; what to do"."""

    def __init__(self, words: str, code: str = "Refused") -> None:
        super().__init__(words)
        self.code = code
        """For programs: one word, as in an error of the API."""
