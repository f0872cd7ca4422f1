"""The decoders of the WHATWG Encoding Standard: an encoding's label, and bytes of it as UTF-8."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np

from curate.charsets.kernels.pairs import decode_pairs, decode_single
from curate.charsets.kernels.states import decode_iso_2022_jp, decode_utf_16
from curate.charsets.kernels.writing import MAX_BYTES
from curate.charsets.tables import gb18030_ranges, jis_table, pair_tables, single_table

REPLACEMENT: Final = "replacement"
"""The encoding of labels that the standard refuses to decode: ISO-2022-KR, HZ and others that hide ASCII."""
UTF_8: Final = "utf-8"
WINDOWS_1252: Final = "windows-1252"
PAIRS: Final = frozenset({"big5", "euc-jp", "euc-kr", "gb18030", "gbk", "shift_jis"})
_UTF_16: Final = {"utf-16be": True, "utf-16le": False}
_FFFD: Final = "\ufffd".encode()
_NO_RANGES: Final = (np.empty(0, np.int64), np.empty(0, np.int32))
_NO_TABLE: Final = np.empty(0, np.int32)
_SPACES: Final = "\t\n\f\r "


class Decoded(NamedTuple):
    """data: valid UTF-8. n_errors: U+FFFD in it for what cannot be read. n_coded: bytes outside ASCII, which those
    errors are a share of; of UTF-8 and ISO-2022-JP characters outside ASCII that were read, beside the errors."""

    data: bytes
    n_errors: int
    n_coded: int


@functools.cache
def _labels() -> dict[str, str]:
    lines = files("curate.charsets").joinpath("labels.tsv").read_text(encoding="ascii").splitlines()[1:]
    return dict(line.split("\t") for line in lines)


def encoding_of(label: str | None) -> str | None:
    """The encoding that a label names (Encoding Standard, 4.2).

    Args:
        label: As a header or a page has it, in any case, blanks around it.
    Returns:
        The encoding's name in lower case, or None where there is no such label.
    """
    return _labels().get(label.strip(_SPACES).lower()) if label else None


def to_utf8(body: bytes, encoding: str) -> Decoded:
    """Bytes of an encoding as UTF-8, as the standard's decoder of it reads them; a byte order mark is a character.

    Args:
        body: Bytes of the encoding.
        encoding: A name that `encoding_of` gives.
    Returns:
        UTF-8, in which every error is one U+FFFD.
    """
    if encoding == UTF_8:
        return _utf_8(body)
    if encoding == REPLACEMENT:
        return Decoded(_FFFD if body else b"", min(1, len(body)), len(body))
    data = np.frombuffer(body, np.uint8)
    out = np.empty(MAX_BYTES * len(body), np.uint8)
    if encoding in PAIRS:
        tables = pair_tables("gbk" if encoding == "gb18030" else encoding)
        jis0212 = jis_table("jis0212") if encoding == "euc-jp" else _NO_TABLE
        ranges = gb18030_ranges() if encoding in ("gbk", "gb18030") else _NO_RANGES
        n, n_errors = decode_pairs(data, *tables, jis0212, *ranges, out)
    elif encoding in _UTF_16:
        n, n_errors = decode_utf_16(data, _UTF_16[encoding], out)
        return Decoded(out[:n].tobytes(), n_errors, len(body))
    elif encoding == "iso-2022-jp":
        n, n_errors, n_coded = decode_iso_2022_jp(data, jis_table("jis0208"), out)
        return Decoded(out[:n].tobytes(), n_errors, n_coded)
    else:
        n, n_errors = decode_single(data, single_table(encoding), out)
    return Decoded(out[:n].tobytes(), n_errors, n_non_ascii(body))


def _utf_8(body: bytes) -> Decoded:
    text = body.decode("utf-8", "replace")
    # A U+FFFD that was there already is three bytes of the body, and no error.
    n_errors = text.count("\ufffd") - body.count(_FFFD)
    return Decoded(text.encode(), n_errors, len(text) - n_errors - (len(body) - n_non_ascii(body)))


def n_non_ascii(body: bytes) -> int:
    """Bytes above 127."""
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) & 0x80))
