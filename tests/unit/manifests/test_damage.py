"""A bit that flips in a finished table is an error that names the file, or changes nothing that is read."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
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


def flip_many(path: Path, flips: int, footers: bool = False) -> int:
    """Flips in pages, or from the digest of the footer on, one at a time; how many were errors."""
    table = a_table()
    write_table(str(path), table.schema, [table.slice(0, 150), table.slice(150)])
    data = path.read_bytes()
    (footer,) = struct.unpack("<i", data[-8:-4])
    chance, errors = random.Random(2), 0
    for _ in range(flips):
        start = len(data) - 8 - footer
        at = chance.randrange(start - 40, len(data)) if footers else chance.randrange(start - 40)
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


def test_a_flipped_bit_of_a_footer_is_found_before_it_is_parsed(tmp_path: Path) -> None:
    assert flip_many(tmp_path / "part.parquet", 200, footers=True) > 170


def test_objects_of_a_store_are_compared_likewise(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    write_table(str(path), a_table().schema, [a_table()])
    fs, data = fsspec.filesystem("memory"), path.read_bytes()
    fs.pipe("/damage/part.parquet", data)
    assert read_table("memory://damage/part.parquet").num_rows == 300
    for at in (len(data) - 100, len(data) - 6):
        fs.pipe("/damage/part.parquet", data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
        with pytest.raises(InputError, match=r"memory://damage/part\.parquet: is damaged"):
            read_table("memory://damage/part.parquet")


def test_every_bit_of_a_footers_length_and_digest(tmp_path: Path) -> None:
    """8 bytes of magic, without which the footer is one of anybody's, 32 of digests, and what ends the file."""
    path = tmp_path / "part.parquet"
    write_table(str(path), a_table().schema, [a_table()])
    data = path.read_bytes()
    (footer,) = struct.unpack("<i", data[-8:-4])
    seal = len(data) - 8 - footer - 40
    for at in (*range(seal, seal + 40), *range(len(data) - 8, len(data))):
        for bit in range(8):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:])
            if at < seal + 8:
                assert read_table(str(path)).num_rows == 300
            else:
                with pytest.raises(InputError, match=r"part\.parquet"):
                    read_table(str(path))


def test_footers_larger_than_what_is_read_at_once_and_those_of_others(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    wide = pa.table({f"column_{i}": [i] for i in range(2000)})
    write_table(str(path), wide.schema, [wide])
    data = bytearray(path.read_bytes())
    (footer,) = struct.unpack("<i", data[-8:-4])
    assert footer > 1 << 16
    assert read_table(str(path)).equals(wide)
    assert pq.read_table(path).equals(wide)
    data[-8 - footer + 9] ^= 4
    path.write_bytes(data)
    with pytest.raises(InputError, match="footer"):
        read_table(str(path))
    pq.write_table(wide, path)
    assert read_table(str(path)).equals(wide)
    for n in (0, 3, 8, 100):
        path.write_bytes(data[:n])
        with pytest.raises(InputError, match="wide"):
            read_table(str(path))


@pytest.mark.nightly
def test_no_flipped_bit_of_a_page_is_another_value(tmp_path: Path) -> None:
    assert flip_many(tmp_path / "part.parquet", 3000) > 2500


@pytest.mark.nightly
def test_no_flipped_bit_of_a_footer_is_another_value(tmp_path: Path) -> None:
    assert flip_many(tmp_path / "part.parquet", 3000, footers=True) > 2500
