"""A stored archive as its decompressed bytes, member by member, with the damage found in it.

Web archives are files of many small gzip members (or zstd or lz4 frames, or streams of bzip2 or xz), one a record, so
that a record can be read alone by its offset. Reading member by member shows where each begins and ends in the file as
stored, which a stream decoder does not, and makes a broken member cost itself alone: reading goes on at the next member
that opens with a WARC record.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from curate.sources.bzip2 import Bzip2, is_bzip2
from curate.sources.isal_gzip import whole_member
from curate.sources.xz import XZ_START, Xz

if TYPE_CHECKING:
    import zstandard

_READ_BYTES: Final = 1 << 20
_GZIP_STEP: Final = 1 << 16  # bytes given to zlib at once: what a member leaves unused is copied
_ZSTD_STEP: Final = 1 << 11  # zstd has no output limit: 2 KiB can grow to 64 MiB at most
_CHUNK_BYTES: Final = 1 << 20
_WHOLE_BYTES: Final = 1 << 22  # a gzip member of no more is read in one go
_GZIP: Final = b"\x1f\x8b\x08"
_LZ4_STEP: Final = 1 << 12  # a byte of lz4 grows to 255 at most
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_LZ4: Final = b"\x04\x22\x4d\x18"
_ZSTD_DICTIONARY: Final = 0x184D2A5D  # of the skippable frame that holds one
_DICTIONARY_START: Final = b"\x37\xa4\x30\xec"
_MAX_DICTIONARY_BYTES: Final = 1 << 26
SKIPPABLE_HEAD_BYTES: Final = 8
"""Of a skippable zstd frame: what it is and how long the rest is."""
_PROBE_BYTES: Final = 1 << 12
_SURE_BYTES: Final = 1 << 17
"""More stored bytes than a member can hold unchanged: of deflate 64 KiB stand together in a block without compression
(RFC 1951, 3.2.4), of zstd 128 KiB (RFC 8878, 3.1.1.2.4)."""


@dataclass(slots=True)
class Chunk:
    """Decompressed bytes of one member. member: where it begins in the file; None in a file without compression.
    end: where it ends, on its last chunk. broken: why the member cannot be read further, in words; its bytes so far
    may be wrong near their end."""

    data: bytes
    member: int | None
    end: int | None = None
    broken: str | None = None


def compression_of(head: bytes) -> str:
    """`gzip`, `zstd`, `lz4`, `bzip2`, `xz` or `none`, by the first bytes of a file; names of files are not trusted."""
    if head.startswith(_GZIP):
        return "gzip"
    if head.startswith(_LZ4):
        return "lz4"
    if is_bzip2(head):
        return "bzip2"
    if head.startswith(XZ_START):
        return "xz"
    skippable = len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5
    return "zstd" if head.startswith(_ZSTD) or skippable else "none"


def dictionary_frame_bytes(head: bytes) -> int:
    """The size of the frame that holds a file's zstd dictionary, by its first `SKIPPABLE_HEAD_BYTES`; 0 of another."""
    if len(head) < SKIPPABLE_HEAD_BYTES:
        return 0
    kind, size = struct.unpack("<II", head)
    return SKIPPABLE_HEAD_BYTES + size if kind == _ZSTD_DICTIONARY and size <= _MAX_DICTIONARY_BYTES else 0


def read_chunks(stream: IO[bytes], opening: bytes | tuple[bytes, ...], start: int = 0) -> Iterator[Chunk]:
    """The decompressed bytes of a seekable file, in chunks of about a mebibyte; of gzip 4, lz4 5, zstd 64 at most.

    opening: what a member must start with, or one of several, for reading to go on there after damage; `b""` accepts
    any. start: offset at which reading begins; of a compressed file that of a member.
    Never raises for damage: a chunk with `broken` names it."""
    window = _Window(stream)
    compression = compression_of(bytes(window.peek(10)))
    if compression == "none":
        if start:
            window.seek(start)
        yield from _plain(window)
        return
    codec = _CODECS[compression]()
    if start:
        _go_to(window, codec, start)
    last = -1  # offset of the last complete member
    while True:
        if isinstance(codec, _Zstd) and (broken_at := codec.skip_frames(window)) is not None:
            yield Chunk(b"", broken_at, broken="dictionary of the file cannot be read")
        head = bytes(window.peek(4))
        if not head:
            return
        if codec.starts(head):
            at = window.offset
            broken = yield from _member(window, codec)
            if broken is None:
                last = at
                continue
            start = broken + 1
        else:
            start = window.offset
            if not _only_padding(window):
                yield Chunk(b"", start, broken="bytes that are no member")
                if last >= 0 and not codec.checked:
                    start = last + 1  # a frame need not have a checksum: the last may have swallowed the next
        window.seek(start)
        if not _find_member(window, codec, opening):
            return


