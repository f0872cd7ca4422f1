"""Shuffles of deduplication over many tiny parts: files opened, and CPU a part, of every stage from bands on.

    python -m tests.benchmarks.shuffles [--parts 100,1000,4000] [--partitions auto] [--documents 40]

Signatures are made, not computed, as in `dedup_scale`: clusters of ten, whose members agree in most of 14 minima and
stand in different parts; a tenth of the documents has an exact copy. Stages run one after another in this process, so
what is counted is all that there is: every file that Python opens, and every table that Arrow does. What a stage costs
a part is its CPU over the number of parts, which must not grow with that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.dedup.config import DedupRecipe, Verification
from curate.dedup.kernels.minhash import band_keys
from curate.dedup.layout import TEXT_HASHES, part_key, signatures_schema
from curate.dedup.stages import STAGES
from manifests.graph import bind, resolve
from manifests.hashing import ids_array, keyed_hash
from manifests.partitioned import SUFFIX, write_partitions
from manifests.records import Identity, OutputFile, TaskRecord
from manifests.schema import DOCUMENTS, SELECT_DECISIONS
from manifests.storage import Storage, digest_file
from manifests.tasks import execute, write_manifest
from pipelines.planning import Progress
from tests.unit.curate.graph_runs import recipe_of, record_of

N_MINIMA: Final = 14
CLUSTER: Final = 10
STEPS: Final = ("exact", "bands", "candidates", "links", "components", "shingles", "resolve", "copies", "decisions",
                "summary")
_OPENS: Counter[str] = Counter()


def count_opens() -> None:
    """Count, from now on, every file that is opened: by Python through its audit hook, by Arrow's tables beside it."""
    def opened(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and "/shuffles-" in arguments[0]:
            _OPENS["files"] += 1

    sys.addaudithook(opened)
    for kind in (pq.ParquetFile, pq.ParquetWriter):
        begin = kind.__init__

        def counted(self: Any, *args: Any, begin: Any = begin, **options: Any) -> None:
            _OPENS["files"] += 1
            begin(self, *args, **options)

        kind.__init__ = counted


def fabricate(root: Path, part: str, number: int, n_parts: int, n: int) -> dict[str, TaskRecord]:
    """The documents, selection's decisions and signatures of one part, by stage."""
    rows = number + n_parts * np.arange(n)  # members of a cluster stand in neighbouring parts
    words = np.stack([rows.astype(np.uint64), np.zeros(n, np.uint64)], axis=1)
    ids = ids_array(np.stack([words[:, 0], keyed_hash(0, "row", words)], axis=1))
    texts = np.where(rows % 10 == 1, rows - 1, rows)  # one in ten is a copy of its neighbour
    of = np.stack([np.repeat(texts, N_MINIMA), np.tile(np.arange(N_MINIMA), n)], axis=1).astype(np.uint64)
    change = keyed_hash(1, "change", of) % np.uint64(20) == 0
    of[~change, 0] = of[~change, 0] // np.uint64(CLUSTER) + np.uint64(1 << 40)
    minima = (keyed_hash(1, "minimum", of) >> np.uint64(32)).astype(np.uint32).reshape(n, N_MINIMA)
    schema = signatures_schema(N_MINIMA, N_MINIMA)
    kind = schema.field("bands").type
    keys = pa.FixedSizeListArray.from_arrays(pa.array(band_keys(minima, N_MINIMA, 1).ravel()), type=kind)
    kept = pa.FixedSizeListArray.from_arrays(pa.array(minima.astype(np.uint64).ravel()), type=kind)
    order, hashes = rows.astype(np.uint64) | np.uint64(1 << 63), keyed_hash(2, "text", np.stack([texts, texts], 1).view(
        np.uint64))
    signed = pa.table([np.arange(n), ids, order, order, hashes, hashes, np.ones(n, np.uint32), keys, kept],
                      schema=schema)
    decisions = pa.table([ids, pa.array(["crawl"] * n), pa.nulls(n, pa.float32()), pa.array(np.ones(n, np.bool_))],
                         schema=pa.schema([SELECT_DECISIONS.field(k) for k in (
                             "doc_id", "source", "quality_score", "keep")]))
    documents = pa.table([ids], schema=pa.schema([DOCUMENTS.field("doc_id")]))
    hashed = pa.table([hashes, hashes, np.full(n, part_key(part), np.uint64), np.arange(n), order, order, ids],
                      schema=TEXT_HASHES)
    name = f"dedup/signatures/text_hashes/{part}{SUFFIX}"
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_partitions(str(path), TEXT_HASHES, hashed, "hash_b")
    made = {"extract": record_of(root, "extract", part, documents, "documents", n),
            "select": record_of(root, "select", part, decisions, "decisions", n)}
    signatures = record_of(root, "dedup/signatures", part, signed, "signatures", n).outputs[0]
    shuffle = OutputFile("text_hashes", name, path.stat().st_size, digest_file(str(path)), n)
    made["dedup/signatures"] = TaskRecord(Identity("dedup/signatures", 1, part, {}, {}), (signatures, shuffle), {})
    return made


def measure(n_parts: int, partitions: int | str, n: int, parent: str | None) -> tuple[float, int, int, int]:
    """(CPU seconds of the stages, files opened, partitions, bytes of partitioned files) over so many parts."""
    config = DedupRecipe(n_permutations=N_MINIMA, n_bands=N_MINIMA, n_band_rows=1, verify=Verification.SIGNATURES,
                         max_removed_fraction=1.0, partitions=partitions)
    with tempfile.TemporaryDirectory(prefix="shuffles-", dir=parent) as folder:
        progress = Progress(recipe_of(["crawl"], dedup=config.model_dump(mode="json")), (), {})
        made: dict[str, dict[str, TaskRecord]] = {}
        for number in range(n_parts):
            for stage, record in fabricate(Path(folder), f"crawl/part-{number:05d}", number, n_parts, n).items():
                made.setdefault(stage, {})[record.identity.task] = record
        for stage, records in made.items():
            progress.finish(stage, records)
        storage = Storage(folder)
        for stage in made:
            write_manifest(storage, stage, progress.records(stage))
        total, opens, n_partitions = 0.0, 0, 0
        print(f"{n_parts:,} parts of {n} documents")
        print(f"{'stage':<26}{'tasks':>7}{'CPU s':>8}{'ms a part':>11}{'opens':>10}")
        for step in STAGES:
            if step.name in made:
                continue
            if step.name.removeprefix("dedup/").removesuffix("_merged") not in (*STEPS, "signatures"):
                progress.finish(step.name, {})
                continue
            _OPENS.clear()
            started = time.process_time()
            tasks = [bind(step, progress, task) for task in step.plan(progress)]
            function = resolve(step.function)
            progress.finish(step.name, {task.name: execute(storage, task, function) for task in tasks})
            if tasks:
                write_manifest(storage, step.path, progress.records(step.name))
                seconds = time.process_time() - started
                total, opens = total + seconds, opens + _OPENS["files"]
                print(f"{step.name:<26}{len(tasks):>7}{seconds:>8.2f}{1e3 * seconds / n_parts:>11.2f}"
                      f"{_OPENS['files']:>10,}")
            if step.name == "dedup/exact":
                n_partitions = len(tasks)
        moved = sum(path.stat().st_size for path in Path(folder).rglob(f"*{SUFFIX}"))
        removed = progress.counters("dedup/decisions")
    print(f"{n_partitions} partitions: {total:.1f} CPU s, {1e3 * total / n_parts:.2f} ms a part; {opens:,} opens, "
          f"{opens / n_parts:.0f} a part; {removed['kept']:,} of {removed['documents']:,} kept\n")
    return total, opens, n_partitions, moved


def report(parts: Sequence[int], partitions: int | str, n: int, folder: str | None) -> bool:
    """Measure each number of parts; whether the CPU a part stays within 1.3 times that of the first."""
    count_opens()
    measure(8, 2, n, folder)  # kernels are loaded
    found = [(count, *measure(count, partitions, n, folder)) for count in parts]
    first = found[0][1] / found[0][0]
    print(f"{'parts':>8}{'partitions':>12}{'ms a part':>11}{'times the first':>17}{'opens a part':>14}"
          f"{'bytes a document':>18}")
    for count, seconds, opens, n_partitions, moved in found:
        print(f"{count:>8,}{n_partitions:>12,}{1e3 * seconds / count:>11.2f}{seconds / count / first:>17.2f}"
              f"{opens / count:>14.0f}{moved / count / n:>18.0f}")
    return all(seconds / count <= 1.3 * first for count, seconds, *_ in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--parts", default="100,1000,4000")
    parser.add_argument("--partitions", default="auto")
    parser.add_argument("--documents", type=int, default=40)
    parser.add_argument("--folder")
    args = parser.parse_args()
    partitions = args.partitions if args.partitions == "auto" else int(args.partitions)
    flat = report([int(n) for n in args.parts.split(",")], partitions, args.documents, args.folder)
    print(f"{'pass' if flat else 'FAIL'}  CPU a part within 1.3 times")
    raise SystemExit(0 if flat else 1)


if __name__ == "__main__":
    main()
