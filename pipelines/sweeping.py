"""At the end of a run: outputs of finished stages that the recipe no longer asks for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from manifests.graph import Stage, View
from manifests.record_tables import table_name
from manifests.records import RECORDS_FOLDER
from manifests.removals import FOLDER as REMOVALS_FOLDER
from manifests.removals import SUCCESSION
from manifests.storage import Storage
from manifests.tasks import MANIFEST
from pipelines.locking import LOCK_FILE

_SWEPT: Final = f"{RECORDS_FOLDER}/swept"  # what the run held when nothing was left that nobody asks for
_KEPT_FOLDERS: Final = (f"{RECORDS_FOLDER}/", "logs/", "report/", "_index/", "card/", "audit/", ".tmp/",
                        REMOVALS_FOLDER)


def sweep(storage: Storage, view: View, stages: Sequence[Stage], others: Collection[str]) -> None:
    """Remove what no stage names, so that a run resumed after a file went away, or with other partitions, holds what a
    fresh one would. Where nothing changed since the last time and nothing else was seen, no folder is looked at.

    Args:
        storage: The run.
        view: Of a run whose stages are all done.
        stages: All of them.
        others: Files that planning saw among those of stages, and that no record of these names.
    """
    contents = sorted((stage.name, view.records(stage.name).content) for stage in stages)
    state = "".join(f"{name} {content}\n" for name, content in contents).encode()
    keep = {LOCK_FILE, SUCCESSION, *(f"{stage.path}/{MANIFEST}" for stage in stages),
            *(table_name(stage.path, stage.name) for stage in stages)}
    if storage.read_bytes(_SWEPT) == state and keep.issuperset(others):
        return
    kept = pa.array(sorted(keep), pa.large_string())
    for top, names in storage.by_folder():  # one after another: a run has millions of files
        wanted = [kept]
        for records in (view.records(stage.name) for stage in stages if stage.path.partition("/")[0] == top):
            wanted.append(records.paths())
            records.forget()
        there = pa.array(names, pa.large_string())
        for name in there.filter(pc.invert(pc.is_in(there, value_set=pa.concat_arrays(wanted)))).to_pylist():
            if not name.startswith(_KEPT_FOLDERS):
                storage.remove(name)
    storage.write_bytes(_SWEPT, state)
