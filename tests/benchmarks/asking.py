"""Questions put to a run of N documents whose tables are made up: CPU seconds of each command, the start included.

    python -m tests.benchmarks.asking [--documents 1000000]

Tables have the form that stages leave; parts hold 20,000 documents in row groups of 1,000, with texts of some hundred
characters. The index is made first, and timed by itself.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.hashing import ids_array
from manifests.records import Identity, OutputFile, TaskRecord, record_name
from manifests.schema import DEDUP_DECISIONS, DOCUMENTS, EDITS, SELECT_DECISIONS, TOKENS
from manifests.stage_files import StageFiles
from manifests.stage_records import StageRecords
from manifests.storage import Storage
from manifests.tables import write_table
from manifests.tasks import write_manifest
from pipelines.ui.search import Conditions, search

PART = 20_000
GROUP = 1_000


def made_up(folder: Path, n_documents: int) -> list[str]:
    """A run's tables, up to clean and tokens; some of its URLs."""
    storage = Storage(str(folder))
    storage.write_bytes("recipe.lock.yaml", b"run_format: 2\nrecipe:\n  name: made-up\n  seed: 1\n  select:\n"
                                            b"    alpha: 1.5\n    filtered_sources: [crawl]\n")
    random = np.random.default_rng(0)
    records: dict[str, list[TaskRecord]] = {}
    urls: list[str] = []
    for number in range(max(1, n_documents // PART)):
        task = f"crawl/part-{number:05d}"
        for stage, role, schema, table in _part(random, number, urls):
            folder_of = f"{stage}/exclusions" if role == "exclusions" else stage
            path = f"{folder_of}/{task}.parquet"
            os.makedirs(os.path.dirname(storage.path(path)), exist_ok=True)
            write_table(storage.path(path), schema, [table.slice(i, GROUP) for i in range(0, len(table), GROUP)])
            output = OutputFile(role, path, os.path.getsize(storage.path(path)), hashlib.md5(path.encode()).hexdigest(),
                                len(table))
            records.setdefault(stage, []).append(TaskRecord(Identity(stage, 1, task, {}, {}), (output,), {}))
    for stage, own in records.items():
        write_manifest(storage, stage, StageRecords.of(own))
        for record in own:
            storage.write_bytes(record_name(stage, record.identity.task), record.to_json())
    return urls


def _part(random: np.random.Generator, number: int, urls: list[str]) -> Iterator[tuple[str, str, pa.Schema, pa.Table]]:
    ids = ids_array(random.integers(0, 1 << 63, (PART, 2), np.uint64))
    hosts = [f"www.site{h}.example" for h in random.integers(0, 50_000, PART).tolist()]
    addresses = [f"https://{host}/a/b/page-{number}-{i}.html?id={i}" for i, host in enumerate(hosts)]
    urls.extend(addresses[:2])
    text = " ".join(f"word{w}" for w in random.integers(0, 5000, 60).tolist())
    n = PART
    document: dict[str, Any] = {
        "doc_id": ids, "record_id": [None] * n, "source": ["crawl"] * n, "url": addresses, "host": hosts,
        "date": pa.nulls(n, pa.timestamp("ms", "UTC")), "origin_path": [f"part-{number}.warc.gz"] * n,
        "origin_offset": list(range(n)), "origin_length": [100] * n, "language": ["en"] * n,
        "language_score": [0.9] * n, "language_share": [1.0] * n, "page_type": ["article"] * n,
        "page_type_score": [0.5] * n, "text": [text] * n, "n_bytes": [len(text)] * n}
    documents = pa.table({f.name: pa.array(document[f.name], f.type) if not isinstance(document[f.name], pa.Array)
                          else document[f.name].cast(f.type) for f in DOCUMENTS if f.name in document})
    yield "extract", "documents", documents.schema, documents
    keep = random.random(n) < 0.6
    reason = pa.array([None if one else "pareto" for one in keep.tolist()], pa.string())
    yield "select", "decisions", SELECT_DECISIONS, _table(SELECT_DECISIONS, {
        "doc_id": ids, "source": document["source"], "quality_score": random.random(n).astype(np.float32), "keep": keep,
        "reason": reason, "value": pa.array(random.random(n)), "threshold": pa.array(random.random(n))}, n)
    unique = keep & (random.random(n) < 0.8)
    why = [None if one else "near_duplicate" if two else "not_selected"
           for one, two in zip(unique.tolist(), keep.tolist(), strict=True)]
    yield "dedup/decisions", "decisions", DEDUP_DECISIONS, _table(DEDUP_DECISIONS, {
        "doc_id": ids, "keep": unique, "reason": pa.array(why, pa.string())}, n)
    kept = int(unique.sum())
    clean = documents.filter(pa.array(unique)).append_column("parent_id", pa.nulls(kept, pa.binary(16)))
    clean = clean.append_column("edits", pa.array([[]] * kept, EDITS))
    yield "clean", "documents", clean.schema, clean
    yield "tokens", "index", TOKENS, _table(TOKENS, {
        "doc_id": clean["doc_id"].combine_chunks(), "token_start": list(range(len(clean))),
        "n_tokens": [90] * len(clean)}, len(clean))


def _table(schema: pa.Schema, columns: dict[str, Any], n: int) -> pa.Table:
    made = {name: column if isinstance(column, pa.Array) else pa.array(column) for name, column in columns.items()}
    return pa.table([made[f.name].cast(f.type) if f.name in made else pa.nulls(n, f.type) for f in schema],
                    schema=pa.schema([f.with_nullable(True) for f in schema]))


def cpu_seconds(arguments: Sequence[str]) -> float:
    """User and system seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "curate", *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        run = Path(folder) / "run"
        urls = made_up(run, chosen.documents)
        print(f"{chosen.documents:,} documents made up in {time.process_time() - started:.1f} s")
        first = cpu_seconds(["why", str(run), urls[0]])
        print(f"why, which makes the index: {first:.2f} CPU seconds")
        for words in (["why", str(run), urls[-1].replace("https://www.", "")], ["why", str(run), "page-0-77"],
                      ["sample", str(run)], ["sample", str(run), "--reason", "pareto"], ["domains", str(run)],
                      ["stats", str(run)], ["report", str(run)]):
            shown = [word for word in words if word != str(run)]
            print(f"{' '.join(shown)}: {cpu_seconds(words):.2f} CPU seconds")
        for wanted in (Conditions(), Conditions(fate="select: pareto"), Conditions(url="no-url-holds-this"),
                       Conditions(text="no-text-holds-this"), Conditions(domain="nowhere.example")):
            started = time.process_time()
            found = search(StageFiles(Storage(str(run))), wanted, seconds=600)
            asked = ", ".join(f"{name} {value}" for name, value in asdict(wanted).items() if value) or "all"
            print(f"ui, documents, {asked}: {time.process_time() - started:.2f} CPU seconds for {found.n_read:,} read")


if __name__ == "__main__":
    main()
