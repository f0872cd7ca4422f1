"""A web archive of any kind as records: WARC and ARC files, plain or compressed, and WACZ packages of WARC files."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final, cast

from curate.sources.framing import ARC, ARC_START, WARC, Framing
from curate.sources.members import compression_of, find_record_member, read_chunks
from curate.sources.plain_records import find_plain_record
from curate.sources.warc import Damage, WarcEntry, read_warc

ZIP_START: Final = b"PK\x03\x04"
_LOCAL_HEADER_BYTES: Final = 30
_ARCHIVE_NAMES: Final = (".warc", ".warc.gz", ".warc.zst", ".arc", ".arc.gz")
_SPLIT: Final = ("none", "gzip", "zstd")


def read_archive(stream: IO[bytes], wanted: frozenset[str], max_block_bytes: int) -> Iterator[WarcEntry | Damage]:
    """The records of a seekable WARC, ARC or WACZ file in file order, and what could not be read between them.

    Offsets are of the file as stored, of a WACZ package too, so that a record can be read again by its offset and
    length alone. Damage never raises.

    Args:
        stream: The file, seekable, at its start.
        wanted: Record types whose content is read, lower case, such as `response`.
        max_block_bytes: Longer contents are skipped; memory is bounded by twice that.
    Yields:
        Records, and the parts of the file that give none.
    """
    if stream.read(len(ZIP_START)) == ZIP_START:
        yield from _read_wacz(stream, wanted, max_block_bytes)
        return
    stream.seek(0)
    yield from read_warc(stream, wanted, max_block_bytes, _framing(stream))


@dataclass(frozen=True, slots=True)
class RecordRange:
    """Records of an archive from one offset, of a member if it is compressed, to before another; None: to the end."""

    framing: Framing
    start: int
    end: int | None

    @property
    def is_whole(self) -> bool:
        """Whether these are all of the file's."""
        return self.start == 0 and self.end is None


def can_be_split(stream: IO[bytes], is_near: bool = True) -> bool:
    """Whether a file is an archive of which ranges can be read: WARC or ARC, plain, of gzip members or of zstd frames.

    Where else a record may begin cannot be told without reading all before it. is_near: whether the file is read at
    many offsets at no cost, as on a local disk; a plain one must be."""
    compression = compression_of(stream.read(10))
    stream.seek(0)
    head = next(read_chunks(stream, b""), None) if compression in (_SPLIT if is_near else _SPLIT[1:]) else None
    return head is not None and head.data.startswith((*WARC.openings, ARC_START))


def record_range(stream: IO[bytes], first: int, last: int | None, max_block_bytes: int) -> RecordRange | None:
    """What of an archive belongs to the bytes from one offset to before another: the records from the first one on that
    surely begins there (`find_record_member`, `find_plain_record`), to the first such one of what follows.

    Ranges of adjacent offsets hold every record of the file once, as reading the whole file gives it, since every
    reader comes to the same ones.

    Args:
        stream: A file that `can_be_split`.
        first: Offset; 0 means the file's beginning, whatever is there.
        last: The offset of the next range; None of the last.
        max_block_bytes: With which the range will be read.
    Returns:
        The range, or None where nothing begins in it.
    """
    framing = _framing(stream)
    is_plain = compression_of(stream.read(10)) == "none"

    def find(offset: int, known: int = 0) -> int | None:
        if is_plain:
            return find_plain_record(stream, offset, framing, max_block_bytes, known)
        return find_record_member(stream, offset, framing.openings, framing.start, framing.longest_start)

    start = find(first) if first else 0
    if start is None or (last is not None and start >= last):
        return None
    return RecordRange(framing, start, None if last is None else find(last, start))


def read_range(stream: IO[bytes], records: RecordRange, wanted: frozenset[str], max_block_bytes: int,
               ) -> Iterator[WarcEntry | Damage]:
    """As `read_archive`, the records of a range: with the offsets that they have in the file."""
    stream.seek(0)
    yield from read_warc(stream, wanted, max_block_bytes, records.framing, records.start, records.end)


def _framing(stream: IO[bytes]) -> Framing:
    """ARC where the file's first bytes, decompressed, say so; the stream is left at its start."""
    start = stream.tell()
    head = next(read_chunks(stream, b""), None)
    stream.seek(start)
    return ARC if head is not None and head.data.startswith(ARC_START) else WARC


def _read_wacz(stream: IO[bytes], wanted: frozenset[str], max_block_bytes: int) -> Iterator[WarcEntry | Damage]:
    """Records of every archive in a WACZ package (webrecorder, WACZ 1.1.1: archives are stored, not deflated)."""
    try:
        package = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        yield Damage(0, f"no readable WACZ package: {error}")
        return
    has_archive = False
    for info in sorted(package.infolist(), key=lambda i: i.header_offset):
        if not info.filename.lower().endswith(_ARCHIVE_NAMES):
            continue
        has_archive = True
        try:
            yield from _read_packed(package, stream, info, wanted, max_block_bytes)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError,
                zlib.error) as error:
            yield Damage(info.header_offset, f"{info.filename}: {error}")
    if not has_archive:
        yield Damage(0, "WACZ package without an archive")


def _read_packed(package: zipfile.ZipFile, stream: IO[bytes], info: zipfile.ZipInfo, wanted: frozenset[str],
                 max_block_bytes: int) -> Iterator[WarcEntry | Damage]:
    if info.compress_type == zipfile.ZIP_STORED:
        inner = cast(IO[bytes], io.BufferedReader(_Section(stream, _data_offset(stream, info), info.file_size)))
        start = _data_offset(stream, info)
        for entry in read_warc(inner, wanted, max_block_bytes, _framing(inner)):
            entry.offset += start
            yield entry
        return
    # A deflated archive has no offsets of its own in the file: its records are told apart by their number alone.
    with package.open(info) as inner:
        framing = _framing(inner)
        for number, entry in enumerate(read_warc(inner, wanted, max_block_bytes, framing)):
            entry.offset = info.header_offset
            if isinstance(entry, WarcEntry):
                entry.ordinal, entry.length = number, -1
            yield entry


def _data_offset(stream: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: after its local header, whose extra field may differ from the directory's."""
    stream.seek(info.header_offset)
    header = stream.read(_LOCAL_HEADER_BYTES)
    if len(header) < _LOCAL_HEADER_BYTES or not header.startswith(ZIP_START):
        raise zipfile.BadZipFile("no local header")
    return (info.header_offset + _LOCAL_HEADER_BYTES + int.from_bytes(header[26:28], "little")
            + int.from_bytes(header[28:30], "little"))


class _Section(io.RawIOBase):
    """Some bytes of a seekable file as a file of their own."""

    def __init__(self, stream: IO[bytes], start: int, size: int) -> None:
        self._stream, self._start, self._size, self._position = stream, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        self._stream.seek(self._start + self._position)
        data = self._stream.read(max(0, min(len(view), self._size - self._position)))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
