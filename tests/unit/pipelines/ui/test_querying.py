"""The SQL box, attacked: nothing but one SELECT over the tables it was given, within its bounds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.ui import query_process
from pipelines.ui.query_process import answer
from pipelines.ui.querying import _widest_first, query

Tables = dict[str, list[str]]


def answered_here(tables: Tables, sql: str) -> dict[str, Any]:
    """As `query`, in this process: quicker, and without the bounds of the operating system."""
    return answer({"views": tables, "sql": sql, "seconds": 5.0, "rows": 10, "threads": 1, "memory_bytes": 100 << 20})


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """A table in two files, whose folder has a quote in its name, beside a file that is not given."""
    folder = tmp_path / "it's"
    folder.mkdir()
    for i in range(2):
        pq.write_table(pa.table({"n": pa.array([2 * i, 2 * i + 1]), "id": pa.array([bytes([i] * 16)] * 2)}),
                       folder / f"part-{i}.parquet")
    pq.write_table(pa.table({"secret": ["hidden"]}), folder / "other.parquet")
    return {"numbers": [str(folder / f"part-{i}.parquet") for i in range(2)]}


def test_one_select_is_answered(tables: Tables) -> None:
    found = query(tables, 'SELECT n, id, NULL AS odd, [n] AS list, \'<b>\' AS t FROM numbers ORDER BY n DESC')
    assert [name for name, _ in found["columns"]] == ["n", "id", "odd", "list", "t"]
    assert found["rows"][0] == [3, "01" * 16, None, "[3]", "<b>"]
    assert (len(found["rows"]), found["more"]) == (4, False)
    assert "error" not in query(tables, "EXPLAIN SELECT * FROM numbers")
    assert query(tables, "SELECT sum(n) FROM numbers;")["rows"] == [[6]]
    assert query(tables, "WITH a AS (SELECT 1 AS x) SELECT * FROM a")["rows"] == [[1]]


@pytest.fixture
def many(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Three tables of so many files that views are made of those alone that a query names; one has odd columns."""
    monkeypatch.setattr(query_process, "_MANY", 1)
    pq.write_table(pa.table({"n": [7], "more": ["x"]}), tmp_path / "odd.parquet")
    return {**tables, "select": tables["numbers"], "odd": [*tables["numbers"], str(tmp_path / "odd.parquet")]}


@pytest.mark.parametrize(("sql", "rows"), [
    ("SELECT sum(n) FROM numbers", [[6]]), ('SELECT count(*) AS numbers FROM "select"', [[4]]),
    ("SELECT count(*) FROM Numbers JOIN \"select\" USING (n)", [[4]]),
    ("WITH odd AS (SELECT 1 AS n) SELECT n FROM odd", [[1]]), ("SELECT max(n) FROM query_table('numbers')", [[3]]),
    ("SELECT (SELECT max(n) FROM numbers) FROM odd LIMIT 1", [[3]]),
    ("SELECT sum(n) FROM odd", [[13]]), ("SELECT id FROM odd WHERE n = 7", [[None]]),
])
def test_of_many_files_those_are_read_that_a_query_names(many: Tables, sql: str, rows: list[Any]) -> None:
    assert answered_here(many, sql).get("rows") == rows


