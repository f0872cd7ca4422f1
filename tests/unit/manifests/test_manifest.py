"""A dataset whose tables do not agree with themselves is refused: the error names the file and the column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.dataset import PackedDataset
from manifests.errors import CurateError, ShardError
from manifests.rows import describe_rows, write_rows
from manifests.schema import PACKED_MANIFEST, SPANS
from manifests.storage import digest_file
from manifests.verify import verify
from tests.unit.manifests.test_dataset import T, make_dataset, span

SIZES = [2, 1, 3]


def rewrite(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def at(index: int, **fields: Any) -> Callable[[list[dict[str, Any]]], object]:
    return lambda rows: rows[index].update(fields)


CHANGES: list[tuple[str, Callable[[list[dict[str, Any]]], object]]] = [
    ("path", at(1, path="../../x.bin")), ("path", at(0, path="/etc/passwd")), ("path", at(2, path="train//0.bin")),
    ("path", at(1, path="s3://bucket/x.bin")), ("path", at(1, path="train/000000.bin")), ("path", at(0, path="")),
    ("spans_path", at(1, spans_path="../x")), ("rows_path", at(1, rows_path="train/../../x")),
    ("rows_path", at(1, rows_path="train/000000.bin")),
    ("payload_xxh3", at(1, payload_xxh3="0")), ("spans_xxh3", at(1, spans_xxh3="Z" * 32)),
    ("rows_xxh3", at(0, rows_xxh3="")),
    ("tokenizer_sha256", lambda rows: [r.update(tokenizer_sha256="") for r in rows]),
    ("dtype", lambda rows: [r.update(dtype="float64") for r in rows]), ("dtype", at(1, dtype="uint32")),
    ("packing", lambda rows: [r.update(packing="none") for r in rows]), ("row_length", at(2, row_length=4)),
    ("row_length", lambda rows: [r.update(row_length=0) for r in rows]),
    ("n_rows", at(1, n_rows=7)), ("n_rows", at(1, n_rows=-1)), ("n_tokens", at(1, n_tokens=0)),
    ("n_tokens", at(1, n_tokens=1 << 60, n_rows=(1 << 60) // T)), ("n_bytes", at(1, n_bytes=5)),
    ("n_spans", at(1, n_spans=-1)), ("n_spans", at(1, n_spans=1 << 40)), ("padding_tokens", at(1, padding_tokens=-3)),
    ("eot_id", lambda rows: [r.update(eot_id=257) for r in rows]), ("vocab_size", at(0, vocab_size=300)),
    ("format_version", lambda rows: [r.update(format_version=9) for r in rows]),
    ("shard_index", at(1, shard_index=5)), ("shard_index", lambda rows: rows.reverse()),
    ("first_row", at(1, first_row=3)), ("first_row", at(0, first_row=1)), ("shard_index", lambda rows: rows.pop(1)),
    ("phase", at(0, phase=2))]


@pytest.mark.parametrize(("column", "change"), CHANGES)
def test_a_manifest_that_disagrees_with_itself_is_refused(
        tmp_path: Path, column: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    make_dataset(tmp_path, SIZES)
    rewrite(tmp_path / "packed/manifest.parquet", change)
    with pytest.raises(ShardError, match=f"column {column} ") as caught:
        PackedDataset(tmp_path, "train")
    assert str(caught.value.where).endswith("manifest.parquet")
    findings = [f for f in verify(str(tmp_path / "packed")) if f.problem]
    assert [f.path for f in findings] == ["manifest.parquet"]


@pytest.mark.parametrize("column", ["path", "n_rows", "first_row", "eot_id", "payload_xxh3"])
@pytest.mark.parametrize("kind", [pa.float64(), pa.large_binary(), None])
def test_columns_of_other_types_are_refused(tmp_path: Path, column: str, kind: pa.DataType | None) -> None:
    make_dataset(tmp_path, SIZES)
    path = tmp_path / "packed/manifest.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index(column)
    pq.write_table(table.remove_column(at) if kind is None else table.set_column(
        at, column, pa.nulls(len(table), kind)), path)
    with pytest.raises(ShardError, match=column):
        PackedDataset(tmp_path, "train")


def hostile_spans(root: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Spans that somebody changed, with the digests that a manifest would have for them."""
    path = root / "packed/train/000000.spans.parquet"
    rewrite(path, change)
    rewrite(root / "packed/manifest.parquet", at(0, spans_xxh3=digest_file(str(path))))


