"""PackedDataset and PackedLoader over hand-made shards."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests import DatasetMismatchError, InputError, PackedDataset, PackedLoader, Segments, ShardError
from manifests.permutation import Permutation
from manifests.rows import describe_rows, write_rows
from manifests.schema import PACKED_MANIFEST, SOURCES, SPANS
from manifests.shard import Header, write_shard
from manifests.storage import digest_file
from manifests.tables import write_table
from tests.paths import ROOT

T = 8
ADDED = ("rows_path", "rows_xxh3", "most_segments")  # columns of manifest version 2


def manifest_row(split: str, index: int, n_rows: int, first_row: int, packing: str, payload: str, spans: str,
                 phase: int = 0) -> dict[str, Any]:
    return {
        "split": split, "shard_index": index, "path": f"{split}/{index:06d}.bin", "n_bytes": 1024 + 2 * n_rows * T,
        "dtype": "uint16", "n_tokens": n_rows * T, "n_rows": n_rows, "row_length": T, "packing": packing,
        "n_documents": 1, "n_spans": 1, "eot_id": 256, "vocab_size": 257, "tokenizer_sha256": "00" * 32,
        "payload_xxh3": payload, "spans_path": f"{split}/{index:06d}.spans.parquet", "spans_xxh3": spans,
        "first_row": first_row, "tokens_by_source": [("a", n_rows * T - 1)], "dropped_tokens": 0, "seed": 0,
        "recipe_sha256": "", "format_version": 2, "phase": phase, "padding_tokens": 0, "utilisation": 1.0,
        "truncated_documents": 0, "rows_path": f"{split}/{index:06d}.rows", "rows_xxh3": "00" * 16, "most_segments": 1}


def write_tables(packed: Path, rows: list[dict[str, Any]], version: int = 2) -> None:
    schema = PACKED_MANIFEST if version == 2 else pa.schema([f for f in PACKED_MANIFEST if f.name not in ADDED])
    write_table(str(packed / "manifest.parquet"), schema, [pa.Table.from_pylist(rows, schema)])
    source = {"source_id": 0, "name": "a", "requested_weight": 1.0, "available_tokens": 1, "selected_tokens": 1,
              "epochs": 1.0, "realised_share": 1.0}
    write_table(str(packed / "sources.parquet"), SOURCES, [pa.Table.from_pylist([source], SOURCES)])


def make_dataset(root: Path, sizes: list[int], packing: str = "concat", spans: list[dict[str, Any]] | None = None,
                 split: str = "train", version: int = 2) -> Path:
    """Shards of the given rows whose tokens count up through the dataset, modulo 251; spans are for all of them."""
    rows, first = [], 0
    (root / "packed" / split).mkdir(parents=True)
    for index, n_rows in enumerate(sizes):
        base = str(root / "packed" / split / f"{index:06d}")
        ids = np.arange(first * T, (first + n_rows) * T) % 251
        done = write_shard(f"{base}.bin", ids, Header(T, packing, 256, 257, bytes(32), index, 1))
        table = pa.Table.from_pylist([s for s in spans or [] if s["token_start"] < n_rows * T], SPANS)
        write_table(f"{base}.spans.parquet", SPANS, [table])
        row = manifest_row(split, index, n_rows, first, packing, done.payload_digest.hex(),
                           digest_file(f"{base}.spans.parquet"))
        if version == 2:
            write_rows(f"{base}.rows", table, n_rows, T, done.payload_digest)
            row |= describe_rows(f"{base}.rows", f"{split}/{index:06d}.rows")
        rows.append(row)
        first += n_rows
    write_tables(root / "packed", rows, version)
    return root


def span(start: int, n: int, **other: Any) -> dict[str, Any]:
    return {"token_start": start, "n_tokens": n, "doc_id": bytes([start % 256]) * 16, "source_id": 0,
            "doc_token_offset": 0, "epoch": 0, "row": start // T, "truncated_left": False,
            "truncated_right": False} | other


def test_rows_and_targets(tmp_path: Path) -> None:
    make_dataset(tmp_path, [3, 1, 2])
    stream = np.arange(6 * T) % 251
    for path in (tmp_path, tmp_path / "packed"):
        data = PackedDataset(path, "train")
        assert len(data) == 6
        for row in range(6):
            assert data[row].dtype == np.uint16
            assert data[row].tolist() == stream[row * T : (row + 1) * T].tolist()
            last = -100 if row in (2, 3, 5) else int(stream[(row + 1) * T])
            assert data.targets(row).tolist() == [*stream[row * T + 1 : (row + 1) * T].tolist(), last]
            assert data.targets(row).dtype == np.int64
        assert data[-1].tolist() == data[5].tolist()
        with pytest.raises(IndexError):
            data[6]
    tokens, targets = data.batch(np.array([5, 0, 3, 0]))
    assert tokens.tolist() == [data[r].tolist() for r in (5, 0, 3, 0)]
    assert targets.tolist() == [data.targets(r).tolist() for r in (5, 0, 3, 0)]


@pytest.mark.parametrize("version", [1, 2])
def test_segments_of_a_batch(tmp_path: Path, version: int) -> None:
    """Rows of two shards in any order, laid end to end: what `documents` says of each row by itself, with row indexes
    and, in data sets of version 1, without."""
    make_dataset(tmp_path, [2, 1], spans=[span(1, 4), span(5, 2), span(8, 8)], packing="best_fit", version=version)
    data = PackedDataset(tmp_path, "train")
    rows = np.array([1, 2, 0])
    found = data.segments(rows)
    apart = [data.documents(r) for r in rows.tolist()]
    bounds = [0, *(int(b) + i * T for i, d in enumerate(apart) for b in d.cu_seqlens[1:])]
    assert found.cu_seqlens.tolist() == bounds == [0, 8, 9, 13, 15, 16, 17, 21, 23, 24]
    assert found.source_ids.tolist() == [s for d in apart for s in d.source_ids.tolist()]
    assert found.position_ids.tolist() == [d.position_ids.tolist() for d in apart]
    assert {a.dtype.name for a in (found.cu_seqlens, found.source_ids, found.position_ids)} == {"int32"}
    tokens, targets, segments = data.read(rows)
    assert [a.tolist() for a in (tokens, targets)] == [a.tolist() for a in data.batch(rows)]
    assert segments is not None
    assert data.read(rows, as_int64=True)[0].dtype == np.int64
    assert [a.tolist() for a in vars_of(segments)] == [a.tolist() for a in vars_of(found)]


def vars_of(segments: Segments) -> list[np.ndarray]:
    return [segments.cu_seqlens, segments.source_ids, segments.position_ids]


def test_documents_of_a_row(tmp_path: Path) -> None:
    make_dataset(tmp_path, [2], spans=[span(1, 4), span(5, 3, doc_token_offset=9, epoch=2), span(8, 8)])
    first, second = (PackedDataset(tmp_path, "train").documents(row) for row in (0, 1))
    assert first.cu_seqlens.tolist() == [0, 1, 5, 8]
    assert first.cu_seqlens.dtype == np.int32
    assert first.doc_ids == [None, bytes([1]) * 16, bytes([5]) * 16]
    assert (first.source_ids.tolist(), first.source_names) == ([-1, 0, 0], [None, "a", "a"])
    assert (first.doc_token_offsets.tolist(), first.epochs.tolist()) == ([0, 0, 9], [0, 0, 2])
    assert first.position_ids.tolist() == [0, 0, 1, 2, 3, 0, 1, 2]
    assert (second.cu_seqlens.tolist(), second.doc_ids) == ([0, 8], [bytes([8]) * 16])


def test_row_without_documents(tmp_path: Path) -> None:
    make_dataset(tmp_path, [1], packing="pad")
    documents = PackedDataset(tmp_path, "train").documents(0)
    assert (documents.cu_seqlens.tolist(), documents.doc_ids, documents.source_names) == ([0, T], [None], [None])


@pytest.mark.parametrize("version", [1, 2])
def test_targets_of_padded_rows(tmp_path: Path, version: int) -> None:
    """Row 0 holds two documents and padding from token 6 on; row 1 is full: neither learns across its end."""
    make_dataset(tmp_path, [2], packing="pad", spans=[span(1, 3), span(4, 2), span(8, 8)], version=version)
    data = PackedDataset(tmp_path, "train")
    assert data.targets(0).tolist() == [1, 2, 3, 4, 5, -100, -100, -100]
    assert data.targets(1).tolist() == [9, 10, 11, 12, 13, 14, 15, -100]


def test_a_tampered_shard_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path, [2, 2])
    shard = tmp_path / "packed/train/000001.bin"
    data = PackedDataset(tmp_path, "train")
    assert data[0][0] == 0  # the other shard still reads
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-2])
    with pytest.raises(ShardError, match="bytes, but its header says"):
        data[2]
    write_shard(str(shard), np.zeros(2 * T), Header(T, "concat", 256, 257, bytes(32), 1, 1))
    with pytest.raises(ShardError, match="another shard than the manifest"):
        data[2]
    shard.write_bytes(whole)
    assert data[2][0] == 16


def test_a_tampered_spans_file_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path, [1], spans=[span(1, 7)])
    path = tmp_path / "packed/train/000000.spans.parquet"
    write_table(str(path), SPANS, [pa.Table.from_pylist([span(1, 6)], SPANS)])
    with pytest.raises(ShardError, match="not the spans file"):
        PackedDataset(tmp_path, "train").documents(0)


def test_absent_datasets_and_splits(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no packed dataset"):
        PackedDataset(tmp_path, "train")
    make_dataset(tmp_path, [1])
    empty = PackedDataset(tmp_path, "val")
    assert (len(empty), list(empty)) == (0, [])
    with pytest.raises(InputError, match="has no rows"):
        PackedLoader(empty, 1)


def test_digest_sees_content_alone(tmp_path: Path) -> None:
    make_dataset(tmp_path / "a", [2, 1])
    make_dataset(tmp_path / "b", [2, 1])
    make_dataset(tmp_path / "c", [2, 2])
    a, b, c = (PackedDataset(tmp_path / name, "train").digest for name in "abc")
    assert a == b != c
    assert len(a) == 32


def test_ten_thousand_shards_open_at_once(tmp_path: Path) -> None:
    rows = [manifest_row("train", i, 10, i * 10, "concat", f"{i:032x}", f"{i:032x}") for i in range(10_000)]
    (tmp_path / "packed").mkdir()
    write_tables(tmp_path / "packed", rows)
    seconds = []
    for _ in range(5):
        started = time.process_time()  # of this process alone: other work on the machine counts for nothing
        assert len(PackedDataset(tmp_path, "train")) == 100_000
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.05  # about 0.01 s


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 100, 257, 1000])
def test_permutation_is_one(n: int) -> None:
    values = Permutation(n, 1, "x")(np.arange(n))
    assert sorted(values.tolist()) == list(range(n))
    if n > 50:
        assert values.tolist() != Permutation(n, 2, "x")(np.arange(n)).tolist()
        assert values.tolist() != Permutation(n, 1, "y")(np.arange(n)).tolist()


def test_permutation_mixes() -> None:
    """Neighbours land far apart: mean distance of a random permutation is n / 3, and correlation is none."""
    n = 100_003
    values = Permutation(n, 5, "epoch-0")(np.arange(n)).astype(np.float64)
    assert abs(np.abs(np.diff(values)).mean() / n - 1 / 3) < 0.01
    assert abs(np.corrcoef(np.arange(n), values)[0, 1]) < 0.02
    counts = np.histogram(values[: n // 10], bins=20, range=(0, n))[0]
    assert counts.min() > 400  # 500 expected in each


@pytest.mark.parametrize("field", ["dataset", "seed", "split"])
def test_state_of_another_order_is_refused(tmp_path: Path, field: str) -> None:
    make_dataset(tmp_path, [4])
    loader = PackedLoader(PackedDataset(tmp_path, "train"), 2, seed=3)
    next(loader)
    state = loader.state_dict()
    assert state["rows"] == 2
    with pytest.raises(DatasetMismatchError, match=field):
        loader.load_state_dict(state | {field: "other"})
    loader.load_state_dict(state)


def test_importing_the_contract_is_light() -> None:
    code = ("import sys, manifests; manifests.PackedDataset; "
            "print([m for m in ('pydantic', 'polars', 'ray', 'torch', 'numba', 'tokenizers') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=ROOT)
    assert done.stdout.strip() == "[]"
