"""Sources that are crawls of Common Crawl: their archives as input files, known by their paths.

What was learnt from the crawl's lists and index is kept with the run's records: going on with a run asks for nothing
again, and gives the same archives if the crawl's server is away.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np
import pyarrow as pa
import xxhash

from curate.sources.cc_index import archives_of, select_records
from curate.sources.commoncrawl import CommonCrawlSource, IndexSelection, archive_paths, index_paths
from curate.sources.config import SourceConfig
from curate.sources.http import HttpClient
from curate.sources.http_config import HttpConfig
from curate.sources.http_file import is_http
from manifests.errors import RecipeError
from manifests.graph import InputFile, Source
from manifests.object_stores import reached
from pipelines.inputs import InputScanner

SELECTIONS: Final = "_records/selections"


def scan_crawl(name: str, config: SourceConfig, http: HttpConfig, scanner: InputScanner) -> Source:
    """The archives of a crawl that a source names, with the records to take from each where the index chose them.

    Archives are never changed once they are published, so a path identifies its bytes: no archive is requested here.
    Raises RecipeError where nothing is chosen, InputError where the crawl's lists or index cannot be had."""
    crawl, where = config.commoncrawl, f"sources.{name}.commoncrawl"
    if crawl is None:
        raise RecipeError("is no source of Common Crawl", where=where)
    if crawl.index is not None:
        files, selection = _selected(name, crawl, crawl.index, http, scanner, where)
        return Source(name, files, config, selection)
    key = f"list {crawl.address(crawl.list_path)} {crawl.archives}"
    paths = scanner.remember(key, lambda: archive_paths(crawl, http, scanner.access, where))
    return Source(name, tuple(_file(crawl, path) for path in sorted(paths)), config)


def _selected(name: str, crawl: CommonCrawlSource, index: IndexSelection, http: HttpConfig, scanner: InputScanner,
              where: str) -> tuple[tuple[InputFile, ...], str]:
    names = scanner.remember(f"index {crawl.address(crawl.crawl)} {index.files} {index.parts}",
                             lambda: index_paths(crawl, index, http, scanner.access, where))
    fingerprints = [_fingerprint(path, http, scanner) for path in names]
    key = xxhash.xxh3_128_hexdigest(json.dumps([index.model_dump(mode="json"), fingerprints]).encode())
    selection = f"{SELECTIONS}/{name}-{key}.parquet"
    paths = [reached(path, scanner.access) for path in names]
    records = scanner.remember_table(selection, lambda: select_records(index, paths, http))
    files = tuple(_file(crawl, archive, rows) for archive, rows in archives_of(records))
    if not files:
        raise RecipeError("no page of the index is taken by every filter", where=f"{where}.index",
                          hint="relax a filter; languages are ISO 639-3 codes such as eng")
    return files, selection


def _fingerprint(path: str, http: HttpConfig, scanner: InputScanner) -> str:
    """What an index file is: its content, or over HTTP its size and version, which are asked for once a run."""
    if not is_http(path):
        return scanner.fingerprint(path)[1]

    def ask() -> list[str]:
        client = HttpClient(http)
        try:
            return [json.dumps(client.size_and_version(path))]
        finally:
            client.close()

    return scanner.remember(f"index file {path}", ask)[0]


def _file(crawl: CommonCrawlSource, path: str, records: pa.Table | None = None) -> InputFile:
    state = xxhash.xxh3_128(f"commoncrawl\0{path}".encode())
    if records is not None:
        for column in ("offset", "length"):
            state.update(np.ascontiguousarray(records[column].to_numpy()).tobytes())
    return InputFile(crawl.address(path), path, -1, state.hexdigest())
