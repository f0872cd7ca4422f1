"""Arrow string columns as the two NumPy buffers that the kernels read: UTF-8 bytes and offsets, without a copy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def string_buffers(strings: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Offsets]:
    """(data uint8, offsets int64 [n + 1]): text i is data[offsets[i]:offsets[i + 1]]. A null is an empty text.

    Zero-copy for a large_string array; a string array has its offsets widened, a chunked one is joined."""
    if isinstance(strings, pa.ChunkedArray):
        strings = pa.concat_arrays(strings.chunks) if strings.num_chunks else pa.array([], strings.type)
    if strings.type != pa.large_string():
        strings = strings.cast(pa.large_string())
    if strings.null_count:
        strings = strings.fill_null("")
    _, offsets, data = strings.buffers()
    first, n = strings.offset, len(strings)
    bounds = np.frombuffer(offsets, np.int64)[first : first + n + 1] if offsets else np.zeros(1, np.int64)
    return np.frombuffer(data or b"", np.uint8), bounds
