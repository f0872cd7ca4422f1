"""What candidates are compared by: the shingle sets of their texts, or their signatures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupConfig, Verification
from curate.dedup.kernels.minhash import shingle_sets
from curate.dedup.layout import (
    BUCKETS,
    MEMBERS,
    SHINGLES,
    column,
    gather_part,
    groups_with,
    part_key,
    rows_of,
)
from curate.dedup.signing import units
from curate.edits.texts import EditedTexts
from manifests.hashing import ids_array, keyed_hash
from manifests.partitioned import SUFFIX, PartitionWriter
from manifests.tables import read_table
from manifests.tasks import Work


def shingles_stage(config: DedupConfig, work: Work) -> None:
    """dedup/shingles, a part. Inputs: documents, decisions (of selection), signatures (same part), buckets (of
    dedup/candidates), members (of dedup/components); of a part of an earlier run index instead of documents and
    decisions. Variables: old_documents, whether there are such parts; large, whether there
    are large components.

    Outputs: `shingles`, by partition of the component, and `sliced`, of large components, by partition of the slice: of
    each document that has a candidate the keys of its buckets and
    what it is compared by: its sorted shingle hashes, 8 bytes each, read from the row groups of text that hold such a
    document; or, where pairs are verified by signatures, its minima, and then no text is read. Where there are
    documents of earlier runs, the minima come before the shingle hashes, and of those documents alone."""
    members = gather_part(work, "members", MEMBERS)
    by_minima = config.verify is Verification.SIGNATURES
    minima = ["minima"] if not work.inputs("index") and (by_minima or work.variables.get("old_documents")) else []
    names = ["row", "doc_id", "order", "order_low", *minima]
    facts = read_table(work.input("signatures"), names).select(names)
    index = np.searchsorted(column(facts, "row"), column(members, "row"))
    facts = facts.take(pa.array(index)).append_column("component_key", members["component_key"])
    facts = facts.append_column("keys", _keys(work, column(members, "row")))
    facts = facts.append_column("slice_key", pa.array(_slice_keys(work, members), pa.uint64()))
    work.count("documents", len(facts))
    if work.inputs("index"):
        tables = _compared(config, work, facts, work.input("index"), "minima")
    elif by_minima:
        tables = _signed(work, facts)
    else:
        tables = _compared(config, work, facts, work.input("documents"), "text")
    _write(work, tables)


def _slice_keys(work: Work, members: pa.Table) -> npt.NDArray[np.uint64]:
    """The key of the slice that each document is dealt to, where its component is large; else that of the component."""
    keys, slices = column(members, "component_key"), column(members, "slices")
    part = np.full(len(keys), part_key(work.task.name), np.uint64)
    of_document = keyed_hash(0, "deal", np.stack([part, column(members, "row").astype(np.uint64)], axis=1))
    own = keyed_hash(0, "slice", np.stack([keys, of_document % slices.astype(np.uint64)], axis=1))
    return np.where(slices > 1, own, keys)


def _write(work: Work, tables: Iterator[pa.Table]) -> None:
    """Documents of large components apart, by their slices."""
    roles = {"shingles": "component_key", **({"sliced": "slice_key"} if work.variables.get("large") else {})}
    with ExitStack() as stack:
        paths = {role: work.output(role, name=f"{role}/{work.task.name}{SUFFIX}") for role in roles}
        writers = {role: stack.enter_context(PartitionWriter(paths[role], SHINGLES, by)) for role, by in roles.items()}
        for table in tables:
            if "sliced" not in writers:
                writers["shingles"].add(table)
                continue
            dealt = pc.not_equal(table["slice_key"], table["component_key"])
            writers["shingles"].add(table.filter(pc.invert(dealt)))
            writers["sliced"].add(table.filter(dealt))


def _keys(work: Work, rows: npt.NDArray[np.int64]) -> pa.LargeListArray:
    """The keys of the buckets of each document, ascending. rows: of the documents, ascending."""
    buckets = gather_part(work, "buckets", BUCKETS)
    key, row = column(buckets, "key"), column(buckets, "row")
    order = np.lexsort((key, row))
    ends = np.append(np.searchsorted(row[order], rows), len(row))
    return pa.LargeListArray.from_arrays(pa.array(ends), pa.array(key[order]), type=SHINGLES.field("keys").type)


def _signed(work: Work, facts: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(facts), _SIGNED_A_GROUP):
        some = facts.slice(start, _SIGNED_A_GROUP)
        yield _of_documents(work, some, _lists(_minima(some["minima"])))


_SIGNED_A_GROUP = 1 << 16


def _compared(config: DedupConfig, work: Work, facts: pa.Table, path: str, name: str) -> Iterator[pa.Table]:
    """SHINGLES, from the row groups that hold a document with a candidate.

    name: text or minima, what the file has of each document."""
    rows = column(facts, "row")
    names = ["text", "n_bytes"] if name == "text" else [name]
    edits = read_table(work.input("decisions"), ["edits"])["edits"] if name == "text" else None
    for which, group in groups_with(path, rows, names):
        some = facts[which]
        if edits is None:
            yield _of_documents(work, some, _lists(_minima(group["minima"])))
        else:
            texts = EditedTexts.of(group["text"], edits.take(pa.array(rows[which])), group["n_bytes"].to_numpy())
            yield _of_documents(work, some, _shingle_lists(config, work, texts.texts, some))


def _minima(lists: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """uint64 [n, n_permutations]."""
    return rows_of(lists).astype(np.uint64)


def _lists(minima: npt.NDArray[np.uint64]) -> pa.LargeListArray:
    ends = np.arange(len(minima) + 1, dtype=np.int64) * minima.shape[1]
    return pa.LargeListArray.from_arrays(pa.array(ends), pa.array(minima.ravel()), type=SHINGLES.field("shingles").type)


def _shingle_lists(config: DedupConfig, work: Work, texts: pa.Array | pa.ChunkedArray, facts: pa.Table,
                   ) -> pa.LargeListArray:
    values, ends = shingle_sets(*units(texts, config), config.ngram)
    work.count("shingles", len(values))
    if "minima" in facts.column_names:
        values, ends = _behind(_minima(facts["minima"]), values, ends)
    kind = SHINGLES.field("shingles").type
    return pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values), type=kind)


def _behind(minima: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64],
            ends: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Lists with a row of minima before the values of each."""
    n, n_minima = minima.shape
    merged = np.empty(len(values) + minima.size, np.uint64)
    starts = ends + np.arange(n + 1, dtype=np.int64) * n_minima
    merged[starts[:-1, None] + np.arange(n_minima)] = minima
    merged[np.arange(len(values)) + np.repeat(np.arange(1, n + 1) * n_minima, np.diff(ends))] = values
    return merged, starts


def _of_documents(work: Work, facts: pa.Table, lists: pa.LargeListArray) -> pa.Table:
    part = pa.array(np.full(len(facts), part_key(work.task.name), np.uint64))
    n = len(facts)
    nothing = {"known": np.zeros(n, np.uint8), "like_order": np.zeros(n, np.uint64),
               "like_order_low": np.zeros(n, np.uint64), "like": ids_array(np.zeros((n, 2), np.uint64)),
               "likeness": np.zeros(n)}
    columns = {"part": part, "shingles": lists, **nothing}
    return pa.table([columns[f.name] if f.name in columns else facts[f.name] for f in SHINGLES], schema=SHINGLES)
