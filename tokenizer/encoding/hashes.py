"""Hashes of byte strings, the same on every machine."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.tables import string_buffers


def text_hashes(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """uint64 [n]: a hash of each text's bytes, the same everywhere. texts: large_string without nulls."""
    hashes: npt.NDArray[np.uint64] = _hash_all(*string_buffers(texts)).astype(np.uint64)
    return hashes


@nb.njit(nogil=True, cache=True)
def _hash_all(data, offsets):  # type: ignore[no-untyped-def]
    hashes = np.empty(len(offsets) - 1, np.int64)
    for i in range(len(hashes)):
        hashes[i] = hash_bytes(data, offsets[i], offsets[i + 1] - offsets[i])
    return hashes


@nb.njit(nogil=True, cache=True)
def hash_bytes(data, start, length):  # type: ignore[no-untyped-def]
    """63 bits and a sign: splitmix64's finaliser, which loses nothing, of up to seven bytes and their number; of longer
    words it is preceded by FNV-1a's steps."""
    x = np.uint64(length)
    if length <= 7:
        for k in range(length):
            x = (x << np.uint64(8)) | np.uint64(data[start + k])
    else:
        for k in range(length):
            x = (x ^ np.uint64(data[start + k])) * np.uint64(0x100000001B3)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(x ^ (x >> np.uint64(31)))
