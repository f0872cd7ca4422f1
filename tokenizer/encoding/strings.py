"""What encoders are given: any Arrow array of strings as large_string, and which of its texts hold characters that
`tokenizers` does not know yet.

Two libraries agree on a text only where they have the same Unicode. gigatoken 0.10 has version 17 and `tokenizers` 0.23
has 16, so a letter of 2025 is a letter to the one and nothing to the other, and they cut differently around it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import as_column
from manifests.errors import InputError
from manifests.tables import one_array, string_buffers
from tokenizer.encoding.character_classes import UNASSIGNED, character_classes

_BLOCK: Final = 1 << 22  # bytes that are searched at a time


def as_strings(texts: Any) -> pa.LargeStringArray:
    """large_string of a column (as of `manifests.arrow.as_column`) of any kind of strings, or of bytes that are UTF-8;
    a null is an empty text.

    Raises TypeError for anything else, and InputError where a text is not UTF-8."""
    try:
        texts = as_column(texts)
    except InputError as error:
        raise TypeError(f"texts must be an Arrow array of strings, a column or a list of them: {error.what}") from error
    kind = texts.type.value_type if pa.types.is_dictionary(texts.type) else texts.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
            or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind)):
        raise TypeError(f"texts must be an Arrow array of strings, not of {texts.type}")
    try:
        strings: Any = one_array(texts.cast(pa.large_string()))
        strings.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InputError(f"text is not UTF-8: {error}", where="an Arrow array of texts") from error
    return pc.fill_null(strings, "") if strings.null_count else strings


def rows_with_unassigned(strings: pa.LargeStringArray) -> npt.NDArray[np.int64]:
    """int64 [m], ascending: texts that hold a code point which is no character of the Unicode of `tokenizers`.

    strings: valid UTF-8, as `as_strings` gives."""
    data, offsets = string_buffers(strings)
    data = data[int(offsets[0]) : int(offsets[-1])]
    blocks = [_unassigned(data, first, min(len(data), first + _BLOCK)) for first in range(0, len(data), _BLOCK)]
    at = np.concatenate(blocks) if blocks else np.empty(0, np.int64)
    return np.unique(np.searchsorted(offsets, at + offsets[0], "right") - 1)


def _unassigned(data: npt.NDArray[np.uint8], first: int, end: int) -> npt.NDArray[np.int64]:
    """Offsets in [first, end) where an unassigned code point begins."""
    pairs, least = _pairs_of_unassigned()
    at = first + np.flatnonzero(data[first:end] >= least)
    at = at[pairs.take(data.take(at).astype(np.uint16) << 8 | data.take(at + 1))]
    return at[character_classes()[_code_points(data, at)] & UNASSIGNED > 0]


@cache
def _pairs_of_unassigned() -> tuple[npt.NDArray[np.bool_], int]:
    """bool [65536]: the first two bytes, big-endian, that some unassigned code point begins with; and the least of the
    first bytes."""
    flags = character_classes() & UNASSIGNED > 0
    # Beyond two bytes the last six bits make no difference: a look at every code point costs a new process 50 ms.
    codes = np.append(np.flatnonzero(flags[:0x800]), 0x800 + 64 * np.flatnonzero(flags[0x800:].reshape(-1, 64).any(1)))
    two, three = codes < 0x800, codes < 0x10000
    first = np.where(two, 0xC0 | codes >> 6, np.where(three, 0xE0 | codes >> 12, 0xF0 | codes >> 18))
    second = 0x80 | np.where(two, codes, np.where(three, codes >> 6, codes >> 12)) & 0x3F
    pairs = np.zeros(1 << 16, np.bool_)
    pairs[first << 8 | second] = True
    return pairs, int(first.min())


def _code_points(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int64: code points of the UTF-8 characters of two bytes or more that begin at these offsets."""
    first = data[at].astype(np.int64)
    length = 2 + (first >= 0xE0) + (first >= 0xF0)
    codes = first & np.where(length == 2, 0x1F, np.where(length == 3, 0x0F, 0x07))
    for i in range(1, 4):
        more = length > i
        codes[more] = codes[more] << 6 | data[at[more] + i] & 0x3F
    return codes
