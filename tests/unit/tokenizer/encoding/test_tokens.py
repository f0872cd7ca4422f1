"""The stage `tokens`: flat ids and their index, and the fallback to the reference encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manifests.records import Identity, OutputFile, TaskRecord
from manifests.tables import read_table, write_table
from pipelines.planning import Progress
from pipelines.recipe import Recipe
from pipelines.stages import STAGES
from tests.unit.tokenizer.bpe.test_train import text_of, write_clean
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer
from tokenizer.encoding.agreement import check_encoders
from tokenizer.encoding.config import EncodeConfig
from tokenizer.encoding.encode import Encoder, Ids, Offsets, load
from tokenizer.encoding.tokens import encode_documents

TEXTS = ["", *(text_of(i) for i in range(30)), "<|endoftext|>", "Grüße 😀"]


def encode(root: Path, texts: list[str], config: EncodeConfig | None = None, vocab_size: int = 257,
           **variables: bool) -> TaskRecord:
    documents = write_clean(root / "clean/a/p.parquet", texts)
    tokenizer = byte_tokenizer(root / "tokenizer.json", vocab_size)
    return SmallRun(root).execute("tokens", "a/p", encode_documents, config or EncodeConfig(),
                                  {"documents": [documents], "tokenizer": [tokenizer]}, **variables)


def check(root: Path, texts: list[str], config: EncodeConfig) -> TaskRecord:
    documents = write_clean(root / "clean/a/p.parquet", texts)
    tokenizer = byte_tokenizer(root / "tokenizer.json")
    return SmallRun(root).execute("tokenizer/check", "a/p", check_encoders, config,
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
    return ids + ids.dtype.type(1), offsets


def panics(self: Encoder, texts: pa.Array) -> tuple[Ids, Offsets]:
    raise RuntimeError("index out of bounds")


def late(self: Encoder, texts: pa.Array) -> tuple[Ids, Offsets]:
    """Right for the first texts, wrong for one of the last."""
    ids, offsets = self.encode_reference(texts)
    if "<|endoftext|>" in texts.to_pylist():
        ids = ids.copy()
        ids[ids == ord("<")] = ord(">")
    return ids, offsets


@pytest.mark.parametrize(("broken", "differing", "token"), [(wrong_ids, 32, 0), (panics, 33, -1), (late, 1, 0)])
def test_a_wrong_fast_encoder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: object,
                                       differing: int, token: int) -> None:
    load.__globals__["_encoder"].cache_clear()
    config = EncodeConfig(check_fraction=1.0)
    record = check(tmp_path / "right", TEXTS, config)
    assert dict(record.counters) == {"checked_documents": 33, "differing_documents": 0, "no_fast_encoder": 0}
    monkeypatch.setattr(Encoder, "encode", broken)
    record = check(tmp_path / "wrong", TEXTS, config)
    assert record.counters["differing_documents"] == differing
    found = read_table(str(tmp_path / "wrong/tokenizer/check/a/p.parquet")).to_pylist()
    assert [row["token"] for row in found] == [token] * differing
    if broken is late:
        clean = read_table(str(tmp_path / "wrong/clean/a/p.parquet")).to_pylist()
        assert [r["text"] for r in clean if r["doc_id"] == found[0]["doc_id"]] == ["<|endoftext|>"]


def test_what_is_checked(tmp_path: Path) -> None:
    """The first document of a part always, long ones never."""
    assert check(tmp_path / "a", TEXTS, EncodeConfig(check_fraction=0.0)).counters["checked_documents"] == 1
    some = check(tmp_path / "b", TEXTS, EncodeConfig(check_fraction=0.5)).counters["checked_documents"]
    assert 5 < some < 28
    longest = max(len(t) for t in TEXTS)
    config = EncodeConfig(check_fraction=1.0, check_bytes=longest - 1)
    assert check(tmp_path / "c", TEXTS, config).counters["checked_documents"] < 33
    record = check(tmp_path / "d", TEXTS, EncodeConfig(fast=False))
    assert record.counters["checked_documents"] == record.counters["no_fast_encoder"] == 0


@pytest.mark.parametrize("distrusted", [True, False])
def test_the_reference_encodes_what_the_fast_encoder_may_not_or_cannot(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distrusted: bool) -> None:
    encode(tmp_path / "right", TEXTS)
    monkeypatch.setattr(Encoder, "encode", wrong_ids if distrusted else panics)
    record = encode(tmp_path / "wrong", TEXTS, fast=not distrusted)
    assert record.counters["encoder_fallback"] == 1
    for name in ("tokens/a/p.tokens", "tokens/a/p.parquet"):
        assert (tmp_path / "wrong" / name).read_bytes() == (tmp_path / "right" / name).read_bytes()


def recipe_progress(differing: int, fast: bool = True) -> Progress:
    recipe = Recipe.model_validate({"name": "small", "sources": {"a": {"files": ["x"], "kind": "jsonl"}},
                                    "classifier": None, "mixture": {"weights": {"a": 1}}, "encode": {"fast": fast}})

    def record(stage: str, shard: str, role: str, counters: dict[str, int]) -> TaskRecord:
        output = OutputFile(role, f"{stage}/{shard}.parquet", 1, "d", 1)
        return TaskRecord(identity=Identity(stage, 1, shard, {}, {}), outputs=(output,), counters=counters, damage=(),
                           seconds=0.0, peak_memory_bytes=0, host="h", finished_at="t", fingerprint="f")

    progress = Progress(recipe, (), {})
    progress.finish("clean", {f"a/p{i}": record("clean", f"a/p{i}", "documents", {}) for i in range(2)})
    progress.finish("tokenizer", {"tokenizer": record("tokenizer", "tokenizer", "tokenizer", {})})
    progress.finish("tokenizer/check", {
        f"a/p{i}": record("tokenizer/check", f"a/p{i}", "differences",
                          {"differing_documents": differing * i, "checked_documents": 9}) for i in range(2)})
    return progress


def test_one_difference_in_one_part_sends_every_part_to_the_reference_and_says_so(
        caplog: pytest.LogCaptureFixture) -> None:
    check_stage, tokens = (next(s for s in STAGES if s.name == name) for name in ("tokenizer/check", "tokens"))
    assert check_stage.check is not None
    assert "tokenizer/check" in tokens.needs
    for differing in (0, 3):
        caplog.clear()
        progress = recipe_progress(differing)
        check_stage.check(progress)
        assert ("differs from tokenizers on 3 of 18 documents" in caplog.text) == bool(differing)
        assert [s.variables.get("fast", True) for s in tokens.plan(progress)] == [not differing] * 2
    assert list(check_stage.plan(recipe_progress(0, fast=False))) == []
    assert len(list(check_stage.plan(recipe_progress(0)))) == 2
