"""Parquet files with a column of texts, row group by row group."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from curate.sources.columns import ColumnNames, TextRows, pick_columns
from curate.sources.http_config import HttpConfig
from curate.sources.http_table import open_source_table
from curate.sources.warc import Damage
from manifests.errors import InputError
from manifests.tables import open_table, plain_table

BATCH_ROWS = 1024


def column_names(path: str) -> list[str]:
    """The names of a Parquet file's columns, in their order. Raises InputError where it cannot be read."""
    with open_table(path) as file:
        names: list[str] = file.schema_arrow.names
        return names


def read_parquet(path: str, names: ColumnNames, http: HttpConfig | None = None) -> Iterator[TextRows | Damage]:
    """The rows of a Parquet file in batches of about a thousand; `first_row` counts within the file.

    Args:
        path: A local path or URL.
        names: Which columns are text, id, URL and so on.
        http: How https:// is fetched.
    Yields:
        Rows; a row group that cannot be read is reported as Damage, and the others are read.
    Raises:
        InputError: The file is not Parquet, or has no text column.
    """
    with open_source_table(path, http or HttpConfig()) as file:
        wanted = pick_columns(file.schema_arrow, names, path)
        row = 0
        for group in range(file.num_row_groups):
            end = row + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=sorted(set(wanted.values())),
                                               use_threads=False):
                    yield TextRows.of(row, plain_table(pa.Table.from_batches([batch])), wanted)
                    row += len(batch)
            except (pa.ArrowException, InputError) as error:
                reason = error.what if isinstance(error, InputError) else error
                yield Damage(row, f"{end - row} rows of row group {group} cannot be read: {reason}")
            row = end
