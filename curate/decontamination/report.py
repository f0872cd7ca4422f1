"""The overlap report: for every benchmark, which items the training text touches, and which documents do it.

    report_index (once) -> overlaps (a part) -> report (once)

An item is *clean* where no training document shares an n-gram with it, *cut* where every such n-gram was cut out of the
training text, *dirty* where one stays. Scores on the clean and cut items are scores on what was not trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.decontamination.config import Benchmark, DecontaminationConfig, DecontaminationReason
from curate.decontamination.items import Account, read_items
from curate.decontamination.touches import ITEM_GRAMS, ITEMS, TOUCHES, describe_items, held_items, sorted_grams
from curate.dedup.layout import check_aligned
from manifests.schema import ID
from manifests.tables import one_array, read_row_groups, read_table
from manifests.tasks import Work


class ItemStatus(StrEnum):
    """What training text knows of an item."""

    CLEAN = "clean"
    CUT = "cut"
    DIRTY = "dirty"
    TOO_SHORT = "too_short"  # fewer words than N: it cannot be looked for


COUNTS: Final = pa.schema([
    pa.field("item_row", pa.int64(), nullable=False), pa.field("n_documents", pa.int64(), nullable=False),
    pa.field("n_documents_left", pa.int64(), nullable=False)])

BENCHMARKS: Final = pa.schema([
    pa.field("benchmark", pa.string(), nullable=False),
    pa.field("ngram", pa.uint8(), nullable=False, metadata={"comment": "words of an overlap"}),
    pa.field("n_items", pa.int64(), nullable=False),
    *(pa.field(f"n_{s.value}", pa.int64(), nullable=False) for s in ItemStatus),
    pa.field("clean_share", pa.float64(), metadata={
        "comment": "items that no training text touches after cutting / items that can be looked for; null without one"
    })])


def matches_schema(id_type: pa.DataType = ID) -> pa.Schema:
    """Which document touches which item: at most `listed_documents` an item, those left in training text first."""
    kept = [f for f in TOUCHES if f.name not in ("item_row", "row")]
    return pa.schema([TOUCHES.field("item_row"), pa.field("doc_id", id_type), *kept])


def report_schema(id_type: pa.DataType = ID) -> pa.Schema:
    """items.parquet: one row an item of every benchmark."""
    match = pa.struct([pa.field("doc_id", id_type), *(f for f in TOUCHES if f.name not in ("item_row", "row"))])
    return pa.schema([
        *ITEMS, pa.field("status", pa.string(), nullable=False, metadata={
            "comment": "clean, cut (touched only by text that was cut out), dirty, or too_short"}),
        pa.field("n_documents", pa.int64(), nullable=False, metadata={"comment": "documents that touch it"}),
        pa.field("n_documents_left", pa.int64(), nullable=False, metadata={"comment": "of them after cutting"}),
        pa.field("documents", pa.list_(match), nullable=False, metadata={
            "comment": "some of them: UTF-8 bytes of the n-gram in the text, and whether it is left"})])


def read_benchmarks(config: DecontaminationConfig, paths: list[str], work: Account) -> tuple[pa.Table, pa.Table]:
    """(ITEMS, ITEM_GRAMS) of all benchmarks; lines that cannot be read are reported to the task."""
    items, grams = [ITEMS.empty_table()], [ITEM_GRAMS.empty_table()]
    n_rows = 0
    for benchmark, path in zip(config.benchmarks, paths, strict=True):
        one, some = _read_benchmark(config, benchmark, path, work, n_rows)
        items.append(one)
        grams.append(some)
        n_rows += len(one)
    return pa.concat_tables(items), sorted_grams(grams)


def _read_benchmark(config: DecontaminationConfig, benchmark: Benchmark, path: str, work: Account,
                    first_row: int) -> tuple[pa.Table, pa.Table]:
    ids, texts = [], []
    for item, text in read_items(benchmark, path, work):
        ids.append(item)
        texts.append(text)
    items, grams = describe_items(benchmark.name, ids, pa.array(texts, pa.large_string()), config.report, first_row)
    if not len(grams):
        work.report_damage(benchmark.path, f"benchmark {benchmark.name} cannot be looked for: none of its {len(ids)} "
                                           f"items has {items['ngram'][0].as_py()} words")
    return items, grams


def report_index_stage(config: DecontaminationConfig, work: Work) -> None:
    """decontaminate/report_index, once. Inputs: benchmarks, one file for each of the configuration, in its order.

    Outputs: `items`, ITEMS; `grams`, ITEM_GRAMS. Memory: the evaluation sets."""
    items, grams = read_benchmarks(config, work.inputs("benchmarks"), work)
    work.count("items", len(items))
    work.write("items", ITEMS, [items])
    work.write("grams", ITEM_GRAMS, [grams], name="grams.parquet")


def overlaps_stage(config: DecontaminationConfig, work: Work) -> None:
    """decontaminate/overlaps, a part. Inputs: documents, decisions (of decontaminate, same part), grams (of
    report_index).

    Outputs: `matches` and `counts`, by item. Documents that an earlier stage dropped are not looked at. Memory: a row
    group's text, the index, and a row for each item that the part touches."""
    index = held_items(work.input("grams"), work.task.inputs["grams"].digest)
    summary = TouchSummary(config.report.listed_documents)
    decisions = read_table(work.input("decisions"), ["doc_id", "reason", "pieces"])
    start = 0
    for group in read_row_groups(work.input("documents"), ["doc_id", "text"]):
        decided = decisions.slice(start, len(group))
        start += len(group)
        check_aligned(group["doc_id"], decided["doc_id"], work.input("decisions"))
        seen = pc.fill_null(pc.not_equal(decided["reason"], DecontaminationReason.NOT_SELECTED.value), True)
        texts, decided = group.filter(seen), decided.filter(seen)
        work.count("bytes_searched", pc.sum(pc.binary_length(texts["text"])).as_py() or 0)
        touches = index.touches(index.find(texts["text"]), one_array(decided["pieces"]))
        summary.add(touches, texts["doc_id"])
    work.count("items_touched", len(summary.counts))
    work.write("matches", matches_schema(), [summary.matches])
    work.write("counts", COUNTS, [summary.counts], name=f"counts/{work.task.name}.parquet")


