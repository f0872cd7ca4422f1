"""What bytes that declare nothing are in: signs of UTF-16, ISO-2022-JP and UTF-8, then chardet's guess among the
encodings that undeclared pages are found in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from curate.charsets.decoders import UTF_8, n_non_ascii

_ENCODINGS: Final = {
    **{f"cp{page}": f"windows-{page}" for page in (874, *range(1250, 1259))},
    "big5hkscs": "big5", "cp932": "shift_jis", "cp949": "euc-kr", "euc_jis_2004": "euc-jp", "gb18030": "gb18030",
    "iso2022_jp_2": "iso-2022-jp", "koi8-r": "koi8-r", "koi8-u": "koi8-u", "iso8859-2": "iso-8859-2",
    "iso8859-5": "iso-8859-5", "iso8859-7": "iso-8859-7", "cp866": "ibm866", "mac-cyrillic": "x-mac-cyrillic"}
"""chardet's names of those encodings, and the standard's. Its other candidates (code pages of DOS and mainframes, rare
parts of ISO 8859) take more real pages from these than they find of their own."""
_NAMES: Final = tuple(_ENCODINGS)
_CONTEXT_BYTES: Final = 256
_OUTSIDE_ASCII: Final = re.compile(rb"[\x80-\xff]+(?:[\x00-\x7f]{1,32}[\x80-\xff]+)*")
_ESCAPES: Final = (b"\x1b$B", b"\x1b$@")  # of JIS X 0208
_SAMPLE_BYTES: Final = 1 << 14
_MIN_EVIDENCE_BYTES: Final = 3  # outside ASCII; fewer tell nothing without a text around them
_MIN_CONTEXT_BYTES: Final = 100
_HEAD_BYTES: Final = 1 << 12
_MIN_NUL_SHARE: Final = 0.2
_MAX_NUL_SHARE: Final = 0.02


def guesses(body: bytes) -> Iterator[str]:
    """The encodings that bytes may be in that declare none that is true, the surest first.

    Args:
        body: A page or text; chardet looks at 16 KiB around its bytes outside ASCII.
    Yields:
        Names of encodings: UTF-16 where every other byte is NUL, ISO-2022-JP where there is an escape sequence of it,
        UTF-8, which few errors cannot make improbable, and what chardet says.
    """
    wide = _utf_16(np.frombuffer(body[:_HEAD_BYTES], np.uint8))
    if wide is not None:
        yield wide
    if any(sequence in body for sequence in _ESCAPES):
        yield "iso-2022-jp"
    yield UTF_8
    sample = _sample(body)
    if len(sample) < _MIN_CONTEXT_BYTES and n_non_ascii(sample) < _MIN_EVIDENCE_BYTES:
        return
    import chardet  # some tens of milliseconds, and few pages ask

    guess = chardet.detect(sample, compat_names=False, include_encodings=_NAMES)["encoding"]
    if guess in _ENCODINGS:
        yield _ENCODINGS[guess]


def _sample(body: bytes) -> bytes:
    """What is around the bytes outside ASCII, where the evidence lies; no markup that chardet would believe."""
    chunks, n_bytes, last = [], 0, 0
    for run in _OUTSIDE_ASCII.finditer(body):
        # A chunk ends in ASCII, so that no character is cut.
        chunk = body[max(last, run.start() - _CONTEXT_BYTES) : run.end() + _CONTEXT_BYTES].replace(b"<", b" ")
        if len(chunk) > _SAMPLE_BYTES:
            end = max(chunk.rfind(end, 0, _SAMPLE_BYTES) for end in (b" ", b"\n", b">"))
            chunk = chunk[: end if end > 0 else _SAMPLE_BYTES]
        chunks.append(chunk)
        n_bytes, last = n_bytes + len(chunk), run.end() + _CONTEXT_BYTES
        if n_bytes >= _SAMPLE_BYTES:
            break
    return b"\n".join(chunks)


def _utf_16(sample: npt.NDArray[np.uint8]) -> str | None:
    """UTF-16 by its NULs, which the ASCII of a page has in every other byte."""
    first, second = (np.count_nonzero(sample[i::2] == 0) / max(1, len(sample[i::2])) for i in (0, 1))
    if max(first, second) < _MIN_NUL_SHARE or min(first, second) > _MAX_NUL_SHARE:
        return None
    return "utf-16be" if first > second else "utf-16le"
