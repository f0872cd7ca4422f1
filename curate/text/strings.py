"""Arrow string columns: their two NumPy buffers, which the kernels read without a copy, and columns of valid UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.tables import one_array

Number = TypeVar("Number", bound=np.generic)
Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def string_buffers(strings: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Offsets]:
    """(data uint8, offsets int64 [n + 1]): text i is data[offsets[i]:offsets[i + 1]]. A null is an empty text.

    Zero-copy for a large_string array; a string array has its offsets widened, a chunked one is joined."""
    strings = one_array(strings)
    if strings.type != pa.large_string():
        strings = strings.cast(pa.large_string())
    if strings.null_count:
        strings = strings.fill_null("")
    _, offsets, data = strings.buffers()
    first, n = strings.offset, len(strings)
    bounds = np.frombuffer(offsets, np.int64)[first : first + n + 1] if offsets else np.zeros(1, np.int64)
    return np.frombuffer(data or b"", np.uint8), bounds


def valid_text(text: str) -> bytes:
    """UTF-8 of a text without what Parquet readers and tokenizers stumble over: NUL is dropped, a lone surrogate
    becomes `?`."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def strings_array(values: Sequence[bytes | None]) -> pa.LargeStringArray:
    """large_string from UTF-8 that is known to be valid, without decoding it."""
    return pa.array(values, pa.large_binary()).view(pa.large_string())


def without_nul(strings: pa.Array) -> pa.Array:
    """A string column without NUL characters; the very column where it has none."""
    if not pc.any(pc.match_substring(strings, "\0")).as_py():
        return strings
    return pc.replace_substring(strings, "\0", "")


def read_only(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """A read-only view of an array, mapped or not: kernels are compiled once, for contiguous arrays of that kind."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
