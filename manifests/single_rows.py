"""Some rows of a table by their numbers: only row groups that hold them are read, and only the columns asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.errors import InputError
from manifests.tables import open_table


def read_rows(path: str, rows: Sequence[int], columns: Sequence[str] | None = None,
              without: Sequence[str] = ()) -> pa.Table:
    """Rows of a Parquet file, in the order in which they are asked for.

    Args:
        path: As of `storage.open_read`.
        rows: Their numbers, from 0.
        columns: Only these, of which those that the file lacks are left out; all if None.
        without: But not these; a name that ends in `*` is the beginning of names.
    Returns:
        A row for each number.
    Raises:
        InputError: The file is not readable, or has no such row.
    """
    numbers = np.asarray(rows, np.int64)
    with open_table(path) as file:
        names = [n for n in file.schema_arrow.names if (columns is None or n in columns) and not _is_among(n, without)]
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        bounds = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= bounds[-1]):
            raise InputError(f"has no row {int(numbers.max())}", where=path, hint="the run changed while it was read")
        groups = np.searchsorted(bounds, numbers, "right") - 1
        tables, order = [file.schema_arrow.empty_table().select(names)], []
        for group in np.unique(groups).tolist():
            own = np.flatnonzero(groups == group)
            table = file.read_row_group(group, columns=names, use_threads=False)
            tables.append(table.take(pa.array(numbers[own] - bounds[group])))
            order.append(own)
    found = pa.concat_tables(tables)
    return found.take(pa.array(np.argsort(np.concatenate(order), kind="stable"))) if order else found


def read_one(path: str, row: int, columns: Sequence[str] | None = None, without: Sequence[str] = ()) -> dict[str, Any]:
    """One row of a Parquet file as a dictionary; as `read_rows`."""
    return dict(read_rows(path, [row], columns, without).to_pylist()[0])


def _is_among(name: str, patterns: Sequence[str]) -> bool:
    return any(name.startswith(p[:-1]) if p.endswith("*") else name == p for p in patterns)
