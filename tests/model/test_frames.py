"""Frames and chunks come out as they went in, whatever the pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.client.duplex import Chunks
from nodeorch.model import frames
from nodeorch.model.frames import BadFrame, Splitter, frame

PARTS = st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.binary(max_size=40)), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(at)]


@given(PARTS, st.lists(st.integers(0, 1000), max_size=20))
def test_frames(parts: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    splitter = Splitter()
    data = b"".join(frame(kind, payload) for kind, payload in parts)
    assert [f for piece in pieces(data, cuts) for f in splitter.feed(piece)] == parts


@given(st.lists(st.binary(min_size=1, max_size=40)), st.lists(st.integers(0, 1000), max_size=20))
def test_chunks(parts: list[bytes], cuts: list[int]) -> None:
    chunks = Chunks()
    data = b"".join(b"%x;more=1\r\n%b\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"
    assert b"".join(map(chunks.feed, pieces(data, cuts))) == b"".join(parts)
    assert chunks.ended


def test_chunks_that_are_not_whole_have_not_ended() -> None:
    chunks = Chunks()
    assert chunks.feed(b"5\r\nabc") == b"abc" and not chunks.ended
    assert chunks.feed(b"de\r\n0\r\n") == b"de" and chunks.ended


@pytest.mark.parametrize("data", [b"x\r\n", b"-1\r\n" * 2000, b"a" * 2000])
def test_what_is_no_chunk(data: bytes) -> None:
    with pytest.raises(ValueError):
        Chunks().feed(data)


def test_a_frame_that_is_too_long_is_refused_before_it_is_kept() -> None:
    with pytest.raises(BadFrame):
        Splitter().feed(b"i" + (frames.LONGEST + 1).to_bytes(4, "big"))


def test_a_size() -> None:
    [(kind, payload)] = Splitter().feed(frames.size(24, 132))
    assert (kind, frames.size_of(payload)) == (frames.SIZE, (24, 132))
    with pytest.raises(BadFrame):
        frames.size_of(b"123")
