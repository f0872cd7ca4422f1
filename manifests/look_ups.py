"""What the row indexes say of rows that are read later, looked up in the order of the files, some rows at a time."""

from __future__ import annotations

from itertools import islice

import numpy as np

from manifests.row_facts import Places, RowFacts
from manifests.rows import ReadRows, join_runs, runs_in
from manifests.shards import SplitShards


class LookUps:
    """Runs of the rows of several batches.

    Args:
        places: Of all rows, those of each batch one behind the other.
        batch_rows: Rows of a batch.
        shards: The files, which are read and not mapped.
        row_length: Tokens of a row.
    """

    def __init__(self, places: Places, batch_rows: int, shards: SplitShards, row_length: int) -> None:
        self._places, self._batch_rows, self._shards, self._row_length = places, batch_rows, shards, row_length
        self._found = [b""] * len(places.shard)
        order = np.lexsort((places.local, places.shard))
        self._rest = zip(order.tolist(), places.shard[order].tolist(), places.local[order].tolist(), strict=True)

    def advance(self, n: int) -> None:
        """Look up the next n rows, or as many as are left.

        Raises:
            ShardError: A row index cannot be read, or says nothing of a row.
        """
        found, opened, file = self._found, -1, None
        for i, shard, row in islice(self._rest, n):
            if shard != opened:
                opened, file = shard, self._shards.opened_rows(shard)
            assert isinstance(file, ReadRows)
            found[i] = file.bytes_of(row)

    def facts(self, first: int, n: int) -> RowFacts:
        """What is known of n batches from one on; what was not looked up yet is now."""
        self.advance(len(self._found))
        part = slice(first * self._batch_rows, (first + n) * self._batch_rows)
        runs = join_runs(*runs_in(self._found[part]), self._row_length)
        return RowFacts(self._places.part(part.start, part.stop), runs, n, self._row_length)
