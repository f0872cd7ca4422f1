"""From a token of a packed shard to the page it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import InputError, ShardError
from manifests.manifest import read_sources
from manifests.part_paths import part_name, part_path
from manifests.schema import ID
from manifests.shard import read_row
from manifests.storage import Storage
from manifests.tables import open_table, read_table

_ORIGIN = ["doc_id", "parent_id", "source", "url", "date", "origin_path", "origin_offset", "origin_length", "text",
           "edits"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a fragment of a row comes from.

    first_token, n_tokens: its tokens in the row. doc_token_offset: tokens of the document before it. document: the row
    of the clean corpus (url, origin_path, origin_offset, origin_length, text, edits ...)."""

    first_token: int
    n_tokens: int
    doc_token_offset: int
    epoch: int
    truncated_left: bool
    truncated_right: bool
    tokens: np.ndarray
    document: dict[str, Any]


def trace(run: str, shard: str, row: int, token: int | None = None,
          find: Callable[[str, bytes], dict[str, Any]] | None = None) -> list[Origin]:
    """The documents that a row of a packed shard is made of.

    Args:
        run: A run's folder, or a packed folder alone: of its documents only what it holds itself is known.
        shard: Which shard, such as `train/000000`.
        row: Number of the row in the shard.
        token: Number of a token in the row, from 0: only its document is returned.
        find: Gives the row of a document, by source and id; `find_document` by default.
    Returns:
        One origin for each fragment, in order. None for a token of no document: padding, or the end-of-text token at a
        shard's start.
    Raises:
        InputError: There is no such run, shard, row or token.
    """
    storage = Storage(run)
    folder = packed_folder(storage)
    name = part_name(shard.removeprefix("packed/").removesuffix(".bin"))
    # Version 0.1.0 left all shards in one folder.
    shard = next((n for n in (part_path(name), name) if storage.exists(f"{folder}{n}.bin")), name)
    path = f"{folder}{shard}.bin"
    if not storage.exists(path):
        names = storage.list(folder.rstrip("/"))
        known = [part_name(n.removeprefix(folder).removesuffix(".bin")) for n in names if n.endswith(".bin")]
        raise InputError("no such shard", where=f"{run}/{path}", hint=f"shards: {', '.join(known[:5]) or 'none yet'}")
    try:
        header, row_tokens = read_row(storage.path(path), row)
    except IndexError as error:
        raise InputError(f"row {row} does not exist: {error}", where=path, hint="rows count from 0") from error
    if token is not None and not 0 <= token < header.row_length:
        raise InputError(f"token {token} does not exist", where=path, hint=f"a row has {header.row_length} tokens")
    spans = read_table(storage.path(f"{folder}{shard}.spans.parquet"))
    spans = spans.filter(pc.equal(spans["row"], pa.scalar(row, pa.uint32())))
    if find is None:
        find = _finder(storage, folder)
    origins = []
    for span in spans.to_pylist():
        first = span["token_start"] - row * header.row_length
        if token is not None and not first <= token < first + span["n_tokens"]:
            continue
        tokens = np.asarray(row_tokens[first : first + span["n_tokens"]])
        document = find(_source_name(storage, folder, span["source_id"]), span["doc_id"])
        origins.append(Origin(first, span["n_tokens"], span["doc_token_offset"], span["epoch"], span["truncated_left"],
                              span["truncated_right"], tokens, document))
    return origins


def packed_folder(storage: Storage) -> str:
    """The packed folder below a root, with a slash at the end; empty where the root is one itself."""
    alone = storage.exists("manifest.parquet") and storage.exists("sources.parquet")
    return "" if alone else "packed/"


def _finder(storage: Storage, folder: str) -> Callable[[str, bytes], dict[str, Any]]:
    if folder:
        return lambda source, doc_id: find_document(storage, source, doc_id)
    described = read_table(storage.path("documents.parquet")) if storage.exists("documents.parquet") else None

    def find(source: str, doc_id: bytes) -> dict[str, Any]:
        """What a packed folder says of a document: of dialogues, where they came from."""
        found: list[dict[str, Any]] = []
        if described is not None:
            found = described.filter(pc.equal(described["doc_id"], pa.scalar(doc_id, ID))).to_pylist()
        return {**dict.fromkeys(_ORIGIN), **(found[0] if found else {}), "doc_id": doc_id, "source": source}

    return find


def find_document(storage: Storage, source: str, doc_id: bytes) -> dict[str, Any]:
    """A row of the clean corpus by its id; ids are read from every part of the source, the rest from one row group."""
    for path in storage.list(f"clean/{source}"):
        if not path.endswith(".parquet"):
            continue
        with open_table(storage.path(path)) as file:
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, ["doc_id"])["doc_id"]
                row = pc.index(ids, pa.scalar(doc_id, ID)).as_py()
                if row >= 0:
                    columns = [c for c in _ORIGIN if c in file.schema_arrow.names]
                    return dict(file.read_row_group(group, columns).slice(row, 1).to_pylist()[0])
    raise InputError(f"document {doc_id.hex()} is not in the clean corpus", where=f"{storage.root}/clean/{source}",
                     hint="run `curate verify`: the run is incomplete or damaged")


def _source_name(storage: Storage, folder: str, source_id: int) -> str:
    where = storage.path(f"{folder}sources.parquet")
    names = read_sources(where)
    if source_id not in names:
        raise ShardError(f"does not know source {source_id}, which the spans name", where=where)
    return names[source_id]
