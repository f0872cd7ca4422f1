"""Archives of plain texts, one document a file, as OpenWebText is distributed: a tar, plain or compressed, whose
members are texts or such archives themselves.

Members are read one after the other. Memory: the member that is open, of at most `_MAX_INNER_BYTES` where it is an
archive, and a batch of texts.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Final

import pyarrow as pa

from curate.charsets.reading import text_as_utf8
from curate.sources.archive_members import FileMember, read_members
from curate.sources.columns import TextRows
from curate.sources.members import compression_of
from curate.sources.warc import Damage
from curate.text.strings import strings_array, valid_text

_MAX_INNER_BYTES: Final = 1 << 28
_MAX_DEPTH: Final = 3  # of archives in archives
_BATCH_ROWS: Final = 512
_BATCH_BYTES: Final = 8 << 20
_TAR_MAGIC: Final = slice(257, 262)
_BINARY_BYTES: Final = 1 << 12


def is_tar(head: bytes) -> bool:
    """Whether a file, decompressed, is a tar archive, by its first bytes."""
    return head[_TAR_MAGIC] == b"ustar"


def read_text_archive(stream: IO[bytes], max_text_bytes: int) -> Iterator[TextRows | Damage]:
    """The texts of an archive in its order, in batches; a row's id is the name of its file without the ending.

    Args:
        stream: The archive, seekable, at its start.
        max_text_bytes: Of a text; a longer one is named as damage, and not held.
    Yields:
        Rows, numbered over the whole archive, and what cannot be read: a Damage's offset is the row that would be next.
    """
    batch = _Batch()
    for found in _texts(stream, max_text_bytes, "", 0):
        if isinstance(found, str):
            yield Damage(batch.next_row, found)
            continue
        batch.add(*found)
        if batch.is_full():
            yield batch.taken()
    if batch.texts:
        yield batch.taken()


class _Batch:
    """Texts with their ids. next_row: the number that the next text has."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.ids: list[str] = []
        self.n_bytes = self.next_row = 0

    def add(self, name: str, text: bytes) -> None:
        self.ids.append(name)
        self.texts.append(text)
        self.n_bytes += len(text)
        self.next_row += 1

    def is_full(self) -> bool:
        return len(self.texts) >= _BATCH_ROWS or self.n_bytes >= _BATCH_BYTES

    def taken(self) -> TextRows:
        n = len(self.texts)
        rows = TextRows(self.next_row - n, strings_array(self.texts), pa.array(self.ids, pa.string()),
                        pa.nulls(n, pa.string()))
        self.texts, self.ids, self.n_bytes = [], [], 0
        return rows


def _texts(stream: IO[bytes], max_bytes: int, within: str, depth: int) -> Iterator[tuple[str, bytes] | str]:
    """(id, text) of every text, or what is wrong in its place, with the names of the archives that it lies in."""
    for member in read_members(stream, _MAX_INNER_BYTES):
        if isinstance(member, Damage):
            yield f"{within}{member.what}"
            continue
        path = within + member.name
        if member.data is None:
            yield f"{path}: member is larger than {_MAX_INNER_BYTES:,} bytes"
        elif _is_archive(member) and depth < _MAX_DEPTH:
            yield from _texts(io.BytesIO(member.data), max_bytes, f"{path}: ", depth + 1)
        elif len(member.data) > max_bytes:
            yield f"{path}: text is longer than {max_bytes:,} bytes"
        elif b"\0" in member.data[:_BINARY_BYTES] and not member.data.startswith((b"\xff\xfe", b"\xfe\xff")):
            yield f"{path}: member is no text"
        elif not PurePosixPath(member.name).name.startswith("._"):
            yield PurePosixPath(member.name).stem, valid_text(text_as_utf8(member.data).data.decode())


def _is_archive(member: FileMember) -> bool:
    return member.data is not None and (compression_of(member.data[:16]) != "none" or is_tar(member.data[:512]))
