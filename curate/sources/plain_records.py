"""Where records begin in an archive without compression, found by their lengths alone: no content is read.

What a page holds may look like records, for any number of bytes, so that the beginning of a record is known only to one
who came there from the file's beginning. Going from header to header takes some microseconds a record.
"""

from __future__ import annotations

from typing import IO, Final

from curate.sources.framing import Framing
from curate.sources.warc import MAX_HEADER_BYTES, block_length

_HEAD_BYTES: Final = 1 << 12
_SEARCHED_BYTES: Final = 1 << 20


def find_plain_record(stream: IO[bytes], at: int, framing: Framing, max_block_bytes: int, start: int = 0) -> int | None:
    """Where the first record at or after an offset begins, as `read_warc` comes to it from the file's beginning.

    Args:
        stream: A file without compression, on a local disk, since it is read at many offsets.
        at: Where to begin to look.
        framing: How records begin and end.
        max_block_bytes: Of `read_warc`, which looks at longer contents in another way.
        start: Where a record begins before that.
    Returns:
        The offset; None where there is none, or where anything before is not as it should be, so that only reading
        tells where records begin.
    """
    while start < at:
        end = _end(stream, start, framing, max_block_bytes)
        following = _skip_line_ends(stream, end) if end is not None else None
        if following is None:
            return None
        start = following
    return start if _header(stream, start, framing) is not None else None


def _end(stream: IO[bytes], start: int, framing: Framing, max_block_bytes: int) -> int | None:
    """Where the content of a record ends; None where it does not end as it says, or cannot be passed over unread."""
    header = _header(stream, start, framing)
    n_bytes = block_length(framing.fields(header)) if header is not None else None
    if header is None or n_bytes is None:
        return None
    end = start + len(header) + n_bytes
    if n_bytes > max_block_bytes and _has_record(stream, start + len(header), end, framing):
        return None
    stream.seek(end)
    after = stream.read(framing.longest_start).lstrip(b"\r\n")
    return end if after.startswith(framing.openings) else None


def _header(stream: IO[bytes], start: int, framing: Framing) -> bytes | None:
    """The header of the record at an offset; None where there is none, or it runs into another one."""
    for n in (_HEAD_BYTES, MAX_HEADER_BYTES):
        stream.seek(start)
        data = stream.read(n)
        if framing.start.match(data) is None:
            return None
        if (found := framing.header_end.search(data)) is not None:
            runs_on = not framing.nests and framing.start.search(data, 1, found.end()) is not None
            return None if runs_on else data[: found.end()]
    return None


def _has_record(stream: IO[bytes], start: int, end: int, framing: Framing) -> bool:
    """Whether what a record begins with stands somewhere between two offsets."""
    stream.seek(start)
    kept = b""
    while start < end and (data := stream.read(min(_SEARCHED_BYTES, end - start))):
        if framing.start.search(kept + data):
            return True
        kept = (kept + data)[-framing.longest_start :]
        start += len(data)
    return False


def _skip_line_ends(stream: IO[bytes], start: int) -> int | None:
    """The offset after the line ends at an offset; None at the file's end."""
    stream.seek(start)
    while data := stream.read(64):
        rest = data.lstrip(b"\r\n")
        start += len(data) - len(rest)
        if rest:
            return start
    return None
