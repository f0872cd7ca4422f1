"""Which n-grams are too common to mean anything, and what is left of the documents that contain the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.decontamination.config import DecontaminationConfig, DecontaminationReason
from curate.decontamination.kernels.overlaps import cut
from curate.decontamination.overlap import GRAM_COUNTS, GRAMS, HITS, held_names
from curate.dedup.layout import changes, check_aligned
from manifests.hashing import Int64
from manifests.schema import BENCHMARK_SPAN, DECONTAMINATION_DECISIONS, SPAN
from manifests.tables import one_array, read_table
from manifests.tasks import Work

ITEMS: Final = pa.schema([
    pa.field("benchmark", pa.string(), nullable=False), pa.field("item", pa.string(), nullable=False),
    pa.field("n_grams", pa.int64(), nullable=False), pa.field("n_grams_found", pa.int64(), nullable=False),
    pa.field("n_grams_ignored", pa.int64(), nullable=False)])
"""decontaminate/frequent: the items that training text touches. found: in any document; ignored: in too many."""


def frequent_stage(config: DecontaminationConfig, work: Work) -> None:
    """decontaminate/frequent, once. Inputs: gram_counts (manifest of decontaminate/hits), index.

    Outputs: `frequent`, GRAM_COUNTS of the n-grams found in more than max_documents documents, to be ignored; `items`,
    ITEMS. Memory: 16 bytes an n-gram found, and the index."""
    total = total_counts(map(read_table, work.inputs("gram_counts", role="gram_counts")))
    frequent = total.filter(pc.greater(total["n_documents"], config.max_documents))
    work.count("grams_found", len(total))
    work.count("grams_ignored", len(frequent))
    work.write("frequent", GRAM_COUNTS, [frequent])
    index = pa.concat_tables([GRAMS.empty_table(), *map(read_table, work.inputs("index", role="grams"))])
    work.write("items", ITEMS, [_items(work, index, total["gram"], frequent["gram"])], name="items.parquet")


def total_counts(tables: Iterable[pa.Table]) -> pa.Table:
    """GRAM_COUNTS summed over parts, by gram; holds one part's and the sum."""
    total = GRAM_COUNTS.empty_table()
    for table in tables:
        merged = pa.concat_tables([total, table]).group_by("gram", use_threads=False)
        total = merged.aggregate([("n_documents", "sum")]).rename_columns(GRAM_COUNTS.names).cast(GRAM_COUNTS)
    return total.sort_by("gram")


def _items(work: Work, index: pa.Table, found: pa.ChunkedArray, frequent: pa.ChunkedArray) -> pa.Table:
    gram = index["gram"]
    flags = pa.table({
        "benchmark": index["benchmark"], "item": index["item"], "n_grams": pa.array(np.ones(len(index), np.int64)),
        "n_grams_found": pc.is_in(gram, value_set=found).cast(pa.int64()),
        "n_grams_ignored": pc.is_in(gram, value_set=frequent).cast(pa.int64())})
    sums = flags.group_by(["benchmark", "item"], use_threads=False).aggregate([(n, "sum") for n in ITEMS.names[2:]])
    sums = sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names]).select(ITEMS.names)
    sums = sums.filter(pc.greater(sums["n_grams_found"], 0)).cast(ITEMS)
    touched = sums.filter(pc.greater(sums["n_grams_found"], sums["n_grams_ignored"]))
    for entry in pc.value_counts(touched["benchmark"]):
        work.count(f"items_touched[{entry['values'].as_py()}]", entry["counts"].as_py())
    return sums.sort_by([("benchmark", "ascending"), ("item", "ascending")])


def decisions_stage(config: DecontaminationConfig, work: Work) -> None:
    """decontaminate/decisions, a part. Inputs: documents, decisions (of dedup, same part), index
    (decontaminate/index), hits (same part), frequent (decontaminate/frequent).

    Output: `decisions`, DECONTAMINATION_DECISIONS, one row a document in order. No text is read."""
    documents = read_table(work.input("documents"), ["doc_id", "n_bytes"])
    selected = read_table(work.input("decisions"), ["doc_id", "keep"])
    check_aligned(documents["doc_id"], selected["doc_id"], work.input("decisions"))
    hits = pa.concat_tables([HITS.empty_table(), *map(read_table, work.inputs("hits", role="hits"))])
    ignored = [read_table(path, ["gram"])["gram"] for path in work.inputs("frequent", role="frequent")]
    for common in ignored:
        hits = hits.filter(pc.invert(pc.is_in(hits["gram"], value_set=common)))
    kept = selected["keep"].to_numpy()
    n_bytes = documents["n_bytes"].to_numpy()
    reason, pieces = pieces_left(config, hits, kept, n_bytes)
    names = held_names(tuple(work.inputs("index", role="grams")), work.task.inputs["index"].digest)
    spans = removed_spans_of(names, hits, len(documents))
    decisions = pa.table({"doc_id": documents["doc_id"], "keep": pc.is_null(reason), "reason": reason,
                      "removed_spans": spans, "pieces": pieces})
    work.write("decisions", DECONTAMINATION_DECISIONS, [decisions])
    _count(work, decisions, kept, n_bytes)


