"""What repeated passages cost every document of a part, and what its hosts repeat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupRecipe
from curate.dedup.layout import changes, check_aligned, column, gather_part, groups_with, index_by_row
from curate.dedup.passage_config import BloomConfig, PassageReason, RemovalRule
from curate.dedup.passages.bloom import SEEN
from curate.dedup.passages.removed_spans import ROUTED_BOILERPLATE, ROUTED_SPANS
from curate.edits.spans import FlatEdits
from curate.edits.texts import union, what_is_left
from manifests.hashing import Int64
from manifests.schema import BOILERPLATE, EDITS, PASSAGE_DECISIONS, REMOVED_SPAN
from manifests.tables import one_array, read_table
from manifests.tasks import Work

_EXAMPLE_BYTES: Final = 500


def passage_decisions_stage(config: DedupRecipe, work: Work) -> None:
    """dedup/passage_decisions, a part. Inputs: documents, decisions (of selection), kept (decisions of dedup);
    removed_spans, boilerplate (of dedup/removed_spans); bloom_spans, seen (of dedup/bloom).

    Outputs: `decisions`, PASSAGE_DECISIONS, one row a document in order; `boilerplate`, BOILERPLATE, of hosts whose
    first page is in this part. Text is read for the examples of that alone."""
    documents = read_table(work.input("documents"), ["doc_id", "n_bytes"])
    select = read_table(work.input("decisions"), ["doc_id", "source", "edits"])
    kept = read_table(work.input("kept"), ["doc_id", "keep"])
    for other, name in ((select, "decisions"), (kept, "kept")):
        check_aligned(documents["doc_id"], other["doc_id"], work.input(name))
    spans = pa.concat_tables([gather_part(work, name, ROUTED_SPANS) for name in ("removed_spans", "bloom_spans")])
    rows = distinct_rows(spans)
    sizes = documents["n_bytes"].to_numpy()[rows]
    edits = FlatEdits.of(select["edits"].take(pa.array(rows)), sizes)
    removed = _Removed(spans, rows, sizes, edits)
    decisions = _decisions(config, work, kept, removed)
    work.write("decisions", PASSAGE_DECISIONS, [decisions])
    _count(work, decisions, kept["keep"], select["source"], removed)
    work.write("boilerplate", BOILERPLATE, _boilerplate(work), name=f"boilerplate/{work.task.name}.parquet")


def distinct_rows(removed: pa.Table) -> Int64:
    """Rows of a part that something is removed from, ascending."""
    return np.unique(column(removed, "row"))


class _Removed:
    """The removed spans of the documents `rows` of a part. text: which of the rows each is of; start, end;
    left: what stays of each row once selection's edits are made too."""

    def __init__(self, spans: pa.Table, rows: Int64, sizes: Int64, edits: FlatEdits) -> None:
        self.rows, self.kinds, self.first = rows, spans["kind"], spans["first_id"]
        self.text = np.searchsorted(rows, column(spans, "row"))
        start, end, before = (column(spans, name).astype(np.int64) for name in ("start", "end", "before"))
        self.end = end
        # A span with nothing left behind it begins where the passage before it ends: no line feed stays at the end.
        run, run_ends = union(self.text, start, end)
        run_starts = np.full(len(run_ends), np.iinfo(np.int64).max)
        np.minimum.at(run_starts, run, start)
        to_the_end = run_ends[run] >= _ends_of(edits, sizes)[self.text] if len(run) else np.empty(0, np.bool_)
        self.start = np.where(to_the_end & (start == run_starts[run]), before, start) if len(run) else start
        self.left, _ = edits.within(what_is_left(self.text, self.start, self.end, sizes))
        self.n_left, self.n_bytes = self.left.text_sizes(), edits.text_sizes()

    def listed(self) -> pa.Array:
        """list<REMOVED_SPAN> [rows]: by offset; runs of sentences that overlap and have one first document are one."""
        coded = self.first.combine_chunks().dictionary_encode()
        first = pc.fill_null(coded.indices, -1).to_numpy().astype(np.int64) if len(self.first) else self.text
        kinds = np.searchsorted(_KIND_NAMES, self.kinds.to_numpy().astype(str))
        order = np.lexsort((self.start, first, kinds, self.text))
        text, kind, first, start, end = (a[order] for a in (self.text, kinds, first, self.start, self.end))
        fresh = changes(text, kind, first)
        fresh[1:] |= start[1:] > end[:-1]
        heads = np.flatnonzero(fresh)
        last = np.append(heads[1:], len(order)) - 1 if len(order) else heads
        text, kind, start, end, ids = text[heads], kind[heads], start[heads], end[last], order[heads]
        by_offset = np.lexsort((kind, end, start, text))
        flat = pa.StructArray.from_arrays([
            pa.array(start[by_offset]), pa.array(end[by_offset]), pa.array(_KIND_NAMES[kind[by_offset]], pa.string()),
            one_array(self.first.take(pa.array(ids[by_offset])))], fields=list(REMOVED_SPAN))
        bounds = np.searchsorted(text[by_offset], np.arange(len(self.rows) + 1)).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(bounds), flat, type=pa.list_(REMOVED_SPAN))


