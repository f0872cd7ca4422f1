"""Gzip members by ISA-L, beside zlib."""

from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.sources import members
from curate.sources.isal_gzip import whole_member
from curate.sources.members import Chunk, read_chunks

_NAMED = 8  # flag of a member that carries a file's name
_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE)
_CONTENT = st.one_of(st.binary(max_size=600), st.text("abc <>\n", max_size=3000).map(str.encode))


def _member(content: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY, name: bytes = b"") -> bytes:
    stream = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS | 16, 9, strategy)
    data = stream.compress(content) + stream.flush()
    return data if not name else data[:3] + bytes([_NAMED]) + data[4:10] + name + b"\0" + data[10:]


_MEMBERS = st.builds(_member, _CONTENT, st.sampled_from((0, 1, 6, 9)), st.sampled_from(_STRATEGIES),
                     st.sampled_from((b"", b"part.warc")))


def _read(data: bytes, step: int = 64, max_bytes: int = 1 << 20) -> tuple[bytes, int] | None:
    return whole_member(lambda n: memoryview(data)[:n], step, max_bytes)


def _by_zlib(data: bytes) -> tuple[bytes, int] | None:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = stream.decompress(data)
    except zlib.error:
        return None
    return (content, len(data) - len(stream.unused_data)) if stream.eof else None


@given(_MEMBERS, st.binary(max_size=80), st.sampled_from((16, 64, 1 << 16)))
def test_a_sound_member_is_read_whatever_follows_it(member: bytes, rest: bytes, step: int) -> None:
    assert _read(member + rest, step) == (_by_zlib(member + rest) or "unreadable")


@given(_MEMBERS, st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=4))
def test_what_damage_leaves_readable_is_what_zlib_reads_or_has_the_right_checksum(
        member: bytes, flips: list[tuple[float, int]]) -> None:
    damaged = bytearray(member)
    for place, bit in flips:
        damaged[int(place * len(member))] ^= 1 << bit
    read, wanted = _read(bytes(damaged)), _by_zlib(bytes(damaged))
    if wanted is not None or read is None:
        assert read is None or read == wanted
    else:
        content, n_stored = read
        checksum = zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
        assert damaged[n_stored - 8 : n_stored] == checksum


@given(_MEMBERS, st.floats(0, 1, exclude_max=True))
def test_a_member_that_breaks_off_is_left_to_zlib(member: bytes, share: float) -> None:
    assert _read(member[: int(share * len(member))]) is None


def test_a_member_longer_than_asked_for_is_left_to_zlib() -> None:
    member = _member(bytes(1000))
    assert _read(member, max_bytes=1000) == (bytes(1000), len(member))
    assert _read(member, max_bytes=999) is None


def test_reserved_flags_are_left_to_zlib_which_refuses_them() -> None:
    member = bytearray(_member(b"text"))
    member[3] |= 0x80
    assert _read(bytes(member)) is None
    assert _by_zlib(bytes(member)) is None


@given(st.lists(_MEMBERS, min_size=1, max_size=4), st.floats(0, 1, exclude_max=True), st.integers(0, 7), st.booleans())
def test_files_are_read_as_by_zlib_alone(parts: list[bytes], place: float, bit: int, whole: bool) -> None:
    data = bytearray(b"".join(parts))
    if not whole:
        data[int(place * len(data))] ^= 1 << bit
    read, wanted = _chunks(bytes(data)), _chunks(bytes(data), by_zlib=True)
    if whole or not any(chunk.broken for chunk in wanted):
        assert _joined(read) == _joined(wanted)
    else:  # of damaged members, one whose checksum holds may be read beside what zlib reads
        assert set(_ends(wanted)) <= set(_ends(read))


def _chunks(data: bytes, by_zlib: bool = False) -> list[Chunk]:
    with pytest.MonkeyPatch.context() as patch:
        if by_zlib:
            patch.setattr(members, "whole_member", lambda *_: None)
        return list(read_chunks(io.BytesIO(data), b""))


def _joined(chunks: list[Chunk]) -> list[tuple[int | None, bytes, int | None]]:
    """(member, content, end) of every member."""
    every = dict.fromkeys(chunk.member for chunk in chunks)
    return [(member, b"".join(c.data for c in chunks if c.member == member),
             max((c.end for c in chunks if c.member == member and c.end is not None), default=None))
            for member in every]


def _ends(chunks: list[Chunk]) -> list[tuple[int | None, bytes, int | None]]:
    return [member for member in _joined(chunks) if member[2] is not None]