def test_of_many_files_the_widest_comes_first_and_nothing_else_is_read(many: Tables, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{i:02d}.parquet") for i in range(20)]
    for i, path in enumerate(paths):
        pq.write_table(pa.table({"n": [i], **({"more": ["x"]} if i == 5 else {})}), path)
    assert _widest_first(paths) == [paths[5], *paths[:5], *paths[6:]]
    assert _widest_first(paths[:3]) == paths[:3]
    other = f"{tmp_path}/it''s/other.parquet"
    assert "Permission Error" in answered_here(many, f"SELECT * FROM read_parquet('{other}'), numbers")["error"]
    said = answered_here(many, "SELECT * FROM number")["error"]
    assert 'number does not exist! Did you mean "numbers"? Tables are "numbers", "select", "odd"' in said
    assert "Parser Error" in answered_here(many, "SELEC 1")["error"]


@pytest.mark.parametrize("sql", [
    "", ";", "SELECT 1; SELECT 2", "SELECT 1; DROP VIEW numbers", "/* SELECT */ DROP VIEW numbers",
    "COPY numbers TO '{out}'", "COPY (SELECT 1) TO '{out}' (FORMAT parquet)", "EXPORT DATABASE '{out}'",
    "EXPLAIN COPY (SELECT 1) TO '{out}'", "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
    "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", "EXPLAIN (FORMAT json) COPY (SELECT 1) TO '{out}'",
    "ATTACH '{out}' AS o", "ATTACH ':memory:' AS o", "DETACH memory", "USE memory", "INSTALL httpfs", "LOAD httpfs",
    "FORCE INSTALL json", "PRAGMA database_list", "PRAGMA enable_profiling", "SET threads = 64", "RESET memory_limit",
    "SET enable_external_access = true", "SET lock_configuration = false", "CALL pragma_version()", "CHECKPOINT",
    "CREATE TABLE t AS SELECT 1", "CREATE MACRO f() AS 1", "CREATE SECRET s (TYPE s3)",
    "INSERT INTO numbers VALUES (1)",
    "DELETE FROM numbers", "UPDATE numbers SET n = 1", "ALTER VIEW numbers RENAME TO m", "VACUUM", "BEGIN",
    "PREPARE p AS SELECT 1", "EXECUTE p", "IMPORT DATABASE '{out}'", "PIVOT numbers ON n USING count(*)",
])
def test_other_statements_are_refused(tables: Tables, tmp_path: Path, sql: str) -> None:
    out = tmp_path / "written"
    found = answered_here(tables, sql.format(out=out))
    assert "only one SELECT" in found["error"] or "Parser Error" in found["error"]
    assert not out.exists()


@pytest.mark.parametrize("sql", [
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_csv_auto('/etc/passwd', sep = '|')",
    "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_text('/proc/self/environ')", "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'", "SELECT * FROM glob('/etc/*')", "SELECT * FROM glob('*')", "SELECT getenv('HOME')",
    "SELECT * FROM read_parquet('{folder}/other.parquet')", "SELECT * FROM '{folder}/other.parquet'",
    "SELECT * FROM read_parquet('{folder}/*.parquet')",
    "SELECT * FROM read_parquet('{folder}/part-0.parquet/../other.parquet')",
    "SELECT * FROM parquet_metadata('{folder}/other.parquet')", "SELECT * FROM read_parquet('https://example.org/a')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/x''')", "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM duckdb_extensions()", "SELECT * FROM request", "SELECT * FROM sqlite_scan('/etc/passwd', 't')",
])
def test_nothing_else_is_read(tables: Tables, tmp_path: Path, sql: str) -> None:
    found = answered_here(tables, sql.format(folder=str(tmp_path / "it's").replace("'", "''")))
    assert "rows" not in found, found
    assert "root:" not in found["error"]
    assert "hidden" not in found["error"]


def test_a_link_in_the_place_of_a_table_is_only_read_as_a_table(tables: Tables, tmp_path: Path) -> None:
    link = tmp_path / "link.parquet"
    link.symlink_to("/etc/passwd")
    found = query({**tables, "linked": [str(link)]}, "SELECT * FROM linked")
    assert "root:" not in str(found)
    assert "error" in found


@pytest.mark.parametrize("sql", [
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
    "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c WHERE (a.range * b.range + c.range) % 7 = 3",
    "SELECT max(hash(range)) FROM range(1000000000000)",
])
def test_endless_queries_are_stopped(tables: Tables, sql: str) -> None:
    begun = time.monotonic()
    found = query(tables, sql, seconds=0.3)
    assert "stopped after" in found["error"] or "emory" in found["error"]
    assert time.monotonic() - begun < 6


@pytest.mark.parametrize("sql", [
    "SELECT repeat('a', 3000000000)", "SELECT list_sum(range(2000000000))",
    "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
    "SELECT * FROM range(200000000) t(a) ORDER BY hash(a)",
    "WITH RECURSIVE r(t) AS (SELECT 'xxxxxxxx' UNION ALL SELECT t || t FROM r) SELECT * FROM r",
])
def test_memory_is_bounded(tables: Tables, sql: str) -> None:
    found = query(tables, sql, seconds=1)
    assert "error" in found, sql


def test_answers_are_bounded(tables: Tables) -> None:
    found = query(tables, "SELECT range, 'x' FROM range(10000000)", rows=50)
    assert (len(found["rows"]), found["more"]) == (50, True)
    found = query(tables, "SELECT repeat('é', 100000) FROM range(100000)")
    assert found["more"]
    assert all(len(cell) <= 2001 for row in found["rows"] for cell in row)
    assert sum(len(cell) for row in found["rows"] for cell in row) < 5_000_000


def test_the_process_has_no_environment_and_writes_no_file(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    found = query(tables, "SELECT name, value FROM duckdb_settings()")
    assert "planted-secret" not in str(found)
    settings = dict(found["rows"])
    assert (settings["enable_external_access"], settings["lock_configuration"]) == ("false", "true")
    assert settings["threads"] == "2"
