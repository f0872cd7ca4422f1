"""What bzip2 and xz have in common as codecs of `curate.sources.members`: decoders of Python's own library, which keep
output back, and blocks with checksums."""

from __future__ import annotations

from typing import Any, Final

_CHUNK_BYTES: Final = 1 << 20


class BlockCodec:
    """Streams whose blocks have checksums, so that damage is always seen, and nothing of a damaged one is kept."""

    checked = True
    step = 1 << 16
    longest_block = 1 << 20  # of bzip2 it holds 900 kB (xz gives what it has)

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
