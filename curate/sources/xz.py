"""xz as a codec of `curate.sources.members`: the archives of OpenWebText are tar files in it, in one another."""

from __future__ import annotations

import lzma
from typing import Any, Final

from curate.sources.block_codec import BlockCodec

XZ_START: Final = b"\xfd7zXZ\x00"
_MAX_DICTIONARY_BYTES: Final = 1 << 28  # four times what `xz -9` takes; the head of a stream may ask for 4 GiB


class Xz(BlockCodec):
    """Streams of xz. Their blocks have checksums, so that damage is seen."""

    magic = XZ_START
    errors: tuple[type[Exception], ...] = (lzma.LZMAError, EOFError)

    def starts(self, head: bytes) -> bool:
        return head.startswith(self.magic[: len(head)]) and bool(head)

    def open(self) -> Any:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DICTIONARY_BYTES)
