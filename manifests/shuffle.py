"""Shuffles: two maps with partitioned files between them, merged in groups where there are many.

The first map writes a partitioned file a task (`manifests.partitioned`), which knows nothing of its readers: 16 ranges
of a hash. The second has a task for each of P ranges, which reads its own of every file: N x P opens. Beyond 16 ranges
a stage of merges stands between the two: files are put in groups of about sqrt(min(N, P)), and each group is written as
one file of P partitions. So a shuffle opens N files to write, N to merge, and P x N / sqrt(P) to read, and moves its
bytes twice. A file's group is decided by a hash of its task's name, so a task that is added costs its own group alone.

The way back, from P partitions to N parts, is the same shuffle with the roles exchanged: facts about the documents of a
part are partitioned by the part's key. There are few of them, so groups may be larger: a part reads 16 files at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import isqrt
from typing import Any, Final, TypeVar

import pyarrow as pa
import xxhash

from manifests.graph import Stage, Task, View
from manifests.partitioned import SLOTS, SUFFIX, PartitionedFile, PartitionWriter
from manifests.records import OutputFile
from manifests.tasks import MANIFEST, InputRef, Work

Member = TypeVar("Member")

MAX_PARTITIONS: Final = 4096
HELD_BYTES: Final = 1 << 25
_MAX_ROUTES: Final = 1 << 17
_PARTS_A_PARTITION: Final = 32
_ROWS_A_PARTITION: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Partitioned files of a role and who reads them. stages: that write it, each a role of that name; partitions: how
    many ranges are read, from a view of what is done. routed: the readers are parts, and the files were written with
    `slots_of_routes` partitions."""

    role: str
    stages: tuple[str, ...]
    partitions: Callable[[View], int]
    routed: bool = False


def automatic_partitions(n_parts: int, n_rows: int) -> int:
    """Partitions of a shuffle: a power of two, from one for 32 parts and for 65,536 rows on, at most 4,096."""
    wanted = max(-(-n_parts // _PARTS_A_PARTITION), -(-n_rows // _ROWS_A_PARTITION), 1)
    return min(MAX_PARTITIONS, _power_of_two(wanted))


def routes(n_parts: int) -> int:
    """Partitions of what travels back to so many parts: about one for each."""
    return min(_MAX_ROUTES, _power_of_two(max(1, n_parts)))


def slots_of_routes(n_files: int, n_parts: int) -> int:
    """Partitions of each of n files that are routed to parts: few files are read as they are, more are merged first."""
    return routes(n_parts) if n_files <= SLOTS else SLOTS


def merging(name: str, needs: Sequence[str], *shuffles: Shuffle) -> Stage:
    """The stage that merges what some shuffles wrote; it has no task while there is little to merge.

    Args:
        name: Of the stage.
        needs: Stages that must be done before.
        shuffles: What it merges, each a role of its own.
    """
    def plan(view: View) -> Iterator[Task]:
        for shuffle in shuffles:
            partitions = shuffle.partitions(view)
            for group, files in _groups(view, shuffle, partitions).items():
                digest = xxhash.xxh3_128_hexdigest("".join(f.digest for f in files).encode())
                yield Task(f"{shuffle.role}/{group:05d}", {
                    "files": InputRef(tuple(f.path for f in files), digest, seals=tuple(f.seal for f in files))}, {
                        "role": shuffle.role, "partitions": partitions})

    return Stage(name, 2, "manifests.shuffle:merge_stage", None, tuple(needs), plan)


def shuffled(view: View, merged: str, shuffle: Shuffle) -> InputRef | None:
    """The files of a shuffle as one input, merged where they were; None where no stage wrote any.

    merged: name of the stage that merges them."""
    stages = [merged] if view.records(merged).has(shuffle.role) else [
        s for s in shuffle.stages if view.records(s).has(shuffle.role)]
    refs = [view.every(stage, shuffle.role) for stage in stages]
    if not refs:
        return None
    digest = refs[0].digest if len(refs) == 1 else xxhash.xxh3_128_hexdigest("".join(r.digest for r in refs).encode())
    return InputRef(tuple(f"{stage}/{MANIFEST}" for stage in stages), digest, shuffle.role,
                    seals=tuple(seal for ref in refs for seal in ref.seals))


def _groups(view: View, shuffle: Shuffle, partitions: int) -> dict[int, list[OutputFile]]:
    """The files of each group; none where they are read as they are."""
    files = [(f"{stage}/{task}", output) for stage in shuffle.stages
             for task, output in view.records(stage).with_tasks(shuffle.role)]
    few = len(files) <= SLOTS if shuffle.routed else partitions <= SLOTS
    if few or not files:
        return {}
    return grouped(files, partitions, SLOTS if shuffle.routed else len(files))


def grouped(files: Sequence[tuple[str, Member]], n_readers: int, most: int) -> dict[int, list[Member]]:
    """Files in groups of about the square root of their number or their readers', whichever is less.

    files: each with a name, which decides on its group. most: groups there may be, a power of two or more than files.
    Returns the groups by number, ascending, in the files' order."""
    n_groups = min(most, 1 << (len(files) // isqrt(min(len(files), n_readers))).bit_length() - 1)
    groups: dict[int, list[Member]] = {}
    for name, file in files:
        groups.setdefault((xxhash.xxh3_64_intdigest(name.encode()) * n_groups) >> 64, []).append(file)
    return dict(sorted(groups.items()))


def _power_of_two(n: int) -> int:
    """The least power of two that is not below n."""
    return 1 << (n - 1).bit_length()


def merge_stage(config: Any, work: Work) -> None:
    """A group of partitioned files as one. Inputs: files, of one schema and partitioned by one column. Variables: role,
    partitions.

    Within a partition rows come by range of the files, then by file, then as they stood. Memory: HELD_BYTES of rows
    three times, or as much of one block."""
    partitions = int(work.variables["partitions"])
    path = work.output(work.variables["role"], SUFFIX)
    with ExitStack() as stack:
        files = [stack.enter_context(PartitionedFile(p)) for p in work.inputs("files")]
        schema, by = files[0].facts()
        for file in files[1:]:
            file.facts()
        writer = stack.enter_context(PartitionWriter(path, schema, by, partitions))
        for slot in range(SLOTS):
            for table in together(t for f in files for t in f.read(schema, slot, SLOTS)):
                writer.add(table)
        work.count("rows", writer.n_rows)


def together(tables: Iterable[pa.Table], held_bytes: int = HELD_BYTES) -> Iterator[pa.Table]:
    """The rows of some tables in fewer, of at least `held_bytes` each but the last."""
    held: list[pa.Table] = []
    n_bytes = 0
    for table in tables:
        held.append(table)
        n_bytes += table.nbytes
        if n_bytes >= held_bytes:
            yield pa.concat_tables(held)
            held, n_bytes = [], 0
    if held:
        yield pa.concat_tables(held)


