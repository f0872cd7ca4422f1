"""Parquet over HTTP: only the bytes that are asked for are fetched, with the retries that the recipe allows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from curate.sources.http import HttpClient
from curate.sources.http_config import HttpConfig
from curate.sources.http_file import is_http
from manifests.errors import InputError
from manifests.tables import TableFile, open_table


@contextmanager
def open_source_table(path: str, config: HttpConfig) -> Iterator[pq.ParquetFile]:
    """A Parquet file anywhere, open for the block; raises InputError naming the file where it is none."""
    if not is_http(path):
        with open_table(path) as file:
            yield file
        return
    with closing(HttpClient(config)) as client:
        try:
            file = TableFile(HttpTable(client, path), path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"is not a readable Parquet file: {error}", where=path) from error
        with file:
            yield file


class HttpTable(io.RawIOBase):
    """A Parquet file over HTTP: every read is one ranged request, tried again where it fails."""

    def __init__(self, client: HttpClient, url: str) -> None:
        self._client = client
        self._url = url
        self._length, _ = client.size_and_version(url)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        return self._position

    def read(self, n: int | None = -1, /) -> bytes:
        left = max(0, self._length - self._position)
        n = left if n is None or n < 0 else min(n, left)
        data = self._client.fetch(self._url, self._position, n) if n else b""
        self._position += n
        return data
