"""Records in the order of their keys, however many they are: sorted runs on disk, merged.

Memory is one run while they are added, and a block of every run while they are read.
"""

from __future__ import annotations

import heapq
import marshal
import os
import struct
import tempfile
from collections.abc import Iterator
from typing import Any, Final, Self

_RUN_BYTES: Final = 32 << 20
_BLOCK_BYTES: Final = 1 << 16
_SIZE: Final = struct.Struct("<I")


class SortedRecords:
    """Tuples of plain values, given back in ascending order. They are compared by all their fields, so a field that
    must not decide belongs behind one that is unique."""

    def __init__(self, run_bytes: int = _RUN_BYTES) -> None:
        self._file = tempfile.TemporaryFile(prefix="curate-sort-")  # noqa: SIM115 (closed by close)
        self._run_bytes = run_bytes
        self._records: list[tuple[Any, ...]] = []
        self._n_bytes = 0
        self._runs: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, record: tuple[Any, ...], n_bytes: int) -> None:
        """n_bytes: about what the record takes."""
        self._records.append(record)
        self._n_bytes += n_bytes
        if self._n_bytes >= self._run_bytes:
            self._spill()

    def sorted(self) -> Iterator[tuple[Any, ...]]:
        """All records; none is added after."""
        if not self._runs:
            yield from sorted(self._records)
            return
        self._spill()
        self._file.flush()
        yield from heapq.merge(*(self._read(start, end) for start, end in self._runs))

    def _spill(self) -> None:
        self._records.sort()
        start = self._file.tell()
        for record in self._records:
            data = marshal.dumps(record)
            self._file.write(_SIZE.pack(len(data)) + data)
        self._runs.append((start, self._file.tell()))
        self._records, self._n_bytes = [], 0

    def _read(self, start: int, end: int) -> Iterator[tuple[Any, ...]]:
        descriptor, data, offset = self._file.fileno(), b"", 0
        while start < end or offset < len(data):
            size = _SIZE.unpack_from(data, offset)[0] if len(data) - offset >= _SIZE.size else 0
            if len(data) - offset < _SIZE.size + size or not size:
                block = os.pread(descriptor, min(max(_BLOCK_BYTES, size), end - start), start)
                start += len(block)
                data, offset = data[offset:] + block, 0
                continue
            yield marshal.loads(  # nosec B302 # of a file that this process wrote
                data[offset + _SIZE.size : offset + _SIZE.size + size])
            offset += _SIZE.size + size
