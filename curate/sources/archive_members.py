"""The files in a tar or zip archive one after the other, without unpacking it: plain, or compressed as any source is.

Names are told, never followed: nothing is written to disk, links and devices are passed by. A broken or encrypted
member is named, and the others are read as far as the archive's form allows: a zip lists its members, a tar is one
stream.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final, cast

from curate.sources.members import Chunk, read_chunks
from curate.sources.warc import Damage

_ZIP_START: Final = b"PK\x03\x04"
_ENCRYPTED: Final = 1  # bit of a zip member's flags
_BROKEN_ZIP: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
_BROKEN_TAR: Final = (tarfile.TarError, EOFError, OSError, ValueError, zlib.error)


@dataclass(frozen=True, slots=True)
class FileMember:
    """One file of an archive. number: of the member, from 0. size: as stated. data: None where it is larger than asked
    for."""

    number: int
    name: str
    size: int
    data: bytes | None


def read_members(stream: IO[bytes], max_bytes: int) -> Iterator[FileMember | Damage]:
    """The files of an archive in its order; a Damage's offset counts members.

    Args:
        stream: The archive, seekable, at its start.
        max_bytes: Of a file, above which it is not read.
    Yields:
        Files, and what cannot be read. What is no archive at all is one Damage.
    """
    if stream.read(len(_ZIP_START)) == _ZIP_START:
        yield from _zip_members(stream, max_bytes)
        return
    stream.seek(0)
    yield from _tar_members(stream, max_bytes)


def _zip_members(stream: IO[bytes], max_bytes: int) -> Iterator[FileMember | Damage]:
    try:
        archive = zipfile.ZipFile(stream)
    except _BROKEN_ZIP as error:
        yield Damage(0, f"zip archive cannot be read: {error}")
        return
    for number, info in enumerate(archive.infolist()):
        if info.is_dir():
            continue
        if info.flag_bits & _ENCRYPTED:
            yield Damage(number, f"{info.filename}: member is encrypted")
            continue
        data = None
        if info.file_size <= max_bytes:
            try:
                with archive.open(info) as member:
                    data = member.read(max_bytes + 1)
            except _BROKEN_ZIP as error:
                yield Damage(number, f"{info.filename}: member is broken: {error}")
                continue
        yield FileMember(number, info.filename, info.file_size, data)


def _tar_members(stream: IO[bytes], max_bytes: int) -> Iterator[FileMember | Damage]:
    source = _Decompressed(read_chunks(stream, opening=b""))
    number = -1
    try:
        with tarfile.open(fileobj=cast(IO[bytes], source), mode="r|") as archive:
            for number, info in enumerate(archive):
                if not info.isreg():
                    continue
                data = None
                if info.size <= max_bytes:
                    member = archive.extractfile(info)
                    data = member.read() if member is not None else b""
                    if len(data) < info.size:
                        raise EOFError("the file ends within it")
                yield FileMember(number, info.name, info.size, data)
    except _BROKEN_TAR as error:
        yield Damage(number + 1, f"tar archive cannot be read further: {source.broken or error}")
        return
    if source.broken is not None:
        yield Damage(number + 1, f"tar archive ends early: {source.broken}")


class _Decompressed(io.RawIOBase):
    """Chunks as a stream, read forward. broken: why it ended early, in words."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._data = memoryview(b"")
        self.broken: str | None = None

    def readable(self) -> bool:
        return True

    def read(self, n: int | None = -1, /) -> bytes:
        parts: list[bytes] = []
        left = n if n is not None and n >= 0 else 1 << 62
        while left:
            if not self._data and not self._fill():
                break
            part = bytes(self._data[:left])
            self._data = self._data[len(part):]
            left -= len(part)
            parts.append(part)
        return b"".join(parts)

    def _fill(self) -> bool:
        while self.broken is None:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self.broken = chunk.broken
            if chunk.data:
                self._data = memoryview(chunk.data)
                return True
        return False
