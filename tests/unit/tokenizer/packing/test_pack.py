"""Packing: a whole small run read back, large documents, wide ids, and runs that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from manifests import PackedDataset, ShardError, StageError
from manifests.hashing import document_id
from manifests.shard import open_shard
from manifests.tables import read_table
from manifests.verify import verify_packed
from tests.unit.tokenizer.small_run import EOT, SmallRun, byte_tokenizer, corpus
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing import shuffle
from tokenizer.packing.config import PackConfig
from tokenizer.packing.gather import copy_runs, read_tokens
from tokenizer.packing.inventory import describe_dataset
from tokenizer.packing.modes.concat import shard_sizes
from tokenizer.packing.pack import pack_shard

SIZES = {"crawl": {"p0": [30, 0, 55, 2, 17] * 6, "p1": [8, 9, 100], "p2": []}, "books": {"p0": [400, 350]}}
MIXTURE = MixtureConfig(weights={"crawl": 2, "books": 1}, validation_fraction=0.15)
PACK = PackConfig(row_length=16, shard_tokens=128, buckets=4)


@pytest.fixture
def run(tmp_path: Path) -> SmallRun:
    run = SmallRun(tmp_path, seed=5)
    run.write_tokens(corpus(SIZES))
    run.pack(MIXTURE, PACK, byte_tokenizer(tmp_path / "tokenizer.json"))
    return run


def test_spans_lead_home(run: SmallRun) -> None:
    """Every span's tokens are its document's, end-of-text and all; the stream is the documents joined."""
    texts = {d: [*ids, EOT] for parts in corpus(SIZES).values() for docs in parts.values() for d, ids in docs}
    names = {r["source_id"]: r["name"] for r in read_table(str(run.root / "packed/sources.parquet")).to_pylist()}
    sources = {d: s for s, parts in corpus(SIZES).items() for docs in parts.values() for d, _ in docs}
    seen: dict[str, set[bytes]] = {"train": set(), "val": set()}
    for split in seen:
        data = PackedDataset(run.root, split)
        for row in range(len(data)):
            documents, bounds = data.documents(row), data.documents(row).cu_seqlens
            for k, doc_id in enumerate(documents.doc_ids):
                tokens = data[row][bounds[k] : bounds[k + 1]].tolist()
                if doc_id is None:
                    assert tokens == [EOT]
                    continue
                offset = int(documents.doc_token_offsets[k])
                assert tokens == texts[doc_id][offset : offset + len(tokens)]
                assert documents.source_names[k] == sources[doc_id] == names[int(documents.source_ids[k])]
                seen[split].add(doc_id)
    assert seen["train"]
    assert seen["val"]
    assert not seen["train"] & seen["val"]


def test_the_account(run: SmallRun) -> None:
    manifest = read_table(str(run.root / "packed/manifest.parquet")).to_pylist()
    plan = run.plan()
    counters = run.records["packed", "dataset"].counters
    for split, selected in (("train", plan["total_tokens"]), ("val", sum(s["val_tokens"] for s in plan["sources"]))):
        rows = [r for r in manifest if r["split"] == split]
        packed = sum(n for r in rows for _, n in r["tokens_by_source"])
        assert selected == packed + sum(r["dropped_tokens"] for r in rows) == counters[f"{split}_selected_tokens"]
        assert sum(r["n_tokens"] for r in rows) == packed + len(rows)
        assert [r["first_row"] for r in rows] == np.cumsum([0, *(r["n_rows"] for r in rows)])[:-1].tolist()
        assert sum(r["n_rows"] for r in rows) == len(PackedDataset(run.root, split))
        assert all(r["dropped_tokens"] == 0 for r in rows[:-1])
        for row in rows:
            header, tokens = open_shard(str(run.root / "packed" / row["path"]))
            spans = read_table(str(run.root / "packed" / row["spans_path"]))
            assert (header.n_tokens, header.n_spans, len(tokens)) == (row["n_tokens"], len(spans), row["n_tokens"])
            assert row["n_documents"] == len(set(spans["doc_id"].to_pylist()))
    shares = {r["name"]: r["realised_share"] for r in read_table(str(run.root / "packed/sources.parquet")).to_pylist()}
    assert abs(sum(shares.values()) - 1) < 1e-12
    assert abs(shares["crawl"] - 2 / 3) < 0.02  # the tail of a small run


def test_a_document_larger_than_a_block_and_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "_BLOCK_TOKENS", 100)
    run = SmallRun(tmp_path)
    ids = (np.arange(1000) % 251).tolist()
    run.write_tokens({"a": {"p": [(document_id("a", "p", 0), ids)]}})
    run.pack(MixtureConfig(weights={"a": 1}, max_epochs=2, validation_fraction=0), PACK,
             byte_tokenizer(tmp_path / "t.json"))
    data = PackedDataset(tmp_path, "train")
    shards = [open_shard(str(p))[1].tolist() for p in sorted((tmp_path / "packed/train").glob("*.bin"))]
    stream = [token for tokens in shards for token in tokens[1:]]
    assert stream == ([*ids, EOT] * 2)[: len(stream)]
    assert len(data) == (2 * 1001 // 127) * 8 + (2 * 1001 % 127 + 1) // 16


def test_wide_ids(tmp_path: Path) -> None:
    run = SmallRun(tmp_path)
    ids = [60_000 + 7 * i for i in range(300)]
    run.write_tokens({"a": {"p": [(document_id("a", "p", 0), ids)]}}, np.uint32)
    run.pack(MixtureConfig(weights={"a": 1}, max_epochs=1, validation_fraction=0), PACK,
             byte_tokenizer(tmp_path / "t.json", 70_000))
    header, tokens = open_shard(str(tmp_path / "packed/train/000000.bin"))
    assert (tokens.dtype.name, header.eot_id, header.vocab_size) == ("uint32", 69_999, 70_000)
    assert tokens.tolist() == [69_999, *ids[:127]]


def test_too_few_tokens(tmp_path: Path) -> None:
    run = SmallRun(tmp_path)
    run.write_tokens(corpus({"a": {"p": [5, 5]}}))
    with pytest.raises(StageError, match=r"the train split has 12 tokens, not enough for one row of 16 .*row_length"):
        run.pack(MixtureConfig(weights={"a": 1}, max_epochs=1, validation_fraction=0), PACK,
                 byte_tokenizer(tmp_path / "t.json"))


@pytest.mark.parametrize("fraction", [1e-9, 0.3])
def test_a_val_split_without_a_row_costs_itself_alone(tmp_path: Path, fraction: float) -> None:
    run = SmallRun(tmp_path)
    run.write_tokens(corpus({"a": {"p": [3] * 20}}))
    config = MixtureConfig(weights={"a": 1}, max_epochs=1, validation_fraction=fraction)
    run.pack(config, PackConfig(row_length=32, shard_tokens=64, buckets=4), byte_tokenizer(tmp_path / "t.json"))
    counters = run.records["pack/layout", "layout"].counters
    assert (counters["val_too_small"], counters["val_shards"]) == (1, 0)
    assert (counters["val_dropped_tokens"] > 0) == (fraction > 0.1)
    assert (len(PackedDataset(run.root, "val")), len(PackedDataset(run.root, "train")) > 0) == (0, True)


@pytest.mark.parametrize("sizes", [[3] * 20, [63], [31], [64], [0], [40] * 9])
def test_a_padded_tail(tmp_path: Path, sizes: list[int]) -> None:
    """Nothing is dropped; what is behind the stream is padding, and no target."""
    run = SmallRun(tmp_path)
    run.write_tokens(corpus({"a": {"p": sizes}}))
    config = MixtureConfig(weights={"a": 1}, max_epochs=1, validation_fraction=0)
    pack = PackConfig(row_length=32, shard_tokens=64, buckets=4, pad_tail=True)
    run.pack(config, pack, byte_tokenizer(tmp_path / "t.json"))
    data = PackedDataset(run.root, "train")
    manifest = read_table(str(run.root / "packed/manifest.parquet")).to_pylist()
    assert sum(r["dropped_tokens"] for r in manifest) == 0
    used = sum(n for r in manifest for _, n in r["tokens_by_source"])
    assert used == sum(sizes) + len(sizes)
    assert sum(r["n_tokens"] for r in manifest) == used + len(manifest) + sum(r["padding_tokens"] for r in manifest)
    assert all(r["padding_tokens"] < 32 for r in manifest)
    assert all(r["padding_tokens"] == 0 for r in manifest[:-1])
    learned = sum(int((data.targets(i) >= 0).sum()) for i in range(len(data)))
    assert learned == used
    assert [f for f in verify_packed(run.storage) if f.problem] == []


def test_missing_parts_are_noticed(run: SmallRun) -> None:
    """A shuffled part that does not reach packing must not make a shard of other tokens."""
    index = [p for p in run.outputs("pack/shuffle", "index") if "books" not in p]
    tokens = [p for p in run.outputs("pack/shuffle", "tokens") if "books" not in p]
    inputs = {"index": index, "tokens": tokens, "tokenizer": [str(run.root / "tokenizer.json")],
              "layout": [run.output("pack/layout", "layout")], "shards": [run.output("pack/layout", "shards")]}
    last = max(i for (stage, i) in run.records if stage == "packed" and i.startswith("train"))
    with pytest.raises(ShardError, match="do not hold the tokens that the layout promises"):
        run.execute("packed", last, pack_shard, PACK, inputs, split="train", shard_index=int(last[-6:]))


def test_a_missing_shard_is_noticed(run: SmallRun) -> None:
    inputs = {"shard": run.outputs("packed", "shard")[1:], "spans": run.outputs("packed", "spans")[1:],
              "rows": run.outputs("packed", "rows")[1:], "tokenizer": [str(run.root / "tokenizer.json")],
              "shards": [run.output("pack/layout", "shards")], "plan": [run.output("mix/plan", "plan")]}
    with pytest.raises(ShardError, match="1 shards of the layout are missing"):
        run.execute("packed", "dataset", describe_dataset, PACK, inputs, seed=5, recipe_sha256="")


@pytest.mark.parametrize("n_stream", [0, 1, 2, 3, 4, 14, 15, 16, 17, 18, 19, 30, 31, 1000])
def test_shard_sizes(n_stream: int) -> None:
    sizes, dropped = shard_sizes(n_stream, 16, 4)
    assert sum(sizes - 1) + dropped == n_stream
    assert 0 <= dropped < 4 or (dropped == n_stream and len(sizes) == 0)
    assert all(size % 4 == 0 for size in sizes)
    assert all(size == 16 for size in sizes[:-1])


def test_config() -> None:
    with pytest.raises(ValidationError, match="shard_tokens 100 is not a multiple of row_length 16; 96 is"):
        PackConfig(row_length=16, shard_tokens=100)
    with pytest.raises(ValidationError):
        PackConfig(shard_tokens=1 << 29)


def test_copy_runs_refuses_to_leave_its_arrays() -> None:
    def at(*values: int) -> np.ndarray:
        return np.array(values, np.int64)

    source, target = np.arange(10, dtype=np.uint16), np.zeros(10, np.uint16)
    copy_runs(source, at(2, 0), at(5, 0), at(3, 2), target)
    assert target.tolist() == [0, 1, 0, 0, 0, 2, 3, 4, 0, 0]
    for wrong in ((at(8), at(0), at(3)), (at(0), at(8), at(3)), (at(-1), at(0), at(1)), (at(0), at(0), at(-1))):
        with pytest.raises(ValueError, match="outside"):
            copy_runs(source, *wrong, target)
    with pytest.raises(ValueError, match="uint32"):
        copy_runs(source.astype(np.uint32), at(0), at(0), at(1), target)


@pytest.mark.parametrize("n", [100, 20_000])  # one after another, and by the kernel
def test_copy_runs_moves_few_and_many_alike(n: int) -> None:
    random = np.random.default_rng(n)
    lengths = random.integers(0, 9, n)
    ends = np.cumsum(lengths)
    source = random.integers(0, 1 << 16, int(ends[-1])).astype(np.uint16)
    order = random.permutation(n)
    target = np.zeros_like(source)
    copy_runs(source, (ends - lengths)[order], np.cumsum(lengths[order]) - lengths[order], lengths[order], target)
    assert target.tolist() == np.concatenate([source[ends[i] - lengths[i] : ends[i]] for i in order]).tolist()


def test_read_tokens(tmp_path: Path) -> None:
    path = tmp_path / "x.tokens"
    np.arange(10, dtype=np.uint16).tofile(path)
    for place in (str(path), f"file://{path}"):
        assert read_tokens(place, np.dtype("<u2"), 3, 4).tolist() == [3, 4, 5, 6]
    assert len(read_tokens(str(path), np.dtype("<u2"))) == 10
    with pytest.raises(Exception, match="holds 10 tokens, not 12"):
        read_tokens(str(path), np.dtype("<u2"), 3, 9)
