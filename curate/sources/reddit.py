"""Reddit submission dumps in Pushshift's form: one JSON object a line, usually zstd with a window of up to 2 GiB.

A dump is decompressed as a stream and parsed in chunks of complete lines, each by polars at once; only a chunk that
polars refuses is read again line by line, so that one broken line costs one line.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Final

import polars as pl
import zstandard

from manifests.storage import open_read

SUBMISSION_SCHEMA: Final = {"url": pl.String, "score": pl.Int64, "is_self": pl.Boolean, "created_utc": pl.Float64}
"""The fields of a submission that matter here; all others are skipped."""

_READ_BYTES = 1 << 16  # compressed bytes a step: what one step can grow to is bounded by the format's ratio
_CHUNK_BYTES = 8 << 20  # text parsed at once
_MAX_LINE_BYTES = 64 << 20  # a longer "line" is damage, not a submission
_MAX_WINDOW = 1 << 31
_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"

Report = Callable[[str, str], None]


def read_submissions(path: str, report: Report) -> Iterator[pl.DataFrame]:
    """Submissions of a .zst, .gz or plain JSONL dump (told apart by content), about 8 MiB of lines at a time.

    Yields SUBMISSION_SCHEMA tables in file order. Memory is the compressor's window plus a few chunks. report(where,
    what) is called for each broken line, and once where the compressed stream breaks off; all the rest is still read.
    Raises InputError if the file cannot be opened. `&amp;`, `&lt;` and `&gt;`, which older dumps have in their URLs,
    are undone."""
    first_line = 1
    for block in _line_blocks(_decompressed(path, report), report, path):
        yield _unescape(_parse(block, path, first_line, report))
        first_line += block.count(b"\n")


def _unescape(rows: pl.DataFrame) -> pl.DataFrame:
    url = pl.col("url")
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        url = url.str.replace_all(entity, char, literal=True)
    return rows.with_columns(url)


def _parse(block: bytes, path: str, first_line: int, report: Report) -> pl.DataFrame:
    try:
        return pl.read_ndjson(block, schema=SUBMISSION_SCHEMA)
    except pl.exceptions.PolarsError:
        pass  # some line is no submission: find it
    rows = []
    for number, line in enumerate(block.split(b"\n"), first_line):
        if not line.strip():
            continue
        try:
            rows.append(_submission(line))
        except (ValueError, TypeError, RecursionError) as error:
            report(f"{path}:{number}", f"no submission: {type(error).__name__}: {error}"[:200])
    return pl.DataFrame(rows, schema=SUBMISSION_SCHEMA, orient="row")


def _submission(line: bytes) -> tuple[str | None, int | None, bool | None, float | None]:
    """The fields of one line; scores and times that are strings or whole floats, as some dumps have, are numbers."""
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    url, score, is_self = fields.get("url"), fields.get("score"), fields.get("is_self")
    if url is not None:
        url = str(url)
        url.encode()  # a lone surrogate cannot be text
    if score is not None:
        score = int(score)
        if not -(2**63) <= score < 2**63:
            raise ValueError(f"score {score} out of range")
    return url, score, bool(is_self) if is_self is not None else None, _time(fields.get("created_utc"))


def _time(value: object) -> float | None:
    """Seconds since 1970; None for what is no time."""
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None


def _line_blocks(chunks: Iterator[bytes], report: Report, path: str) -> Iterator[bytes]:
    """Bytes cut at line ends into blocks of about _CHUNK_BYTES; the last may lack its newline."""
    held: list[bytes] = []
    n_held = 0
    for chunk in chunks:
        held.append(chunk)
        n_held += len(chunk)
        if n_held < _CHUNK_BYTES:
            continue
        block = b"".join(held)
        cut = block.rfind(b"\n") + 1
        if cut:
            yield block[:cut]
        held, n_held = [block[cut:]], len(block) - cut
        if n_held > _MAX_LINE_BYTES:
            report(path, f"a line of over {_MAX_LINE_BYTES} bytes was cut")
            held, n_held = [], 0
    if last := b"".join(held):
        yield last


def _decompressed(path: str, report: Report) -> Iterator[bytes]:
    with open_read(path) as stream:
        head = stream.read(4)
        chunks = _chunks(head, stream)
        if head.startswith(_ZSTD):
            zstd = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
            yield from _members(chunks, zstd.decompressobj, path, report)
        elif head.startswith(_GZIP):
            yield from _members(chunks, lambda: zlib.decompressobj(31), path, report)
        else:
            yield from chunks


def _chunks(head: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    while head:
        yield head
        head = stream.read(_READ_BYTES)


def _members(chunks: Iterator[bytes], new: Callable[[], object], path: str, report: Report) -> Iterator[bytes]:
    """The text of concatenated zstd frames or gzip members; a stream that breaks off is reported, not raised."""
    decoder, fresh = new(), True
    for chunk in chunks:
        while chunk:
            if decoder.eof:  # type: ignore[attr-defined]
                decoder, fresh = new(), True
            try:
                text = decoder.decompress(chunk)  # type: ignore[attr-defined]
            except (zlib.error, zstandard.ZstdError) as error:
                report(path, f"the compressed stream is broken: {error}")
                return
            fresh = False
            if text:
                yield text
            chunk = decoder.unused_data if decoder.eof else b""  # type: ignore[attr-defined]
    if not fresh and not decoder.eof:  # type: ignore[attr-defined]
        report(path, "the compressed stream ends early")
