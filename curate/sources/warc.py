"""Records of WARC and ARC archives: they are framed here, so that damage costs the records it hit and no more.

FastWARC's own iterator ends without a word at a broken gzip member or a cut file, and gives the records of one member
the offset of another. Cutting records out of the decompressed bytes costs nothing next to parsing HTML, finds the next
record after any damage, and knows each record's offset in the file as stored, several records in one member included.
FastWARC parses what is cut out (`curate.sources.responses`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Final

from curate.sources.framing import WARC, Framing
from curate.sources.members import Chunk, read_chunks

MAX_HEADER_BYTES: Final = 1 << 16
"""Of a record; what is longer is no header."""
_LINE_ENDS: Final = 4  # bytes that end a record


@dataclass(slots=True)
class WarcEntry:
    """One record as stored. ordinal: its number within its member (0 in a well-made archive). length: bytes it takes
    in the file; -1 where it shares a member. block: its content; None where it was longer than asked for or of an
    unwanted type. n_block_bytes: the content's length as declared."""

    offset: int
    ordinal: int
    length: int
    fields: dict[str, str]
    block: bytes | None
    n_block_bytes: int

    @property
    def kind(self) -> str:
        """WARC-Type in lower case, such as `response`."""
        return self.fields.get("warc-type", "unknown").lower()

    @property
    def position(self) -> int | str:
        """What identifies the record in its file: its offset, and its number where it shares a member."""
        return f"{self.offset}+{self.ordinal}" if self.ordinal else self.offset

    @property
    def url(self) -> str | None:
        """WARC-Target-URI without the angle brackets of some writers."""
        return self.fields.get("warc-target-uri", "").strip().removeprefix("<").removesuffix(">") or None

    @property
    def date(self) -> datetime | None:
        """WARC-Date in UTC; None where it is missing or no date."""
        try:
            date = datetime.fromisoformat(self.fields.get("warc-date", ""))
            return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        except (ValueError, OverflowError):
            return None


@dataclass(slots=True)
class Damage:
    """Bytes of an archive that give no record. offset: in the file as stored."""

    offset: int
    what: str


def read_warc(stream: IO[bytes], wanted: frozenset[str], max_block_bytes: int, framing: Framing = WARC,
              start: int = 0, end: int | None = None) -> Iterator[WarcEntry | Damage]:
    """The records of a gzip, zstd or plain WARC (or ARC) in file order, and what could not be read between them.

    A record is given out only once the bytes after it are known to be intact, so the last record of a broken member is
    lost with it, and those before it in the same member are kept. A record whose declared length is too long, but which
    ends as a record does where the next begins, is given out and reported. Damage never raises.

    Args:
        stream: The file, seekable, at the start of a record.
        wanted: Record types whose content is read, lower case.
        max_block_bytes: Longer contents are skipped; memory is bounded by twice that.
        framing: How records begin and end.
        start: Offset at which reading begins: of a record, or of a member in a compressed file.
        end: Offset of the record, or of the member that opens with one, before which reading ends; what follows is
            looked at as far as that tells how the records before it end.
    Yields:
        Records, and the parts of the file that give none.
    """
    window = _Window(read_chunks(stream, framing.openings, start), framing, start)
    while True:
        while window.skip_line_ends():
            if end is not None and window.offset() >= end:
                yield from window.take_damage(end)
                return
            entry = _read_entry(window, wanted, max_block_bytes)
            if entry is not None:
                yield entry
            yield from window.take_damage(end)
        yield from window.take_damage(end)
        if not window.pass_break():
            return


