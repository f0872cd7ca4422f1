"""Quantised fastText models (.ftz; Joulin et al. 2016, FastText.zip), their matrices written out in full.

A row of such a matrix is a code for each few of its numbers, and perhaps one for its length; each code is one of
256 centroids. A pruned model keeps but some buckets of n-grams. Written out, such a model takes a few megabytes.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from curate.fasttext.model_file import FastTextFile

_CENTROIDS: Final = 256
_ROWS = struct.Struct("<?qqi")  # lengths coded apart, rows, columns, bytes of codes
_QUANTISER = struct.Struct("<iiii")  # columns, codes of a row, columns of a code, of the last code
_DENSE = struct.Struct("<qq")


class QuantisedMatrices(NamedTuple):
    """inputs: float32 [rows, dim], the words' and then the kept buckets' in the order of the buckets. outputs: float32
    [labels, dim]. n_buckets: kept or not. kept: uint64 [n_buckets / 64 + 1], a bit for each bucket that is. ranks:
    int32, the row of the first bucket that each number of `kept` covers."""

    inputs: npt.NDArray[np.float32]
    outputs: npt.NDArray[np.float32]
    n_buckets: int
    kept: npt.NDArray[np.uint64]
    ranks: npt.NDArray[np.int32]


def read_quantised(file: FastTextFile) -> QuantisedMatrices:
    """The matrices of a quantised model. Raises ValueError or struct.error where they are damaged."""
    data = file.rest
    if not data[0]:
        raise ValueError("its input matrix is not quantised")
    inputs, offset = _quantised(data, 1)
    quantised = bool(data[offset])
    outputs, _ = _quantised(data, offset + 1) if quantised else _dense(data, offset + 1)
    if inputs.shape[1] != file.dim or outputs.shape != (len(file.labels), file.dim):
        raise ValueError("its matrices are of another size than it says")
    n_buckets = max(1, file.n_buckets)
    buckets, rows = file.pruned[np.argsort(file.pruned[:, 0])].T
    if file.n_pruned < 0:
        buckets = rows = np.arange(file.n_buckets, dtype=np.int32)
    if len(rows) and (min(buckets[0], rows.min()) < 0 or buckets[-1] >= n_buckets):
        raise ValueError("its buckets are damaged")
    kept = np.zeros((n_buckets // 64 + 1) * 64, np.bool_)
    kept[buckets] = True
    counts = kept.reshape(-1, 64).sum(axis=1, dtype=np.int32)
    ranks = file.n_words + np.cumsum(counts, dtype=np.int32) - counts
    inputs = np.vstack([inputs[: file.n_words], inputs[file.n_words + rows]])
    return QuantisedMatrices(inputs, outputs, n_buckets, np.packbits(kept, bitorder="little").view("<u8"), ranks)


def _quantised(data: npt.NDArray[np.uint8], offset: int) -> tuple[npt.NDArray[np.float32], int]:
    """A quantised matrix at `offset` written out, and where it ends."""
    by_length, n_rows, n_columns, n_codes = _ROWS.unpack_from(data.data, offset)
    offset += _ROWS.size
    if min(n_rows, n_columns, n_codes) < 0 or offset + n_codes > len(data):
        raise ValueError("a matrix of it is cut off")
    codes, offset = data[offset : offset + n_codes], offset + n_codes
    out, offset = _written_out(data, offset, codes, n_rows)
    if out.shape[1] != n_columns:
        raise ValueError("a matrix of it is damaged")
    if by_length:
        lengths, offset = data[offset : offset + n_rows], offset + n_rows
        norms, offset = _written_out(data, offset, lengths, n_rows)
        out = norms * out
    return out, offset


def _written_out(data: npt.NDArray[np.uint8], offset: int, codes: npt.NDArray[np.uint8], n_rows: int,
                 ) -> tuple[npt.NDArray[np.float32], int]:
    """float32 [n_rows, columns] of the codes by the quantiser at `offset`, and where that ends."""
    columns, parts, width, last = _QUANTISER.unpack_from(data.data, offset)
    offset += _QUANTISER.size
    size = 4 * columns * _CENTROIDS
    if min(columns, parts, width, last) < 0 or offset + size > len(data) or len(codes) != n_rows * parts or (
            (parts - 1) * width + last != columns):
        raise ValueError("a quantiser of it is damaged")
    centroids = np.frombuffer(data[offset : offset + size].tobytes(), "<f4")
    by_part = codes.reshape(n_rows, parts)
    out = np.empty((n_rows, columns), np.float32)
    for part in range(parts):
        wide = last if part == parts - 1 else width
        start = part * _CENTROIDS * width
        table = centroids[start : start + _CENTROIDS * wide].reshape(_CENTROIDS, wide)
        out[:, part * width : part * width + wide] = table[by_part[:, part]]
    return out, offset + size


def _dense(data: npt.NDArray[np.uint8], offset: int) -> tuple[npt.NDArray[np.float32], int]:
    n_rows, n_columns = _DENSE.unpack_from(data.data, offset)
    offset += _DENSE.size
    size = 4 * n_rows * n_columns
    if min(n_rows, n_columns) < 0 or offset + size > len(data):
        raise ValueError("a matrix of it is cut off")
    return np.frombuffer(data[offset : offset + size].tobytes(), "<f4").reshape(n_rows, n_columns), offset + size