_KIND_NAMES: Final = np.array(sorted(kind.value for kind in RemovalRule))


def _ends_of(edits: FlatEdits, sizes: Int64) -> Int64:
    """Where the last span of each text ends."""
    last = edits.bounds[1:] - 1
    any_left = np.diff(edits.bounds) > 0
    out = sizes.copy()
    out[any_left] = edits.ends[last[any_left]]
    return out


def _decisions(config: DedupRecipe, work: Work, kept: pa.Table, removed: _Removed) -> pa.Table:
    n = len(kept)
    value, threshold, reason = np.zeros(n), np.zeros(n), np.full(n, None, object)
    short = removed.rows[removed.n_left < max(1, config.min_left_bytes)]
    value[short] = removed.n_left[removed.n_left < max(1, config.min_left_bytes)]
    threshold[short], reason[short] = max(1, config.min_left_bytes), PassageReason.TOO_LITTLE_LEFT.value
    seen = gather_part(work, "seen", SEEN)
    gone = column(seen, "row")
    value[gone], reason[gone] = column(seen, "share"), PassageReason.MOSTLY_SEEN.value
    threshold[gone] = (config.bloom or BloomConfig()).threshold
    dropped = np.array([r is not None for r in reason], np.bool_)
    reason[~kept["keep"].to_numpy()] = PassageReason.NOT_SELECTED.value
    reasons = pa.array(reason, pa.string())
    index = index_by_row(removed.rows, n)
    before = one_array(read_table(work.input("decisions"), ["edits"])["edits"]).cast(EDITS)
    edits = pc.if_else(pc.is_valid(index), removed.left.array().cast(EDITS).take(index), before)
    return pa.table({
        "doc_id": kept["doc_id"], "keep": pc.is_null(reasons), "reason": reasons,
        "value": pa.array(value, mask=~dropped), "threshold": pa.array(threshold, mask=~dropped),
        "removed_spans": removed.listed().take(index), "edits": edits}, schema=PASSAGE_DECISIONS)


def _count(work: Work, decisions: pa.Table, before: pa.ChunkedArray, sources: pa.ChunkedArray,
           removed: _Removed) -> None:
    work.count("documents", len(decisions))
    work.count("kept", pc.sum(decisions["keep"]).as_py() or 0)
    work.count("documents_cut", len(removed.rows))
    work.count("bytes_cut", int((removed.n_bytes - removed.n_left).sum()))
    for kind in RemovalRule:
        work.count(f"removed_spans_{kind}", pc.sum(pc.equal(removed.kinds, kind.value)).as_py() or 0)
    for entry in pc.value_counts(decisions["reason"].drop_null()):
        work.count(f"dropped_{entry['values'].as_py()}", entry["counts"].as_py())
    for name, column_ in (("documents", before), ("kept", decisions["keep"])):
        for entry in pc.value_counts(sources.filter(column_)):
            work.count(f"{name}_{entry['values'].as_py()}", entry["counts"].as_py())


def _boilerplate(work: Work) -> Iterator[pa.Table]:
    """BOILERPLATE rows whose example is in this part, a row group of texts at a time; most pages first."""
    spans = gather_part(work, "boilerplate", ROUTED_BOILERPLATE)
    spans = spans.sort_by([("row", "ascending"), ("start", "ascending"), ("key", "ascending")])
    names = ["doc_id", "url", "host", "text"]
    for some, documents in groups_with(work.input("documents"), column(spans, "row"), names):
        yield _examples(spans[some], documents)


def _examples(spans: pa.Table, documents: pa.Table) -> pa.Table:
    bounds = zip(documents["text"].to_pylist(), spans["start"].to_pylist(), spans["end"].to_pylist(), strict=True)
    examples = [text.encode()[start:end].strip() for text, start, end in bounds]
    texts = [example[:_EXAMPLE_BYTES].decode("utf-8", "ignore") for example in examples]
    return pa.table({
        "host": documents["host"], "n_pages": spans["n_pages"], "n_occurrences": spans["n_occurrences"],
        "n_bytes": pa.array(list(map(len, examples)), pa.int64()), "text": pa.array(texts, pa.large_string()),
        "doc_id": documents["doc_id"], "url": documents["url"], "key": spans["key"]}, schema=BOILERPLATE)
