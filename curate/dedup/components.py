"""Connected components of the documents that share a bucket, so that all that can decide about a document meets in one
partition. Components delete nothing: they only say where documents are compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupConfig
from curate.dedup.kernels.components import Components
from curate.dedup.layout import (
    BUCKETS,
    EXTENTS,
    LINKS,
    MEMBERS,
    changes,
    column,
    part_at,
    place,
    write_routed,
)
from manifests.hashing import Int64, UInt64, ids_array, keyed_hash
from manifests.partitioned import PartitionedFile
from manifests.shuffle import together
from manifests.tables import read_row_groups, read_table
from manifests.tasks import Work

SLICE_DOCUMENTS: Final = 1 << 18
"""Of a component of more documents, several tasks compare so many each."""


def links_stage(config: DedupConfig, work: Work) -> None:
    """dedup/links, a partition of the parts. Input: buckets (of dedup/candidates). Variables: partition, partitions,
    and routes, those of the buckets' files.

    Outputs: `links`: one from each document that has a candidate to the first of all its buckets, where that is
    another, and one to that from the first of each other bucket; the same link once a part, so that there are few a
    document and not one a band. `extents`: how many rows each part of those documents has at least. Memory: 40 bytes a
    bucket row of the parts of one route, and 200 of those of one part."""
    routes, partitions = int(work.variables["routes"]), int(work.variables["partitions"])
    first = int(work.variables["partition"]) * routes // partitions
    extents = [EXTENTS.empty_table()]

    def links() -> Iterator[pa.Table]:
        with ExitStack() as stack:
            files = [stack.enter_context(PartitionedFile(path)) for path in work.inputs("buckets")]
            for route in range(first, first + routes // partitions):
                rows = pa.concat_tables([BUCKETS.empty_table(), *(t for f in files for t in f.read(
                    BUCKETS, route, routes))])
                n_rows = rows.group_by("part", use_threads=False).aggregate([("row", "max")]).sort_by("part")
                extents.append(pa.table([n_rows["part"], column(n_rows, "row_max") + 1], schema=EXTENTS))
                for part in n_rows["part"]:
                    yield _links(work, rows.filter(pc.equal(rows["part"], part)))

    work.count("links", work.write("links", LINKS, together(links()), dictionary=False))
    work.write("extents", EXTENTS, [pa.concat_tables(extents)], name=f"extents/{work.task.name}.parquet")


def _links(work: Work, rows: pa.Table) -> pa.Table:
    """LINKS of the documents of a part."""
    own = np.stack([place(column(rows, "part")), column(rows, "row").astype(np.uint64)], axis=1)
    firsts = np.stack([place(column(rows, "first_part")), column(rows, "first_row").astype(np.uint64)], axis=1)
    order = np.lexsort((firsts[:, 1], firsts[:, 0], own[:, 1], own[:, 0]))
    own, firsts = own[order], firsts[order]
    fresh = changes(own[:, 0], own[:, 1]) if len(own) else np.empty(0, np.bool_)
    work.count("documents", int(fresh.sum()))
    least = firsts[fresh][np.cumsum(fresh) - 1]
    high = np.where(fresh[:, None], own, firsts)  # the others hang on the first of the first bucket
    different = (high != least).any(axis=1) & (fresh | (firsts != own).any(axis=1))
    links = np.concatenate([high[different], least[different]], axis=1)
    links = links[np.lexsort(links.T[::-1])]
    links = links[changes(*links.T)] if len(links) else links
    return pa.table([part_at(links[:, 0]), links[:, 1].astype(np.int64), part_at(links[:, 2]),
                     links[:, 3].astype(np.int64)], schema=LINKS)


def components_stage(config: DedupConfig, work: Work) -> None:
    """dedup/components, once. Inputs: links and extents (manifest of dedup/links). Variables: routes.

    Output: `members`, routed: each document that shares a bucket and its component, named by the first document of
    that, and how many slices a large one is dealt into (`splitting`). Memory: 24 bytes a part, and some 200 MB,
    whatever the number of documents (`kernels.components`)."""
    sequence = _Sequence(work.inputs("extents", role="extents"))
    components = Components(work.scratch("components"), sequence.length, large=SLICE_DOCUMENTS)
    for path in work.inputs("links", role="links"):
        for table in read_row_groups(path, LINKS.names):
            components.add(sequence.indices(table, "part", "row"), sequence.indices(table, "first_part", "first_row"))
    work.count("documents", write_routed(work, "members", MEMBERS, (
        _members(sequence, components, nodes, roots) for nodes, roots in components.rooted())))
    work.count("components", components.n_components)
    work.count("largest_component", components.largest)
    work.count("large_components", len(components.large))


class _Sequence:
    """All documents in one sequence, part after part in the order of their places."""

    def __init__(self, paths: list[str]) -> None:
        extents = pa.concat_tables([EXTENTS.empty_table(), *(read_table(path, EXTENTS.names) for path in paths)])
        places = place(column(extents, "part"))
        order = np.argsort(places)
        self.places: UInt64 = places[order]
        n_rows = column(extents, "n_rows")[order]
        self.starts: Int64 = np.concatenate([[0], np.cumsum(n_rows)]).astype(np.int64)

    @property
    def length(self) -> int:
        return int(self.starts[-1])

    def indices(self, table: pa.Table, part: str, row: str) -> Int64:
        """Index in the sequence of the document that each row names."""
        return np.asarray(self.starts[np.searchsorted(self.places, place(column(table, part)))] + column(table, row))

    def documents(self, indices: Int64) -> tuple[UInt64, Int64]:
        """(part, row) of the document at each index."""
        number = np.searchsorted(self.starts, indices, "right") - 1
        return part_at(self.places[number]), indices - self.starts[number]


def _members(sequence: _Sequence, components: Components, nodes: Int64, roots: Int64) -> pa.Table:
    """MEMBERS: the key of a component is a hash of its first document, so that large and small ones spread alike, and
    its name that document's part and row, whatever other parts there are."""
    part, row = sequence.documents(nodes)
    first = np.stack(sequence.documents(roots), axis=1).astype(np.uint64)
    slices, large = np.ones(len(nodes), np.uint32), components.large
    if len(large):
        index = np.minimum(np.searchsorted(large[:, 0], roots), len(large) - 1)
        slices = np.where(large[index, 0] == roots, -(-large[index, 1] // SLICE_DOCUMENTS), 1).astype(np.uint32)
    return pa.table([part, row, keyed_hash(0, "component", first), slices, ids_array(first)], schema=MEMBERS)
