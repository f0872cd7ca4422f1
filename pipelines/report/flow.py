"""Where documents go: counts by source, stage and reason, by language and by kind of page, and groups of duplicates.

Whole parts are read, in an order that a hash of their names gives, until two million documents or two thousand parts
have been seen: so memory and time are bounded, and a run of fewer is read completely.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from manifests.hashing import text_hash64
from manifests.stage_files import StageFile, StageFiles
from manifests.tables import open_table, read_table
from pipelines.asking.fates import KEPT, exclusions_of, fates_of, named, tasks_of

MAX_DOCUMENTS: Final = 2_000_000
MAX_PARTS: Final = 2_000
_MAX_GROUPS: Final = 1_000_000


@dataclass(slots=True)
class Flow:
    """Counts over the parts that were read. n_parts, n_documents: of all; read: documents of the parts that were read.

    fates: (source, fate) to [documents, bytes]. languages, kinds: by name, [kept, dropped]. groups: kept document to
    the number of documents dropped as its duplicates."""

    n_parts: int = 0
    n_documents: int = 0
    read: int = 0
    tasks: list[str] = field(default_factory=list)
    fates: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    languages: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    kinds: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    groups: Counter[bytes] = field(default_factory=Counter)


def read_flow(files: StageFiles) -> Flow:
    """Count what became of the documents of a run."""
    flow = Flow()
    sizes = {file.task: file.n_rows for file in files.of("extract", "documents")}
    excluded = {file.task: file.n_rows for file in files.of("extract", "exclusions")}
    flow.n_parts, flow.n_documents = len(sizes), sum(sizes.values()) + sum(excluded.values())
    for task in sorted(tasks_of(files), key=lambda name: text_hash64(0, "report", name)):
        if len(flow.tasks) >= MAX_PARTS or (flow.read and flow.read + sizes[task] > MAX_DOCUMENTS):
            break
        _add_documents(files, flow, task)
        _add_exclusions(files, flow, task)
        flow.tasks.append(task)
        flow.read += sizes[task] + excluded.get(task, 0)
    return flow


def _add_documents(files: StageFiles, flow: Flow, task: str) -> None:
    columns = ["source", "language", "page_type", "n_bytes"]
    table = _there(files, files.by_task("extract", "documents")[task], columns)
    decided = files.by_task("select", "decisions").get(task)
    if decided is not None:  # the source after derivation
        table = table.set_column(0, "source", _there(files, decided, ["source"])["source"])
    table = table.append_column("fate", named(fates_of(files, task)))
    for row in _grouped(table, ["source", "fate"]):
        entry = flow.fates[row["source"], row["fate"]]
        entry[0] += row["count_all"]
        entry[1] += row["n_bytes_sum"] or 0
    for column, counts in (("language", flow.languages), ("page_type", flow.kinds)):
        if column in table.column_names:
            for row in _grouped(table, [column, "fate"]):
                counts[row[column] or "(unknown)"][row["fate"] != KEPT] += row["count_all"]
    duplicates = files.by_task("dedup/decisions", "decisions").get(task)
    if duplicates is not None:
        of = read_table(files.path(duplicates), ["duplicate_of"])["duplicate_of"].drop_null()
        flow.groups.update({row["values"]: row["counts"] for row in pc.value_counts(of).to_pylist()})
        if len(flow.groups) > _MAX_GROUPS:
            flow.groups = Counter(dict(flow.groups.most_common(_MAX_GROUPS // 2)))


def _add_exclusions(files: StageFiles, flow: Flow, task: str) -> None:
    file = files.by_task("extract", "exclusions").get(task)
    if file is None or not file.n_rows:
        return
    table = _there(files, file, ["source", "language"])
    table = table.append_column("fate", named(exclusions_of(files, task)))
    for row in table.group_by(["source", "fate"]).aggregate([([], "count_all")]).to_pylist():
        flow.fates[row["source"], row["fate"]][0] += row["count_all"]
    if "language" in table.column_names:
        for row in table.group_by(["language"]).aggregate([([], "count_all")]).to_pylist():
            if row["language"]:
                flow.languages[row["language"]][1] += row["count_all"]


def _grouped(table: pa.Table, names: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.group_by(names).aggregate([([], "count_all"), ("n_bytes", "sum")]).to_pylist()
    return rows


def _there(files: StageFiles, file: StageFile, names: list[str]) -> pa.Table:
    with open_table(files.path(file)) as table:
        return table.read(columns=[n for n in names if n in table.schema_arrow.names], use_threads=False)
