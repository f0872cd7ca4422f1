"""Records of tasks as columns of a table, and back.

`manifests/stage_records.py` says what is asked of such tables, `record_tables.py` how they are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import InputError
from manifests.records import RECORDS_FOLDER, TaskRecord

OUTPUT: Final = pa.struct([
    pa.field("role", pa.string(), nullable=False), pa.field("path", pa.large_string(), nullable=False),
    pa.field("n_bytes", pa.int64(), nullable=False), pa.field("digest", pa.string(), nullable=False),
    pa.field("n_rows", pa.int64(), nullable=False), pa.field("seal", pa.string(), nullable=False)])
RECORDS: Final = pa.schema([
    pa.field("task", pa.large_string(), nullable=False), pa.field("fingerprint", pa.string(), nullable=False),
    pa.field("outputs", pa.large_list(pa.field("item", OUTPUT, nullable=False)), nullable=False),
    pa.field("counters", pa.map_(pa.string(), pa.int64()), nullable=False),
    pa.field("peak_memory_bytes", pa.int64(), nullable=False),
    pa.field("record", pa.large_string(), nullable=False)])
"""record: JSON of whatever of a record the other columns do not hold."""
PLANNED: Final = RECORDS.remove(RECORDS.get_field_index("record"))
"""The columns that are enough to plan."""


def columns_of(records: Sequence[TaskRecord]) -> pa.Table:
    """Records as a table of RECORDS, in their order."""
    outputs = [output for record in records for output in record.outputs]
    files = pa.StructArray.from_arrays(
        [pa.array([getattr(output, field.name) for output in outputs], field.type) for field in OUTPUT],
        fields=list(OUTPUT))
    counters = [pair for record in records for pair in sorted(record.counters.items())]
    lists, maps = RECORDS.field("outputs").type, RECORDS.field("counters").type
    columns = [
        pa.array([record.identity.task for record in records], pa.large_string()),
        pa.array([record.fingerprint or record.identity.fingerprint for record in records], pa.string()),
        pa.LargeListArray.from_arrays(_offsets((len(r.outputs) for r in records), np.int64), files, type=lists),
        pa.MapArray.from_arrays(_offsets((len(r.counters) for r in records), np.int32),
                                pa.array([name for name, _ in counters], pa.string()),
                                pa.array([n for _, n in counters], pa.int64()), type=maps),
        pa.array([record.peak_memory_bytes for record in records], pa.int64()),
        pa.array(map(_rest, records), pa.large_string())]
    return pa.Table.from_arrays(columns, schema=RECORDS)


def record_of(row: Mapping[str, Any]) -> TaskRecord:
    """The record of a row of RECORDS. Raises InputError where the row holds none."""
    fields = json.loads(row["record"]) | {
        "outputs": row["outputs"], "counters": dict(row["counters"]), "fingerprint": row["fingerprint"],
        "peak_memory_bytes": row["peak_memory_bytes"]}
    record = TaskRecord.from_fields(fields)
    if record is None or record.identity.task != row["task"]:
        raise InputError(f"holds a record of {row['task']!r} that is none", where=RECORDS_FOLDER,
                         hint="remove the table: what it describes is done again")
    return record


def _offsets(lengths: Iterable[int], dtype: npt.DTypeLike) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(np.fromiter(lengths, np.int64))]).astype(dtype))


def _rest(record: TaskRecord) -> str:
    """JSON of what of a record has no column of its own."""
    identity = record.identity
    return json.dumps({
        "damage": [{"what": damage.what, "where": damage.where} for damage in record.damage],
        "finished_at": record.finished_at, "host": record.host,
        "identity": {"config": identity.config, "inputs": identity.inputs, "stage": identity.stage,
                     "task": identity.task, "version": identity.version},
        "seconds": record.seconds}, sort_keys=True)
