"""What the stages of a run left, by stage, task and role: the one way in which questions about a run find its files.

A stage that is done lists its files in its manifest, one small table; of a stage that is not, the records of its tasks
say what is there. No path is put together from names, so questions do not depend on how folders are laid out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import xxhash

from manifests.confined import confined
from manifests.run_records import stage_records
from manifests.stage_records import StageRecords
from manifests.storage import Storage
from manifests.tables import read_table
from manifests.tasks import MANIFEST

DECIDING = ("select", "dedup/decisions", "dedup/passage_decisions", "dedup/substrings", "decontaminate")
"""Stages that decide about documents, a row for each in the documents' order, in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class StageFile:
    """One file of a stage. path: relative to the run. n_rows: -1 where it is no table. digest: xxh3-128 of its bytes.
    """

    task: str
    role: str
    path: str
    n_rows: int
    digest: str


class StageFiles:
    """The files of a run's stages.

    Args:
        storage: The run.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._stages: dict[str, list[StageFile]] = {}
        self._records: dict[str, StageRecords] = {}
        self._grouped: dict[tuple[str, str], dict[str, list[StageFile]]] = {}
        self._by_task: dict[tuple[str, str], Mapping[str, StageFile]] = {}

    def of(self, stage: str, role: str | None = None) -> list[StageFile]:
        """Files of a stage, or those of one role, by task and path; none where it has left nothing."""
        if stage not in self._stages:
            manifest = f"{stage}/{MANIFEST}"
            there = self.storage.exists(manifest)
            files = self._listed(manifest) if there else self._recorded(stage)
            self._stages[stage] = sorted(files, key=lambda file: (file.task, file.path))
        return [file for file in self._stages[stage] if role is None or file.role == role]

    def by_task(self, stage: str, role: str) -> Mapping[str, StageFile]:
        """The one file of a role that each task of a stage left. Kept, since it is asked for at every part."""
        if (stage, role) not in self._by_task:
            self._by_task[stage, role] = MappingProxyType({file.task: file for file in self.of(stage, role)})
        return self._by_task[stage, role]

    def of_task(self, stage: str, role: str, task: str) -> list[StageFile]:
        """Files of a role that one task left, where it may leave several."""
        if (stage, role) not in self._grouped:
            groups: dict[str, list[StageFile]] = {}
            for file in self.of(stage, role):
                groups.setdefault(file.task, []).append(file)
            self._grouped[stage, role] = groups
        return self._grouped[stage, role].get(task, [])

    def path(self, file: StageFile) -> str:
        """Where a file is."""
        return self.storage.path(file.path)

    def counters(self, stage: str) -> dict[str, int]:
        """Counters of a stage, summed over its tasks."""
        return self._columns(stage).counters()

    def state(self, *stages: str) -> str:
        """Hash of the paths and digests of some stages' files, 32 hex digits: another one says that a file changed."""
        facts = [[stage, [[file.path, file.digest] for file in self.of(stage)]] for stage in stages]
        return xxhash.xxh3_128_hexdigest(json.dumps(facts).encode())

    def _listed(self, manifest: str) -> Iterator[StageFile]:
        table = read_table(self.storage.path(manifest))
        task = "task" if "task" in table.column_names else "shard"  # of 0.1.0
        for row in table.to_pylist():
            yield StageFile(row[task], row["role"], confined(row["path"], manifest), row["n_rows"], row["xxh3"])

    def _recorded(self, stage: str) -> Iterator[StageFile]:
        for row in self._columns(stage).files().to_pylist():
            yield StageFile(row["task"], row["role"], row["path"], row["n_rows"], row["digest"])

    def _columns(self, stage: str) -> StageRecords:
        if stage not in self._records:
            self._records[stage] = stage_records(self.storage, stage)
        return self._records[stage]


def decision_files(files: StageFiles) -> dict[str, Mapping[str, StageFile]]:
    """By deciding stage that has left something, in order: the decisions of each part, by task."""
    found: dict[str, Mapping[str, StageFile]] = {}
    for stage in DECIDING:
        if parts := files.by_task(stage, "decisions"):
            found[stage] = parts
    return found

