"""Connected components of the documents that share a bucket, so that all that can decide about a document meets in one
partition. Components delete nothing: they only say where documents are compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from curate.dedup.config import DedupConfig
from curate.dedup.kernels.components import Nodes
from curate.dedup.layout import BANDS, BUCKETS, COMPONENT_KEYS, EXTENTS, MEMBERS, column, distinct, write_keyed
from manifests.hashing import Int64, UInt64, ids_array, keyed_hash
from manifests.partitioned import SUFFIX, partition_of, spread, write_partitions
from manifests.tables import read_row_groups, read_table
from manifests.tasks import Work


def components_stage(config: DedupConfig, work: Work) -> None:
    """dedup/components, once. Inputs: buckets and extents (manifest of dedup/candidates). Variables: routes.

    Union-find over all buckets, which stream past it three times. Outputs: `members`, routed: each document that shares
    a bucket and its component, named by the first document of that; `component_keys`, for each partition of
    dedup/candidates the component's key of every row of its buckets.
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
    routes = int(work.variables["routes"])
    write_partitions(work.output("members", SUFFIX), MEMBERS, _members(nodes, sequence, routes), "part", routes)
    for path in paths:
        of_rows = (pa.table([_component_key(nodes.roots(sequence.indices(table)))], schema=COMPONENT_KEYS)
                   for table in read_row_groups(path, ["part", "row"]))
        work.write("component_keys", COMPONENT_KEYS, of_rows, name=f"component_keys/{PurePosixPath(path).name}",
                   dictionary=False)


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


def _component_key(roots: Int64) -> UInt64:
    # A hash of the component's root, so that large and small components spread alike.
    words = np.stack([roots.astype(np.uint64), np.zeros(len(roots), np.uint64)], axis=1)
    return keyed_hash(0, "component", words)


def _members(nodes: Nodes, sequence: _Sequence, routes: int) -> Iterator[pa.Table]:
    """MEMBERS, a table a part, in the order of the parts' partitions."""
    for index in np.argsort(partition_of(spread(sequence.parts), routes), kind="stable"):
        first, end = int(sequence.starts[index]), int(sequence.starts[index + 1])
        indices = nodes.between(first, end)
        roots = nodes.roots(indices)
        yield pa.table([
            np.full(len(indices), sequence.parts[index], np.uint64), indices - first, _component_key(roots),
            sequence.ids(nodes.indices(roots))], schema=MEMBERS)


def buckets_stage(config: DedupConfig, work: Work) -> None:
    """dedup/buckets, a partition of the keys. Inputs: buckets and component_keys (of that partition).

    Output: `buckets`, BUCKETS, by partition of their component. Memory: a row group."""
    keys = read_row_groups(work.input("component_keys"))
    tables = (pa.table([*rows.columns, key["component_key"]], schema=BUCKETS)
              for rows, key in zip(read_row_groups(work.input("buckets")), keys, strict=True))
    work.count("rows", write_keyed(work, "buckets", BUCKETS, tables, "component_key"))
