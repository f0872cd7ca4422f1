"""Look-up tables on disk: 64-bit keys with the file and row that each leads to, sorted, in partitions by key.

Making one is a shuffle: entries of each file are appended to the partition that their keys' first bits name, and one
partition after the other is sorted. Memory is that of a partition, whatever the run's size; a look-up is a binary
search in a mapped file. Keys are hashes, so what is found is compared with the document before it is believed; what
is not found is believed, so a partition ends in the xxh3-128 of all before, compared when a process first opens it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import xxhash

from manifests.confined import check_regular
from manifests.errors import InputError
from manifests.storage import Storage

UInt64 = npt.NDArray[np.uint64]
_ENTRY: Final = np.dtype([("key", "<u8"), ("file", "<u4"), ("row", "<u4")])
_PARTITION_ENTRIES: Final = 1 << 22
_MAX_BITS: Final = 12
_DIGEST_BYTES: Final = 16


class DamagedTableError(InputError):
    """A look-up table is not what was written; it can be made again."""


def bits_for(n_entries: int) -> int:
    """How many bits of a key name its partition, so that partitions hold about four million entries at most."""
    wanted = -(-n_entries // _PARTITION_ENTRIES)
    return min(_MAX_BITS, max(0, wanted - 1).bit_length())


class EntryWriter:
    """Collects the entries of one table.

    Args:
        folder: Where to write, on this machine.
        name: Of the table: its partitions are `NAME-000.keys`, sorted.
        bits: Of a key, to name its partition.
    """

    def __init__(self, folder: str, name: str, bits: int) -> None:
        self._folder, self._name, self._bits = folder, name, bits

    def add(self, keys: UInt64, file: int, rows: npt.NDArray[np.int64]) -> None:
        """Add an entry for each key: the row of a file that it leads to."""
        entries = np.empty(len(keys), _ENTRY)
        entries["key"], entries["file"], entries["row"] = keys, file, rows
        partitions = _partition(keys, self._bits)
        for partition in np.unique(partitions).tolist():
            with open(self._raw(partition), "ab") as stream:
                stream.write(entries[partitions == partition].tobytes())

    def publish(self, storage: Storage, target: str) -> None:
        """Sort every partition and give it its name below a folder of the run."""
        for partition in range(1 << self._bits):
            raw = Path(self._raw(partition))
            entries = np.frombuffer(raw.read_bytes(), _ENTRY) if raw.exists() else np.empty(0, _ENTRY)
            order = np.lexsort((entries["row"], entries["file"], entries["key"]))
            staged = f"{self._folder}/{_file(self._name, partition)}"
            state = xxhash.xxh3_128()
            with open(staged, "wb") as stream:
                for field in ("key", "file", "row"):
                    column = np.ascontiguousarray(entries[field][order]).tobytes()
                    state.update(column)
                    stream.write(column)
                stream.write(state.digest())
            raw.unlink(missing_ok=True)
            storage.publish(staged, f"{target}/{_file(self._name, partition)}")

    def _raw(self, partition: int) -> str:
        return os.path.join(self._folder, f"{self._name}-{partition:03d}.raw")


class EntryReader:
    """Look-ups in a table that `EntryWriter` published.

    Args:
        storage: The run.
        folder: The table's folder below it.
        name: The table's name.
        bits: Of a key, that name its partition.
    """

    def __init__(self, storage: Storage, folder: str, name: str, bits: int) -> None:
        self._storage, self._folder, self._name, self._bits = storage, folder, name, bits
        self._checked: set[int] = set()

    def find(self, key: int, until: int | None = None) -> list[tuple[int, int]]:
        """(file, row) of the entries of a key, or of the keys from it to below another, in the keys' order.

        Raises DamagedTableError where a partition is not what was written, or gone."""
        last = key + 1 if until is None else until
        shift = 64 - self._bits
        partitions = range(key >> shift, ((last - 1) >> shift) + 1) if self._bits else range(1)
        found: list[tuple[int, int]] = []
        for partition in partitions:
            keys, files, rows = self._open(partition)
            start = int(np.searchsorted(keys, np.uint64(key), "left"))
            end = len(keys) if last >= 1 << 64 else int(np.searchsorted(keys, np.uint64(last), "left"))
            found += zip(files[start:end].tolist(), rows[start:end].tolist(), strict=True)
        return found

    def _open(self, partition: int) -> tuple[UInt64, npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        data = self._read(f"{self._folder}/{_file(self._name, partition)}")
        n = (len(data) - _DIGEST_BYTES) // _ENTRY.itemsize
        if partition not in self._checked:
            end = n * _ENTRY.itemsize
            if end < 0 or xxhash.xxh3_128_digest(data[:end].data) != data[end:].tobytes():
                raise DamagedTableError("is damaged", where=self._storage.path(f"{self._folder}/{self._name}"))
            self._checked.add(partition)
        return data[: 8 * n].view("<u8"), data[8 * n : 12 * n].view("<u4"), data[12 * n : 16 * n].view("<u4")

    def _read(self, name: str) -> npt.NDArray[np.uint8]:
        path = self._storage.path(name)
        try:
            if not self._storage.local:
                return np.frombuffer(self._storage.read_bytes(name) or b"", np.uint8)
            check_regular(path)
            return np.memmap(path, np.uint8, "r") if os.path.getsize(path) else np.empty(0, np.uint8)
        except (InputError, OSError) as error:
            raise DamagedTableError(f"cannot be read: {error}", where=path) from error


def id_key(doc_id: bytes) -> int:
    """Key of a document: the first eight bytes of its id, so that ids that begin alike are neighbours."""
    return int.from_bytes(doc_id[:8], "big")


def id_keys(ids: npt.NDArray[np.uint64]) -> UInt64:
    """`id_key` of many ids. uint64 [n, 2], little-endian words -> uint64 [n]."""
    return np.ascontiguousarray(ids[:, 0]).byteswap()


def _partition(keys: UInt64, bits: int) -> npt.NDArray[np.int64]:
    if not bits:
        return np.zeros(len(keys), np.int64)
    return (keys >> np.uint64(64 - bits)).astype(np.int64)


def _file(name: str, partition: int) -> str:
    return f"{name}-{partition:03d}.keys"
