"""Records on their way through a task that holds few of them at a time: ranges of them, in memory or on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from manifests.hashing import Int64, UInt64
from manifests.partitioned import partition_order

HELD_BYTES: Final = 1 << 24
CHUNK_RECORDS: Final = 1 << 20


class Spool:
    """Records of some 64-bit words, each in one of many ranges, read range by range in the order they came.

    Args:
        path: What the names of its files begin with; a range has one as soon as not all is held in memory.
        width: Words of a record.
        held_bytes: What it holds in memory at most, beside the records that are added or read at the time.
    """

    def __init__(self, path: str, width: int, held_bytes: int = HELD_BYTES) -> None:
        self._path, self._width, self._most = path, width, held_bytes
        self._held: dict[int, list[UInt64]] = {}
        self._n_held = 0
        self._on_disk: set[int] = set()

    def add(self, ranges: Int64, records: UInt64) -> None:
        """Add records. ranges: int64 [n]; records: uint64 [n, width]."""
        order = partition_order(ranges)
        ranges, records = ranges[order], records[order]
        bounds = [*np.flatnonzero(np.diff(ranges, prepend=-1)).tolist(), len(ranges)]
        for first, end in pairwise(bounds):
            # A view would keep all of them in memory for as long as one range is there.
            self._held.setdefault(int(ranges[first]), []).append(records[first:end].copy())
        self._n_held += len(records)
        if self._n_held * self._width * 8 > self._most:
            self._write()

    def _write(self) -> None:
        for number, some in sorted(self._held.items()):
            with open(self._name(number), "ab") as stream:
                for records in some:
                    stream.write(np.ascontiguousarray(records).data)
            self._on_disk.add(number)
        self._held, self._n_held = {}, 0

    def _name(self, number: int) -> str:
        return f"{self._path}-{number:06d}"

    def read(self, number: int) -> Iterator[UInt64]:
        """Records of a range, uint64 [at most CHUNK_RECORDS, width], as often as it is asked for."""
        if number in self._on_disk:
            with open(self._name(number), "rb") as stream:
                while data := stream.read(CHUNK_RECORDS * self._width * 8):
                    yield np.frombuffer(data, np.uint64).reshape(-1, self._width)
        held = self._held.get(number, [])
        if held:
            together = np.concatenate(held)
            for start in range(0, len(together), CHUNK_RECORDS):
                yield together[start : start + CHUNK_RECORDS]

    def drop(self, number: int) -> None:
        """Forget a range."""
        self._n_held -= sum(map(len, self._held.pop(number, [])))
        if number in self._on_disk:
            self._on_disk.remove(number)
            os.remove(self._name(number))
