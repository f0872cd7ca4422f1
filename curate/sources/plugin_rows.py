"""Files of kinds that plug-ins read, as rows like those of any other kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.sources.columns import TextRows, as_dates
from curate.sources.http_config import HttpConfig
from curate.sources.kinds import open_nonempty
from curate.sources.warc import Damage
from manifests.errors import InputError
from manifests.plugins import Loaded
from manifests.tables import one_array

_COLUMNS = {"text": pa.large_string(), "id": pa.string(), "url": pa.string()}


def plugin_rows(plugin: Loaded, path: str, max_text_bytes: int, http: HttpConfig | None) -> Iterator[TextRows | Damage]:
    """The rows that a plug-in makes of a file, and what of it cannot be read.

    Args:
        plugin: The source plug-in.
        path: Local path or URL.
        max_text_bytes: Longer texts are damage.
        http: How to fetch the file.
    Raises:
        InputError: The plug-in says that the file cannot be read.
        StageError: It raised another error, or gave no rows.
    """
    first = 0
    with closing(open_nonempty(path, http)) as stream:
        for found in _found(plugin, stream, path):
            if isinstance(found, tuple) and len(found) == 2:
                yield Damage(int(found[0]), str(found[1]))
                continue
            if not isinstance(found, pa.RecordBatch | pa.Table):
                raise plugin.wrong(f"gave {type(found).__name__}, not record batches or (where, what)")
            columns = {name: _column(plugin, found, name, kind) for name, kind in _COLUMNS.items()}
            sizes = pc.binary_length(columns["text"])
            for row in pc.indices_nonzero(pc.greater(pc.fill_null(sizes, 0), max_text_bytes)).to_pylist():
                yield Damage(first + row, f"text of {sizes[row].as_py()} bytes, longer than {max_text_bytes}")
            texts = pc.if_else(pc.fill_null(pc.greater(sizes, max_text_bytes), False), None, columns["text"])
            dates = as_dates(one_array(found.column("date"))) if "date" in found.schema.names else None
            yield TextRows(first, texts, columns["id"], columns["url"], dates)
            first += len(found)


def _found(plugin: Loaded, stream: Any, path: str) -> Iterator[Any]:
    """What the plug-in gives, one at a time, its errors made ours."""
    with plugin.blamed():
        given = iter(plugin.object.rows(stream))
    end = object()
    while True:
        try:
            with plugin.blamed(ValueError):
                found = next(given, end)
        except ValueError as error:
            raise InputError(f"{plugin.plugin} cannot read it: {error}", where=path) from error
        if found is end:
            return
        yield found


def _column(plugin: Loaded, found: pa.RecordBatch | pa.Table, name: str, kind: pa.DataType) -> pa.Array[Any]:
    if name not in found.schema.names:
        if name == "text":
            raise plugin.wrong(f"gave columns {', '.join(found.schema.names)}, and no column `text`")
        return pa.nulls(len(found), kind)
    column = found.column(name)
    try:
        return one_array(column).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise plugin.wrong(f"gave a column {name!r} of type {column.type}, not strings") from error
