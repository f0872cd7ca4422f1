"""The digest of a Parquet file's footer, kept in the file: checked before the footer is parsed.

Pages have checksums of their own; the footer, which says where they lie and what they are, has none in Parquet. Between
the last page and the footer a file may hold what no reader looks at, as bloom filters and page indexes do. There lie

    8 bytes     magic
    16 bytes    xxh3-128 of all that lies before
    16 bytes    the seal: xxh3-128 of these 16 and of all that follows, the footer, its length and Parquet's own magic

so a file is checked wherever it lies and whoever hands it over: at the cost of its last 64 KiB, which reading the
footer takes anyway. The seal stands for the whole file, and records name it (`seals`). Files of others have no such
digest, and are read as they are.
"""

from __future__ import annotations

import os
import struct
from typing import IO, Final

import xxhash

from manifests.errors import InputError
from manifests.expected import check_seal

_MAGIC: Final = b"\x00cur\xc3xx2"
_DIGEST_BYTES: Final = 16
_SEAL_BYTES: Final = len(_MAGIC) + 2 * _DIGEST_BYTES
_CHUNK: Final = 1 << 20
_PARQUET: Final = b"PAR1"
_TAIL: Final = struct.Struct("<I4s")
_FIRST_READ: Final = 1 << 16  # as Arrow's


def seal_footer(path: str) -> None:
    """Put the digest of its footer into a Parquet file that has none. path: local; the file is complete."""
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - _TAIL.size)
        n_bytes, _ = _TAIL.unpack(file.read(_TAIL.size))
        start = size - _TAIL.size - n_bytes
        file.seek(0)
        state = xxhash.xxh3_128()
        for at in range(0, start, _CHUNK):
            state.update(file.read(min(_CHUNK, start - at)))
        footer = file.read()
        file.seek(start)
        file.write(_MAGIC + state.digest() + xxhash.xxh3_128_digest(state.digest() + footer) + footer)


def check_footer(file: IO[bytes], where: str) -> None:
    """Compare the footer of an open Parquet file with the digest that it holds, if it holds one, and the file with the
    record that names it, where a task reads it.

    Args:
        file: At any offset; it is left at the start.
        where: Its path, for messages.
    Raises:
        InputError: A byte of the footer, of its length or of the digest is not what was written, or it is another file
            than its record names.
    """
    sealed, tail = _sealed(file)
    if (found := _seals(sealed)) is not None and found[0] != found[1]:
        _refuse(where)
    if found is None and _is_shifted(tail):
        _refuse(where)
    check_seal(where, found[0].hex() if found is not None else "")
    file.seek(0)


def read_seal(file: IO[bytes]) -> bytes:
    """The seal of an open Parquet file; empty where it has none."""
    found = _seals(_sealed(file)[0])
    return found[0] if found is not None else b""


def _sealed(file: IO[bytes]) -> tuple[bytes, bytes]:
    """(what would begin with the magic, bytes at the file's end that hold it)."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _FIRST_READ))
    tail = file.read()
    if len(tail) < _TAIL.size:
        return tail, tail
    n_bytes, magic = _TAIL.unpack(tail[-_TAIL.size :])
    wanted = n_bytes + _TAIL.size + _SEAL_BYTES
    if len(tail) < wanted <= size and magic == _PARQUET:
        file.seek(size - wanted)
        tail = file.read()
    return (tail[-wanted:] if wanted <= size else tail), tail


def _refuse(where: str) -> None:
    raise InputError("is damaged: its footer is not that of its digest", where=where, hint="make or fetch it again")


def _seals(sealed: bytes) -> tuple[bytes, bytes] | None:
    """(seal that is there, seal of what is there) of bytes that begin with the magic; None where they do not."""
    if not sealed.startswith(_MAGIC):
        return None
    there = sealed[_SEAL_BYTES - _DIGEST_BYTES : _SEAL_BYTES]
    data = sealed[len(_MAGIC) : _SEAL_BYTES - _DIGEST_BYTES]
    return there, xxhash.xxh3_128_digest(data + sealed[_SEAL_BYTES:])


def _is_shifted(tail: bytes) -> bool:
    """Whether a seal stands elsewhere than the footer's length says, and is right but for that length."""
    at = tail.rfind(_MAGIC)
    if at < 0:
        return False
    body = tail[at + _SEAL_BYTES :]
    n_bytes = len(body) - _TAIL.size
    mended = body[: max(n_bytes, 0)] + _TAIL.pack(max(n_bytes, 0), _PARQUET)
    found = _seals(tail[at : at + _SEAL_BYTES] + mended)
    return found is not None and found[0] == found[1]
