"""Signals of plug-ins: a number of every document, which rules compare like any other signal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.heuristics.stages import SIGNAL
from manifests.errors import StageError
from manifests.plugins import Loaded, load_for
from manifests.schema import ID, SIGNAL_PREFIX
from manifests.tables import one_array, open_table
from manifests.tasks import Work


def signal_field(name: str) -> pa.Field[Any]:
    """The column of a plug-in's signal."""
    return pa.field(SIGNAL_PREFIX + name, pa.float32(), metadata={"comment": "signal of a plug-in"})


def plugin_signal(work: Work) -> None:
    """One signal of one part. Variables: signal, its name; plugin, facts of the plug-in. Input `documents`, and the
    files that parameters name. Output `signal`: doc_id and the column, in the documents' order and row groups. Counter:
    documents."""
    name = work.variables["signal"]
    plugin = load_for(work, "signals", work.variables["plugin"], f"signals.{name}.parameters")
    schema = pa.schema([pa.field("doc_id", ID, nullable=False, metadata={"comment": "document"}), signal_field(name)])
    work.write(SIGNAL, schema, _rows(plugin, work, schema))


def _rows(plugin: Loaded, work: Work, schema: pa.Schema) -> Iterator[pa.Table]:
    with open_table(work.input("documents")) as file:
        for group in range(file.num_row_groups):
            documents = file.read_row_group(group, columns=["doc_id", "language", "text"], use_threads=False)
            texts = one_array(documents["text"]).cast(pa.large_string())
            languages = one_array(documents["language"]).cast(pa.string())
            with plugin.blamed():
                found = plugin.object.values(texts, languages)
            work.count("documents", len(documents))
            yield pa.table([documents["doc_id"], numbers(plugin, found, len(texts))], schema=schema)


def numbers(plugin: Loaded, found: Any, n: int) -> pa.Array[Any]:
    """What a plug-in returned as float32 [n], NaN as null. Raises StageError where it is no such array."""
    try:
        array = one_array(found) if isinstance(found, pa.Array | pa.ChunkedArray) else pa.array(np.asarray(found))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, ValueError) as error:
        raise plugin.wrong(f"returned {type(found).__name__}, not one number a text") from error
    if len(array) != n:
        raise plugin.wrong(f"returned {len(array)} values for {n} texts")
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise plugin.wrong(f"returned values of type {array.type}, not numbers")
    values = array.cast(pa.float32(), safe=False) if not pa.types.is_boolean(array.type) else array.cast(
        pa.int8()).cast(pa.float32())
    return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float32()), values)


def with_signals(documents: pa.Table, signals: dict[str, pa.Table], start: int, where: str) -> pa.Table:
    """Documents with the signals of plug-ins as columns. signals: of the part, by name. start: row of the part that is
    the first of these documents."""
    for name, table in signals.items():
        rows = table.slice(start, len(documents))
        if not rows["doc_id"].equals(documents["doc_id"]):
            raise StageError(f"the signal {name!r} is not that of these documents", where=where,
                             hint="run with --fresh")
        documents = documents.append_column(SIGNAL_PREFIX + name, rows[SIGNAL_PREFIX + name])
    return documents
