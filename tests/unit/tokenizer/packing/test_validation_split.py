"""The val split holds out groups whole: pieces of one page, and documents that a chain of near-duplicates joins."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.selection.clean import apply_decisions, clean_schema
from manifests import PackedDataset
from manifests.hashing import document_id
from manifests.schema import DOCUMENTS, EDITS, SPAN
from manifests.storage import Storage
from manifests.tables import read_table
from manifests.verify import verify_packed
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer, corpus
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.mixture.token_parts import count_parts, find_parts
from tokenizer.packing.config import PackConfig

SIZES = {"crawl": {"p0": [30, 0, 55, 2, 17] * 12, "p1": [8, 9, 100] * 15}, "books": {"p0": [40, 35, 1] * 15}}
MIXTURE = MixtureConfig(weights={"crawl": 2, "books": 1}, validation_fraction=0.25, max_epochs=2)


def packed(root: Path, groups: dict[bytes, bytes]) -> dict[str, set[bytes]]:
    """Documents with a token in each split."""
    root.mkdir()
    run = SmallRun(root, seed=3)
    run.groups = groups
    run.write_tokens(corpus(SIZES))
    run.pack(MIXTURE, PackConfig(row_length=16, shard_tokens=256, buckets=4, packing="pad"),
             byte_tokenizer(root / "tokenizer.json"))
    assert not [f for f in verify_packed(Storage(str(root))) if f.problem]
    counts = count_parts([p for s in SIZES for p in find_parts(str(root / "tokens" / s))], 3, 0.25)
    found: dict[str, set[bytes]] = {}
    for split in ("train", "val"):
        data = PackedDataset(root, split)
        found[split] = {d for row in range(len(data)) for d in data.documents(row).doc_ids if d is not None}
    assert len(found["val"]) == sum(c.val_documents for c in counts.values())
    return found


def test_a_group_lies_on_one_side(tmp_path: Path) -> None:
    """Groups of any size, over parts and sources; a document without one is its own, as where no index has groups."""
    ids = [d for parts in corpus(SIZES).values() for docs in parts.values() for d, _ in docs]
    scattered = ids[::2]  # from every part
    sizes = np.array([1, 2, 3, 5, 8, 20] * 9).cumsum()
    groups = {d: bytes([7, i]) * 8 for i, (a, b) in enumerate(pairwise(sizes.tolist())) for d in scattered[a:b]}
    with_groups, without = packed(tmp_path / "a", groups), packed(tmp_path / "b", {})
    names = [{groups[d] for d in with_groups[split] if d in groups} for split in ("train", "val")]
    assert names[0]
    assert names[1]
    assert not names[0] & names[1]
    alone = set(ids) - set(groups)
    assert with_groups["val"] & alone == without["val"] & alone
    broken = [{groups[d] for d in without[split] if d in groups} for split in ("train", "val")]
    assert broken[0] & broken[1]  # a hash of the document alone would have cut some


def test_one_group_of_everything_is_on_one_side(tmp_path: Path) -> None:
    ids = [d for parts in corpus(SIZES).values() for docs in parts.values() for d, _ in docs]
    run = SmallRun(tmp_path, seed=3)
    run.groups = dict.fromkeys(ids, b"0" * 16)
    run.write_tokens(corpus(SIZES))
    parts = [p for s in SIZES for p in find_parts(str(tmp_path / "tokens" / s))]
    for seed in range(20):
        counts = count_parts(parts, seed, 0.5).values()
        assert sum(bool(c.val_documents) for c in counts) in (0, 2)
        assert sum(bool(c.train_documents) for c in counts) in (0, 2)


def test_pieces_and_clusters_in_clean_documents() -> None:
    """Pieces of a document have its group, documents of a cluster the cluster's, and all others their own."""
    ids = [document_id("crawl", "p", i) for i in range(4)]
    texts = ["one two three", "four five", "six", "seven"]
    rows = [{f.name: None for f in DOCUMENTS} | {
        "doc_id": d, "source": "crawl", "origin_path": "p", "origin_offset": i, "origin_length": -1, "text": t,
        "n_bytes": len(t)} for i, (d, t) in enumerate(zip(ids, texts, strict=True))]
    pieces = [[(0, 3), (8, 13)], [(0, 9)], [(0, 3)], [(0, 5)]]
    cluster = b"c" * 16
    decisions = pa.table({
        "keep": [True] * 4, "source": ["crawl"] * 4, "edits": pa.nulls(4, EDITS),
        "pieces": pa.array([[{"start": a, "end": b} for a, b in p] for p in pieces], pa.list_(SPAN)),
        "group_id": pa.array([ids[0], cluster, ids[2], cluster], pa.binary(16))})
    clean = apply_decisions(pa.Table.from_pylist(rows, DOCUMENTS), decisions, "crawl", clean_schema(DOCUMENTS))
    assert clean["text"].to_pylist() == ["one", "three", "four five", "six", "seven"]
    assert clean["group_id"].to_pylist() == [ids[0], ids[0], cluster, ids[2], cluster]
    assert clean["parent_id"].to_pylist()[:3] == [ids[0], ids[0], None]


def test_an_index_without_groups_will_do(tmp_path: Path) -> None:
    """Token files of one's own need three columns."""
    run = SmallRun(tmp_path, seed=3)
    run.write_tokens(corpus(SIZES))
    before = count_parts(find_parts(str(tmp_path / "tokens/crawl")), 3, 0.25)
    for path in (tmp_path / "tokens/crawl").glob("*.parquet"):
        table = read_table(str(path)).drop_columns(["group_id"])
        pq.write_table(table, path)
    assert count_parts(find_parts(str(tmp_path / "tokens/crawl")), 3, 0.25) == before