class _Window:
    """Decompressed bytes yet to be read, up to the next break, and the members they come from."""

    def __init__(self, chunks: Iterator[Chunk], framing: Framing, start: int) -> None:
        self.framing = framing
        self.buffer = bytearray()
        self.broken: int | None = None  # offset of the member that broke; nothing is read past it yet
        self._break_start = 0  # offset of its last chunk in the decompressed bytes
        self._chunks = chunks
        self._start = start  # offset of buffer[0] in the decompressed bytes, of which the first counts as this one
        self._over = False
        self._damage: list[Damage] = []
        self._members: deque[tuple[int, int | None]] = deque()  # (start in the decompressed bytes, offset in the file)
        self._ends: dict[int | None, int] = {}  # offset of a member -> where it ends
        self._records: dict[int | None, int] = {}  # offset of a member -> records begun in it so far

    def ensure(self, n: int) -> bool:
        """Have n bytes in the buffer; false where the bytes end or break before that."""
        while len(self.buffer) < n and not self._over and self.broken is None:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._over = True
                break
            if not self._members or self._members[-1][1] != chunk.member:
                self._members.append((self._start + len(self.buffer), chunk.member))
            at = self._start + len(self.buffer)
            self.buffer += chunk.data
            if chunk.end is not None:
                self._ends[chunk.member] = chunk.end
            if chunk.broken is not None and chunk.member is not None:
                self.broken, self._break_start = chunk.member, at
                self._damage.append(Damage(chunk.member, chunk.broken))
        return len(self.buffer) >= n

    def breaks_before(self, index: int) -> bool:
        """Whether a chunk that holds a byte before buffer[index] ends in a break. That one was seen further on does not
        count: readers who began at different members have looked ahead differently far."""
        return self.broken is not None and self._break_start < self._start + index

    def drop(self, n: int) -> None:
        """Remove n bytes that are in the buffer."""
        del self.buffer[:n]
        self._start += n

    def skip_block(self, n: int) -> bool:
        """Pass over n bytes without holding them; false where they end before, or another record begins in them."""
        seen = self.framing.longest_start
        while n and self.ensure(1):
            self.ensure(min(n, 2 * seen))
            if record := self.framing.start.search(self.buffer, 0, n):
                self.drop(record.start())
                return False
            # What could be the beginning of a start stays, to be looked at with what follows.
            step = min(n, max(len(self.buffer) - seen, 0)) or min(n, len(self.buffer))
            self.drop(step)
            n -= step
        return n == 0

    def skip_line_ends(self) -> bool:
        """Pass over the empty lines between records; whether anything follows before the end or a break."""
        while self.ensure(1):
            n = 0
            while n < len(self.buffer) and self.buffer[n] in b"\r\n":
                n += 1
            self.drop(n)
            if self.buffer:
                return True
        return False

    def pass_break(self) -> bool:
        """Go on after a break; false at the end of the file."""
        self.broken = None
        return not self._over

    def member_at(self, index: int) -> int | None:
        """Offset of the member that buffer[index] comes from; None in a plain file."""
        while len(self._members) > 1 and self._members[1][0] <= self._start:
            _, member = self._members.popleft()
            self._ends.pop(member, None)
            self._records.pop(member, None)
        return next(offset for start, offset in reversed(self._members) if start <= self._start + index)

    def next_opening(self, first: int, end: int) -> int | None:
        """Where in buffer[first:end], after its first byte, a member begins that opens with a record."""
        self.member_at(0)
        indices = (start - self._start for start, _ in self._members)
        return next((index for index in indices if max(first, 1) <= index < end
                     and self.framing.start.match(self.buffer, index)), None)

    def offset(self) -> int:
        """Where in the file one must start to read buffer[0]."""
        member = self.member_at(0)
        return self._start if member is None else member

    def begin_record(self) -> tuple[int, int]:
        """(offset, ordinal) of the record that begins at buffer[0]."""
        member = self.member_at(0)
        if member is None:
            return self._start, 0
        self._records[member] = ordinal = self._records.get(member, -1) + 1
        return member, ordinal

    def stored_length(self, offset: int, ordinal: int, index: int) -> int:
        """Bytes in the file of a record that ends before buffer[index]; -1 where it is not alone in one member.

        To be asked before anything else moves the window on."""
        end = self._start + index
        if self._members[0][1] is None:
            return end - offset
        if ordinal or offset not in self._ends:
            return -1
        following = [start for start, member in self._members if member is not None and member > offset]
        member_end = following[0] if following else self._start + len(self.buffer)
        return self._ends[offset] - offset if 0 <= member_end - end <= _LINE_ENDS else -1

    def lose(self, offset: int, what: str) -> None:
        self._damage.append(Damage(offset, what))

    def take_damage(self, end: int | None) -> list[Damage]:
        """The damage found since the last call. end: what lies there or beyond is not this reader's to name."""
        damage, self._damage = self._damage, []
        return [found for found in damage if end is None or found.offset < end]


def _read_entry(window: _Window, wanted: frozenset[str], max_block_bytes: int) -> WarcEntry | None:
    """The record at the window's start, or None where there is no sound one; the window moves on in any case."""
    offset = window.offset()
    header_bytes = _header_length(window)
    if header_bytes is None:
        _resynchronise(window, offset, f"bytes that are no {window.framing.name} record")
        return None
    if (inner := _next_start(window, header_bytes)) is not None:
        window.drop(inner)
        window.lose(offset, f"{inner} bytes of a header that runs into the next record")
        return None
    fields = window.framing.fields(bytes(window.buffer[:header_bytes]))
    n_block_bytes = block_length(fields)
    if n_block_bytes is None:
        _resynchronise(window, offset, "bytes of a record without a valid Content-Length")
        return None
    offset, ordinal = window.begin_record()
    entry = WarcEntry(offset, ordinal, -1, fields, None, n_block_bytes)
    if n_block_bytes <= max_block_bytes:  # of unwanted ones too: a wrong length would swallow the record after it
        if not _read_block(window, entry, header_bytes):
            return None
        entry.block = entry.block if entry.kind in wanted else None
        return entry
    window.drop(header_bytes)
    if not window.skip_block(n_block_bytes):
        if window.broken is None or window.buffer:  # by its member's break, which is named, or by another record
            window.lose(offset, f"record is cut short of its {n_block_bytes} bytes")
        return None
    window.ensure(_LINE_ENDS)  # so that the end of its member is known
    if window.buffer or window.broken is None:
        end = _terminator_length(window, 0)
        entry.length = window.stored_length(offset, ordinal, end)
        window.drop(end)
    return entry


