"""Columns as one array, and as the two buffers that kernels read."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest

from manifests.tables import one_array, plain_table, string_buffers, without_views

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


def test_views_become_what_every_function_takes() -> None:
    """As polars and Arrow's own writers leave them in files, at any depth."""
    view, plain = pa.string_view(), pa.large_string()
    pairs = [
        (view, plain), (pa.binary_view(), pa.large_binary()), (pa.list_(view), pa.list_(plain)),
        (pa.list_view(pa.int8()), pa.list_(pa.int8())), (pa.large_list_view(view), pa.large_list(plain)),
        (pa.list_(view, 2), pa.list_(plain, 2)), (pa.map_(pa.int8(), view), pa.map_(pa.int8(), plain)),
        (pa.struct([("a", pa.list_(view)), ("b", pa.bool_())]), pa.struct([("a", pa.list_(plain)), ("b", pa.bool_())])),
        (pa.timestamp("s", "UTC"), pa.timestamp("s", "UTC")), (pa.string(), pa.string())]
    assert [without_views(kind) for kind, _ in pairs] == [kind for _, kind in pairs]
    rows = [{"t": "é" * 20, "n": {"tags": ["a", "b"]}}, {"t": None, "n": None}]
    table = pa.Table.from_pylist(rows, pa.schema([
        pa.field("t", view, metadata={"k": "v"}), ("n", pa.struct([("tags", pa.list_(view))]))]))
    got = plain_table(table)
    assert got.to_pylist() == rows
    assert got.schema.field("t").metadata == {b"k": b"v"}
    assert got.take([0]).num_rows == 1
    assert plain_table(got) is got
