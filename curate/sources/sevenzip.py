"""One member of a 7z archive as a stream, such as `Posts.xml` of a dump of StackExchange.

A member is unpacked into a temporary file, which is gone once it is closed: memory stays bounded by the archive's own
dictionary, and what was unpacked before a damage can still be read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

from manifests.errors import InputError

SEVENZIP_START: Final = b"7z\xbc\xaf\x27\x1c"


@dataclass(slots=True)
class Member:
    """name: in the archive. stream: what was unpacked, at its start. broken: why no more of it could be, in words."""

    name: str
    stream: IO[bytes]
    broken: str | None = None


def kind_in_7z(stream: IO[bytes]) -> str:
    """The kind of dump that a 7z archive holds, by the names of its members: `mediawiki` where it has XML, and no posts
    of a site. An archive that cannot be listed is left to the reader of posts to name."""
    try:
        import py7zr
    except ImportError:
        return "stackexchange"
    try:
        stream.seek(0)
        names = [name.lower() for name in py7zr.SevenZipFile(stream).getnames()]
    except _failures(py7zr):
        return "stackexchange"
    posts = any(name.endswith("posts.xml") for name in names)
    return "mediawiki" if not posts and any(name.endswith(".xml") for name in names) else "stackexchange"


def unpack_member(stream: IO[bytes], wanted: Callable[[str], bool], what: str, path: str) -> Member:
    """The first member of an archive whose name is wanted.

    Args:
        stream: The archive, seekable.
        wanted: Says of a name whether it is the member's.
        what: The member in words, for messages.
        path: Of the archive, for messages.
    Raises:
        InputError: The extra `sevenzip` is not installed, the archive is encrypted or cannot be opened, or has no such
            member.
    """
    try:
        import py7zr
    except ImportError:
        raise InputError("7z archives need py7zr", where=path,
                         hint="pip install 'curate-corpus[sevenzip]', or unpack it first") from None
    failures = _failures(py7zr)
    try:
        stream.seek(0)
        archive = py7zr.SevenZipFile(stream)
        name = next((n for n in archive.getnames() if wanted(n)), None)
        locked = archive.needs_password()
    except failures as error:
        raise InputError(f"is a broken 7z archive: {_words(error)}", where=path, hint="fetch it again") from error
    if locked:
        raise InputError("is an encrypted 7z archive", where=path, hint="unpack it first")
    if name is None:
        raise InputError(f"is a 7z archive without {what}", where=path, hint=f"it holds {_listed(archive.getnames())}")
    output = _output_class(py7zr)(tempfile.TemporaryFile(prefix="curate-7z-"))  # noqa: SIM115 (its reader closes it)
    factory: Any = _Factory(output)
    broken = None
    try:
        archive.extract(targets=[name], factory=factory)
    except failures as error:
        broken = f"member {name} of the 7z archive is broken: {_words(error)}"
    output.file.seek(0)
    return Member(name, output.file, broken)


@contextmanager
def opened(stream: IO[bytes], suffix: str, path: str) -> Iterator[Member]:
    """A file, or of a 7z archive the member whose name ends so, at its start.

    Args:
        stream: The file, seekable, at its start.
        suffix: Of the member's name, in lower case.
        path: Of the file, for messages.
    Raises:
        InputError: As `unpack_member`.
    """
    if stream.read(len(SEVENZIP_START)) != SEVENZIP_START:
        stream.seek(0)
        yield Member("", stream)
        return
    member = unpack_member(stream, lambda name: name.lower().endswith(suffix), f"a file named *{suffix}", path)
    with member.stream:
        yield member


def _failures(py7zr: Any) -> tuple[type[Exception], ...]:
    """What py7zr and the decoders below it raise for an archive that is not in order."""
    import lzma
    import struct
    import zlib

    return (py7zr.exceptions.ArchiveError, lzma.LZMAError, zlib.error, struct.error, EOFError, OSError, ValueError,
            IndexError, KeyError, TypeError, AttributeError, AssertionError, RuntimeError)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}{f': {error}' if str(error) else ''}"[:200]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") or "nothing"


def _output_class(py7zr: Any) -> Any:
    class Output(py7zr.io.Py7zIO):  # type: ignore[misc]  # a class of a library that is loaded late
        """Where a member is unpacked to."""

        def __init__(self, file: IO[bytes]) -> None:
            self.file = file

        def write(self, data: bytes | bytearray) -> int:
            return self.file.write(data)

        def read(self, size: int | None = None) -> bytes:
            return self.file.read(-1 if size is None else size)

        def seek(self, offset: int, whence: int = 0) -> int:
            return self.file.seek(offset, whence)

        def flush(self) -> None:
            self.file.flush()

        def size(self) -> int:
            return self.file.tell()

    return Output


class _Factory:
    """Gives py7zr the one file to write to."""

    def __init__(self, output: Any) -> None:
        self._output = output

    def create(self, filename: str) -> Any:
        return self._output
