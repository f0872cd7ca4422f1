"""What repeated passages cost every document of a part, and what its hosts repeat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupRecipe
from curate.dedup.layout import check_aligned, column, gather_part
from curate.dedup.passages.bloom import SEEN
from curate.dedup.passages.passage_config import BloomConfig, CutKind, PassageReason
from curate.dedup.passages.passage_cuts import CUTS, ROUTED_BOILERPLATE
from curate.edits.spans import FlatEdits
from curate.edits.texts import union, what_is_left
from manifests.hashing import Int64
from manifests.schema import BOILERPLATE, EDITS, PASSAGE_MARKS, REPEATED_SPAN
from manifests.tables import one_array, open_table, read_table
from manifests.tasks import Work

_EXAMPLE_BYTES: Final = 500


def cuts_stage(config: DedupRecipe, work: Work) -> None:
    """dedup/cuts, a part. Inputs: documents, decisions (of selection), kept (decisions of dedup); passages (manifest
    of dedup/passage_cuts), bloom (manifest of dedup/bloom).

    Outputs: `decisions`, PASSAGE_MARKS, one row a document in order; `boilerplate`, BOILERPLATE, of hosts whose first
    page is in this part. Text is read for the examples of that alone."""
    documents = read_table(work.input("documents"), ["doc_id", "n_bytes"])
    select = read_table(work.input("decisions"), ["doc_id", "source", "edits"])
    kept = read_table(work.input("kept"), ["doc_id", "keep"])
    for other, name in ((select, "decisions"), (kept, "kept")):
        check_aligned(documents["doc_id"], other["doc_id"], work.input(name))
    found = pa.concat_tables([gather_part(work.inputs(name, role="cuts"), CUTS, work.task.name)
                              for name in ("passages", "bloom")])
    rows = distinct_rows(found)
    sizes = documents["n_bytes"].to_numpy()[rows]
    edits = FlatEdits.of(select["edits"].take(pa.array(rows)), sizes)
    cuts = _Cuts(found, rows, sizes, edits)
    decisions = _decisions(config, work, kept, cuts)
    work.write("decisions", PASSAGE_MARKS, [decisions])
    _count(work, decisions, kept["keep"], select["source"], cuts)
    work.write("boilerplate", BOILERPLATE, _boilerplate(work), name=f"boilerplate/{work.task.name}.parquet")


def distinct_rows(cuts: pa.Table) -> Int64:
    """Rows of a part that have a cut, ascending."""
    return np.unique(column(cuts, "row"))


class _Cuts:
    """The cuts of the documents `rows` of a part. text: which of the rows each is of; start, end; left: what stays of
    each row once selection's edits are made too."""

    def __init__(self, found: pa.Table, rows: Int64, sizes: Int64, edits: FlatEdits) -> None:
        self.rows, self.kinds, self.first = rows, found["kind"], found["first_id"]
        self.text = np.searchsorted(rows, column(found, "row"))
        start, end, before = (column(found, name).astype(np.int64) for name in ("start", "end", "before"))
        self.end = end
        # A cut that leaves nothing behind it begins where the passage before it ends: no line feed stays at the end.
        run, run_ends = union(self.text, start, end)
        run_starts = np.full(len(run_ends), np.iinfo(np.int64).max)
        np.minimum.at(run_starts, run, start)
        to_the_end = run_ends[run] >= _ends_of(edits, sizes)[self.text] if len(run) else np.empty(0, np.bool_)
        self.start = np.where(to_the_end & (start == run_starts[run]), before, start) if len(run) else start
        self.left, _ = edits.within(what_is_left(self.text, self.start, self.end, sizes))
        self.n_left, self.n_bytes = self.left.text_sizes(), edits.text_sizes()

    def listed(self) -> pa.Array:
        """list<REPEATED_SPAN> [rows]: by place; runs of sentences that overlap and have one first document are one."""
        coded = self.first.combine_chunks().dictionary_encode()
        first = pc.fill_null(coded.indices, -1).to_numpy().astype(np.int64) if len(self.first) else self.text
        kinds = np.searchsorted(_KIND_NAMES, self.kinds.to_numpy().astype(str))
        order = np.lexsort((self.start, first, kinds, self.text))
        text, kind, first, start, end = (a[order] for a in (self.text, kinds, first, self.start, self.end))
        fresh = np.ones(len(order), np.bool_)
        fresh[1:] = (text[1:] != text[:-1]) | (kind[1:] != kind[:-1]) | (first[1:] != first[:-1]) | (
            start[1:] > end[:-1])
        last = np.append(np.flatnonzero(fresh)[1:], len(order)) - 1 if len(order) else np.empty(0, np.int64)
        heads = np.flatnonzero(fresh)
        text, kind, start, end, ids = text[heads], kind[heads], start[heads], end[last], order[heads]
        by_place = np.lexsort((kind, end, start, text))
        flat = pa.StructArray.from_arrays([
            pa.array(start[by_place]), pa.array(end[by_place]), pa.array(_KIND_NAMES[kind[by_place]], pa.string()),
            one_array(self.first.take(pa.array(ids[by_place])))], fields=list(REPEATED_SPAN))
        bounds = np.searchsorted(text[by_place], np.arange(len(self.rows) + 1)).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(bounds), flat, type=pa.list_(REPEATED_SPAN))


