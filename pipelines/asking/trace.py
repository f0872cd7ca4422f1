"""From a packed row to its documents, found by the run's index."""

from __future__ import annotations

from typing import Any, Final

from curate.why import Locator
from manifests.single_rows import read_one
from manifests.stage_files import StageFiles
from manifests.storage import Storage
from manifests.trace import Origin, find_document, packed_folder, trace
from pipelines.asking.index import Index

_WITHOUT: Final = ("signal_*",)


def _packed_alone(storage: Storage) -> bool:
    """Whether a folder holds a packed dataset and no documents, as what `curate pack` leaves."""
    return (storage.exists("packed/manifest.parquet") and not storage.exists("recipe.lock.yaml")
            and not storage.list("clean"))


def origins(run: str, shard: str, row: int, token: int | None = None) -> list[Origin]:
    """`manifests.trace.trace`, whose documents an index finds in a run; of a packed folder alone, as it is there."""
    storage = Storage(run)
    storage.must_exist()
    if packed_folder(storage) and _packed_alone(storage):
        return trace(f"{run.rstrip('/')}/packed", shard, row, token)
    if not packed_folder(storage) or not storage.exists("packed/manifest.parquet"):
        return trace(run, shard, row, token)
    files = StageFiles(storage)
    located: Locator | None = None

    def find(source: str, doc_id: bytes) -> dict[str, Any]:
        nonlocal located
        located = located or Index(files)
        for file, number in located.clean(doc_id):
            found = read_one(files.path(file), number, without=_WITHOUT)
            if found["doc_id"] == doc_id:
                return found
        return find_document(storage, source, doc_id)

    return trace(run, shard, row, token, find)
