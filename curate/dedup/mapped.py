"""Arrays of a task that may be larger than its memory: mapped files, whose pages are let go of between its rounds."""

from __future__ import annotations

import mmap
from typing import Any, Final

import numpy as np
import numpy.typing as npt

SMALL_BYTES: Final = 1 << 20


class MappedArrays:
    """Arrays in files, or in memory where they are small.

    Args:
        path: What the names of the files begin with.
        small_bytes: Up to this size an array is in memory.
    """

    def __init__(self, path: str, small_bytes: int = SMALL_BYTES) -> None:
        self._path, self._small = path, small_bytes
        self._maps: list[mmap.mmap] = []
        self.n_bytes = 0

    def zeros(self, shape: int | tuple[int, ...], kind: npt.DTypeLike) -> npt.NDArray[Any]:
        """A new array of zeros."""
        n_bytes = int(np.prod(shape)) * np.dtype(kind).itemsize
        if n_bytes <= self._small:
            return np.zeros(shape, kind)
        with open(f"{self._path}-{len(self._maps)}", "wb+") as stream:
            stream.truncate(n_bytes)
            return self._map(stream.fileno(), n_bytes, kind).reshape(shape)

    def file(self, path: str, kind: npt.DTypeLike) -> npt.NDArray[Any]:
        """What a file holds."""
        with open(path, "rb+") as stream:
            n_bytes = stream.seek(0, 2)
            return self._map(stream.fileno(), n_bytes, kind) if n_bytes else np.empty(0, kind)

    def _map(self, file: int, n_bytes: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
        pages = mmap.mmap(file, n_bytes)
        self._maps.append(pages)
        self.n_bytes += n_bytes
        return np.frombuffer(pages, kind)

    def release(self) -> None:
        """Let go of the pages that were looked at; what was written stays in the files."""
        for pages in self._maps:
            pages.madvise(mmap.MADV_DONTNEED)
