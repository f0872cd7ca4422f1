"""Local files as arrays: mapped, without keeping a file descriptor, or read where a file system refuses maps.

Python's own `mmap` keeps a descriptor for every map, so that data sets of many shards ran out of them. A map by the C
library needs none once it is made. `ReadArray` is for file systems that do not map: it reads what is indexed.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from manifests.errors import ShardError

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_LIBC.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_FAILED: Final = ctypes.c_void_p(-1).value
_ADVICE: Final = "open the data set with mmap=False"
Array = npt.NDArray[Any]


class _Map:
    """A whole file in memory, read-only, as NumPy takes it; unmapped when the last array on it goes."""

    def __init__(self, path: str) -> None:
        self._address = 0
        with open(path, "rb") as file:
            self._size = os.fstat(file.fileno()).st_size
            address = _LIBC.mmap(None, self._size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if address in (None, _FAILED):
            raise ShardError(f"cannot be mapped: {os.strerror(ctypes.get_errno())}", where=path, hint=_ADVICE)
        self._address = address
        _LIBC.madvise(address, self._size, mmap.MADV_RANDOM)
        self.__array_interface__ = {"data": (address, True), "shape": (self._size,), "typestr": "|u1", "version": 3}

    def __del__(self, munmap: Any = _LIBC.munmap) -> None:
        if self._address:
            munmap(self._address, self._size)


def map_file(path: str) -> npt.NDArray[np.uint8]:
    """A local file's bytes, mapped, read-only. No descriptor stays open.

    Reading a page brings no others (MADV_RANDOM): rows are read in random order, so the system would read 128 KiB for
    each of them, for nothing where the data do not fit in memory.

    Args:
        path: A local file of at least one byte.
    Raises:
        OSError: It cannot be opened.
        ShardError: Its file system refuses maps, or the process has too many.
    """
    return np.asarray(_Map(path))


def let_go(first: Array, last: Array) -> None:
    """Take the pages of a map out of this process's memory, from one array in it to another or the same. They come
    again when they are read."""
    start = first.__array_interface__["data"][0] // mmap.PAGESIZE * mmap.PAGESIZE
    end = last.__array_interface__["data"][0] + last.nbytes
    _LIBC.madvise(start, end - start, mmap.MADV_DONTNEED)


def mapped_bytes() -> int:
    """Bytes of files in this process's memory; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[2]) * mmap.PAGESIZE
    except (OSError, ValueError, IndexError):
        return 0


class ReadFile:
    """A local file that is read at offsets; its descriptor is closed when the last array on it goes."""

    def __init__(self, path: str) -> None:
        self._descriptor = -1
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def array(self, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> ReadArray:
        """An array in the file, of which only what is indexed is read."""
        return ReadArray(self, offset, dtype, shape)

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Bytes of the file; ShardError where it ends before them."""
        blocks: list[bytes] = []
        left = n_bytes
        while left:
            block = os.pread(self._descriptor, left, offset)
            if not block:
                raise ShardError(f"ends {left} bytes too early", where=self.path, hint="fetch or pack it again")
            blocks.append(block)
            offset, left = offset + len(block), left - len(block)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self._descriptor >= 0:
            close(self._descriptor)


class ReadArray:
    """An array in a file: `[i]` and `[a:b]` along its first axis read that much and give an ndarray."""

    def __init__(self, file: ReadFile, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._file, self._offset, self.dtype, self.shape = file, offset, dtype, shape
        self._inner = shape[1:]
        self._step = dtype.itemsize * int(np.prod(self._inner, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> Array:
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            n = max(0, stop - start)
            return self._read(start, n).reshape(n, *self._inner)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._read(int(index), 1).reshape(self._inner)

    def _read(self, first: int, n: int) -> Array:
        return np.frombuffer(self._file.read(self._offset + first * self._step, n * self._step), self.dtype)


Opened = TypeVar("Opened")


class Pool:
    """What all data sets of a process hold open of one kind. most: how many that may be."""

    def __init__(self, most: Callable[[], int]) -> None:
        self.most = most
        self.sets: weakref.WeakValueDictionary[int, OpenFiles[Any]] = weakref.WeakValueDictionary()

    def make_room(self) -> None:
        """Where no more may be open, let whoever holds most close what it opened first."""
        held = list(self.sets.values())
        if sum(map(len, held)) >= self.most():
            max(held, key=len).close_oldest()


class OpenFiles(dict[int, Opened], Generic[Opened]):
    """What is open of a data set, by shard; a dictionary, because a look-up by functools.lru_cache costs a batch 8 %.

    A shard that is not there is opened. Arrays that are still in use stay valid when they are closed.

    Args:
        open_one: Opens a shard by its number.
        pool: What counts them.
        closed: Called with the number of a shard that is closed.
    """

    def __init__(self, open_one: Callable[[int], Opened], pool: Pool, closed: Callable[[int], None] | None = None
                 ) -> None:
        super().__init__()
        self._open_one, self._pool, self._closed = open_one, pool, closed
        pool.sets[id(self)] = self

    def __missing__(self, shard: int) -> Opened:
        self._pool.make_room()
        self[shard] = opened = self._open_one(shard)
        return opened

    def close_oldest(self) -> None:
        """Close what was opened first, if anything is open."""
        oldest = next(iter(self), None)
        if oldest is not None and self.pop(oldest, None) is not None and self._closed is not None:
            self._closed(oldest)

    def close(self) -> None:
        """Close everything."""
        while self:
            self.close_oldest()


@cache
def most_maps() -> int:
    """How many maps a process may hold: half of what Linux allows it, 65,530 by default."""
    try:
        with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
            return max(16, int(file.read()) // 2)
    except (OSError, ValueError):
        return 32_765


def most_descriptors() -> int:
    """How many files a process may hold open for reading: half of its limit of descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, soft // 2) if soft != resource.RLIM_INFINITY else 65_536


MAPS: Final = Pool(most_maps)
DESCRIPTORS: Final = Pool(most_descriptors)
