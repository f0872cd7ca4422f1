"""The real stage graph over documents and decisions that a test makes up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.graph import InputFile, Source, View
from manifests.records import Identity, OutputFile, TaskRecord
from manifests.storage import Storage, digest_file
from manifests.tables import read_table, write_table
from pipelines.inputs import InputScanner
from pipelines.loading import validate
from pipelines.planning import Progress
from pipelines.recipe import Recipe
from pipelines.running import Settings, run, run_stages
from pipelines.stages import STAGES


@dataclass
class GraphRun:
    """What some stages of the graph made in a folder."""

    root: Path
    view: View

    def total(self, stage: str, counter: str) -> int:
        return self.view.counters(stage).get(counter, 0)

    def table(self, stage: str, task: str, role: str = "decisions") -> pa.Table:
        return read_table(str(self.root / self.view.output(stage, task, role).paths[0]))

    def rows(self, stage: str, task: str, role: str = "decisions") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table(stage, task, role).to_pylist()
        return rows

    def bytes_of(self, stage: str, task: str, role: str = "decisions") -> bytes:
        return (self.root / self.view.output(stage, task, role).paths[0]).read_bytes()


def recipe_of(sources: Sequence[str], **fields: Any) -> Recipe:
    """A recipe of sources, in order of trust, without a classifier."""
    return validate({"name": "test", "sources": {name: {"files": ["none"]} for name in sources}, "classifier": None,
                     "mixture": {"weights": dict.fromkeys(sources, 1)}, **fields})


def record_of(root: Path, stage: str, task: str, table: pa.Table, role: str, group: int = 3) -> TaskRecord:
    """Write a table as the output of a finished task, in row groups of a few rows."""
    name = f"{stage}/{task}.parquet"
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(str(path), table.schema, [table.slice(i, group) for i in range(0, len(table), group)])
    output = OutputFile(role, name, path.stat().st_size, digest_file(str(path)), len(table))
    return TaskRecord(Identity(stage, 1, task, {}, {}), (output,), {})


def run_graph(root: Path, recipe: Recipe, tables: Mapping[str, Mapping[str, pa.Table]], folders: Sequence[str],
              group: int = 3, sources: Sequence[Source] = ()) -> GraphRun:
    """Run the stages of some folders after others that are done.

    tables: by stage that is done and by task, its decisions, or documents in `extract`. folders: stages, or the
    folders they lie in; the remaining ones are no part of the run."""
    storage = Storage(str(root))
    files = {name: InputScanner(storage).scan(paths, name) for name, paths in recipe.other_files().items()}
    progress = Progress(recipe, sources, files)
    for stage, parts in tables.items():
        role = "documents" if stage == "extract" else "decisions"
        progress.finish(stage, {task: record_of(root, stage, task, table, role, group)
                                for task, table in parts.items()})
    chosen = [s for s in STAGES if any(s.name == name or s.name.startswith(f"{name}/") for name in folders)
              and s.name not in tables]
    run_stages(storage, progress, chosen, Settings("inline", tracebacks=False))
    return GraphRun(root, progress)


def run_recipe(root: Path, fields: Mapping[str, Any], only: Sequence[str]) -> GraphRun:
    """Run some stages of a recipe from its files on, going on where an earlier call in the same folder stopped."""
    recipe = validate({"name": "test", "mixture": {"weights": {"crawl": 1}}, **fields})
    return GraphRun(root, run(recipe, str(root), Settings("inline", only=tuple(only), guards=False)).view)


def source_of(name: str, files: Sequence[str]) -> Source:
    """A source with files of these names; its parts are `NAME/<file.part>`."""
    return Source(name, tuple(InputFile(file, file, 1, file) for file in files))