_KIND_NAMES: Final = np.array(sorted(kind.value for kind in CutKind))


def _ends_of(edits: FlatEdits, sizes: Int64) -> Int64:
    """Where the last span of each text ends."""
    last = edits.bounds[1:] - 1
    some = np.diff(edits.bounds) > 0
    out = sizes.copy()
    out[some] = edits.ends[last[some]]
    return out


def _decisions(config: DedupRecipe, work: Work, kept: pa.Table, cuts: _Cuts) -> pa.Table:
    n = len(kept)
    value, threshold, reason = np.zeros(n), np.zeros(n), np.full(n, None, object)
    short = cuts.rows[cuts.n_left < max(1, config.min_left_bytes)]
    value[short] = cuts.n_left[cuts.n_left < max(1, config.min_left_bytes)]
    threshold[short], reason[short] = max(1, config.min_left_bytes), PassageReason.TOO_LITTLE_LEFT.value
    seen = gather_part(work.inputs("bloom", role="seen"), SEEN, work.task.name)
    gone = column(seen, "row")
    value[gone], reason[gone] = column(seen, "share"), PassageReason.MOSTLY_SEEN.value
    threshold[gone] = (config.bloom or BloomConfig()).threshold
    dropped = np.array([r is not None for r in reason], np.bool_)
    reason[~kept["keep"].to_numpy()] = PassageReason.NOT_SELECTED.value
    reasons = pa.array(reason, pa.string())
    place = np.full(n, -1, np.int64)
    place[cuts.rows] = np.arange(len(cuts.rows))
    where = pa.array(place, mask=place < 0)
    uncut = read_table(work.input("decisions"), ["edits"])["edits"]
    edits = pc.if_else(pa.array(place >= 0), cuts.left.array().cast(EDITS).take(where), one_array(uncut).cast(EDITS))
    return pa.table({
        "doc_id": kept["doc_id"], "keep": pc.is_null(reasons), "reason": reasons,
        "value": pa.array(value, mask=~dropped), "threshold": pa.array(threshold, mask=~dropped),
        "repeats": cuts.listed().take(where), "edits": edits}, schema=PASSAGE_MARKS)


def _count(work: Work, decisions: pa.Table, before: pa.ChunkedArray, sources: pa.ChunkedArray, cuts: _Cuts) -> None:
    work.count("documents", len(decisions))
    work.count("kept", pc.sum(decisions["keep"]).as_py() or 0)
    work.count("documents_cut", len(cuts.rows))
    work.count("bytes_cut", int((cuts.n_bytes - cuts.n_left).sum()))
    for kind in CutKind:
        work.count(f"cuts_{kind}", pc.sum(pc.equal(cuts.kinds, kind.value)).as_py() or 0)
    for entry in pc.value_counts(decisions["reason"].drop_null()):
        work.count(f"dropped_{entry['values'].as_py()}", entry["counts"].as_py())
    for name, column_ in (("documents", before), ("kept", decisions["keep"])):
        for entry in pc.value_counts(sources.filter(column_)):
            work.count(f"{name}_{entry['values'].as_py()}", entry["counts"].as_py())


def _boilerplate(work: Work) -> Iterator[pa.Table]:
    """BOILERPLATE rows whose example is in this part, a row group of texts at a time; most pages first."""
    found = gather_part(work.inputs("passages", role="boilerplate"), ROUTED_BOILERPLATE, work.task.name)
    found = found.sort_by([("row", "ascending"), ("start", "ascending"), ("key", "ascending")])
    rows: npt.NDArray[np.int64] = column(found, "row")
    with open_table(work.input("documents")) as file:
        start = 0
        for index in range(file.num_row_groups):
            end = start + file.metadata.row_group(index).num_rows
            low, high = np.searchsorted(rows, [start, end])
            if high > low:
                names = ["doc_id", "url", "host", "text"]
                group = file.read_row_group(index, columns=names, use_threads=False)
                mine = found.slice(low, high - low)
                yield _examples(mine, group.take(pa.array(rows[low:high] - start)))
            start = end


def _examples(found: pa.Table, documents: pa.Table) -> pa.Table:
    spans = zip(documents["text"].to_pylist(), found["start"].to_pylist(), found["end"].to_pylist(), strict=True)
    cut = [text.encode()[start:end].strip() for text, start, end in spans]
    texts = [example[:_EXAMPLE_BYTES].decode("utf-8", "ignore") for example in cut]
    return pa.table({
        "host": documents["host"], "n_pages": found["n_pages"], "n_occurrences": found["n_occurrences"],
        "n_bytes": pa.array([len(example) for example in cut], pa.int64()), "text": pa.array(texts, pa.large_string()),
        "doc_id": documents["doc_id"], "url": documents["url"], "key": found["key"]}, schema=BOILERPLATE)
