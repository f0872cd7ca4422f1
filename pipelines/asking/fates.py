"""What became of every document of a part in the end: the first stage that dropped it, and why, or that it was kept.

Decisions lie row for row beside the extracted documents, so a part is judged from a few narrow columns of its tables. A
part is what is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.removals import DOCUMENTS as REMOVED
from manifests.removals import is_removed, removed_ids
from manifests.schema import ID
from manifests.stage_files import StageFile, StageFiles, decision_files
from manifests.tables import one_array, open_table, read_table

KEPT: Final = "kept"
NOT_SEEN: Final = "not_selected"
FATES: Final = pa.schema([("doc_id", ID), ("row", pa.int64()), ("stage", pa.string()), ("reason", pa.string()),
                          ("value", pa.float64()), ("threshold", pa.float64())])
"""One row a document. stage: that dropped it, null where it was kept; row: of its file."""


def tasks_of(files: StageFiles) -> list[str]:
    """Parts of the run, by name."""
    return sorted(file.task for file in files.of("extract", "documents"))


def fates_of(files: StageFiles, task: str) -> pa.Table:
    """FATES of the extracted documents of a part, in their order."""
    documents = files.by_task("extract", "documents")[task]
    ids = read_table(files.path(documents), ["doc_id"])["doc_id"]
    n = len(ids)
    stage, reason = np.full(n, None, object), np.full(n, None, object)
    value, threshold = np.full(n, np.nan), np.full(n, np.nan)
    for name, parts in decision_files(files).items():
        if task not in parts:
            continue
        decided = _columns(files.path(parts[task]), ["keep", "reason", "value", "threshold", "similarity"])
        why = one_array(decided["reason"]).to_numpy(zero_copy_only=False)
        fresh = ~decided["keep"].to_numpy() & (why != NOT_SEEN) & (stage == None)  # noqa: E711 (elementwise)
        stage[fresh], reason[fresh] = name, why[fresh]
        measured = "value" if "value" in decided.column_names else "similarity"
        for target, column in ((value, measured), (threshold, "threshold")):
            if column in decided.column_names:
                target[fresh] = decided[column].cast(pa.float64()).to_numpy()[fresh]
    if files.storage.exists(REMOVED):
        gone = is_removed(one_array(ids), removed_ids([files.storage.path(REMOVED)])).to_numpy(zero_copy_only=False)
        stage[gone], reason[gone] = "remove", "removed_on_request"
    return pa.table([ids.cast(ID), np.arange(n), pa.array(stage, pa.string()), pa.array(reason, pa.string()),
                     pa.array(value, mask=np.isnan(value)), pa.array(threshold, mask=np.isnan(threshold))],
                    schema=FATES)


def exclusions_of(files: StageFiles, task: str) -> pa.Table:
    """FATES of the documents of a part that extraction left out."""
    file = files.by_task("extract", "exclusions").get(task)
    if file is None:
        return FATES.empty_table()
    table = read_table(files.path(file), ["doc_id", "reason", "value", "threshold"])
    stage = pa.array(["extract"] * len(table), pa.string())
    return pa.table([table["doc_id"].cast(ID), np.arange(len(table)), stage, table["reason"], table["value"],
                     table["threshold"]], schema=FATES)


def files_of(files: StageFiles, stage: str, role: str, tasks: Sequence[str] | None) -> list[StageFile]:
    """Files of a role: all, or those of some tasks."""
    if tasks is None:
        return files.of(stage, role)
    return [file for task in tasks for file in files.of_task(stage, role, task)]


def clean_tables(files: StageFiles, columns: Sequence[str], tasks: Sequence[str] | None = None
                 ) -> Iterator[tuple[StageFile, pa.Table]]:
    """(file, some of its columns) of every file of the clean corpus, or of those of some tasks."""
    for file in files_of(files, "clean", "documents", tasks):
        yield file, _columns(files.path(file), columns)


def name_of(stage: Any, reason: Any) -> str:
    """A fate in one word: `select: pareto`, or `kept`."""
    return KEPT if stage is None else f"{stage}: {reason}"


def named(fates: pa.Table) -> pa.ChunkedArray[Any]:
    """`name_of` of each fate."""
    both = pc.binary_join_element_wise(fates["stage"], pc.fill_null(fates["reason"], ""), ": ")
    return pc.fill_null(both, KEPT)


def _columns(path: str, names: Sequence[str]) -> pa.Table:
    """Those columns of a table that it has."""
    with open_table(path) as file:
        return file.read(columns=[n for n in names if n in file.schema_arrow.names], use_threads=False)
