"""Single records of an archive, fetched by offset and length, and read as if the whole archive had been.

Ranges that lie close together are fetched in one request: what is skipped between them costs less than another request.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from curate.sources.http import HttpClient
from curate.sources.http_config import HttpConfig
from curate.sources.http_file import is_http
from curate.sources.members import SKIPPABLE_HEAD_BYTES, compression_of, dictionary_frame_bytes
from curate.sources.warc import Damage, WarcEntry, read_warc
from manifests.errors import InputError
from manifests.storage import open_read

_MAX_GAP_BYTES: Final = 1 << 16  # about what a server sends while a request travels to it
_MAX_RANGE_BYTES: Final = 8 << 20  # of several records; one alone may be longer

Fetch = Callable[[int, int], bytes]


def coalesce(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """(start, end, ranges) of requests that together cover ascending (offset, length) ranges."""
    group: list[tuple[int, int]] = []
    start = end = 0
    for offset, length in ranges:
        stop = max(end, offset + length)
        if group and (offset - end > _MAX_GAP_BYTES or stop - start > _MAX_RANGE_BYTES):
            yield start, end, group
            group = []
        if not group:
            start, stop = offset, offset + length
        group.append((offset, length))
        end = stop
    if group:
        yield start, end, group


def read_records(path: str, ranges: Sequence[tuple[int, int]], http: HttpConfig, wanted: frozenset[str],
                 max_block_bytes: int) -> Iterator[WarcEntry | Damage]:
    """The records at ascending (offset, length) ranges of an archive, with the offsets that reading the whole of it
    would give. wanted, max_block_bytes: as of `read_warc`. Raises InputError where the archive cannot be had, or is
    shorter than a range."""
    with _fetcher(path, http) as fetch:
        dictionary: bytes | None = None
        for start, end, group in coalesce(ranges):
            data = memoryview(fetch(start, end - start))
            for offset, length in group:
                stored = data[offset - start : offset - start + length]
                if dictionary is None and compression_of(bytes(stored[:4])) == "zstd":
                    dictionary = _dictionary_frame(fetch)
                leading = dictionary or b""
                for entry in read_warc(io.BytesIO(leading + stored), wanted, max_block_bytes):
                    if entry.offset >= len(leading):  # else it is the dictionary that is damaged
                        entry.offset += offset - len(leading)
                    yield entry


def _dictionary_frame(fetch: Fetch) -> bytes:
    """The frame at the beginning of a `.warc.zst` that holds the dictionary of all others; empty where it has none."""
    size = dictionary_frame_bytes(fetch(0, SKIPPABLE_HEAD_BYTES))
    return fetch(0, size) if size else b""


@contextmanager
def _fetcher(path: str, http: HttpConfig) -> Iterator[Fetch]:
    """What reads n bytes from an offset of an archive, local or remote."""
    if is_http(path):
        client = HttpClient(http)
        try:
            yield lambda start, n: client.fetch(path, start, n)
        finally:
            client.close()
        return
    with open_read(path) as stream:
        def fetch(start: int, n: int) -> bytes:
            stream.seek(start)
            data = stream.read(n)
            if len(data) < n:
                raise InputError(f"ends before byte {start + n}, where its index has a record", where=path)
            return data
        yield fetch