def report_stage(config: DecontaminationConfig, work: Work) -> None:
    """decontaminate/report, once. Inputs: items (of report_index); matches and counts (manifest of overlaps).

    Outputs: `items`, report_schema, every item with its status and the documents that touch it; `benchmarks`,
    BENCHMARKS. Memory: the items, and `listed_documents` matches for each."""
    summary = TouchSummary(config.report.listed_documents)
    for matches, counts in zip(work.inputs("matches"), work.inputs("counts"), strict=True):
        summary.merge(read_table(matches), read_table(counts))
    items = read_table(work.input("items"))
    work.write("items", report_schema(), [report_items(items, summary)], name="items.parquet")
    table = report_benchmarks(items, summary)
    work.write("benchmarks", BENCHMARKS, [table], name="benchmarks.parquet")
    for row in table.to_pylist():
        for status in (ItemStatus.DIRTY, ItemStatus.CUT):
            work.count(f"items_{status.value}[{row['benchmark']}]", row[f"n_{status.value}"])


class TouchSummary:
    """What is kept of touches: exact counts by item, and the first matches in an order that no partitioning changes:
    those left in the training text, then by doc_id."""

    def __init__(self, listed_documents: int, id_type: pa.DataType = ID) -> None:
        self._listed = listed_documents
        self.matches = matches_schema(id_type).empty_table()
        self.counts = COUNTS.empty_table()

    def add(self, touches: pa.Table, doc_ids: pa.Array | pa.ChunkedArray) -> None:
        """TOUCHES of some texts. doc_ids: of every text."""
        if not len(touches):
            return
        matches = touches.append_column("doc_id", pc.take(doc_ids, touches["row"])).select(self.matches.schema.names)
        counts = touches.append_column("one", pc.cast(touches["left"], pa.int64())).group_by(
            "item_row", use_threads=False).aggregate([("row", "count"), ("one", "sum")])
        self.merge(matches, counts.rename_columns(COUNTS.names).cast(COUNTS))

    def merge(self, matches: pa.Table, counts: pa.Table) -> None:
        """Add what another summary holds."""
        total = pa.concat_tables([self.counts, counts]).group_by("item_row", use_threads=False)
        summed = total.aggregate([("n_documents", "sum"), ("n_documents_left", "sum")])
        self.counts = summed.rename_columns(COUNTS.names).cast(COUNTS).sort_by("item_row")
        table = pa.concat_tables([self.matches, matches])
        order = pc.sort_indices(table, [("item_row", "ascending"), ("left", "descending"), ("doc_id", "ascending"),
                                        ("start", "ascending")])
        item = table["item_row"].to_numpy()[order.to_numpy()]
        rank = np.arange(len(item)) - np.searchsorted(item, item)
        self.matches = table.take(order.filter(pa.array(rank < self._listed))).combine_chunks()


