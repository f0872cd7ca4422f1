"""Local files as arrays: mapped, without keeping a file descriptor, or read at offsets.

Python's own `mmap` keeps a descriptor for every map, so that data sets of many shards ran out of them. A map by the C
library needs none once it is made. `ReadFile` is read at offsets: for data that a process could not hold mapped, where
each row would be a fault of two pages, which costs several times as much, and for file systems that do not map.

Of a data set of many shards most reads of a row open a file, read it and close it. What was checked when a file was
opened first is kept by its shard (`manifests.shards`), so that opening it again makes one small object and no more.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import stat
import weakref
from collections.abc import Callable
from functools import cache
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from manifests.errors import InputError, ShardError

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_LIBC.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_FAILED: Final = ctypes.c_void_p(-1).value
_ADVICE: Final = "open the data set with mmap=False"
Array = npt.NDArray[Any]
_open, _pread, _preadv, _READ = os.open, os.pread, os.preadv, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


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


class ReadFile:
    """A local file that is read at offsets; its descriptor is closed when it goes.

    Raises ShardError where it cannot be opened."""

    __slots__ = ("descriptor", "path")

    def __init__(self, path: str) -> None:
        self.descriptor = -1
        self.path = path
        # A pipe that nobody writes to would keep its reader waiting.
        try:
            self.descriptor = _open(path, _READ)
        except OSError as error:
            raise self._error(error) from error

    def check(self) -> int:
        """The file's size; InputError where it is a pipe or a device."""
        state = os.fstat(self.descriptor)
        if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):
            raise InputError("is no regular file", where=self.path, hint="give a file that can be read more than once")
        return state.st_size

    def head(self, n_bytes: int) -> bytes:
        """The file's first bytes, fewer where it has fewer."""
        try:
            return os.pread(self.descriptor, n_bytes, 0)
        except OSError as error:
            raise self._error(error) from error

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Bytes of the file; ShardError where it ends before them, or cannot be read."""
        try:
            block = _pread(self.descriptor, n_bytes, offset)
        except OSError as error:
            raise self._error(error) from error
        if len(block) == n_bytes:
            return block
        data = np.empty(n_bytes, np.uint8)
        self.read_into(data, offset)
        return data.tobytes()

    def read_into(self, out: Array, offset: int) -> None:
        """Fill an array with bytes of the file; ShardError where it ends before them. out: contiguous."""
        whole: Any = out
        try:
            done = _preadv(self.descriptor, (whole,), offset)
            if done == out.nbytes:
                return
            view = memoryview(whole).cast("B")
            while done < len(view):  # a read may give less than what there is
                n = os.preadv(self.descriptor, (view[done:],), offset + done)
                if not n:
                    raise ShardError(f"ends {len(view) - done} bytes too early", where=self.path,
                                     hint="fetch or pack it again")
                done += n
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> ShardError:
        return ShardError(f"cannot be read: {error.strerror}", where=self.path, hint="fetch or pack the shard again")

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self.descriptor >= 0:
            close(self.descriptor)


Opened = TypeVar("Opened")


class Pool:
    """What all data sets of a process hold open of one kind. most: how many that may be. kept: where there is no room,
    one of so many files that are opened is kept in place of an older one, and the others are closed after use: in a
    random order over more files than may be open, any that stays is as good, and making room takes longer than opening.

    `n_open` counts what was opened since room was made last, and what was open then: no less than there is."""

    def __init__(self, most: Callable[[], int], kept: int = 1) -> None:
        self.most, self.kept = most, kept
        self.n_open = 0
        self.sets: weakref.WeakValueDictionary[int, OpenFiles[Any]] = weakref.WeakValueDictionary()

    def make_room(self) -> None:
        """Where no more may be open, let whoever holds most close what it opened first: a sixteenth of what may be,
        since looking takes longer than opening."""
        held, most = list(self.sets.values()), self.most()
        self.n_open = sum(map(len, held))
        if self.n_open >= most:
            self.n_open -= max(held, key=len).close_oldest(max(1, most // 16))


class OpenFiles(dict[int, Opened], Generic[Opened]):
    """What is open of a data set, by shard; a dictionary, because a look-up by functools.lru_cache costs a batch 8 %.

    A shard that is not there is opened. Arrays that are still in use stay valid when they are closed.

    Args:
        open_one: Opens a shard by its number.
        pool: What counts them.
        closed: Called with the number of a shard that is closed; then all that are opened are kept until they are.
    """

    def __init__(self, open_one: Callable[[int], Opened], pool: Pool, closed: Callable[[int], None] | None = None
                 ) -> None:
        super().__init__()
        self._open_one, self._pool, self._closed = open_one, pool, closed
        self._n_without_room = 0
        pool.sets[id(self)] = self

    def __missing__(self, shard: int) -> Opened:
        pool = self._pool
        if pool.n_open >= pool.most():
            self._n_without_room += 1
            if self._n_without_room % pool.kept and self._closed is None:
                return self._open_one(shard)
            pool.make_room()
        pool.n_open += 1
        self[shard] = opened = self._open_one(shard)
        return opened

    def close_oldest(self, n: int) -> int:
        """Close the n that were opened first, or as many as there are; returns how many."""
        closed = 0
        for shard in list(islice(self, n)):
            if self.pop(shard, None) is not None:
                closed += 1
                if self._closed is not None:
                    self._closed(shard)
        return closed

    def close(self) -> None:
        """Close everything."""
        while self:
            self.close_oldest(len(self))


@cache
def most_maps() -> int:
    """How many maps a process may hold: half of what Linux allows it, 65,530 by default."""
    try:
        with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
            return max(16, int(file.read()) // 2)
    except (OSError, ValueError):
        return 32_765


@cache
def most_descriptors() -> int:
    """How many files a process may hold open for reading: three quarters of its limit of descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, soft * 3 // 4) if soft != resource.RLIM_INFINITY else 65_536


MAPS: Final = Pool(most_maps)
DESCRIPTORS: Final = Pool(most_descriptors, 8)
