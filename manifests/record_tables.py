"""The records of a stage that is done, as one file: Parquet, and the xxh3-128 of that behind it.

When a stage is done its records are put into one table, published as one file, and the small files removed. A row is a
task. A small record beside the table is newer, or the same: whoever does tasks of the stage again takes their rows out
of the table first, so that there is never a record beside files that it does not describe.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from manifests.confined import confined
from manifests.errors import CurateError, InputError
from manifests.record_columns import PLANNED, RECORDS
from manifests.records import RECORDS_FOLDER
from manifests.stage_records import StageRecords, Totals
from manifests.storage import Storage
from manifests.tables import TableFile, write_table

TABLE_SUFFIX: Final = ".records"
_DIGEST_BYTES: Final = 16
_PLAN: Final = b"curate.plan"
_CONTENT: Final = b"curate.content"
_TOTALS: Final = b"curate.totals"
_GROUP_ROWS: Final = 1 << 14
_SUSPECT: Final = r"(^|/)\.{0,2}(/|$)|://|\x00"
_MAX_NAME: Final = 4096


def table_name(folder: str, stage: str) -> str:
    """Where the records of a stage lie as one: `clean/_records/clean.records`. folder: of the stage.

    It is not called Parquet, since patterns over the stage's folder mean its outputs."""
    return f"{folder}/{RECORDS_FOLDER}/{stage.replace('/', '.')}{TABLE_SUFFIX}"


def write_records(storage: Storage, name: str, records: StageRecords, plan: Mapping[str, str] | None
                  ) -> StageRecords:
    """Publish the records of a stage as one file; the same, read from there where somebody asks for one.

    plan: what the stage's plan depended on, by name, where the records are those of every task that it lists; None
    where they are not."""
    metadata = {_CONTENT: records.content.encode()}
    whole = records.whole()
    if plan is not None:
        metadata[_PLAN] = json.dumps(plan, sort_keys=True).encode()
        totals = StageRecords(whole).totals(name.partition(f"/{RECORDS_FOLDER}/")[0])
        metadata[_TOTALS] = json.dumps(asdict(totals), sort_keys=True).encode()
    groups = (whole.slice(start, _GROUP_ROWS) for start in range(0, len(records), _GROUP_ROWS))
    with storage.staging() as staging:
        staged = os.path.join(staging, "records")
        write_table(staged, RECORDS.with_metadata(metadata), groups)
        digest = xxhash.xxh3_128_digest(Path(staged).read_bytes())
        with open(staged, "ab") as file:
            file.write(digest)
        storage.publish(staged, name)
    return StageRecords(records.table.select(PLANNED.names), lambda schema: _read(storage, name, schema)[0])


def read_totals(storage: Storage, name: str) -> Totals | None:
    """What a stage's table says that its records add up to; None where there is none that holds every task."""
    if not storage.exists(name):
        return None
    try:
        totals = Totals(**json.loads(_read(storage, name, pa.schema([]))[1][_TOTALS]))
        _check_totals(totals)
    except (CurateError, pa.ArrowException, ValueError, KeyError, TypeError, RecursionError):
        return None
    return totals


def _check_totals(totals: Totals) -> None:
    """Raise where totals are none that a run writes."""
    for folder in totals.folders:
        confined(folder, "totals")
    numbers = (totals.tasks, totals.n_bytes, totals.damaged, totals.peak_memory_bytes)
    texts = (totals.first_at, totals.last_at)
    if not (all(type(number) is int for number in numbers) and isinstance(totals.seconds, int | float)
            and isinstance(totals.folders, list) and all(isinstance(text, str) for text in texts)):
        raise TypeError("a field of the totals has another type")


def _read(storage: Storage, name: str, schema: pa.Schema) -> tuple[pa.Table, dict[bytes, bytes]]:
    """(columns of a table of records, its metadata). InputError where its bytes are not those of its digest."""
    path, data = storage.path(name), storage.read_bytes(name) or b""
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if xxhash.xxh3_128_digest(body) != digest:
        raise InputError("its bytes are not those of its digest", where=path,
                         hint="remove it: what it describes is done again")
    with TableFile(pa.BufferReader(body), path) as file:
        table = file.read(columns=schema.names, use_threads=False)
        return table.select(schema.names).cast(schema), dict(file.schema_arrow.metadata or {})


def read_stage_records(storage: Storage, name: str) -> tuple[StageRecords, dict[str, str] | None] | None:
    """(records, what the plan depended on) of a stage's table; None where there is none, or it is none that this
    project wrote. The plan is None where the table does not hold every task."""
    if not storage.exists(name):
        return None
    try:
        table, metadata = _read(storage, name, PLANNED)
        checked = StageRecords(table, lambda schema: _read(storage, name, schema)[0])
        _check(checked, metadata)
        plan = json.loads(metadata[_PLAN]) if _PLAN in metadata else None
    except (CurateError, pa.ArrowException, ValueError, KeyError):
        return None
    return checked, plan


def _check(records: StageRecords, metadata: Mapping[bytes, bytes]) -> None:
    """Raise where a table says of itself what is not so, or names what no run writes: a table may be anybody's."""
    if metadata[_CONTENT].decode() != records.content:
        raise ValueError("its content is not what it says")
    names = records.table["task"].combine_chunks()
    _check_confined(names)
    _check_confined(records.paths())
    if len(names) > 1 and not pc.all(pc.less(names.slice(0, len(names) - 1), names.slice(1))).as_py():
        raise ValueError("its tasks are not in order")


def _check_confined(names: pa.Array) -> None:
    """`confined`, for a column of names."""
    for name in names.filter(pc.match_substring_regex(names, _SUSPECT)).to_pylist():
        confined(name, "records")
    if len(names) and pc.max(pc.binary_length(names)).as_py() > _MAX_NAME:
        raise ValueError("a name is too long")


def small_records(storage: Storage, folders: Sequence[str]) -> list[str]:
    """Names of the small records in some folders."""
    return [name for name in storage.sizes(folders)[0] if name.endswith(".json")]
