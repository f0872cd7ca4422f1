"""Functions over tables leave, and decide, what the commands of the same names do with files of the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from tests.verbs import verb

PROSE, OTHER = topics["naming"], topics["import"]  # of the language reference
QUESTION = " ".join(f"question{i}" for i in range(20))
TABLE = pa.table({
    "id": ["asks", "prose", "near", "short", "gone", "capitals"], "n": range(6),
    "keep": [True] * 4 + [False, True],
    "text": [f"{OTHER}\n{QUESTION}.\n{OTHER[:3000]}\nshort line", PROSE,
             f"{PROSE} end", "short", PROSE, PROSE.upper()]})

Function = Callable[[bool, str], pa.Table]
CASES: dict[str, tuple[list[str], Function]] = {
    "filter": (["--preset", "fineweb"], lambda apply, _: curate.filter(TABLE, "fineweb", apply=apply)),
    "dedup": ([], lambda apply, _: curate.deduplicate(TABLE, apply=apply)),
    "decontaminate": (["--benchmarks", "quiz.jsonl"], lambda apply, quiz: curate.decontaminate(
        TABLE, [quiz], apply=apply))}


@pytest.mark.parametrize("name", CASES)
def test_the_same_rows_are_left_for_the_same_reasons(name: str, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(TABLE, "rows.parquet")
    Path("quiz.jsonl").write_text(json.dumps({"q": QUESTION}) + "\n")
    options, function = CASES[name]
    verb(name, "rows.parquet", *options, "--out", "out")
    left, decided = (pq.read_table(f"{folder}/part-rows.parquet") for folder in ("out", "out.decisions"))
    for command, of_function in ((left, function(True, "quiz.jsonl")), (decided, function(False, "quiz.jsonl"))):
        shared = [column for column in command.column_names if column in of_function.column_names]
        assert {"id", "keep"} <= set(shared)
        assert _plain(command.select(shared)) == _plain(of_function.select(shared))
    assert 0 < sum(decided["keep"].to_pylist()) < len(TABLE)


def _plain(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