def pieces_left(config: DecontaminationConfig, hits: pa.Table, kept: npt.NDArray[np.bool_],
                n_bytes: Int64) -> tuple[pa.Array, pa.ListArray]:
    """Reason and pieces of every document: all of the text where nothing was found, none where it is dropped."""
    rows, first = np.unique(hits["row"].to_numpy(), return_index=True)
    ends = np.append(first[1:], len(hits)).astype(np.int64)[: len(rows)]
    offsets = np.stack([hits[name].to_numpy() for name in HITS.names[2:8]], axis=1)
    n_chars = hits["n_chars"].to_numpy()[first]
    spans, bounds, made = cut(offsets, ends, n_chars, n_bytes[rows], config.window, config.min_piece)
    left = np.diff(bounds)
    too_many = made > config.max_pieces
    reasons = np.full(len(kept), None, object)
    reasons[~kept] = DecontaminationReason.NOT_SELECTED.value
    reasons[rows[left == 0]] = DecontaminationReason.NO_PIECE_LEFT.value
    reasons[rows[too_many]] = DecontaminationReason.TOO_MANY_PIECES.value
    left[too_many] = 0
    sizes = kept.astype(np.int32)
    sizes[rows] = left
    starts = np.zeros(len(kept) + 1, np.int32)
    np.cumsum(sizes, out=starts[1:])
    values = np.zeros((int(starts[-1]), 2), np.int64)
    uncut = kept.copy()
    uncut[rows] = False
    values[starts[:-1][uncut], 1] = n_bytes[uncut]
    # Pieces of cut documents, in document order, fill the rows that uncut documents leave.
    free = np.ones(len(values), np.bool_)
    free[starts[:-1][uncut]] = False
    values[free] = spans[~np.repeat(too_many, np.diff(bounds))]
    struct = pa.StructArray.from_arrays([pa.array(values[:, 0].copy()), pa.array(values[:, 1].copy())],
                                        fields=list(SPAN))
    return pa.array(reasons, pa.string()), pa.ListArray.from_arrays(
        pa.array(starts), struct, type=DECONTAMINATION_DECISIONS.field("pieces").type)


def removed_spans_of(names: pa.Table, hits: pa.Table, n_documents: int) -> pa.ListArray:
    """What matched in every document: n-grams that overlap and belong to one item are one span.

    names: GRAMS, ascending. hits: HITS, by row and offset."""
    index = np.searchsorted(names["gram"].to_numpy(), hits["gram"].to_numpy())  # the first item that has it
    owners = names.take(pa.array(index))
    key = _owner_codes(owners)
    rows, start, end = (hits[name].to_numpy() for name in ("row", "byte_start", "byte_end"))
    fresh = changes(rows, key)
    fresh[1:] |= start[1:] >= end[:-1]
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(hits))[: len(first)] - 1
    owners = owners.take(pa.array(first)).combine_chunks()
    columns = [pa.array(start[first]), pa.array(end[last]), *(one_array(owners[n]) for n in ("benchmark", "item"))]
    starts = np.searchsorted(rows[first], np.arange(n_documents + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), pa.StructArray.from_arrays(columns, fields=list(BENCHMARK_SPAN)),
                                    type=DECONTAMINATION_DECISIONS.field("removed_spans").type)


def _owner_codes(owners: pa.Table) -> Int64:
    """One number for each (benchmark, item)."""
    benchmark, item = (one_array(owners[n]).dictionary_encode() for n in ("benchmark", "item"))
    codes = benchmark.indices.to_numpy().astype(np.int64) * (len(item.dictionary) + 1)
    return np.asarray(codes + item.indices.to_numpy())


def _count(work: Work, decisions: pa.Table, kept: npt.NDArray[np.bool_], n_bytes: Int64) -> None:
    work.count("documents", len(decisions))
    work.count("kept", pc.sum(decisions["keep"]).as_py() or 0)
    for reason in DecontaminationReason:
        work.count(f"dropped_{reason}", pc.sum(pc.equal(decisions["reason"], reason.value)).as_py() or 0)
    hit = pc.greater(pc.list_value_length(decisions["removed_spans"]), 0)
    work.count("documents_contaminated", pc.sum(hit).as_py() or 0)
    spans = pc.list_flatten(decisions["pieces"])
    left = pc.sum(pc.subtract(pc.struct_field(spans, "end"), pc.struct_field(spans, "start"))).as_py() or 0
    work.count("pieces", len(spans))
    work.count("bytes_in", int(n_bytes[kept].sum()))
    work.count("bytes_kept", left)
