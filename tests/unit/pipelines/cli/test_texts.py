"""What the id column of a command's files is called."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate.sources.columns import ColumnNames
from pipelines.cli.texts import id_column_of


def test_the_id_column_is_what_a_file_states(tmp_path: Path) -> None:
    def column_of(name: str, asked: str = "id") -> str:
        return id_column_of(str(tmp_path / name), ColumnNames(id=asked))

    for name, columns in (("id", ["id", "doc_id", "text"]), ("doc", ["doc_id", "text"]), ("none", ["text"])):
        pq.write_table(pa.table({column: ["x"] for column in columns}), tmp_path / name)
    (tmp_path / "lines").write_text('{"doc_id": "a", "text": "x"}\n')
    (tmp_path / "broken").write_bytes(b"PAR1 and no more")
    assert [column_of(name) for name in ("id", "doc", "none", "lines", "broken", "absent")] == [
        "id", "doc_id", "id", "id", "id", "id"]
    assert column_of("id", "doc_id") == "doc_id"
