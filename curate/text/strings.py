"""Arrow string columns: their two buffers, which the kernels read without a copy, and columns of valid UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.tables import string_buffers as string_buffers

Number = TypeVar("Number", bound=np.generic)
Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def valid_text(text: str) -> bytes:
    """UTF-8 of a text without what Parquet readers and tokenizers stumble over: NUL is dropped, a lone surrogate
    becomes U+FFFD, as bytes that are no UTF-8 do."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        return text.encode()
    except UnicodeEncodeError:
        return without_surrogates(text).encode()


def without_surrogates(text: str) -> str:
    """A text with U+FFFD for each half of a surrogate pair that has no other half: JSON can spell one, UTF-8 cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


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
