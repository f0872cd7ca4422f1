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
from curate.dedup.layout import BANDS, EXTENTS, HOMES, MEMBERS, ROUTES, column, distinct
from manifests.hashing import Int64, UInt64, ids_array, keyed_hash
from manifests.tables import partition_schema, read_row_groups, read_table, write_partitions
from manifests.tasks import Work


def components_stage(config: DedupConfig, work: Work) -> None:
    """dedup/components, once. Inputs: buckets and extents (manifest of dedup/candidates).

    Union-find over all buckets, which stream past it three times. Outputs: `members`, routed: the partition of each
    document that shares a bucket, and its component, named by the first document of that; `homes`, for each partition
    of dedup/candidates the partitions, row by row of its buckets.
    Memory: 1.1 bits a document of the corpus, 4 bytes a document that has a candidate, 100 MB of buffers."""
    paths = work.inputs("buckets", role="buckets")
    line = _Line(work.inputs("extents", role="extents"))
    nodes = Nodes(line.length)
    for path in paths:
        for table in read_row_groups(path, ["part", "row"]):
            nodes.mark(line.places(table))
    work.count("documents", nodes.number())
    for path in paths:
        _unite(nodes, line, path)
    components, largest = nodes.sizes()
    work.count("components", components)
    work.count("largest_component", largest)
    work.write("members", partition_schema(MEMBERS), _members(nodes, line, config.partitions))
    for path in paths:
        homes = (pa.table([_home(nodes.roots(line.places(table)), config.partitions)], schema=HOMES)
                 for table in read_row_groups(path, ["part", "row"]))
        work.write("homes", HOMES, homes, name=f"homes/{PurePosixPath(path).name}")


class _Line:
    """All documents on one line, part after part in the order of their keys."""

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

    def places(self, table: pa.Table) -> Int64:
        """Place on the line of each row of part and row."""
        part = np.searchsorted(self.parts, column(table, "part"))
        return np.asarray(self.starts[part] + column(table, "row"))

    def ids(self, places: Int64) -> pa.FixedSizeBinaryArray:
        """An id of the document at each place: the key of its part and its row, whatever other parts there are."""
        part = np.searchsorted(self.starts, places, "right") - 1
        return ids_array(np.stack([self.parts[part], (places - self.starts[part]).astype(np.uint64)], axis=1))


def _unite(nodes: Nodes, line: _Line, path: str) -> None:
    last = (np.empty(0, np.uint64), np.empty(0, np.int64))  # of the row group before: a bucket may go on
    for table in read_row_groups(path, BANDS.names):
        keys = np.concatenate([last[0], column(table, "key")])
        places = np.concatenate([last[1], line.places(table)])
        nodes.unite(keys, places)
        last = keys[-1:], places[-1:]


def _home(roots: Int64, partitions: int) -> npt.NDArray[np.int32]:
    # By hash of the component's root, so that large and small components spread alike.
    words = np.stack([roots.astype(np.uint64), np.zeros(len(roots), np.uint64)], axis=1)
    return (keyed_hash(0, "component", words) % np.uint64(partitions)).astype(np.int32)


def _members(nodes: Nodes, line: _Line, partitions: int) -> Iterator[pa.Table]:
    """MEMBERS by route, one table a route: what is held at once is a thousandth."""
    route = (line.parts % np.uint64(ROUTES)).astype(np.int32)
    for number in np.unique(route):
        tables = []
        for index in np.flatnonzero(route == number):
            first, end = int(line.starts[index]), int(line.starts[index + 1])
            places = nodes.between(first, end)
            roots = nodes.roots(places)
            tables.append(pa.table([
                np.full(len(places), number, np.int32), np.full(len(places), line.parts[index], np.uint64),
                places - first, _home(roots, partitions), line.ids(nodes.places(roots))],
                schema=partition_schema(MEMBERS)))
        yield pa.concat_tables(tables).combine_chunks()


def buckets_stage(config: DedupConfig, work: Work) -> None:
    """dedup/buckets, a partition of the keys. Inputs: buckets and homes (of that partition).

    Output: `buckets`, the same rows by partition of their component. Memory: 60 bytes a row."""
    table = read_table(work.input("buckets"))
    home = column(read_table(work.input("homes")), "component_partition")
    work.count("rows", len(table))
    write_partitions(work.output("buckets"), BANDS, table, home, dictionary=False)