def find_record_member(stream: IO[bytes], at: int, opening: tuple[bytes, ...], record: re.Pattern[bytes],
                       longest: int) -> int | None:
    """Where the first member at or after an offset begins that opens with a record, beyond doubt.

    A page may be an archive itself, whose members stand in one of the file's as they are. So a member counts if sound
    members follow it, without a byte between, for more bytes than any member holds unchanged, or to the file's end.

    Args:
        stream: A file of gzip members or zstd frames, seekable.
        at: Where to begin to look.
        opening, record, longest: How records begin, as of `Framing`.
    Returns:
        The offset, or None where there is none: it depends on the file and on `at` alone.
    """
    stream.seek(0)
    window = _Window(stream)
    codec = _CODECS[compression_of(bytes(window.peek(10)))]()
    _go_to(window, codec, at)
    while _find_member(window, codec, opening):
        found = window.offset
        if record.match(_first_text(window, codec, longest)) and _is_sound(window, codec, found):
            return found
        window.seek(found + 1)
    return None


def _first_text(window: _Window, codec: _Codec, longest: int) -> bytes:
    """So many bytes at least of the text of the member that begins here, which is left behind; none if it is broken."""
    text = b""
    for chunk in _member(window, codec):
        if chunk.broken is not None:
            return b""
        text += chunk.data if len(text) < longest else b""
    return text


def _is_sound(window: _Window, codec: _Codec, start: int) -> bool:
    """Whether members follow up to the file's end, or to where what began at `start` can be inside no other."""
    while window.offset - start <= _SURE_BYTES and (head := bytes(window.peek(4))):
        if not codec.starts(head) or any(chunk.broken is not None for chunk in _member(window, codec)):
            return False
    return True


def _go_to(window: _Window, codec: _Codec, start: int) -> None:
    """Move from a file's first byte to a member; of zstd with the dictionary that stands before all."""
    if isinstance(codec, _Zstd):
        codec.skip_frames(window)
    window.seek(start)


def _plain(window: _Window) -> Iterator[Chunk]:
    while data := window.take(_CHUNK_BYTES):
        yield Chunk(data, None)


class _Window:
    """A forward window over a seekable stream that knows its offset in the file."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._data = memoryview(b"")
        self.offset = 0

    def peek(self, n: int) -> memoryview:
        if len(self._data) < n:
            self._data = memoryview(bytes(self._data) + self._stream.read(max(n, _READ_BYTES)))
        return self._data[:n]

    def advance(self, n: int) -> None:
        self._data = self._data[n:]
        self.offset += n

    def take(self, n: int) -> bytes:
        data = bytes(self.peek(n))
        self.advance(len(data))
        return data

    def seek(self, offset: int) -> None:
        self._stream.seek(offset)
        self._data, self.offset = memoryview(b""), offset


class _Gzip:
    magic = _GZIP
    errors: tuple[type[Exception], ...] = (zlib.error,)
    checked = True
    step = _GZIP_STEP
    longest_block = _PROBE_BYTES  # its blocks come as they are read

    def starts(self, head: bytes) -> bool:
        return head.startswith(self.magic)

    def open(self) -> Any:
        return zlib.decompressobj(zlib.MAX_WBITS | 16)

    def inflate(self, decoder: Any, data: bytes | memoryview) -> tuple[bytes, int]:
        """(output of at most a chunk, bytes of data that were used)."""
        out = decoder.decompress(data, _CHUNK_BYTES)
        # At the end of a member CPython leaves a stale unconsumed_tail from the call before.
        left = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
        return out, len(data) - len(left)

    def save(self, decoder: Any) -> Any:
        return decoder.copy()

    def salvage(self, decoder: Any, data: bytes | memoryview) -> bytes:
        """What a saved decoder gives before the error: zlib's Python face drops the output of a call that fails."""
        chunks = []
        try:
            for start in range(0, len(data), 64):
                chunks.append(decoder.decompress(data[start : start + 64]))
        except zlib.error:
            pass
        return b"".join(chunks)


class _Zstd:
    magic = _ZSTD
    checked = False
    step = _ZSTD_STEP
    longest_block = (1 << 17) + _PROBE_BYTES

    def __init__(self) -> None:
        import zstandard  # as lz4 below: for a file that is compressed so

        self.errors: tuple[type[Exception], ...] = (zstandard.ZstdError,)
        self._dictionary: zstandard.ZstdCompressionDict | None = None

    def starts(self, head: bytes) -> bool:
        return head.startswith(self.magic)

    def open(self) -> Any:
        import zstandard

        return zstandard.ZstdDecompressor(self._dictionary, max_window_size=1 << 31).decompressobj()

    def inflate(self, decoder: Any, data: bytes | memoryview) -> tuple[bytes, int]:
        out = decoder.decompress(data)
        return out, len(data) - len(decoder.unused_data)

    def save(self, decoder: Any) -> Any:
        return None

    def salvage(self, decoder: Any, data: bytes | memoryview) -> bytes:
        return b""

    def skip_frames(self, window: _Window) -> int | None:
        """Step over skippable frames; one may hold the dictionary of all others (the .warc.zst convention). Where that
        lies if it cannot be read, else None."""
        unreadable = None
        while compression_of(head := bytes(window.peek(8))) == "zstd" and not self.starts(head) and len(head) == 8:
            kind, size = struct.unpack("<II", head)
            at = window.offset
            window.advance(8)
            if kind == _ZSTD_DICTIONARY and size <= _MAX_DICTIONARY_BYTES:
                stored = window.take(size)
                self._dictionary = _dictionary(stored) if len(stored) == size else None
                unreadable = at if self._dictionary is None else unreadable
                continue
            while size and (got := len(window.peek(min(size, _READ_BYTES)))):
                window.advance(got)
                size -= got
        return unreadable


