"""The stage `tokens`: flat ids and their index, and the fallback to the reference encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manifests.records import ShardRecord
from manifests.tables import read_table, write_table
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer
from tests.unit.tokenizer.test_tokenizer_training import text_of, write_clean
from tokenizer.encode import Encoder, Ids, Offsets
from tokenizer.tokens import EncodeConfig, encode_documents

TEXTS = ["", *(text_of(i) for i in range(30)), "<|endoftext|>", "Grüße 😀"]


def encode(root: Path, texts: list[str], config: EncodeConfig | None = None, vocab_size: int = 257) -> ShardRecord:
    documents = write_clean(root / "clean/a/p.parquet", texts)
    tokenizer = byte_tokenizer(root / "tokenizer.json", vocab_size)
    return SmallRun(root).execute("tokens", "a/p", encode_documents, config or EncodeConfig(),
                                  {"documents": [documents], "tokenizer": [tokenizer]})


@pytest.mark.parametrize(("vocab_size", "dtype"), [(257, "<u2"), (70_000, "<u4")])
@pytest.mark.parametrize("fast", [True, False])
def test_every_document_decodes_to_itself(tmp_path: Path, vocab_size: int, dtype: str, fast: bool) -> None:
    record = encode(tmp_path, TEXTS, EncodeConfig(fast=fast), vocab_size)
    ids = np.fromfile(tmp_path / "tokens/a/p.tokens", dtype)
    index = read_table(str(tmp_path / "tokens/a/p.parquet")).to_pylist()
    clean = read_table(str(tmp_path / "clean/a/p.parquet"), ["doc_id"])["doc_id"].to_pylist()
    assert [row["doc_id"] for row in index] == clean
    spans = [ids[row["token_start"] : row["token_start"] + row["n_tokens"]] for row in index]
    assert [bytes(s.astype(np.uint8)).decode() for s in spans] == TEXTS
    n_bytes = sum(len(t.encode()) for t in TEXTS)
    assert {k: record.counters[k] for k in ("documents", "tokens", "bytes", "encoder_fallback")} == {
        "documents": len(TEXTS), "tokens": n_bytes, "bytes": n_bytes, "encoder_fallback": 0}
    assert len(ids) == n_bytes
    assert (record.counters["checked_documents"] >= 1) == fast


def test_groups_are_handed_on(tmp_path: Path) -> None:
    """The index names the group of each document as the clean part does, and none where that has no such column."""
    encode(tmp_path, TEXTS[:3])
    assert read_table(str(tmp_path / "tokens/a/p.parquet"))["group_id"].null_count == 3
    documents = read_table(str(tmp_path / "clean/a/p.parquet"))
    groups = pa.array([b"g" * 16, b"h" * 16, b"g" * 16], pa.binary(16))
    path = str(tmp_path / "grouped.parquet")
    grouped = documents.append_column(pa.field("group_id", pa.binary(16), nullable=False), groups)
    write_table(path, grouped.schema, [grouped])
    SmallRun(tmp_path).execute("tokens", "a/p", encode_documents, EncodeConfig(), {
        "documents": [path], "tokenizer": [str(tmp_path / "tokenizer.json")]})
    assert read_table(str(tmp_path / "tokens/a/p.parquet"))["group_id"].to_pylist() == groups.to_pylist()


def test_an_empty_part(tmp_path: Path) -> None:
    record = encode(tmp_path, [])
    assert (tmp_path / "tokens/a/p.tokens").read_bytes() == b""
    assert record.counters["documents"] == record.counters["tokens"] == 0


def wrong_ids(self: Encoder, texts: pa.Array) -> tuple[Ids, Offsets]:
    ids, offsets = self.encode_reference(texts)
    return (ids + 1).astype(ids.dtype), offsets


def panics(self: Encoder, texts: pa.Array) -> tuple[Ids, Offsets]:
    raise RuntimeError("index out of bounds")


def late(self: Encoder, texts: pa.Array) -> tuple[Ids, Offsets]:
    """Right at first, wrong in a later row group: what was written before must not stay."""
    ids, offsets = self.encode_reference(texts)
    return (ids, offsets) if "" in texts.to_pylist() else (ids[::-1].copy(), offsets)


@pytest.mark.parametrize("broken", [wrong_ids, panics, late])
def test_a_wrong_fast_encoder_is_found_and_replaced(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: object) -> None:
    encode(tmp_path / "right", TEXTS)
    monkeypatch.setattr(Encoder, "encode", broken)
    record = encode(tmp_path / "wrong", TEXTS, EncodeConfig(check_fraction=1.0))
    assert record.counters["encoder_fallback"] == 1
    for name in ("tokens/a/p.tokens", "tokens/a/p.parquet"):
        assert (tmp_path / "wrong" / name).read_bytes() == (tmp_path / "right" / name).read_bytes()
