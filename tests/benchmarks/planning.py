"""What planning costs where nothing is to do: the graph over N parts, planned, as a dry run and as a resumed run.

    python -m tests.benchmarks.planning [--parts 4000] [--folder DIR] [--delay MS]

A demo run of few pages is made first. Its records say which files the tasks of each stage leave; a run of N archives is
then fabricated from them: real plans and records, empty files. What is measured is a process of its own each, from the
scan of the inputs on: CPU seconds (user and system), the most memory it held, files opened and folders listed. With
--delay the run is behind a URL whose every request, a page of 1,000 names of a listing among them, takes so long.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import xxhash
from fsspec.implementations.local import LocalFileSystem

from manifests.graph import Stage
from manifests.part_paths import part_name, part_path
from manifests.records import OutputFile, TaskRecord
from manifests.storage import Storage
from manifests.tasks import StageTask, peak_memory_bytes, write_manifest
from pipelines.demo.web import render
from pipelines.inputs import InputScanner
from pipelines.loading import load_recipe
from pipelines.locking import write_lock
from pipelines.planning import Progress, plan_stage, put_together
from pipelines.recipe import Recipe
from pipelines.running import Settings, dry_run, run, scan
from pipelines.stages import STAGES


class DelayedFileSystem(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A local folder whose every request takes some time, as an object store's does."""

    protocol = "delayed"
    seconds = 0.02
    requests = 0

    def _wait(self, requests: int = 1) -> None:
        DelayedFileSystem.requests += requests
        time.sleep(requests * self.seconds)

    def info(self, path: str, **options: Any) -> Any:
        self._wait()
        return super().info(path, **options)

    def exists(self, path: str, **options: Any) -> bool:
        self._wait()
        return os.path.exists(self._strip_protocol(path))

    def cat_file(self, path: str, **options: Any) -> Any:
        self._wait()
        return Path(self._strip_protocol(path)).read_bytes()

    def find(self, path: str, *args: Any, detail: bool = False, **options: Any) -> Any:
        found = {os.path.join(folder, name): None for folder, _, names in os.walk(self._strip_protocol(path))
                 for name in names}
        self._wait(1 + len(found) // 1000)
        sizes = {name: {"size": os.path.getsize(name)} for name in found} if detail else {}
        return sizes if detail else sorted(found)

    def put_file(self, source: str, target: str, **options: Any) -> None:
        self._wait()
        os.makedirs(os.path.dirname(self._strip_protocol(target)), exist_ok=True)
        shutil.copyfile(source, self._strip_protocol(target))

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        self._wait()
        return super().open(path, mode, **options)


fsspec.register_implementation("delayed", DelayedFileSystem)


def recipe_of(web: Path) -> Recipe:
    """The demo's recipe on a web."""
    return load_recipe("demo", [f"web={web}"])


def make(folder: Path, parts: int) -> None:
    """`folder/web` with so many archives, and a finished run of it in `folder/run`."""
    render(folder / "small", n_pages=400)
    template = run(recipe_of(folder / "small"), str(folder / "template"), Settings("inline")).view
    shutil.copytree(folder / "small", folder / "web")
    archives = sorted((folder / "web/crawl").iterdir())
    for archive in archives:
        archive.unlink()
    for number in range(parts):
        (folder / f"web/crawl/part-{number:06d}.warc.gz").write_bytes(number.to_bytes(4, "little"))
    recipe, storage = recipe_of(folder / "web"), Storage(str(folder / "run"))
    scanner = InputScanner(storage)
    progress = scan(recipe, scanner)
    scanner.save()
    write_lock(storage, progress)
    for stage in STAGES:
        _fabricate(stage, progress, storage, list(template.records(stage.name).values()))
    run(recipe, str(folder / "run"), Settings("inline", guards=False))  # as a run ends


def _fabricate(stage: Stage, progress: Progress, storage: Storage, like: Sequence[TaskRecord]) -> None:
    plan = plan_stage(stage, progress, storage)
    for task, _ in plan.stale:
        source = task.name.split("/")[0]
        alike = next((r for r in like if r.identity.task.split("/")[0] == source), like[0] if like else None)
        plan.done[task.name] = _record(task, alike)
    for record in plan.done.values():
        for output in record.outputs:
            path = storage.path(output.path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb"):
                pass
    records = plan.records()
    if stage.writes_manifest:
        write_manifest(storage, stage.path, records)
    progress.finish(stage.name, put_together(plan, records, storage))


def _record(task: StageTask, like: TaskRecord | None) -> TaskRecord:
    if like is None:
        return TaskRecord(task.identity, (), {}, fingerprint=task.identity.fingerprint)
    outputs: list[OutputFile] = []
    for output in like.outputs:
        path = part_path(part_name(output.path).replace(like.identity.task, task.name))
        outputs.append(OutputFile(output.role, path, 0, xxhash.xxh3_128_hexdigest(path.encode()), output.n_rows))
    return replace(like, identity=task.identity, outputs=tuple(outputs), fingerprint=task.identity.fingerprint)


def measure(folder: Path, way: str, delay: float) -> None:
    """One way in this process, and a line about it."""
    counts: Counter[str] = Counter()
    sys.addaudithook(lambda event, _: counts.update([event]) if event in ("open", "os.scandir", "os.listdir") else None)
    recipe = recipe_of(folder / "web")
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    counts.clear()
    DelayedFileSystem.seconds = delay
    out = f"delayed://{folder / 'run'}" if delay else str(folder / "run")
    if way == "scan":
        scan(recipe, InputScanner(Storage(out)))
    elif way == "dry run":
        assert all(plan is not None and not plan.stale for _, plan in dry_run(recipe, out))
    else:
        assert run(recipe, out, Settings("inline", guards=False)).n_done == 0
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{way}: {cpu:.1f} CPU s, {time.monotonic() - started:.1f} s, {peak_memory_bytes() / 1e6:.0f} MB, "
          f"{counts['open']:,} files opened, {counts['os.scandir'] + counts['os.listdir']:,} folders listed, "
          f"{DelayedFileSystem.requests:,} requests", flush=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", type=int, default=4000)
    parser.add_argument("--folder")
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds a request")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        measure(Path(arguments.folder), arguments.way, arguments.delay / 1000)
        return
    with tempfile.TemporaryDirectory(prefix="planning-", dir=arguments.folder) as folder:
        before = resource.getrusage(resource.RUSAGE_SELF)
        make(Path(folder), arguments.parts)
        after = resource.getrusage(resource.RUSAGE_SELF)
        print(f"{arguments.parts:,} archives fabricated in {after.ru_utime - before.ru_utime:.0f} CPU s", flush=True)
        for way in ("scan", "dry run", "resumed run"):
            subprocess.run([sys.executable, "-m", "tests.benchmarks.planning", "--folder", folder, "--way", way,
                            "--delay", str(arguments.delay)], check=True)


if __name__ == "__main__":
    main()
