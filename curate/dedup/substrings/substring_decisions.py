"""What is cut of every document of a part because it stands elsewhere, and what that leaves."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.kernels.repeats import merge_cuts
from curate.dedup.layout import Int64, column, gather_part
from curate.dedup.substrings.substring_config import Occurrences, SubstringConfig, SubstringReason
from curate.dedup.substrings.substrings import RUNS, EditedTexts, edited_texts
from curate.edits.kernels.pieces import COPIED
from curate.heuristics.verdicts import FlatEdits
from manifests.schema import EDITS, REPEAT, SUBSTRING_MARKS
from manifests.tables import read_table
from manifests.tasks import Work

_REPEATS: Final = pa.list_(REPEAT)


def substring_decisions_stage(config: SubstringConfig, work: Work) -> None:
    """dedup/substrings, a part. Inputs: documents, select, decisions (of dedup), runs (manifest of dedup/repeats).

    Output: `decisions`, SUBSTRING_MARKS, one row a document in order. Text is read where something is cut, to keep
    whole characters."""
    runs = gather_part(work.inputs("runs", role="runs"), RUNS, work.task.name)
    if config.cut is Occurrences.REPEATS:
        runs = runs.filter(pc.is_valid(runs["first_id"]))
    runs = runs.sort_by([("row", "ascending"), ("start", "ascending"), ("end", "ascending")])
    select = read_table(work.input("select"), ["edits"])["edits"].combine_chunks().cast(EDITS)
    kept = read_table(work.input("decisions"), ["doc_id", "keep"])
    rows, edits, repeats, n_left = _cut_documents(work, runs)
    place = np.full(len(kept), -1, np.int64)
    place[rows] = np.arange(len(rows))
    where = pa.array(place, mask=place < 0)
    short = np.zeros(len(kept), np.bool_)
    short[rows[n_left < max(1, config.min_left_bytes)]] = True
    gone = pc.if_else(pa.array(short), pa.scalar(SubstringReason.REPEATED_TEXT.value), pa.scalar(None, pa.string()))
    reason = pc.if_else(kept["keep"], gone, SubstringReason.NOT_SELECTED.value)
    decisions = pa.table({"doc_id": kept["doc_id"], "keep": pc.is_null(reason), "reason": reason,
                      "edits": pc.if_else(pa.array(place >= 0), edits.take(where), select),
                      "repeats": repeats.take(where)}, schema=SUBSTRING_MARKS)
    work.write("decisions", SUBSTRING_MARKS, [decisions])
    work.count("documents", len(kept))
    work.count("kept", pc.sum(decisions["keep"]).as_py() or 0)
    work.count(f"dropped_{SubstringReason.REPEATED_TEXT.value}", int((short & kept["keep"].to_numpy()).sum()))


def _cut_documents(work: Work, runs: pa.Table) -> tuple[Int64, pa.Array, pa.Array, Int64]:
    """(rows that are cut, their EDITS, their repeats, bytes they have left)."""
    rows, edits, repeats, left = [np.empty(0, np.int64)], [pa.array([], EDITS)], [pa.array([], _REPEATS)], [
        np.empty(0, np.int64)]
    places = column(runs, "row")
    for some in edited_texts(work, np.unique(places)):
        low, high = np.searchsorted(places, [some.rows[0], some.rows[-1] + 1])
        mine = runs.slice(low, high - low)
        texts = np.searchsorted(some.rows, places[low:high])
        cuts = merge_cuts(texts, column(mine, "start"), column(mine, "end"), *some.buffers)
        work.count("documents_cut", len(np.unique(cuts[0])))
        work.count("cuts", len(cuts[0]))
        work.count("bytes_cut", int((cuts[2] - cuts[1]).sum()))
        sizes = np.diff(some.buffers[1])
        rows.append(some.rows)
        edits.append(left_of(some, cuts[0], cuts[1], cuts[2]))
        repeats.append(_named(some, cuts, mine["first_id"]))
        left.append(sizes - np.bincount(cuts[0], cuts[2] - cuts[1], len(sizes)).astype(np.int64))
    return np.concatenate(rows), pa.concat_arrays(edits), pa.concat_arrays(repeats), np.concatenate(left)


def left_of(some: EditedTexts, texts: Int64, starts: Int64, ends: Int64) -> pa.Array:
    """EDITS of texts once spans of the edited texts are cut. texts, starts, ends: int64, by text, apart."""
    n = len(some.rows)
    sizes = np.diff(some.buffers[1])
    bounds = np.searchsorted(texts, np.arange(n + 1))
    # What lies between cuts: from 0 or the end of a cut, to the start of the next or the end of the text.
    owner = np.repeat(np.arange(n), np.diff(bounds) + 1)
    begin, close = np.insert(ends, bounds[:-1], 0), np.insert(starts, bounds[1:], sizes)
    some_left = close > begin
    owner, begin, close = owner[some_left], begin[some_left], close[some_left]
    first, last = extracted_places(some.edits, owner, begin, close)
    places = np.searchsorted(owner, np.arange(n + 1))
    spans, _ = some.edits.within(FlatEdits(first, last, np.full(len(first), COPIED, np.int64), places, []))
    return spans.array()


def extracted_places(edits: FlatEdits, texts: Int64, starts: Int64, ends: Int64) -> tuple[Int64, Int64]:
    """The bytes of extracted texts that spans of edited texts come from, from the first to the last one's end."""
    sizes = np.array([len(word.encode()) for word in edits.replacements] or [0], np.int64)
    length = np.where(edits.codes >= 0, sizes[np.maximum(edits.codes, 0)], edits.ends - edits.starts)
    after = np.cumsum(length)
    before = after - length  # place of each piece in all edited texts end to end
    base = np.concatenate(([0], after))[edits.places[texts]]
    out = []
    for places, is_end in ((starts, 0), (ends, 1)):
        at = base + places - is_end  # a byte within the piece
        piece = np.searchsorted(after, at, "right")
        copied = edits.starts[piece] + at - before[piece] + is_end
        whole = edits.ends[piece] if is_end else edits.starts[piece]
        out.append(np.where(edits.codes[piece] >= 0, whole, copied))
    return out[0], out[1]


def _named(some: EditedTexts, cuts: tuple[Int64, ...], first_ids: pa.ChunkedArray) -> pa.Array:
    starts, ends = extracted_places(some.edits, cuts[0], cuts[1], cuts[2])
    names = first_ids.take(pa.array(cuts[3])).combine_chunks()
    names = pa.concat_arrays(names.chunks) if isinstance(names, pa.ChunkedArray) else names
    flat = pa.StructArray.from_arrays([pa.array(starts), pa.array(ends), names], fields=list(REPEAT))
    bounds = np.searchsorted(cuts[0], np.arange(len(some.rows) + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(bounds), flat, type=_REPEATS)
