"""The examples that every model is trained and judged on: chosen from all parts, and without near-duplicates.

Near-duplicates go before folds are made: a template that two hosts share would otherwise be learnt on one and
tested on the other, and a shop's thousand pages of one form would be a thousand votes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.classifier.config import ClassifierConfig
from curate.classifier.kinds import KINDS
from curate.classifier.near import near_duplicates
from curate.classifier.samples import SAMPLES, lowest_of_each
from manifests.tables import read_row_groups
from manifests.tasks import Work

_METADATA = ["order", "source", "kind", "fold"]
_GROUP_ROWS = 4096


def examples(config: ClassifierConfig, work: Work) -> None:
    """Stage classifier/examples, one task: of all parts' samples, the lowest max_documents of each kind that are no
    near-duplicates of one another.

    Input `samples` (manifest of classifier/samples). Output `examples` (SAMPLES, by order). Of near-duplicates a linked
    page stays before a curated document and that before unfiltered crawl; then the lower hash. Counters: <kind>,
    near_duplicates_<kind>. Memory: twice 3 x max_documents x max_bytes_per_document."""
    table, _ = choose(config, work.inputs("samples", role="samples"), None, held_out=False, balanced=False)
    if config.near_duplicates is not None and len(table):
        table = _without_near_duplicates(table, config.near_duplicates, work)
    kinds = Counter(table["kind"].to_pylist())
    for kind in KINDS:
        work.count(str(kind), kinds[str(kind)])
    work.write("examples", SAMPLES, (table.slice(i, _GROUP_ROWS) for i in range(0, len(table), _GROUP_ROWS)))


def _without_near_duplicates(table: pa.Table, threshold: float, work: Work) -> pa.Table:
    rank = pc.index_in(table["kind"], pa.array([str(kind) for kind in KINDS])).to_numpy()
    order = np.lexsort((table["order"].to_numpy(), rank))
    gone = np.zeros(len(table), np.bool_)
    gone[order] = near_duplicates(table["text"].take(pa.array(order)), threshold)
    for number, kind in enumerate(KINDS):
        work.count(f"near_duplicates_{kind}", int((gone & (rank == number)).sum()))
    return table.filter(pa.array(~gone))


def choose(config: ClassifierConfig, paths: list[str], fold: int | None, held_out: bool,
           balanced: bool = True) -> tuple[pa.Table, Counter[str]]:
    """The chosen samples with their text in the order of training, and how many of each `source: kind` there are.

    paths: files of SAMPLES. fold: leave it out, or with held_out take it alone; None for all. First the samples' hashes
    alone, a file at a time; then the text of the chosen rows."""
    seen: Counter[str] = Counter()
    order, kind, rows = np.empty(0, np.uint64), np.empty(0, np.int8), np.empty((0, 2), np.int64)
    limits = dict.fromkeys(range(len(KINDS)), config.max_documents)
    for number, path in enumerate(paths):
        new_order, new_kind, new_rows = _metadata(path, fold, held_out, seen)
        order, kind = np.concatenate([order, new_order]), np.concatenate([kind, new_kind])
        rows = np.concatenate([rows, np.column_stack([np.full_like(new_rows, number), new_rows])])
        taken = lowest_of_each(order, kind, limits)  # so that memory does not grow with the parts
        order, kind, rows = order[taken], kind[taken], rows[taken]
    if balanced and not held_out:
        taken = lowest_of_each(order, kind, _balance(config, kind))
        order, rows = order[taken], rows[taken]
    table = pa.concat_tables([SAMPLES.empty_table(), *_read_rows(paths, rows)])
    return table.take(np.argsort(table["order"].to_numpy(), kind="stable")), seen


def _metadata(path: str, fold: int | None, held_out: bool, seen: Counter[str]) -> tuple[
        npt.NDArray[np.uint64], npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """(order, kind, row) of the samples of one file that are in (or out of) the fold."""
    groups = list(read_row_groups(path, _METADATA))
    if not groups:
        return np.empty(0, np.uint64), np.empty(0, np.int8), np.empty(0, np.int64)
    table = pa.concat_tables(groups)
    kind = pc.index_in(table["kind"], pa.array([str(k) for k in KINDS])).to_numpy().astype(np.int8)
    for row in table.group_by(["source", "kind"]).aggregate([([], "count_all")]).to_pylist():
        seen[f"{row['source']}: {row['kind']}"] += row["count_all"]
    in_fold = table["fold"].to_numpy() == (-1 if fold is None else fold)
    rows = np.flatnonzero(in_fold == held_out)
    return table["order"].to_numpy()[rows], kind[rows], rows.astype(np.int64)


def _balance(config: ClassifierConfig, kind: npt.NDArray[np.int8]) -> dict[int, int]:
    """Most examples of each kind: curated ones against linked ones, then the larger class against the smaller.

    A surplus of positives is taken from the curated ones first."""
    linked, curated, negative = (int((kind == number).sum()) for number in range(len(KINDS)))
    if linked:
        curated = min(curated, int(config.max_curated_ratio * linked))
    positives = linked + curated
    negative_limit = min(negative, int(config.max_class_ratio * positives)) if positives else negative
    # Without negatives nothing is left out, so that the check for both classes sees which one is missing.
    positive_limit = min(positives, int(config.max_class_ratio * negative_limit)) if negative else positives
    linked = min(linked, positive_limit)
    return dict(enumerate((linked, min(curated, positive_limit - linked), negative_limit)))


def _read_rows(paths: list[str], chosen: npt.NDArray[np.int64]) -> Iterator[pa.Table]:
    """The samples at (file, row), a row group at a time."""
    for number in np.unique(chosen[:, 0]):
        rows = np.sort(chosen[chosen[:, 0] == number, 1])
        start = 0
        for table in read_row_groups(paths[int(number)]):
            inside = rows[(rows >= start) & (rows < start + len(table))] - start
            if len(inside):
                yield table.take(inside)
            start += len(table)