def _read_block(window: _Window, entry: WarcEntry, header_bytes: int) -> bool:
    """Fill in an entry's content and length; false, where it is damaged, which is then recorded."""
    framing, end = window.framing, header_bytes + entry.n_block_bytes
    complete = window.ensure(end)
    window.ensure(end + framing.longest_start)
    after = bytes(window.buffer[end : end + framing.longest_start]).lstrip(b"\r\n")
    if (index := window.next_opening(header_bytes, end)) is not None:
        return _cut_at_next(window, entry, header_bytes, index)  # its member ended before it did
    ends_well = after.startswith(framing.openings) if after else _terminator_length(window, end) > 0
    if not complete or not ends_well:
        # A length that is too long, or bytes lost from the middle: the record may have swallowed the next one.
        inner = framing.start.search(window.buffer, header_bytes)
        if inner is not None and inner.start() < end:
            return _cut_at_next(window, entry, header_bytes, inner.start())
    if not complete:
        if window.broken is None and _ends_a_record(window.framing, window.buffer):
            return _cut_at_next(window, entry, header_bytes, len(window.buffer))
        if window.broken is None:
            window.lose(entry.offset, f"record is cut short of its {entry.n_block_bytes} bytes")
        window.drop(len(window.buffer))
        return False
    if (window.breaks_before(end + framing.longest_start) and not after.startswith(framing.openings)
            and window.member_at(end - 1) == window.broken):
        window.drop(len(window.buffer))
        return False
    entry.block = bytes(memoryview(window.buffer)[header_bytes:end])
    end += _terminator_length(window, end)
    entry.length = window.stored_length(entry.offset, entry.ordinal, end)
    window.drop(end)
    return True


def _cut_at_next(window: _Window, entry: WarcEntry, header_bytes: int, end: int) -> bool:
    """End an entry where the next record begins, or the file ends: its content is complete if it ends as records do."""
    window.lose(entry.offset, "record runs into the next one" if end < len(window.buffer) else
                f"record is shorter than its {entry.n_block_bytes} bytes")
    content = bytes(memoryview(window.buffer)[header_bytes:end])
    if _ends_a_record(window.framing, content):
        entry.block = content.removesuffix(next(t for t in window.framing.terminators if content.endswith(t)))
        entry.n_block_bytes = len(entry.block)
        entry.length = window.stored_length(entry.offset, entry.ordinal, end)
    window.drop(end)
    return entry.block is not None


def _terminator_length(window: _Window, index: int) -> int:
    return next((len(t) for t in window.framing.terminators if window.buffer.startswith(t, index)), 0)


def _next_start(window: _Window, header_bytes: int) -> int | None:
    """Where another record begins inside the header at the window's start, which is then cut short; else None."""
    if not window.framing.nests:
        record = window.framing.start.search(window.buffer, 1, header_bytes)
        return record.start() if record else None
    return window.next_opening(1, header_bytes)


def _ends_a_record(framing: Framing, content: bytes | bytearray) -> bool:
    """Whether bytes end with an empty line, as records do; the line feed that ends an ARC record proves nothing."""
    return any(len(t) > 1 and content.endswith(t) for t in framing.terminators)


def _header_length(window: _Window) -> int | None:
    """Bytes of the record header at the window's start, with its empty line; None where there is none."""
    for n in (1 << 12, MAX_HEADER_BYTES):
        more = window.ensure(n)
        if window.framing.start.match(window.buffer) is None:
            return None
        if end := window.framing.header_end.search(window.buffer, 0, MAX_HEADER_BYTES):
            return end.end()
        if not more:
            return None
    return None


def _resynchronise(window: _Window, offset: int, what: str) -> None:
    """Move to the next offset where a record begins, and name the bytes passed over."""
    n_bytes, first = 0, 1
    while True:
        more = window.ensure(len(window.buffer) + 1)
        record = window.framing.start.search(window.buffer, first)
        if record or not more:
            break
        n = max(0, len(window.buffer) - window.framing.longest_start)
        window.drop(n)
        n_bytes, first = n_bytes + n, 0 if n else 1
    n = record.start() if record else len(window.buffer)
    window.drop(n)
    if record or window.broken is None:  # what a break cuts off was named with the break
        window.lose(offset, f"{n_bytes + n} {what}")


def block_length(fields: dict[str, str]) -> int | None:
    """The length of a record's content, as its header has it; None where that is no length."""
    text = fields.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
