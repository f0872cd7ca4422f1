"""One query over Parquet files, in a process of its own that can do nothing else.

It is run by its path, in Python's isolated mode and without an environment, and imports nothing of the project: a
request as JSON on stdin, an answer as JSON on stdout. Bounds of the operating system hold what DuckDB's own do not:
address space, CPU time, no file larger than nothing.
"""

from __future__ import annotations

import difflib
import json
import re
import resource
import sys
import threading
from typing import Any, Final

_ADDRESS_BYTES: Final = 4 << 30
_CELL_CHARACTERS: Final = 2_000
_ANSWER_CHARACTERS: Final = 4_000_000
_MANY: Final = 1_000  # files, beyond which a query has the views alone that it names
_UNION: Final = "union_by_name"
_ABSENT: Final = re.compile(r"(Catalog Error: Table with name (\w+) does not exist!)")
_EXPLAIN: Final = re.compile(r"\s*explain(\s+analyze)?\b", re.IGNORECASE)


def main() -> None:
    """Answer the request."""
    request = json.load(sys.stdin)
    for limit, value in ((resource.RLIMIT_AS, _ADDRESS_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0),
                         (resource.RLIMIT_CPU, int(request["seconds"] * request["threads"]) + 5)):
        resource.setrlimit(limit, (value, value))
    try:
        found = answer(request)
    except MemoryError:
        found = {"error": "the answer is too large: more memory than a query may use"}
    sys.stdout.write(json.dumps(found))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the request asks: `columns`, `rows` and `more`, or `error`."""
    import duckdb

    try:
        views = _asked(duckdb, request)
        try:
            return _ask(duckdb, _locked(duckdb, request, views), request)
        except duckdb.InvalidInputException as error:
            if _UNION not in str(error):
                raise
            return _ask(duckdb, _locked(duckdb, request, views, union=True), request)
    except duckdb.InterruptException:
        return {"error": f"stopped after {request['seconds']:g} seconds"}
    except (duckdb.Error, RuntimeError, ValueError, OverflowError) as error:
        said = " ".join(str(error).split())[:_CELL_CHARACTERS]
        return {"error": _with_nearest(said, list(request["views"]))}


def _asked(duckdb: Any, request: dict[str, Any]) -> dict[str, list[str]]:
    """The views that a query names, where together they are of many files: a view costs a path for each of them, in
    time and memory. Which these are, DuckDB says of empty tables of the same columns; where it cannot, every name that
    stands in the text."""
    views: dict[str, list[str]] = request["views"]
    if sum(map(len, views.values())) <= _MANY:
        return views
    empty = _connection(duckdb, request)
    for name, files in views.items():
        empty.execute(f"CREATE TABLE {_name(name)} AS SELECT * FROM read_parquet({_quoted(files[:1])}) LIMIT 0")  # nosec
    _lock(empty, [])
    try:
        named = {name.lower() for name in empty.get_table_names(request["sql"])}
    except duckdb.Error:
        named = {name.lower() for name in views if name.lower() in request["sql"].lower()}
    return {name: files for name, files in views.items() if name.lower() in named}


def _locked(duckdb: Any, request: dict[str, Any], views: dict[str, list[str]], union: bool = False) -> Any:
    """A connection that knows the views, reads their files and nothing else, and whose settings cannot be changed.

    union: Whether the columns of a view are those of all its files, also where these are many: DuckDB then holds the
    footer of each. Else they are those of the first."""
    connection = _connection(duckdb, request)
    for name, files in views.items():
        by_name = "true" if union or len(files) <= _MANY else "false"
        read = f"SELECT * FROM read_parquet({_quoted(files)}, {_UNION}={by_name})"  # nosec B608
        connection.execute(f"CREATE VIEW {_name(name)} AS {read}")
    _lock(connection, [path for files in views.values() for path in files])
    return connection


def _connection(duckdb: Any, request: dict[str, Any]) -> Any:
    return duckdb.connect(":memory:", config={
        "threads": request["threads"], "memory_limit": f"{request['memory_bytes']}B", "temp_directory": "",
        "autoinstall_known_extensions": False, "autoload_known_extensions": False, "allow_community_extensions": False,
        "allow_unsigned_extensions": False})


def _lock(connection: Any, paths: list[str]) -> None:
    connection.execute("SET python_enable_replacements=false")
    connection.execute(f"SET allowed_paths={_quoted(paths)}")
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")


def _name(view: str) -> str:
    return '"' + view.replace('"', '""') + '"'


def _with_nearest(error: str, views: list[str]) -> str:
    """An error about a table that is not there, with the nearest that is: DuckDB knows those alone that were made."""
    absent = _ABSENT.match(error)
    if absent is None:
        return error
    close = difflib.get_close_matches(absent[2].lower(), views, n=1)
    meant = f" Did you mean {_name(close[0])}?" if close else ""
    return f"{absent[1]}{meant} Tables are {', '.join(map(_name, views))}"


def _quoted(texts: list[str]) -> str:
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"


def _ask(duckdb: Any, connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    sql = request["sql"]
    refusal = _refusal(duckdb, connection, sql)
    if refusal is not None:
        return {"error": refusal}
    timer = threading.Timer(request["seconds"], connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        result = connection.execute(sql)
        columns = [[name, str(kind)] for name, kind, *_ in result.description]
        rows: list[list[Any]] = []
        more, characters = False, 0
        while batch := result.fetchmany(min(100, request["rows"] + 1 - len(rows))):
            rows += [[_plain(value) for value in row] for row in batch]
            characters += sum(len(str(value)) for row in rows[-len(batch):] for value in row)
            if len(rows) > request["rows"] or characters > _ANSWER_CHARACTERS:
                rows, more = rows[: request["rows"]], True
                break
        return {"columns": columns, "rows": rows, "more": more}
    finally:
        timer.cancel()


def _refusal(duckdb: Any, connection: Any, sql: str) -> str | None:
    """Why a text is not one SELECT, or the EXPLAIN of one; None where it is."""
    one = "only one SELECT, or EXPLAIN of one, is answered here"
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        return one
    kinds = duckdb.StatementType
    if statements[0].type == kinds.EXPLAIN:
        begun = _EXPLAIN.match(sql)
        inner = connection.extract_statements(sql[begun.end():]) if begun else []
        return None if len(inner) == 1 and inner[0].type == kinds.SELECT else one
    return None if statements[0].type == kinds.SELECT else f"{one}; this is {statements[0].type.name}"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value if not isinstance(value, int) or abs(value) < 1 << 53 else str(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= _CELL_CHARACTERS else text[:_CELL_CHARACTERS] + "…"


if __name__ == "__main__":
    main()