SPAN_CHANGES: list[tuple[str, Callable[[list[dict[str, Any]]], object]]] = [
    ("token_start", lambda spans: spans.reverse()), ("token_start", at(1, token_start=2)),
    ("token_start", at(1, token_start=8 * T, row=8)), ("n_tokens", at(0, n_tokens=0)), ("row", at(1, row=1)),
    ("n_tokens", at(1, n_tokens=T)), ("source_id", at(0, source_id=7)),
    ("token_start", at(1, token_start=1 << 63, row=0))]


@pytest.mark.parametrize(("column", "change"), SPAN_CHANGES)
def test_spans_that_disagree_with_their_shard_are_refused(
        tmp_path: Path, column: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    make_dataset(tmp_path, [2], spans=[span(1, 3), span(4, 4), span(8, 8)], packing="best_fit")
    hostile_spans(tmp_path, change)
    with pytest.raises(ShardError, match=f"column {column} "):
        PackedDataset(tmp_path, "train").documents(0)


def test_an_index_that_does_not_cut_its_rows_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path, [2], spans=[span(1, 3), span(4, 4), span(8, 8)], packing="best_fit")
    path = tmp_path / "packed/train/000000.rows"
    kept = path.read_bytes()
    first, runs = 64, len(kept) - 8 * int.from_bytes(kept[24:32], "little")
    changes = [(first, 1), (first + 4, 0), (first + 4, 250), (runs, 3), (runs + 8, 0), (runs + 8, 200)]
    for offset, value in changes:
        path.write_bytes(kept[:offset] + value.to_bytes(4, "little") + kept[offset + 4 :])
        with pytest.raises(ShardError, match="runs"):
            PackedDataset(tmp_path, "train").segments(np.array([0, 1]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.integers(0, 2), name=st.sampled_from([f.name for f in PACKED_MANIFEST if pa.types.is_integer(f.type)]),
       value=st.integers(0, 1 << 15))
def test_no_number_of_a_manifest_ends_in_another_error(tmp_path: Path, row: int, name: str, value: int) -> None:
    root = tmp_path / "data"
    if not root.exists():
        make_dataset(root, SIZES, spans=[span(1, 3), span(4, 4)])
    path = root / "packed/manifest.parquet"
    kept = path.read_bytes()
    try:
        rewrite(path, at(row, **{name: value}))
        data = PackedDataset(root, "train")
        for index in range(len(data)):
            data[index], data.targets(index), data.documents(index)
    except CurateError:
        pass
    finally:
        path.write_bytes(kept)


def test_what_agrees_is_read(tmp_path: Path) -> None:
    """A dataset that was written anew with other spans is refused for nothing."""
    make_dataset(tmp_path, [2], spans=[span(1, 3), span(4, 4)], packing="best_fit")
    hostile_spans(tmp_path, lambda spans: spans.pop())
    rows = tmp_path / "packed/train/000000.rows"
    table = pq.read_table(tmp_path / "packed/train/000000.spans.parquet")
    data = PackedDataset(tmp_path, "train")
    write_rows(str(rows), table.cast(SPANS), 2, T, bytes.fromhex(data._manifest["payload_xxh3"][0].as_py()))
    rewrite(tmp_path / "packed/manifest.parquet", at(0, **describe_rows(str(rows), "train/000000.rows")))
    assert [s for s in PackedDataset(tmp_path, "train").documents(0).doc_ids if s] == [bytes([1]) * 16]
