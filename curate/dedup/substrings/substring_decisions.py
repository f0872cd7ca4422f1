"""What is removed of every document of a part because it occurs elsewhere, and what that leaves."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.kernels.repeats import merge_removed
from curate.dedup.layout import column, gather_part, index_by_row
from curate.dedup.substring_config import Occurrences, SubstringConfig, SubstringReason
from curate.dedup.substrings.substrings import RUNS, kept_texts
from curate.text.strings import string_buffers
from manifests.hashing import Int64
from manifests.schema import EDITS, REMOVED_SPAN, SUBSTRING_DECISIONS
from manifests.tables import one_array, read_table
from manifests.tasks import Work

_SPANS: Final = pa.list_(REMOVED_SPAN)


def substring_decisions_stage(config: SubstringConfig, work: Work) -> None:
    """dedup/substrings, a part. Inputs: documents, select, decisions (of dedup), runs (of dedup/repeats).

    Output: `decisions`, SUBSTRING_DECISIONS, one row a document in order. Text is read where something is cut, to keep
    whole characters."""
    runs = gather_part(work, "runs", RUNS)
    if config.cut is Occurrences.REPEATS:
        runs = runs.filter(pc.is_valid(runs["first_id"]))
    runs = runs.sort_by([("row", "ascending"), ("start", "ascending"), ("end", "ascending")])
    select = one_array(read_table(work.input("select"), ["edits"])["edits"]).cast(EDITS)
    kept = read_table(work.input("decisions"), ["doc_id", "keep"])
    rows, edits, spans, n_left = _removed_spans(work, runs)
    index = index_by_row(rows, len(kept))
    short = np.zeros(len(kept), np.bool_)
    short[rows[n_left < max(1, config.min_left_bytes)]] = True
    gone = pc.if_else(pa.array(short), pa.scalar(SubstringReason.REPEATED_TEXT.value), pa.scalar(None, pa.string()))
    reason = pc.if_else(kept["keep"], gone, SubstringReason.NOT_SELECTED.value)
    decisions = pa.table({"doc_id": kept["doc_id"], "keep": pc.is_null(reason), "reason": reason,
                      "edits": pc.if_else(pc.is_valid(index), edits.take(index), select),
                      "removed_spans": spans.take(index)}, schema=SUBSTRING_DECISIONS)
    work.write("decisions", SUBSTRING_DECISIONS, [decisions])
    work.count("documents", len(kept))
    work.count("kept", pc.sum(decisions["keep"]).as_py() or 0)
    work.count(f"dropped_{SubstringReason.REPEATED_TEXT.value}", int((short & kept["keep"].to_numpy()).sum()))


def _removed_spans(work: Work, runs: pa.Table) -> tuple[Int64, pa.Array, pa.Array, Int64]:
    """(rows that lose something, their EDITS, their removed spans, bytes they have left)."""
    rows, left = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    edits, spans = [pa.array([], EDITS)], [pa.array([], _SPANS)]
    run_rows = column(runs, "row")
    for kept_rows, edited in kept_texts(work, np.unique(run_rows)):
        low, high = np.searchsorted(run_rows, [kept_rows[0], kept_rows[-1] + 1])
        some = runs.slice(low, high - low)
        texts, starts, ends, first_runs = merge_removed(
            np.searchsorted(kept_rows, run_rows[low:high]), column(some, "start"), column(some, "end"),
            *string_buffers(edited.texts))
        work.count("documents_cut", len(np.unique(texts)))
        work.count("removed_spans", len(texts))
        work.count("bytes_cut", int((ends - starts).sum()))
        rows.append(kept_rows)
        edits.append(edited.without(texts, starts, ends).array())
        flat = pa.StructArray.from_arrays(
            [pa.array(edited.starts(texts, starts)), pa.array(edited.ends(texts, ends)),
             pa.repeat("substring", len(texts)), one_array(some["first_id"].take(pa.array(first_runs)))],
            fields=list(REMOVED_SPAN))
        bounds = np.searchsorted(texts, np.arange(len(kept_rows) + 1)).astype(np.int32)
        spans.append(pa.ListArray.from_arrays(pa.array(bounds), flat, type=_SPANS))
        left.append(edited.n_bytes - np.bincount(texts, ends - starts, len(kept_rows)).astype(np.int64))
    return np.concatenate(rows), pa.concat_arrays(edits), pa.concat_arrays(spans), np.concatenate(left)