def _statuses(items: pa.Table, summary: TouchSummary) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """(status, n_documents, n_documents_left) of every item."""
    touched, left = np.zeros(len(items), np.int64), np.zeros(len(items), np.int64)
    touching = summary.counts["item_row"].to_numpy()
    touched[touching] = summary.counts["n_documents"].to_numpy()
    left[touching] = summary.counts["n_documents_left"].to_numpy()
    short = items["n_words"].to_numpy() < items["ngram"].to_numpy()
    status = np.select([short, left > 0, touched > 0],
                       [ItemStatus.TOO_SHORT.value, ItemStatus.DIRTY.value, ItemStatus.CUT.value],
                       ItemStatus.CLEAN.value)
    return status, touched, left


def report_items(items: pa.Table, summary: TouchSummary) -> pa.Table:
    """Every item with its status and matches: a table of report_schema."""
    status, touched, left = _statuses(items, summary)
    matches = summary.matches.combine_chunks()
    schema = report_schema(matches.schema.field("doc_id").type)
    starts = np.searchsorted(matches["item_row"].to_numpy(), np.arange(len(items) + 1)).astype(np.int32)
    kind = schema.field("documents").type
    fields = list(kind.value_type)
    structs = pa.StructArray.from_arrays([one_array(matches[f.name]) for f in fields], fields=fields)
    documents = pa.ListArray.from_arrays(pa.array(starts), structs, type=kind)
    arrays = [*(items[n] for n in ITEMS.names), pa.array(status.tolist(), pa.string()), pa.array(touched),
              pa.array(left), documents]
    return pa.table(arrays, schema=schema)


def report_benchmarks(items: pa.Table, summary: TouchSummary) -> pa.Table:
    """How many items of each benchmark are clean, cut, dirty and too short: BENCHMARKS, in the recipe's order."""
    status, _, _ = _statuses(items, summary)
    return pa.Table.from_pylist(list(_benchmark_rows(items, status)), BENCHMARKS)


def _benchmark_rows(items: pa.Table, status: npt.NDArray[Any]) -> Iterator[dict[str, Any]]:
    names = np.array(items["benchmark"].to_pylist(), object)
    for name in dict.fromkeys(names.tolist()):
        here = np.flatnonzero(names == name)
        n = {s: int((status[here] == s.value).sum()) for s in ItemStatus}
        checked = len(here) - n[ItemStatus.TOO_SHORT]
        yield {"benchmark": name, "ngram": items["ngram"][int(here[0])].as_py(), "n_items": len(here),
               **{f"n_{s.value}": count for s, count in n.items()},
               "clean_share": (n[ItemStatus.CLEAN] + n[ItemStatus.CUT]) / checked if checked else None}


def report_lines(table: pa.Table | Iterable[dict[str, Any]]) -> list[str]:
    """BENCHMARKS for a person: a line a benchmark."""
    rows = table.to_pylist() if isinstance(table, pa.Table) else list(table)
    lines = [f"{'benchmark':<20}{'N':>4}{'items':>9}{'clean':>9}{'cut':>7}{'dirty':>7}{'short':>7}{'clean %':>9}"]
    return lines + [f"{r['benchmark']:<20}{r['ngram']:>4}{r['n_items']:>9,}{r['n_clean']:>9,}{r['n_cut']:>7,}"
                    f"{r['n_dirty']:>7,}{r['n_too_short']:>7,}{_percent(r['clean_share']):>9}" for r in rows]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
