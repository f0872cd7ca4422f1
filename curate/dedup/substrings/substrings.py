"""Passages that occur more than once anywhere in the kept documents, found exactly and in bounded memory.

    anchors (a part) -> repeated (a partition) -> contexts (a part) -> repeats (a partition) -> decisions (a part)

A window is `min_bytes` neighbouring bytes of one document. Windows of equal bytes have anchors of equal hash
(`curate.dedup.kernels.anchors`), so only windows whose anchor's hash occurs again can have a twin: those alone are
written out, as contexts, by partition of the hash, and compared byte by byte. Nothing is missed and nothing is taken
for equal that is not; the outcome depends neither on the number of partitions nor on the order of the parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.kernels.anchors import find_anchors
from curate.dedup.kernels.repeats import find_repeats
from curate.dedup.layout import (
    changes,
    check_aligned,
    column,
    gather,
    gather_part,
    id_order,
    part_key,
    repeated,
    write_keyed,
    write_routed,
)
from curate.dedup.substring_config import SubstringConfig
from curate.edits.kernels.join import join_spans
from curate.edits.texts import EditedTexts
from curate.text.strings import Bytes, Offsets, string_buffers
from curate.text.words import Hashes
from manifests.hashing import Int64
from manifests.tables import one_array, read_row_groups, read_table
from manifests.tasks import Work

_U64: Final = pa.uint64()
_PART: Final = pa.field("part", _U64, nullable=False)
_ROW: Final = pa.field("row", pa.int64(), nullable=False)
_GRAM: Final = pa.field("gram", _U64, nullable=False)
_START: Final = pa.field("start", pa.int64(), nullable=False)

ANCHORS: Final = pa.schema([_GRAM, _PART, pa.field("several", pa.bool_(), nullable=False)])
"""Each hash once a part. several: whether the part has it more than once, be it within one window."""

REPEATED: Final = pa.schema([_PART, _GRAM])
"""Hashes that occur more than once in the corpus, for each part that has them."""

CONTEXTS: Final = pa.schema([
    _GRAM, _PART, _ROW, _START, pa.field("order", _U64, nullable=False), pa.field("order_low", _U64, nullable=False),
    pa.field("doc_id", pa.binary(16), nullable=False), pa.field("bytes", pa.large_binary(), nullable=False)])
"""Windows that share an anchor, as the bytes they cover; start: of the first of them, in the edited text."""

RUNS: Final = pa.schema([
    _PART, _ROW, _START, pa.field("end", pa.int64(), nullable=False), pa.field("first_id", pa.binary(16))])
"""Bytes start:end of a document's edited text: windows that occur earlier elsewhere, in document first_id; or, where
that is null, that are the first of their kind."""


def kept_texts(work: Work, only: Int64 | None = None) -> Iterator[tuple[Int64, EditedTexts]]:
    """The kept documents of a part, as earlier edits leave them, a row group at a time: (rows of the part, texts).

    Inputs: documents, select (its edits), decisions (of dedup).

    only: ascending rows to stop at; groups without any are passed over unread but for their ids."""
    kept = read_table(work.input("decisions"), ["doc_id", "keep"])
    edits = read_table(work.input("select"), ["edits"])["edits"]
    enters = kept["keep"].to_numpy()
    if only is not None:
        enters = enters & np.isin(np.arange(len(enters)), only)
    start = 0
    for group in read_row_groups(work.input("documents"), ["doc_id", "text", "n_bytes"]):
        check_aligned(group["doc_id"], kept["doc_id"].slice(start, len(group)), work.input("decisions"))
        rows = start + np.flatnonzero(enters[start : start + len(group)])
        start += len(group)
        if len(rows):
            here = pa.array(rows - start + len(group))
            yield rows, EditedTexts.of(group["text"].take(here), edits.take(pa.array(rows)),
                                       group["n_bytes"].take(here).to_numpy())


def anchors_stage(config: SubstringConfig, work: Work) -> None:
    """dedup/anchors, a part. Inputs: documents, select, decisions (of dedup).

    Output: `anchors`, by partition of the hash; about 8 bytes for every min_bytes / 4 bytes of text."""
    seen, twice = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for rows, edited in kept_texts(work):
        work.count("documents", len(rows))
        work.count("bytes", int(edited.n_bytes.sum()))
        anchors = find_anchors(*string_buffers(edited.texts), config.min_bytes)
        seen.append(anchors.hashes)
        twice.append(anchors.hashes[anchors.twice])
    ordered = np.sort(np.concatenate(seen))
    work.count("anchors", len(ordered))
    firsts = np.flatnonzero(changes(ordered))
    grams = ordered[firsts]
    several = (np.diff(firsts, append=len(ordered)) > 1) | members(grams, np.sort(np.concatenate(twice)))
    table = pa.table({"gram": grams, "part": np.full(len(grams), part_key(work.task.name), np.uint64),
                      "several": several})
    write_keyed(work, "anchors", ANCHORS, table, "gram")


def repeated_stage(config: SubstringConfig, work: Work) -> None:
    """dedup/repeated, a partition. Input: anchors (of dedup/anchors). Variables: as of `gather` and
    `write_routed`.

    Output: `repeated`, routed. Memory: about 50 bytes an anchor of the partition, so 2 bytes a byte of text /
    partitions with 100 min_bytes."""
    table = gather(work, "anchors", ANCHORS)
    grams = column(table, "gram")
    repeats = table.filter(pa.array(column(table, "several") | repeated(grams))).select(REPEATED.names)
    work.count("anchors", len(table))
    work.count("repeated", len(repeats))
    write_routed(work, "repeated", REPEATED, repeats)


def contexts_stage(config: SubstringConfig, work: Work) -> None:
    """dedup/contexts, a part. Inputs: documents, select, decisions (of dedup), signatures (same part), repeated
    (of dedup/repeated).

    Output: `contexts`, by partition of the hash: what the search compares. About 5 bytes for each byte of text that
    lies near a repeated anchor; 64 MB of them are held at a time, beside a row group of text."""
    repeated = np.sort(column(gather_part(work, "repeated", REPEATED), "gram"))
    facts = read_table(work.input("signatures"), ["row", "order", "order_low", "doc_id"])
    write_keyed(work, "contexts", CONTEXTS, _contexts(config, work, repeated, facts), "gram")


def _contexts(config: SubstringConfig, work: Work, repeated: Hashes, facts: pa.Table) -> Iterator[pa.Table]:
    fact_rows = column(facts, "row")
    held: list[pa.Table] = []
    for rows, edited in kept_texts(work):
        anchors = find_anchors(*string_buffers(edited.texts), config.min_bytes)
        anchors = anchors.of(members(anchors.hashes, repeated))
        owner = rows[anchors.texts]
        own = facts.take(pa.array(np.searchsorted(fact_rows, owner)))
        bounds = np.arange(len(owner) + 1, dtype=np.int64)
        windows = join_spans(edited.texts, anchors.texts, anchors.firsts, anchors.lasts + config.min_bytes, bounds)
        work.count("contexts", len(owner))
        work.count("bytes", len(windows.buffers()[2] or b""))
        held.append(pa.table({
            "gram": anchors.hashes, "part": np.full(len(owner), part_key(work.task.name), np.uint64), "row": owner,
            "start": anchors.firsts, "order": own["order"], "order_low": own["order_low"], "doc_id": own["doc_id"],
            "bytes": windows.view(pa.large_binary())}, schema=CONTEXTS))
        if sum(table.nbytes for table in held) > _HELD_BYTES:
            yield pa.concat_tables(held)
            held = []
    yield pa.concat_tables([CONTEXTS.empty_table(), *held])


_HELD_BYTES: Final = 1 << 26


def members(values: Hashes, ordered: Hashes) -> npt.NDArray[np.bool_]:
    """Whether each value is in an ascending array."""
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    index = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[index] == values)


def repeats_stage(config: SubstringConfig, work: Work) -> None:
    """dedup/repeats, a partition. Input: contexts (of dedup/contexts). Variables: as of `gather` and
    `write_routed`.

    Output: `runs`, routed. Memory: the contexts of the partition and about 100 bytes each, and up to 96 bytes a
    distinct window of one hash."""
    table = gather(work, "contexts", CONTEXTS).combine_chunks()
    ids = id_order(table["doc_id"])
    grams, start = column(table, "gram"), column(table, "start")
    order = np.lexsort((start, ids[:, 1], ids[:, 0], column(table, "order_low"), column(table, "order"), grams))
    documents = _documents(ids, order)
    data, offsets = _bytes(table["bytes"])
    runs = find_repeats(data, offsets, order.astype(np.int64), grams, config.min_bytes, documents)
    work.count("contexts", len(table))
    work.count("runs", len(runs.contexts))
    owners = pa.array(runs.owners, mask=runs.owners < 0)
    narrow = table.select(["part", "row"]).take(pa.array(runs.contexts))
    begin = start[runs.contexts]
    repeats = pa.table({"part": narrow["part"], "row": narrow["row"], "start": begin + runs.firsts,
                      "end": begin + runs.lasts + config.min_bytes, "first_id": table["doc_id"].take(owners)})
    write_routed(work, "runs", RUNS, repeats)


def _documents(ids: np.ndarray, order: Int64) -> Int64:
    """A number for each context, the same for those of one document where they are neighbours in the order."""
    ordered = ids[order]
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(changes(ordered[:, 0], ordered[:, 1]))
    return numbers


def _bytes(values: pa.ChunkedArray) -> tuple[Bytes, Offsets]:
    array = one_array(values)
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data or b"", np.uint8), bounds if len(bounds) else np.zeros(1, np.int64)
