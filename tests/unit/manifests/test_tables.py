"""Columns as one array, and as the two buffers that kernels read."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest

from manifests.tables import one_array, string_buffers

TEXTS = ["é", None, "", "two words", "x"]
READ = ["é", "", "", "two words", "x"]
COLUMNS = {
    "large_string": pa.array(TEXTS, pa.large_string()), "string": pa.array(TEXTS, pa.string()),
    "chunks": pa.chunked_array([pa.array(TEXTS[:2]), pa.array(TEXTS[2:])]),
    "large_binary": pa.array([t and t.encode() for t in TEXTS], pa.large_binary()),
    "a slice": pa.array(["before", *TEXTS, "after"], pa.large_string())[1:-1]}


@pytest.mark.parametrize("name", COLUMNS)
def test_buffers_of_any_strings(name: str) -> None:
    data, offsets = string_buffers(COLUMNS[name])
    assert [data[a:b].tobytes().decode() for a, b in pairwise(offsets)] == READ


def test_bytes_need_not_be_text() -> None:
    data, offsets = string_buffers(pa.array([b"\xff\xfe"], pa.large_binary()))
    assert (data.tobytes(), offsets.tolist()) == (b"\xff\xfe", [0, 2])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.large_binary()])
def test_no_strings(kind: pa.DataType) -> None:
    assert string_buffers(pa.chunked_array([], kind))[1].tolist() == [0]


def test_no_copy_is_made() -> None:
    column = pa.array(["a", "b"], pa.large_string())
    assert string_buffers(column)[0].ctypes.data == column.buffers()[2].address
    assert one_array(pa.chunked_array([column])).buffers()[2].address == column.buffers()[2].address
