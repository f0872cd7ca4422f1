"""A file over HTTP, read forward as if the connection never broke.

A broken, stalled, slow or shortened answer is asked for again from the byte where it ended, and the bytes handed out
are always those of one version of the file: a server in good health and one that fails now and then give the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Final, cast

import xxhash

from curate.sources.http import (
    AttemptError,
    HttpClient,
    RetryBudget,
    content_length,
    content_range,
    received,
    version_of,
)
from curate.sources.http_config import HttpConfig
from manifests.errors import InputError
from manifests.storage import open_read

if TYPE_CHECKING:
    import urllib3

_KEPT_BYTES: Final = 8 << 20  # behind the reader, for going back to a broken member without asking again


class HttpFile(io.RawIOBase):
    """A file over HTTP, read forward in one pass: `read(n)` gives n bytes, fewer only at the end.

    Going back a little costs nothing, further back a new request. Raises InputError once the file is given up, or
    where it has become another while it was read. Memory: 8 MiB of bytes already handed out."""

    def __init__(self, client: HttpClient, url: str) -> None:
        self._client = client
        self._url = url
        self._budget = RetryBudget(client.config, url)
        self._response: urllib3.BaseHTTPResponse | None = None
        self._body: Iterator[bytes] = iter(())
        self._position = 0  # of the reader
        self._frontier = 0  # of what was received
        self._kept = bytearray()  # received bytes up to the frontier
        self._length: int | None = None
        self._sure = False  # whether the length is the file's own, not just that of an answer
        self._answered = 0  # new bytes of the open answer
        self._version: str | None = None
        self._state: xxhash.xxh3_128 | None = xxhash.xxh3_128()  # of all bytes received, while they are without a gap

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            offset += self._client.size_and_version(self._url)[0]
        if not self._frontier - len(self._kept) <= offset <= self._frontier:
            self._drop()
            self._kept.clear()
            self._frontier, self._state = offset, None
        self._position = offset
        return offset

    def read(self, n: int | None = -1, /) -> bytes:
        chunks = []
        left = n if n is not None and n >= 0 else -1
        while left:
            if self._position == self._frontier and not self._receive():
                break
            start = len(self._kept) - (self._frontier - self._position)
            data = bytes(self._kept[start : start + left] if left > 0 else self._kept[start:])
            self._position += len(data)
            left -= len(data) if left > 0 else 0
            chunks.append(data)
        return b"".join(chunks)

    def close(self) -> None:
        if not self.closed:
            self._drop()
            self._client.close()
        super().close()

    def _receive(self) -> bool:
        """Have more bytes past the frontier; false at the file's end."""
        while True:
            try:
                if self._sure and self._frontier == self._length:
                    return False
                if self._response is None and not self._ask():
                    self._drop()
                    self._length, self._sure = self._frontier, True
                    return False
                data = next(self._body, b"")
                if data:
                    self._take(data)
                    return True
                self._end_of_body()
            except AttemptError as error:
                self._drop()
                self._budget.failed(error)

    def _take(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > 2 * _KEPT_BYTES:
            del self._kept[: len(self._kept) - _KEPT_BYTES]
        self._frontier += len(data)
        self._answered += len(data)
        if self._state is not None:
            self._state.update(data)
        self._budget.received(len(data))

    def _end_of_body(self) -> None:
        """Judge an answer that ended as announced: an answer's length is not always the file's."""
        complete = self._response is not None and content_length(self._response) is None  # chunked, and ended as such
        self._drop()
        if self._sure and self._length is not None and self._frontier < self._length:
            raise AttemptError(f"the answer ends at byte {self._frontier} of {self._length}")
        if complete and not self._sure:
            self._length, self._sure = self._frontier, True
        elif not self._answered:
            raise AttemptError("the answer is empty")

    def _ask(self) -> bool:
        """Ask for everything from the frontier on; false where the server says that there is nothing."""
        self._answered = 0
        response = self._response = self._client.request(self._url, f"bytes={self._frontier}-")
        start, _, total = content_range(response)
        if response.status == 416:
            self._check_end(total)
            return False
        newer = None not in (self._version, version_of(response)) and self._version != version_of(response)
        if newer and self._frontier and response.status == 206:
            self._drop()
            response = self._response = self._client.request(self._url, None)
        if response.status == 206:
            if start != self._frontier:
                raise AttemptError(f"the server gives bytes from {start} instead of {self._frontier}")
            self._length, self._sure = total, total is not None
        elif self._frontier and not newer and content_length(response) == self._frontier:
            return False  # a server without ranges says again where the file ends
        else:
            self._length, self._sure = content_length(response), False
        self._body = received(response, self._client.config)
        if response.status == 200 and self._frontier:
            self._replay(newer)
        self._version = version_of(response)
        return True

    def _check_end(self, total: int | None) -> None:
        """Judge an answer that there is nothing from the frontier on, in a file of `total` bytes."""
        if total is not None and total < self._frontier:
            self._changed()
        if total is not None and total > self._frontier:
            raise AttemptError(f"the server gives nothing after byte {self._frontier} of {total}")

    def _replay(self, newer: bool) -> None:
        """Pass over the bytes that were already handed out, and make sure that they are the same."""
        left, state = self._frontier, xxhash.xxh3_128()
        rest = b""
        while left:
            data = next(self._body, b"")
            if not data:
                raise AttemptError(f"the answer ends {left} bytes before the byte where the last one broke")
            state.update(data[:left])
            rest = data[left:]
            left -= min(left, len(data))
        if (self._state is None and newer) or (self._state is not None and state.digest() != self._state.digest()):
            self._changed()
        if rest:
            self._take(rest)

    def _changed(self) -> None:
        raise InputError("became another file while it was being read", where=self._url,
                         hint="run again: it will be read from its start")

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None
        self._body = iter(())


def is_http(path: str) -> bool:
    """Whether a path is an address that this module reads."""
    return path.startswith(("http://", "https://"))


def open_source(path: str, config: HttpConfig | None = None) -> IO[bytes]:
    """Open a local path, an HTTP address or any fsspec URL for reading forward."""
    if is_http(path):
        return cast(IO[bytes], HttpFile(HttpClient(config or HttpConfig()), path))
    try:
        return open_read(path)
    except ImportError as error:
        raise InputError(f"cannot be read: {error}", where=path,
                         hint="s3:// needs the extra `s3`: pip install 'curate-corpus[s3]'") from error
