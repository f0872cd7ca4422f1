"""bzip2 as a codec of `curate.sources.members`: dumps of Wikipedia are files of one stream or of many."""

from __future__ import annotations

import bz2
from typing import Any, Final

from curate.sources.block_codec import BlockCodec

BZIP2_START: Final = b"BZh"
_BLOCK: Final = b"1AY&SY"  # what the first block of a stream begins with, behind the digit of its size


class Bzip2(BlockCodec):
    """Streams of bzip2. They have a checksum a block, so that damage is always seen."""

    magic = BZIP2_START
    errors: tuple[type[Exception], ...] = (OSError, ValueError)

    def starts(self, head: bytes) -> bool:
        return head.startswith(self.magic)

    def open(self) -> Any:
        return bz2.BZ2Decompressor()


def is_bzip2(head: bytes) -> bool:
    """Whether a file begins as bzip2 does; three letters alone may begin a text."""
    return (head.startswith(BZIP2_START) and head[3:4].isdigit()
            and (head[4:10] == _BLOCK or head[4:10] == b"\x17\x72\x45\x38\x50\x90"))
