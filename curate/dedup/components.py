"""Connected components of the documents that share a bucket, so that all that can decide about a document meets in one
partition. Components delete nothing: they only say where documents are compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.config import DedupConfig
from curate.dedup.kernels.components import Nodes
from curate.dedup.layout import BANDS, COMPONENT_PARTITIONS, EXTENTS, MEMBERS, ROUTES, column, distinct
from manifests.hashing import Int64, UInt64, ids_array, keyed_hash
from manifests.tables import partition_schema, read_row_groups, read_table, write_partitions
from manifests.tasks import Work


def components_stage(config: DedupConfig, work: Work) -> None:
    """dedup/components, once. Inputs: buckets and extents (manifest of dedup/candidates).

    Union-find over all buckets, which stream past it three times. Outputs: `members`, routed: the partition of each
    document that shares a bucket, and its component, named by the first document of that; `component_partitions`, for
    each partition of dedup/candidates the partition of every row of its buckets.
    Memory: 1.1 bits a document of the corpus, 4 bytes a document that has a candidate, 100 MB of buffers."""
    paths = work.inputs("buckets", role="buckets")
    sequence = _Sequence(work.inputs("extents", role="extents"))
    nodes = Nodes(sequence.length)
    for path in paths:
        for table in read_row_groups(path, ["part", "row"]):
            nodes.add(sequence.indices(table))
    work.count("documents", nodes.number())
    for path in paths:
        _unite(nodes, sequence, path)
    components, largest = nodes.sizes()
    work.count("components", components)
    work.count("largest_component", largest)
    work.write("members", partition_schema(MEMBERS), _members(nodes, sequence, config.partitions))
    for path in paths:
        of_rows = (pa.table([_component_partition(nodes.roots(sequence.indices(table)), config.partitions)],
                            schema=COMPONENT_PARTITIONS) for table in read_row_groups(path, ["part", "row"]))
        work.write("component_partitions", COMPONENT_PARTITIONS, of_rows,
                   name=f"component_partitions/{PurePosixPath(path).name}")


class _Sequence:
    """All documents in one sequence, part after part in the order of their keys."""

    def __init__(self, paths: list[str]) -> None:
        self.parts: UInt64 = np.empty(0, np.uint64)
        n_rows: Int64 = np.empty(0, np.int64)
        for path in paths:
            table = read_table(path, EXTENTS.names)
            parts = distinct(np.concatenate([self.parts, column(table, "part")]))
            longest = np.zeros(len(parts), np.int64)
            longest[np.searchsorted(parts, self.parts)] = n_rows
            np.maximum.at(longest, np.searchsorted(parts, column(table, "part")), column(table, "n_rows"))
            self.parts, n_rows = parts, longest
        self.starts: Int64 = np.concatenate([[0], np.cumsum(n_rows)]).astype(np.int64)

    @property
    def length(self) -> int:
        return int(self.starts[-1])

    def indices(self, table: pa.Table) -> Int64:
        """Index in the sequence of the document of each row."""
        part = np.searchsorted(self.parts, column(table, "part"))
        return np.asarray(self.starts[part] + column(table, "row"))

    def ids(self, indices: Int64) -> pa.FixedSizeBinaryArray:
        """An id of the document at each index: the key of its part and its row, whatever other parts there are."""
        part = np.searchsorted(self.starts, indices, "right") - 1
        return ids_array(np.stack([self.parts[part], (indices - self.starts[part]).astype(np.uint64)], axis=1))


def _unite(nodes: Nodes, sequence: _Sequence, path: str) -> None:
    last = (np.empty(0, np.uint64), np.empty(0, np.int64))  # of the row group before: a bucket may go on
    for table in read_row_groups(path, BANDS.names):
        keys = np.concatenate([last[0], column(table, "key")])
        indices = np.concatenate([last[1], sequence.indices(table)])
        nodes.unite(keys, indices)
        last = keys[-1:], indices[-1:]


def _component_partition(roots: Int64, partitions: int) -> npt.NDArray[np.int32]:
    # By hash of the component's root, so that large and small components spread alike.
    words = np.stack([roots.astype(np.uint64), np.zeros(len(roots), np.uint64)], axis=1)
    return (keyed_hash(0, "component", words) % np.uint64(partitions)).astype(np.int32)


def _members(nodes: Nodes, sequence: _Sequence, partitions: int) -> Iterator[pa.Table]:
    """MEMBERS by route, one table a route: what is held at once is a thousandth."""
    route = (sequence.parts % np.uint64(ROUTES)).astype(np.int32)
    for number in np.unique(route):
        tables = []
        for index in np.flatnonzero(route == number):
            first, end = int(sequence.starts[index]), int(sequence.starts[index + 1])
            indices = nodes.between(first, end)
            roots = nodes.roots(indices)
            tables.append(pa.table([
                np.full(len(indices), number, np.int32), np.full(len(indices), sequence.parts[index], np.uint64),
                indices - first, _component_partition(roots, partitions), sequence.ids(nodes.indices(roots))],
                schema=partition_schema(MEMBERS)))
        yield pa.concat_tables(tables).combine_chunks()


def buckets_stage(config: DedupConfig, work: Work) -> None:
    """dedup/buckets, a partition of the keys. Inputs: buckets and component_partitions (of that
    partition).

    Output: `buckets`, the same rows by partition of their component. Memory: 60 bytes a row."""
    table = read_table(work.input("buckets"))
    partition = column(read_table(work.input("component_partitions")), "component_partition")
    work.count("rows", len(table))
    write_partitions(work.output("buckets"), BANDS, table, partition, dictionary=False)
