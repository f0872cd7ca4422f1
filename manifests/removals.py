"""Documents taken out of a finished run: who they are, and which dataset follows which.

`removals/documents.parquet` is an input of the stages that would bring a document back: extract, clean and packed leave
out what it lists. `packed/succession.parquet` travels with the packed shards, so that a checkpoint can be carried over.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import ID
from manifests.tables import read_table

FOLDER: Final = "removals/"
DOCUMENTS: Final = "removals/documents.parquet"
CHANGES: Final = "removals/changes.parquet"
SUCCESSION: Final = "packed/succession.parquet"
PENDING_FOLDER: Final = ".removal/"
PENDING: Final = ".removal/plan.json"


def removed_ids(paths: Sequence[str]) -> pa.Array:
    """Ids of removed documents and of the clean documents made of them, from tables of `schema.REMOVALS`."""
    found = [pa.array([], ID)]
    for path in paths:
        table: Any = read_table(path, ["doc_id", "clean_ids"])
        found += [*table["doc_id"].chunks, *(pc.list_flatten(c) for c in table["clean_ids"].chunks)]
    return pa.concat_arrays([f.cast(ID) for f in found])


def is_removed(ids: pa.Array | pa.ChunkedArray, removed: pa.Array) -> pa.Array | pa.ChunkedArray:
    """Which ids are in the set; a null id is not."""
    return pc.fill_null(pc.is_in(ids, value_set=removed), False)


def superseded(packed: str | os.PathLike[str], digest: str) -> set[str]:
    """Digests of every dataset that a dataset supersedes, from succession.parquet in the packed folder."""
    path = Path(packed) / "succession.parquet"
    if not path.exists():
        return set()
    table: Any = read_table(str(path), ["dataset", "supersedes"])
    before = dict(zip(table["dataset"].to_pylist(), table["supersedes"].to_pylist(), strict=True))
    found: set[str] = set()
    while digest in before and before[digest] not in found:
        digest = before[digest]
        found.add(digest)
    return found


def removed_tokens(packed: str | os.PathLike[str]) -> dict[tuple[str, int], int]:
    """Tokens taken out of each shard, over all removals, by (split, shard_index)."""
    path = Path(packed) / "succession.parquet"
    if not path.exists():
        return {}
    total: dict[tuple[str, int], int] = {}
    for row in read_table(str(path), ["split", "shard_index", "n_tokens"]).to_pylist():
        place = (row["split"], row["shard_index"])
        total[place] = total.get(place, 0) + row["n_tokens"]
    return total


def covered(places: npt.NDArray[np.int64], token_start: npt.NDArray[np.int64],
            n_tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which tokens of a payload belong to a span. places: int64, any shape. Spans: ascending and apart."""
    if not len(token_start):
        return np.zeros(places.shape, np.bool_)
    span = np.searchsorted(token_start, places, "right") - 1
    known = np.maximum(span, 0)
    return np.asarray((span >= 0) & (places < (token_start + n_tokens)[known]))
