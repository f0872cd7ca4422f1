"""Documents taken out of a finished run: which they are, and which dataset succeeds which.

`removals/documents.parquet` is an input of the stages that would bring a document back: extract, clean and packed leave
out what it lists. `packed/succession.parquet` travels with the packed shards, so that a checkpoint can be carried over.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from manifests import schema
from manifests.schema import ID
from manifests.storage import Storage
from manifests.tables import read_columns

FOLDER: Final = "removals/"
DOCUMENTS: Final = "removals/documents.parquet"
CHANGES: Final = "removals/changes.parquet"
SUCCESSION: Final = "packed/succession.parquet"
PENDING_FOLDER: Final = ".removal/"
PENDING: Final = ".removal/plan.json"


def removed_ids(paths: Sequence[str]) -> pa.Array:
    """Ids of removed documents and of the clean documents made of them, from tables of `schema.REMOVALS`."""
    ids = [pa.array([], ID)]
    for path in paths:
        table: Any = read_columns(path, schema.REMOVALS, ("doc_id", "clean_ids"))
        ids += [*table["doc_id"].chunks, *(pc.list_flatten(c) for c in table["clean_ids"].chunks)]
    return pa.concat_arrays([i.cast(ID) for i in ids])


def is_removed(ids: pa.Array | pa.ChunkedArray, removed: pa.Array) -> pa.Array | pa.ChunkedArray:
    """Which ids are in the set; a null id is not."""
    return pc.fill_null(pc.is_in(ids, value_set=removed), False)


def superseded(packed: str | os.PathLike[str], digest: str) -> set[str]:
    """Digests of every dataset that a dataset supersedes, from succession.parquet in the packed folder."""
    path = Path(packed) / "succession.parquet"
    if not path.exists():
        return set()
    table: Any = read_columns(str(path), schema.SUCCESSION, ("dataset", "supersedes"))
    before = dict(zip(table["dataset"].to_pylist(), table["supersedes"].to_pylist(), strict=True))
    earlier: set[str] = set()
    while digest in before and before[digest] not in earlier:
        digest = before[digest]
        earlier.add(digest)
    return earlier


def removed_tokens(storage: Storage, folder: str = "") -> dict[tuple[str, int], int]:
    """Tokens taken out of each shard, over all removals, by (split, shard_index).

    folder: the packed folder below the storage's root, with a slash at the end."""
    name = f"{folder}succession.parquet"
    if not storage.exists(name):
        return {}
    total: dict[tuple[str, int], int] = {}
    for row in read_columns(storage.path(name), schema.SUCCESSION, ("split", "shard_index", "n_tokens")).to_pylist():
        shard = (row["split"], row["shard_index"])
        total[shard] = total.get(shard, 0) + row["n_tokens"]
    return total
