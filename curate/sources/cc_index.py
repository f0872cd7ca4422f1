"""Common Crawl's Parquet index: from filters to offsets of records.

One row of the index is one record of the crawl's archives. Its columns are read batch by batch, only those that a
filter names and the three that say where the record lies; over HTTP, only their bytes are fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.sources.commoncrawl import IndexSelection, check_path
from curate.sources.http_config import HttpConfig
from curate.sources.http_table import open_source_table
from manifests.errors import InputError
from manifests.tables import open_table, plain_table

RECORDS: Final = pa.schema([
    pa.field("archive", pa.string(), nullable=False),
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("length", pa.int64(), nullable=False),
])
"""Offset and length of records, by archive and offset, each once."""

_BATCH_ROWS: Final = 1 << 16
_MAX_RECORD_BYTES: Final = 1 << 31
_LOCATION: Final = ("warc_filename", "warc_record_offset", "warc_record_length")


def select_records(selection: IndexSelection, files: Sequence[str], http: HttpConfig) -> pa.Table:
    """Where the records lie that a selection takes.

    Args:
        selection: The filters of a recipe's `index`; reading stops at its `limit`.
        files: Parts of the columnar index, paths or URLs.
        http: How https:// is fetched.
    Returns:
        A table of `RECORDS`, sorted.
    Raises:
        InputError: A file is not an index, or lacks a column.
    """
    names: dict[str, int] = {}
    codes, offsets, lengths = [], [], []
    left = selection.limit
    for batch in (b for path in files for b in _matches(path, selection, http)):
        taken = batch.slice(0, left)
        left -= len(taken)
        encoded = taken["warc_filename"].combine_chunks().dictionary_encode()
        numbers = np.array([names.setdefault(n, len(names)) for n in encoded.dictionary.to_pylist()], np.int32)
        codes.append(numbers[encoded.indices.to_numpy()])
        offsets.append(taken["warc_record_offset"].to_numpy())
        lengths.append(taken["warc_record_length"].to_numpy())
        if not left:
            break
    return _table(names, codes, offsets, lengths)


def _table(names: dict[str, int], codes: list[Any], offsets: list[Any], lengths: list[Any]) -> pa.Table:
    if not names:
        return RECORDS.empty_table()
    ranks = np.argsort(np.argsort(np.array(list(names)))).astype(np.int32)
    archive = ranks[np.concatenate(codes)]
    offset, length = np.concatenate(offsets), np.concatenate(lengths)
    order = np.lexsort((length, offset, archive))
    archive, offset, length = archive[order], offset[order], length[order]
    first = np.ones(len(order), bool)
    first[1:] = (archive[1:] != archive[:-1]) | (offset[1:] != offset[:-1])
    column = pa.DictionaryArray.from_arrays(archive[first], pa.array(sorted(names))).cast(pa.string())
    return pa.Table.from_arrays([column, pa.array(offset[first]), pa.array(length[first])], schema=RECORDS)


def archives_of(records: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """(archive, its rows) of a table of `RECORDS`."""
    runs = pc.run_end_encode(records["archive"].combine_chunks())
    start = 0
    for name, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield name, records.slice(start, end - start)
        start = end


def read_ranges(path: str, archive: str) -> list[tuple[int, int]]:
    """(offset, length) of the records of one archive, from a file of `RECORDS`."""
    ranges: list[tuple[int, int]] = []
    with open_table(path) as file:
        for group in range(file.num_row_groups):
            bounds = file.metadata.row_group(group).column(0).statistics
            if bounds is not None and not bounds.min <= archive <= bounds.max:
                continue
            rows = file.read_row_group(group, use_threads=False)
            rows = rows.filter(pc.equal(rows["archive"], archive))
            ranges += zip(rows["offset"].to_pylist(), rows["length"].to_pylist(), strict=True)
    return ranges


def _matches(path: str, selection: IndexSelection, http: HttpConfig) -> Iterator[pa.Table]:
    """Rows of one index file that every filter takes: its three columns of `_LOCATION`, of sound values."""
    filters = _filters(selection)
    try:
        with open_source_table(path, http) as file:
            present = set(file.schema_arrow.names)
            for name in (*_LOCATION, *filters):
                if name not in present:
                    raise InputError(f"has no column {name!r}", where=path,
                                     hint="is it a file of Common Crawl's columnar index? older crawls lack languages")
            for batch in file.iter_batches(_BATCH_ROWS, columns=sorted({*_LOCATION, *filters}), use_threads=False):
                yield _filtered(plain_table(pa.Table.from_batches([batch])), filters, path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"is not a readable Parquet file: {error}", where=path) from error


def _filters(selection: IndexSelection) -> dict[str, Any]:
    """Column -> what it must be: a set of values, or a pattern."""
    filters: dict[str, Any] = {}
    if selection.statuses is not None:
        filters["fetch_status"] = pa.array(selection.statuses, pa.int32())
    if selection.mimes is not None:
        filters["content_mime_detected"] = pa.array(selection.mimes, pa.string())
    if selection.languages is not None:
        # Common Crawl lists a page's languages in descending order of their share of the text.
        filters["content_languages"] = f"^(?:{'|'.join(selection.languages)})(?:,|$)"
    if selection.url_pattern is not None:
        filters["url"] = selection.url_pattern
    return filters


def _filtered(rows: pa.Table, filters: dict[str, Any], path: str) -> pa.Table:
    for name, wanted in filters.items():
        if isinstance(wanted, str):
            mask = pc.match_substring_regex(rows[name], wanted)
        else:
            mask = pc.is_in(rows[name].cast(wanted.type), wanted)
        rows = rows.filter(mask)
    rows = rows.select(list(_LOCATION)).drop_null()
    rows = pa.table({"warc_filename": rows["warc_filename"].cast(pa.string()),
                     **{name: rows[name].cast(pa.int64()) for name in _LOCATION[1:]}})
    for name in pc.unique(rows["warc_filename"]).to_pylist():
        check_path(name, path)
    sound = pc.and_(pc.greater_equal(rows["warc_record_offset"], 0), pc.greater(rows["warc_record_length"], 0))
    return rows.filter(pc.and_(sound, pc.less(rows["warc_record_length"], _MAX_RECORD_BYTES)))
