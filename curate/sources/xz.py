"""xz as a codec of `curate.sources.members`: the archives of OpenWebText are tar files in it, in one another."""

from __future__ import annotations

import lzma
from typing import Any, Final

XZ_START: Final = b"\xfd7zXZ\x00"
_CHUNK_BYTES: Final = 1 << 20
_MAX_DICTIONARY_BYTES: Final = 1 << 28  # four times what `xz -9` takes; the head of a stream may ask for 4 GiB


class Xz:
    """Streams of xz. Their blocks have checksums, so that damage is seen."""

    magic = XZ_START
    errors: tuple[type[Exception], ...] = (lzma.LZMAError, EOFError)
    checked = True
    step = 1 << 16

    def starts(self, head: bytes) -> bool:
        return head.startswith(self.magic[: len(head)]) and bool(head)

    def open(self) -> Any:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DICTIONARY_BYTES)

    def inflate(self, decoder: Any, data: bytes | memoryview) -> tuple[bytes, int]:
        """(output of at most a chunk, bytes of data that were used). As of bzip2, the decoder keeps what it has no
        room to put out, and at a stream's end some that were used come back."""
        given = bytes(data) if decoder.needs_input else b""
        out = decoder.decompress(given, _CHUNK_BYTES)
        return out, len(given) - (len(decoder.unused_data) if decoder.eof else 0)

    def save(self, decoder: Any) -> Any:
        return None

    def salvage(self, decoder: Any, data: bytes | memoryview) -> bytes:
        return b""