class _Lz4:
    magic = _LZ4
    errors: tuple[type[Exception], ...] = (RuntimeError,)
    checked = False
    step = _LZ4_STEP
    longest_block = (1 << 22) + _PROBE_BYTES

    def starts(self, head: bytes) -> bool:
        return head.startswith(self.magic)

    def open(self) -> Any:
        import lz4.frame

        return lz4.frame.LZ4FrameDecompressor()

    def inflate(self, decoder: Any, data: bytes | memoryview) -> tuple[bytes, int]:
        out = decoder.decompress(bytes(data))
        return out, len(data) - len(decoder.unused_data or b"")

    def save(self, decoder: Any) -> Any:
        return None

    def salvage(self, decoder: Any, data: bytes | memoryview) -> bytes:
        return b""


_Codec = _Gzip | _Zstd | _Lz4 | Bzip2 | Xz
_CODECS: Final[dict[str, type[_Codec]]] = {"gzip": _Gzip, "zstd": _Zstd, "lz4": _Lz4, "bzip2": Bzip2, "xz": Xz}


def _dictionary(data: bytes) -> zstandard.ZstdCompressionDict | None:
    """The dictionary in a frame, plain or compressed itself (IIPC, warc-zstd 1.0); None where it is none."""
    import zstandard

    try:
        if data.startswith(_ZSTD):
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_DICTIONARY_BYTES)
        if not data.startswith(_DICTIONARY_START):
            return None
        dictionary = zstandard.ZstdCompressionDict(data, zstandard.DICT_TYPE_FULLDICT)
        zstandard.ZstdDecompressor(dictionary).decompressobj()  # its tables are read here, and may be damaged
        return dictionary
    except zstandard.ZstdError:
        return None


def _member(window: _Window, codec: _Codec) -> Generator[Chunk, None, int | None]:
    """Chunks of the member that begins here; returns where it began if it is broken, else None."""
    member = window.offset
    if isinstance(codec, _Gzip) and (sound := whole_member(window.peek, codec.step, _WHOLE_BYTES)) is not None:
        content, n_stored = sound
        window.advance(n_stored)
        yield Chunk(content, member, end=window.offset)
        return None
    decoder = codec.open()
    while True:
        data = window.peek(codec.step)[: codec.step]
        saved = codec.save(decoder)
        try:
            out, used = codec.inflate(decoder, data)
        except codec.errors as error:
            why = f"member cannot be decompressed: {error}"
            yield Chunk(codec.salvage(saved, data), member, broken=why)
            return member
        window.advance(used) if used >= 0 else window.seek(window.offset + used)
        if decoder.eof:
            yield Chunk(out, member, end=window.offset)
            return None
        if out:
            yield Chunk(out, member)
        elif not data:
            yield Chunk(b"", member, broken="file ends within a member")
            return member


def _only_padding(window: _Window) -> bool:
    """Whether only zero bytes follow, as tape-like storage leaves them."""
    while data := window.take(_READ_BYTES):
        if data.strip(b"\0"):
            return False
    return True


def _find_member(window: _Window, codec: _Codec, opening: bytes | tuple[bytes, ...]) -> bool:
    """Move to the next member whose text starts as a record does; false at the end of the file.

    A magic number alone is no proof: it turns up by chance once in 16 MiB of compressed bytes."""
    while True:
        data = bytes(window.peek(_READ_BYTES))
        start = data.find(codec.magic)
        if start < 0:
            if len(data) < _READ_BYTES:
                return False
            window.advance(len(data) - len(codec.magic) + 1)
            continue
        window.advance(start)
        if _probe(window, codec).startswith(opening):
            return True
        window.advance(1)


def _probe(window: _Window, codec: _Codec) -> bytes:
    """How the text of what may be a member begins; nothing of what is none. Codecs give a block when it is whole."""
    decoder, at = codec.open(), 0
    while at < codec.longest_block:
        try:
            text, used = codec.inflate(decoder, window.peek(at + _PROBE_BYTES)[at : at + _PROBE_BYTES])
        except codec.errors:
            return b""
        if text or decoder.eof or not used:
            return text
        at += used
    return b""
