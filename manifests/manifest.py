"""`packed/manifest.parquet` as readers take it: its columns, and that its rows agree with themselves.

A dataset may come from anybody, and a manifest that names files elsewhere, skips rows or gives a shard another length
would be read as if it were right: it is refused before any shard is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import ShardError
from manifests.packing import PACKINGS
from manifests.schema import PACKED_MANIFEST, SOURCES
from manifests.shard import HEADER_BYTES, MANIFEST_VERSION, MAX_SHARD_TOKENS
from manifests.tables import read_columns

COLUMNS: Final = ("split", "shard_index", "path", "n_tokens", "n_rows", "row_length", "packing", "payload_xxh3",
                  "spans_path", "spans_xxh3", "first_row", "dtype", "n_spans", "tokenizer_sha256", "vocab_size",
                  "eot_id", "format_version")
LATER_COLUMNS: Final = ("phase", "padding_tokens", "n_bytes", "rows_path", "rows_xxh3",
                        "most_segments")  # not in every manifest
_SAME: Final = ("row_length", "packing", "dtype", "vocab_size", "eot_id", "tokenizer_sha256", "format_version")
_MAX_NAME: Final = 4096
_OUTSIDE: Final = r"(^|/)\.{0,2}(/|$)|://|\x00"
"""Of names: a part that is empty, `.` or `..`; a URL; NUL. As `manifests.confined` has it."""
_PATHS: Final = ("path", "spans_path", "rows_path")
_DIGESTS: Final = {"payload_xxh3": 32, "spans_xxh3": 32, "rows_xxh3": 32, "tokenizer_sha256": 64}
_BYTES: Final = {"uint16": 2, "uint32": 4}
_Problem = tuple[str, str, npt.NDArray[np.bool_]]
_ADVICE: Final = "run `curate verify`, then fetch or pack the dataset again"


def read_manifest(path: str) -> pa.Table:
    """The columns of a packed dataset's manifest that a reader needs, those of them that it has, checked.

    Args:
        path: `packed/manifest.parquet`: local or a URL.
    Raises:
        InputError: It is no Parquet file.
        ShardError: A column is missing or of another type, or its rows do not agree with themselves.
    """
    table = read_columns(path, PACKED_MANIFEST, COLUMNS, LATER_COLUMNS)
    _check_rows(table, path)
    return table


def _check_rows(table: pa.Table, where: str) -> None:
    """Raise ShardError, naming the column and the shard, unless names of files, sizes and orders agree."""
    for name in _SAME:
        if len(pc.unique(table[name])) > 1:
            raise _wrong(where, name, "differs between shards")
    _check_values(table, where)
    for split in pc.unique(table["split"]).to_pylist():
        _check_order(table.filter(pc.equal(table["split"], split)), split, where)


def read_sources(path: str) -> dict[int, str]:
    """Names of a packed dataset's sources by the ids that its spans carry.

    Args:
        path: `packed/sources.parquet`: local or a URL.
    Raises:
        InputError: It is no Parquet file.
        ShardError: A column is missing or of another type, or an id occurs twice.
    """
    table: Any = read_columns(path, SOURCES, ("source_id", "name"))
    names = dict(zip(table["source_id"].to_pylist(), table["name"].to_pylist(), strict=True))
    if len(names) != len(table):
        raise _wrong(path, "source_id", "has an id twice")
    return names


def _check_values(table: pa.Table, where: str) -> None:
    for name, what, wrong in [*_word_problems(table), *_number_problems(table)]:
        if wrong.any():
            at = int(wrong.argmax())
            shard = f"{table['split'][at].as_py()} {table['shard_index'][at].as_py()}"
            raise _wrong(where, name, f"of shard {shard} {what}: {str(table[name][at].as_py())[:200]!r}")


def _word_problems(table: pa.Table) -> Iterator[_Problem]:
    """(column, what is wrong, bool [n]) of names of files and digests."""
    names = [name for name in _PATHS if name in table.column_names]
    for name in names:
        yield name, "names a file outside its folder", _matches(table[name], _OUTSIDE) | (
            pc.binary_length(table[name]).to_numpy() > _MAX_NAME)
        yield name, "is named twice", _again(table[name])
    if len(pc.unique(pa.concat_arrays([c for name in names for c in table[name].chunks]))) < len(names) * len(table):
        yield names[-1], "is another file's name too", np.ones(len(table), np.bool_)
    for name, digits in _DIGESTS.items():
        if name in table.column_names:
            yield name, f"is no digest of {digits} hex digits", ~_matches(table[name], f"^[0-9a-f]{{{digits}}}$")
    for name, known in (("dtype", _BYTES), ("packing", PACKINGS)):
        yield name, f"is none of {', '.join(known)}", ~pc.is_in(table[name], pa.array(list(known))).to_numpy()


def _number_problems(table: pa.Table) -> Iterator[_Problem]:
    """(column, what is wrong, bool [n]) of sizes and ids, which must agree with each other."""
    of = {name: table[name].to_numpy().astype(np.int64) for name in table.column_names
          if pa.types.is_integer(table.schema.field(name).type)}
    n_tokens = of["n_tokens"]
    yield "format_version", f"is not one of 1 to {MANIFEST_VERSION}, which this reader knows", (
        (of["format_version"] < 1) | (of["format_version"] > MANIFEST_VERSION))
    yield "row_length", "is no length of rows", of["row_length"] < 1
    yield "n_tokens", f"is not 1 to {MAX_SHARD_TOKENS}", (n_tokens < 1) | (n_tokens > MAX_SHARD_TOKENS)
    whole = np.maximum(of["row_length"], 1)
    yield "n_rows", "rows do not hold n_tokens", (n_tokens % whole > 0) | (of["n_rows"] != n_tokens // whole)
    if "n_bytes" in of:
        itemsize = np.where(pc.equal(table["dtype"], "uint16").to_numpy(), 2, 4)
        yield "n_bytes", "is not what n_tokens take", of["n_bytes"] != HEADER_BYTES + n_tokens * itemsize
    for name in ("n_spans", "padding_tokens", "most_segments"):
        if name in of:
            yield name, "is not 0 to n_tokens", (of[name] < 0) | (of[name] > n_tokens)
    yield "eot_id", "is not below vocab_size", of["eot_id"] >= of["vocab_size"]


def _matches(column: pa.ChunkedArray, pattern: str) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.match_substring_regex(column, pattern).to_numpy()
    return found


def _again(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Whether a value has come before, bool [n]."""
    codes = pc.dictionary_encode(column.combine_chunks()).indices.to_numpy()
    again = np.ones(len(codes), np.bool_)
    again[np.unique(codes, return_index=True)[1]] = False
    return again


def _check_order(shards: pa.Table, split: str, where: str) -> None:
    """Raise ShardError unless shards of a split are in order, and their rows and phases follow each other."""
    n_rows = shards["n_rows"].to_numpy()
    first = np.concatenate([[0], np.cumsum(n_rows)[:-1]])
    if not np.array_equal(shards["shard_index"].to_numpy(), np.arange(len(shards))):
        raise _wrong(where, "shard_index", f"of split {split} skips, repeats or is out of order")
    if not np.array_equal(shards["first_row"].to_numpy(), first):
        raise _wrong(where, "first_row", f"of split {split} does not follow the rows of the shards before")
    if "phase" in shards.column_names and (np.diff(shards["phase"].to_numpy().astype(np.int64)) < 0).any():
        raise _wrong(where, "phase", f"of split {split} goes back")


def _wrong(where: str, column: str, what: str) -> ShardError:
    return ShardError(f"column {column} {what}", where=where, hint=_ADVICE)
