"""Flat files of tokens that are read by ranges: the ids, and behind them a digest of every block of 16 KiB.

What packing hands to itself is read by a run of tokens here and there, so no digest of a whole file is compared where
it is read; a block's is.

    ids         as they are
    digests     xxh3-64 of each block of the ids, uint64; the last block may be shorter
    trailer     32 bytes: magic, bytes of the ids, xxh3-64 of the digests, and xxh3-64 of these three

What is read is the blocks that hold what is wanted, and their digests. The trailer is the file's seal (`seals`).
"""

from __future__ import annotations

import os
import struct
from typing import IO, Any, Final, Self

import numpy as np
import numpy.typing as npt
import xxhash

from manifests.errors import InputError
from manifests.expected import check_seal, seal_of_bytes
from manifests.seals import TRAILER_MAGIC
from manifests.shard import Tokens
from manifests.storage import RangeReader, open_read

BLOCK_BYTES: Final = 1 << 14
_TRAILER: Final = struct.Struct("<8sQQQ")
_DIGEST: Final = np.dtype("<u8")


class TokenWriter:
    """A file of tokens in the making, at a local path. Used in a `with` block, at whose end it is complete."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: IO[bytes] = open(path, "wb")  # noqa: SIM115 (closed in __exit__)

    def write(self, block: npt.NDArray[Any]) -> None:
        """Append ids, of the file's dtype."""
        self._file.write(np.ascontiguousarray(block).data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._file.close()
        if kind is None:
            seal_tokens(self._path)


def seal_tokens(path: str, n_bytes: int | None = None) -> None:
    """Put digests behind ids. path: local. n_bytes: of the ids, where digests of other ids lie behind them already."""
    digests: list[int] = []
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size if n_bytes is None else n_bytes
        for start in range(0, size, BLOCK_BYTES):
            digests.append(xxhash.xxh3_64_intdigest(file.read(min(BLOCK_BYTES, size - start))))
        file.seek(size)
        packed = np.array(digests, _DIGEST).tobytes()
        file.write(packed + _trailer(size, xxhash.xxh3_64_intdigest(packed)))


def _trailer(size: int, digest: int) -> bytes:
    facts = TRAILER_MAGIC + size.to_bytes(8, "little") + digest.to_bytes(8, "little")
    return _TRAILER.pack(TRAILER_MAGIC, size, digest, xxhash.xxh3_64_intdigest(facts))


class TokenBlocks:
    """A file that `TokenWriter` made, open for reading. Used in a `with` block.

    Args:
        path: A local path, or a URL.
    Raises:
        InputError: By every method, where a byte that is read is not what was written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.n_bytes: int
        with open_read(path) as file:
            size = file.seek(0, os.SEEK_END)
        self._file = RangeReader(path)
        trailer = self._file.read(max(0, size - _TRAILER.size), _TRAILER.size)
        _, self.n_bytes, digest, _ = _TRAILER.unpack(trailer) if len(trailer) == _TRAILER.size else (b"", 0, 0, 0)
        wanted = self.n_bytes + -(-self.n_bytes // BLOCK_BYTES) * _DIGEST.itemsize + _TRAILER.size
        try:
            if trailer != _trailer(self.n_bytes, digest) or size != wanted:
                raise self._damage()
            check_seal(path, seal_of_bytes(trailer))
        except InputError:
            self.close()
            raise

    def read(self, dtype: np.dtype[Any], first: int, count: int) -> Tokens:
        """Tokens [first, first + count); InputError where the file holds fewer."""
        start, end = first * dtype.itemsize, (first + count) * dtype.itemsize
        if not 0 <= start <= end <= self.n_bytes:
            raise InputError(f"holds {self.n_bytes // dtype.itemsize} tokens, not {first + count}", where=self._path)
        low, high = start // BLOCK_BYTES, -(-end // BLOCK_BYTES)
        begin = low * BLOCK_BYTES
        data = memoryview(self._file.read(begin, min(high * BLOCK_BYTES, self.n_bytes) - begin))
        recorded = self._file.read(self.n_bytes + low * _DIGEST.itemsize, (high - low) * _DIGEST.itemsize)
        digests = [xxhash.xxh3_64_intdigest(data[at : at + BLOCK_BYTES]) for at in range(0, len(data), BLOCK_BYTES)]
        if np.array(digests, _DIGEST).tobytes() != recorded:
            raise self._damage()
        tokens: Tokens = np.frombuffer(data[start - begin : end - begin], dtype)
        return tokens

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _damage(self) -> InputError:
        return InputError("is damaged: its bytes are not those of its digests", where=self._path,
                          hint="remove it: the same command makes it again")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def ids_bytes(path: str) -> int:
    """Bytes of the ids in a file that `TokenWriter` made. Raises InputError where it is damaged."""
    with TokenBlocks(path) as file:
        return file.n_bytes


def read_ids(path: str, dtype: np.dtype[Any]) -> Tokens:
    """All ids of such a file."""
    with TokenBlocks(path) as file:
        return file.read(dtype, 0, file.n_bytes // dtype.itemsize)
