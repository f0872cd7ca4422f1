"""bzip2 as a codec of `curate.sources.members`: dumps of Wikipedia are files of one stream or of many."""

from __future__ import annotations

import bz2
from typing import Any, Final

BZIP2_START: Final = b"BZh"
_BLOCK: Final = b"1AY&SY"  # what the first block of a stream begins with, behind the digit of its size
_CHUNK_BYTES: Final = 1 << 20


class Bzip2:
    """Streams of bzip2. They have a checksum a block, so that damage is always seen."""

    magic = BZIP2_START
    errors: tuple[type[Exception], ...] = (OSError, ValueError)
    checked = True
    step = 1 << 16

    def starts(self, head: bytes) -> bool:
        return head.startswith(self.magic)

    def open(self) -> Any:
        return bz2.BZ2Decompressor()

    def inflate(self, decoder: Any, data: bytes | memoryview) -> tuple[bytes, int]:
        """(output of at most a chunk, bytes of data that were used). The decoder keeps what it has no room to put out:
        it is given no more before that is fetched, and at a stream's end some that were used come back."""
        given = bytes(data) if decoder.needs_input else b""
        out = decoder.decompress(given, _CHUNK_BYTES)
        return out, len(given) - (len(decoder.unused_data) if decoder.eof else 0)

    def save(self, decoder: Any) -> Any:
        return None

    def salvage(self, decoder: Any, data: bytes | memoryview) -> bytes:
        return b""


def is_bzip2(head: bytes) -> bool:
    """Whether a file begins as bzip2 does; three letters alone may begin a text."""
    return (head.startswith(BZIP2_START) and head[3:4].isdigit()
            and (head[4:10] == _BLOCK or head[4:10] == b"\x17\x72\x45\x38\x50\x90"))
