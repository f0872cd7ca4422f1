"""SQL over the tables of a run, asked in a process that can read them and nothing else (`query_process.py`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

from curate.why import shard_spans
from manifests.errors import InputError
from manifests.stage_files import DECIDING, StageFiles
from manifests.tables import open_table

MEMORY_BYTES: Final = 512 << 20
THREADS: Final = 2
SECONDS: Final = 20.0
ROWS: Final = 1_000
_LOOKED_AT: Final = 16
_KILLED_AFTER: Final = 5.0
_PROGRAM: Final = os.path.join(os.path.dirname(__file__), "query_process.py")


def views(files: StageFiles) -> dict[str, list[str]]:
    """Files of each table that queries may name; a decision table is called as its stage, with `_` for `/`."""
    found = {role: [files.path(f) for f in files.of("extract", role)] for role in ("documents", "exclusions")}
    found |= {stage.replace("/", "_"): [files.path(f) for f in files.of(stage, "decisions")] for stage in DECIDING}
    found["clean"] = [files.path(file) for file in files.of("clean", "documents")]
    found["tokens"] = [files.path(file) for file in files.of("tokens", "index")]
    found["spans"] = [path for _, path in shard_spans(files.storage)]
    for name in ("manifest", "sources"):
        if files.storage.exists(f"packed/{name}.parquet"):
            found[{"manifest": "shards"}.get(name, name)] = [files.storage.path(f"packed/{name}.parquet")]
    return {name: [os.path.abspath(path) for path in paths] for name, paths in found.items() if paths}


def ask(files: StageFiles, sql: str) -> dict[str, Any]:
    """`query` over the tables of a run.

    Raises InputError where the run is not on this machine, or DuckDB is not installed."""
    if not files.storage.local:
        raise InputError("is not on this machine: SQL is for local runs", where=files.storage.root)
    if find_spec("duckdb") is None:
        raise InputError("needs DuckDB", where="SQL", hint="pip install 'curate-corpus[ui]'")
    return query(views(files), sql)


def _widest_first(paths: Sequence[str]) -> list[str]:
    """Many files, of some of them the one with most columns first: a view has the columns of its first."""
    if len(paths) <= _LOOKED_AT:
        return list(paths)
    widths: dict[str, int] = {}
    for path in paths[:: len(paths) // _LOOKED_AT]:
        with open_table(path) as table:
            widths[path] = len(table.schema_arrow.names)
    first = max(widths, key=lambda path: widths[path])
    return [first, *(path for path in paths if path != first)]


def query(tables: Mapping[str, Sequence[str]], sql: str, seconds: float = SECONDS, rows: int = ROWS) -> dict[str, Any]:
    """Ask one SELECT, or the EXPLAIN of one, in a process of its own.

    Args:
        tables: Names that the query may use, each with its Parquet files, by absolute paths.
        sql: The query.
        seconds: After which it is stopped.
        rows: How many are given.
    Returns:
        JSON-ready: `columns`, each a name and a type, `rows` and whether there are `more`; or `error`.
    """
    request = {"views": {name: _widest_first(paths) for name, paths in tables.items()}, "sql": sql,
               "seconds": seconds, "rows": rows, "threads": THREADS,
               "memory_bytes": MEMORY_BYTES}
    try:
        done = subprocess.run(  # nosec B603 # this program, no shell
            [sys.executable, "-I", _PROGRAM], input=json.dumps(request), capture_output=True, encoding="utf-8", env={},
            cwd="/", timeout=seconds + _KILLED_AFTER, check=False)
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": f"stopped after {seconds + _KILLED_AFTER:g} seconds"}
    except ValueError:
        return {"error": "the query used more memory or time than it may, and was ended"}
    return dict(answer)
