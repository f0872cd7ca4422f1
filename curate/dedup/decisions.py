"""Decisions: what deduplication decided about every document of a part, and the totals that guard a source."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupConfig, DedupReason
from curate.dedup.layout import (
    COUNTS,
    DUPLICATES,
    MEMBERS,
    REMOVALS,
    check_aligned,
    column,
    gather_part,
    index_by_row,
)
from manifests.errors import InputError, StageError
from manifests.schema import DEDUP_DECISIONS
from manifests.tables import read_table
from manifests.tasks import Work

_TOTALS = ("documents", "kept", "url_duplicates", "exact_duplicates", "near_duplicates")


def decisions_stage(config: DedupConfig, work: Work) -> None:
    """dedup/decisions, a part. Inputs: documents, decisions (of selection, same part); where their stages have tasks:
    removals (of dedup/resolve), duplicates (of dedup/copies), url_duplicates (of dedup/url_copies), members (of
    dedup/components), all of them routed.

    Outputs: `decisions`, DEDUP_DECISIONS, one row a document in order; `counts`, totals of each source for
    dedup/summary."""
    documents = read_table(work.input("documents"), ["doc_id"])
    selected = read_table(work.input("decisions"), ["doc_id", "source", "keep"])
    check_aligned(documents["doc_id"], selected["doc_id"], work.input("decisions"))
    duplicates = _duplicates(work)
    rows = column(duplicates, "row")
    if len(rows) and rows.max() >= len(documents):
        raise InputError("is shorter than deduplication saw it", where=work.input("documents"))
    check_aligned(duplicates["doc_id"], documents["doc_id"].take(pa.array(rows)), work.input("documents"))
    taken = index_by_row(rows, len(documents))
    survivor_run = duplicates["survivor_run"].take(taken)
    reason = pc.if_else(selected["keep"], duplicates["reason"].take(taken), DedupReason.NOT_SELECTED.value)
    decisions = pa.table({
        "doc_id": documents["doc_id"], "keep": pc.is_null(reason), "reason": reason,
        "duplicate_of": duplicates["survivor_id"].take(taken), "similarity": duplicates["similarity"].take(taken),
        "of_run": pc.if_else(pc.greater_equal(survivor_run, 0), survivor_run, pa.scalar(None, pa.int32())),
        "cluster_id": _clusters(work, len(documents))})
    work.write("decisions", DEDUP_DECISIONS, [decisions])
    counts = _counts(selected["source"], reason)
    work.write("counts", COUNTS, [counts], name=f"counts/{work.task.name}.parquet")
    _count(work, counts, len(documents))


def _clusters(work: Work, n_documents: int) -> pa.ChunkedArray:
    """The component that each document is of; null where it has no candidate."""
    members = gather_part(work, "members", MEMBERS)
    return members["component"].take(index_by_row(column(members, "row"), n_documents))


def _duplicates(work: Work) -> pa.Table:
    near = gather_part(work, "removals", REMOVALS)
    reason = pa.repeat(DedupReason.NEAR_DUPLICATE.value, len(near))
    near = near.append_column(DUPLICATES.field("reason"), reason)
    others = [gather_part(work, name, DUPLICATES) for name in ("duplicates", "url_duplicates")]
    return pa.concat_tables([near.cast(DUPLICATES), *others])


def _counts(source: pa.ChunkedArray, reason: pa.ChunkedArray) -> pa.Table:
    """COUNTS of the selected documents: one row a source, by name."""
    word = pc.fill_null(reason, "kept")
    flags = pa.table({
        "source": source, "documents": pc.not_equal(word, DedupReason.NOT_SELECTED.value),
        "kept": pc.equal(word, "kept"), "url_duplicates": pc.equal(word, DedupReason.URL_DUPLICATE.value),
        "exact_duplicates": pc.equal(word, DedupReason.EXACT_DUPLICATE.value),
        "near_duplicates": pc.equal(word, DedupReason.NEAR_DUPLICATE.value)})
    sums = flags.group_by("source", use_threads=False).aggregate([(name, "sum") for name in _TOTALS])
    return sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names]).select(
        COUNTS.names).cast(COUNTS).sort_by("source")


def _count(work: Work, counts: pa.Table, n_documents: int) -> None:
    total = {name: pc.sum(counts[name]).as_py() or 0 for name in _TOTALS}
    work.count("documents", n_documents)
    work.count("kept", total["kept"])
    work.count("dropped_not_selected", n_documents - total["documents"])
    if total["url_duplicates"]:
        work.count("dropped_url_duplicate", total["url_duplicates"])
    work.count("dropped_exact_duplicate", total["exact_duplicates"])
    work.count("dropped_near_duplicate", total["near_duplicates"])
    for row in counts.to_pylist():
        for name in _TOTALS:
            work.count(f"{name}[{row['source']}]", row[name])


def summary_stage(config: DedupConfig, work: Work) -> None:
    """dedup/summary, once. Inputs: counts (manifest of dedup/decisions). Output: `summary`, COUNTS of the whole corpus.

    Raises StageError naming a source that lost more than `max_removed_fraction` of its selected documents: far
    likelier a fault, such as boilerplate taken for text, than the truth about it."""
    tables = [read_table(path) for path in work.inputs("counts", role="counts")]
    merged = pa.concat_tables([COUNTS.empty_table(), *tables])
    sums = merged.group_by("source", use_threads=False).aggregate([(name, "sum") for name in _TOTALS])
    summary = sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names]).select(
        COUNTS.names).cast(COUNTS).sort_by("source")
    for row in summary.to_pylist():
        removed, seen = row["documents"] - row["kept"], row["documents"]
        work.count("documents", seen)
        work.count("kept", row["kept"])
        if seen >= config.guard_min_documents and removed > config.max_removed_fraction * seen:
            raise StageError(
                f"lost {removed} of {seen} documents to deduplication, more than the "
                f"{config.max_removed_fraction:.0%} that max_removed_fraction allows", where=f"source {row['source']}",
                hint="look at `duplicate_of` in dedup/decisions, or raise max_removed_fraction")
    work.write("summary", COUNTS, [summary])
