"""fastText's own model file, read without fastText: arguments, dictionary, and the two matrices as memory maps.

The layout is that of `FastText::saveModel` (fastText 0.9, file version 12; version 11 differs in one rule): magic and
version, twelve int32 and a double of arguments, the dictionary, a flag and the input matrix, a flag and the output
matrix. All numbers are little-endian. The label prefix is not in the file: fastText itself falls back to `__label__`.
"""

from __future__ import annotations

import mmap
import struct
import weakref
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from manifests.errors import InputError
from manifests.tasks import LET_GO

MAGIC: Final = 793_712_314
_VERSIONS: Final = (11, 12)
_HEADER = struct.Struct("<ii12id")
_DICTIONARY = struct.Struct("<iiiqq")
_MATRIX = struct.Struct("<qq")
_MAX_LABELS: Final = 1 << 24


class Loss(IntEnum):
    """fastText's loss functions, by their numbers in the file."""

    HIERARCHICAL_SOFTMAX = 1
    NEGATIVE_SAMPLING = 2
    SOFTMAX = 3
    ONE_VS_ALL = 4


SUPERVISED: Final = 3


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class FastTextFile:
    """What the file of a model holds.

    words: uint8, all words end to end, in the dictionary's order (by falling count), word i at
    word_offsets[i]:word_offsets[i + 1]; labels follow the same order and keep their prefix. n_pruned: -1 where the
    dictionary was never pruned. input_vectors: float32 [n_words + n_buckets, dim]; output_vectors: float32
    [n_labels, dim]; both None in a quantised model, whose matrices are of another form. pruned: int32 [pairs, 2], the
    buckets that a pruned model kept and their rows after the words'. rest: uint8, the file from its matrices on."""

    dim: int
    word_ngrams: int
    loss: int
    kind: int
    n_buckets: int
    min_chars: int
    max_chars: int
    words: npt.NDArray[np.uint8]
    word_offsets: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    label_counts: tuple[int, ...]
    n_pruned: int
    input_vectors: npt.NDArray[np.float32] | None
    output_vectors: npt.NDArray[np.float32] | None
    pruned: npt.NDArray[np.int32]
    rest: npt.NDArray[np.uint8]

    def leave_pages(self) -> None:
        """Leave the vectors' pages, as far as they are mapped, to the operating system, which still holds the file. The
        next use maps them again: 1.2 ms for 15 MB."""
        for matrix in (self.input_vectors, self.output_vectors):
            if matrix is not None and isinstance(matrix.base, mmap.mmap):
                matrix.base.madvise(mmap.MADV_DONTNEED)

    @property
    def n_words(self) -> int:
        return len(self.word_offsets) - 1

    @property
    def quantised(self) -> bool:
        return self.input_vectors is None or self.output_vectors is None


@nb.njit(nogil=True, cache=True)
def _entries(data, n, starts, ends, counts, kinds):  # type: ignore[no-untyped-def]
    """Offsets, count and kind of each dictionary entry: NUL-ended text, int64, int8. Returns the end, -1 if cut off."""
    p = 0
    for i in range(n):
        starts[i] = p
        while p < data.size and data[p] != 0:
            p += 1
        if p + 10 > data.size:
            return -1
        ends[i] = p
        count = np.int64(0)
        for k in range(8):
            count |= np.int64(data[p + 1 + k]) << (8 * k)
        counts[i] = count
        kinds[i] = data[p + 9]
        p += 10
    return p


def read_model_file(path: str) -> FastTextFile:
    """The model in a local .bin or .ftz file; matrices are mapped, not read.

    Raises InputError where the file is none of fastText's, or ends too early."""
    try:
        with open(path, "rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=path) from error
    try:
        file = _parse(data)
    except (struct.error, ValueError, IndexError) as error:
        raise InputError(f"is no fastText model: {error}", where=path) from error
    _open.add(file)
    return file


_open: Final[weakref.WeakSet[FastTextFile]] = weakref.WeakSet()


def _leave_pages() -> None:
    for file in _open:
        file.leave_pages()


LET_GO.append(_leave_pages)


def _parse(data: mmap.mmap) -> FastTextFile:
    magic, version, *arguments, _ = _HEADER.unpack_from(data, 0)
    if magic != MAGIC or version not in _VERSIONS:
        raise ValueError("the first bytes are not a model's")
    dim, _, _, _, _, word_ngrams, loss, kind, n_buckets, min_chars, max_chars, _ = arguments
    if version == 11 and kind == SUPERVISED:
        max_chars = 0  # such files never used character n-grams, whatever they say
    n, n_words, n_labels, _, n_pruned = _DICTIONARY.unpack_from(data, _HEADER.size)
    if min(dim, n_words, n_labels) < 0 or n != n_words + n_labels or n_labels > _MAX_LABELS:
        raise ValueError("its dictionary is damaged")
    content = np.frombuffer(data, np.uint8)
    body = content[_HEADER.size + _DICTIONARY.size :]
    starts, ends, counts = (np.zeros(n, np.int64) for _ in range(3))
    kinds = np.zeros(n, np.int8)
    end = _entries(body, n, starts, ends, counts, kinds)
    if end < 0 or (kinds[:n_words] != 0).any() or (kinds[n_words:] != 1).any():
        raise ValueError("its dictionary is damaged")
    words, offsets = _join(body, starts[:n_words], ends[:n_words])
    labels = tuple(bytes(body[a:b]).decode("utf-8", "replace") for a, b in zip(starts[n_words:], ends[n_words:],
                                                                               strict=True))
    offset = _HEADER.size + _DICTIONARY.size + end + 8 * max(0, n_pruned)
    pruned = np.frombuffer(body[end : end + 8 * max(0, n_pruned)].tobytes(), "<i4").reshape(-1, 2)
    rest = content[offset:]
    vectors, offset = _matrix(data, offset, dim)
    output: npt.NDArray[np.float32] | None = None
    if vectors is not None:
        output, offset = _matrix(data, offset, dim)
    if vectors is not None and len(vectors) < n_words:
        raise ValueError("its input matrix has fewer rows than words")
    return FastTextFile(dim, word_ngrams, loss, kind, n_buckets, min_chars, max_chars, words, offsets, labels,
                        tuple(counts[n_words:].tolist()), n_pruned, vectors, output, pruned, rest)


@nb.njit(nogil=True, cache=True)
def _join(data, starts, ends):  # type: ignore[no-untyped-def]
    """data[starts[i]:ends[i]] end to end, with offsets int64 [n + 1]."""
    offsets = np.zeros(starts.size + 1, np.int64)
    for i in range(starts.size):
        offsets[i + 1] = offsets[i] + ends[i] - starts[i]
    out = np.empty(offsets[-1], np.uint8)
    for i in range(starts.size):
        out[offsets[i] : offsets[i + 1]] = data[starts[i] : ends[i]]
    return out, offsets


def _matrix(data: mmap.mmap, offset: int, dim: int) -> tuple[npt.NDArray[np.float32] | None, int]:
    """A dense matrix at `offset`, and where it ends; None for a quantised one, which is the rest of the file."""
    if data[offset]:
        return None, len(data)
    n_rows, n_columns = _MATRIX.unpack_from(data, offset + 1)
    start = offset + 1 + _MATRIX.size
    n_bytes = 4 * n_rows * n_columns
    if n_rows < 0 or n_columns != dim or start + n_bytes > len(data):
        raise ValueError("a matrix of it is cut off")
    # The matrices begin at odd bytes, so that the map is read as bytes and viewed where it is used.
    return np.ndarray((n_rows, n_columns), np.dtype("<f4"), data, start), start + n_bytes
