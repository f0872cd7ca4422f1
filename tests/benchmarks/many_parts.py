"""Pages of `curate ui` and the report of a run of very many parts: CPU seconds of each, with those of DuckDB's process.

    python -m tests.benchmarks.many_parts RUN [--times 313]

RUN is a finished run of some dozens of archives (recipe `own`). Each of its parts is made into so many, by hard links
in a temporary folder beside it and by records under other names; the index is not made.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import xxhash

from manifests.record_tables import read_stage_records, write_records
from manifests.records import RECORDS_FOLDER, OutputFile, TaskRecord
from manifests.stage_files import StageFiles
from manifests.stage_records import StageRecords
from manifests.storage import Storage
from manifests.tasks import MANIFEST, peak_memory_bytes, write_manifest
from pipelines.asking.lock import locked_recipe
from pipelines.report.gather import gather
from pipelines.ui.documents import documents_page
from pipelines.ui.overview import overview_page
from pipelines.ui.recount import recount
from pipelines.ui.sql import sql_page

_READ: Final = ("extract", "classifier/labels", "select", "dedup/decisions", "clean", "tokens")
_HEX: Final = 8


def multiply(run: Path, out: Path, times: int) -> int:
    """Make a run of which each part is there so many times; how many parts it has."""
    shutil.copytree(run, out, ignore=shutil.ignore_patterns("_index", "report"))
    storage, n_parts = Storage(str(out)), 0
    for table in sorted(out.rglob("*.records")):
        name, stage = str(table.relative_to(out)), table.stem.replace(".", "/")
        found = read_stage_records(storage, name)
        records = [] if found is None else [found[0][task] for task in found[0]]
        if not records or not all(record.identity.task.rpartition("/")[2].startswith("part-") for record in records):
            continue
        many = StageRecords.of(copy for record in records for copy in _copies(record, out, times, stage in _READ))
        folder = name.partition(f"/{RECORDS_FOLDER}/")[0]
        write_records(storage, name, many, {})
        if (out / folder / MANIFEST).exists():
            write_manifest(storage, folder, many)
        n_parts = len(many) if stage == "extract" else n_parts
    return n_parts


def _copies(record: TaskRecord, out: Path, times: int, linked: bool) -> list[TaskRecord]:
    task = record.identity.task
    old = task.rpartition("/")[2]
    found = [record]
    for number in range(1, times):
        new = f"{old[:-_HEX]}{xxhash.xxh3_64_hexdigest(f'{old} {number}'.encode())[:_HEX]}"
        outputs = tuple(_copy(output, out, old, new, linked) for output in record.outputs)
        identity = replace(record.identity, task=f"{task[: -len(old)]}{new}")
        found.append(replace(record, identity=identity, outputs=outputs))
    return found


def _copy(output: OutputFile, out: Path, old: str, new: str, linked: bool) -> OutputFile:
    folder = f"/{old[-_HEX:][:2]}/"
    path = output.path.replace(folder, f"/{new[-_HEX:][:2]}/").replace(old, new)
    if linked:
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        os.link(out / output.path, out / path)
    return replace(output, path=path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--times", type=int, default=313)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.run.resolve().parent) as folder:
        n_parts = multiply(chosen.run, Path(folder) / "run", chosen.times)
        storage = Storage(f"{folder}/run")
        print(f"{n_parts:,} parts")

        def query(sql: str) -> Callable[[StageFiles], Any]:
            return lambda files: sql_page(files, {"q": sql})

        pages: dict[str, Callable[[StageFiles], Any]] = {
            "overview": overview_page, "documents": lambda files: documents_page(files, {}),
            "documents, no text": lambda files: documents_page(files, {"text": "no text holds this"}),
            "thresholds": lambda files: recount(files, locked_recipe(storage), {}),
            "SQL, count": query("SELECT count(*) FROM documents"),
            "SQL, by source": query("SELECT source, count(*), sum(n_bytes) FROM clean GROUP BY source"),
            "report": lambda files: gather(files, "run")}
        for name, ask in pages.items():
            before = os.times()
            ask(StageFiles(storage))
            spent = sum(after - begun for after, begun in zip(os.times()[:4], before[:4], strict=True))
            print(f"{name}: {spent:.1f} CPU seconds, {peak_memory_bytes() / 1e6:.0f} MB at most so far", flush=True)


if __name__ == "__main__":
    main()
