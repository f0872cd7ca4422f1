"""A bit that flips in a finished table is an error that names the file, or changes nothing that is read."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.errors import InputError
from manifests.tables import read_table, write_table


def a_table(rows: int = 300) -> pa.Table:
    """Ids, texts, numbers, flags and nulls."""
    chance = random.Random(1)
    return pa.table({
        "doc_id": pa.array([chance.randbytes(16) for _ in range(rows)], pa.binary(16)),
        "text": [f"word {chance.randrange(99)} " * chance.randrange(1, 20) for _ in range(rows)],
        "n": pa.array([chance.randrange(1000) for _ in range(rows)], pa.int64()),
        "keep": [chance.random() < 0.5 for _ in range(rows)],
        "reason": [None if chance.random() < 0.3 else "short" for _ in range(rows)]})


def flip_many(path: Path, flips: int) -> int:
    """Flips in pages, one at a time; how many were errors."""
    table = a_table()
    write_table(str(path), table.schema, [table.slice(0, 150), table.slice(150)])
    data = path.read_bytes()
    (footer,) = struct.unpack("<i", data[-8:-4])
    chance, errors = random.Random(2), 0
    for _ in range(flips):
        at = chance.randrange(len(data) - 8 - footer)
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1:])
        try:
            found = read_table(str(path))
        except InputError as error:
            errors += str(path) in str(error)
        else:
            assert found.cast(table.schema).equals(table)
    return errors


def test_a_flipped_bit_of_a_page_is_no_other_value(tmp_path: Path) -> None:
    assert flip_many(tmp_path / "part.parquet", 60) > 45


@pytest.mark.nightly
def test_no_flipped_bit_of_a_page_is_another_value(tmp_path: Path) -> None:
    assert flip_many(tmp_path / "part.parquet", 3000) > 2500
