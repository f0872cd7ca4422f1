"""The indexes of the WHATWG Encoding Standard, as `scripts/encodings` took them from an implementation of it.

A file of 100 kilobytes holds them; a decoder's table is built of it when a page first asks for the encoding.
"""

from __future__ import annotations

import functools
import lzma
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]

MARKED: Final = 1 << 30
"""Of a code that stands for two characters, a letter and the mark over it: MARKED | letter << 16 | mark."""
ERROR: Final = -1
LEAD: Final = -2
"""Of a byte that begins a sequence of two bytes or more."""
RANGES: Final = "gb18030_ranges"
_SINGLE: Final = (
    "ibm866", "iso-8859-10", "iso-8859-13", "iso-8859-14", "iso-8859-15", "iso-8859-16", "iso-8859-2", "iso-8859-3",
    "iso-8859-4", "iso-8859-5", "iso-8859-6", "iso-8859-7", "iso-8859-8", "iso-8859-8-i", "koi8-r", "koi8-u",
    "macintosh", "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1255",
    "windows-1256", "windows-1257", "windows-1258", "windows-874", "x-mac-cyrillic", "x-user-defined")
_TRAIL: Final = 0x40  # the first trail byte of the tables of pairs, but for EUC-JP's
PAIR_TABLES: Final = {"big5": (126, 191), "euc-kr": (126, 191), "gbk": (126, 191), "shift_jis": (60, 191),
                      "jis0208": (94, 94), "jis0212": (94, 94)}
SHAPES: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(_SINGLE, (128,)), **PAIR_TABLES, RANGES: (208, 2)}
"""Of every table in the file, in their order there."""


class PairTables(NamedTuple):
    """What decodes sequences of one and two bytes.

    single: int32 [256], the code of a byte alone, ERROR or LEAD. rows: int64 [256], the row of a lead byte. pairs:
    int32 [rows, 256], the code of a trail byte after it, or ERROR."""

    single: Codes
    rows: npt.NDArray[np.int64]
    pairs: Codes


@functools.cache
def _tables() -> dict[str, Codes]:
    data = np.frombuffer(lzma.decompress(files("curate.charsets").joinpath("tables.xz").read_bytes()), "<i4")
    sizes = [int(np.prod(shape)) for shape in SHAPES.values()]
    parts = np.split(data.astype(np.int32), np.cumsum(sizes)[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(SHAPES.items(), parts, strict=True)}


@functools.cache
def single_table(encoding: str) -> Codes:
    """The code of every byte of a single-byte encoding, int32 [256]; ERROR where there is none."""
    upper = _tables()[encoding]
    return np.concatenate((np.arange(128, dtype=np.int32), np.where(upper == 0, ERROR, upper).astype(np.int32)))


@functools.cache
def pair_tables(encoding: str) -> PairTables:
    """The tables of big5, euc-jp, euc-kr, gbk (gb18030 as well) and shift_jis."""
    single = np.full(256, ERROR, np.int32)
    single[:128] = np.arange(128)
    if encoding == "shift_jis":
        single[0x80] = 0x80
        single[0xA1:0xE0] = np.arange(0xFF61, 0xFFA0)
        leads = np.r_[0x81:0xA0, 0xE0:0xFD]
    elif encoding == "euc-jp":
        single[0x8F] = LEAD
        leads = np.r_[0x8E, 0xA1:0xFF]
    else:
        single[0x80] = 0x20AC if encoding == "gbk" else ERROR
        leads = np.r_[0x81:0xFF]
    single[leads] = LEAD
    rows = np.full(256, len(leads), np.int64)
    rows[leads] = np.arange(len(leads))
    pairs = np.full((len(leads) + 1, 256), ERROR, np.int32)  # the last is of a lead byte that begins no pair
    if encoding == "euc-jp":
        pairs[0, 0xA1:0xE0] = np.arange(0xFF61, 0xFFA0)
        pairs[1:-1, 0xA1:0xFF] = _codes("jis0208")
    else:
        pairs[:-1, _TRAIL:0xFF] = _codes(encoding)
    return PairTables(single, rows, pairs)


@functools.cache
def jis_table(index: str) -> Codes:
    """jis0208 or jis0212, int32 [94 * 94] by (row, cell); ERROR where there is no character."""
    return np.ascontiguousarray(_codes(index).reshape(-1))


@functools.cache
def gb18030_ranges() -> tuple[npt.NDArray[np.int64], Codes]:
    """Ascending (pointers, code points) of four-byte GB 18030, each the first of a range."""
    ranges = _tables()[RANGES]
    return ranges[:, 0].astype(np.int64), np.ascontiguousarray(ranges[:, 1])


def _codes(name: str) -> Codes:
    table = _tables()[name]
    return np.where(table == 0, ERROR, table).astype(np.int32)
