"""Many parts and many shards: parts are merged in groups first, and no packed byte is another for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from manifests.storage import Storage
from manifests.verify import verify_packed
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer, corpus
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing import stages
from tokenizer.packing.config import PackConfig
from tokenizer.packing.instances import read_index
from tokenizer.packing.token_blocks import read_ids

N_PARTS = 40
SIZES = {"crawl": {f"p{i:02d}": [(7 * i + 11 * k) % 60 for k in range(9)] for i in range(N_PARTS - 1)},
         "books": {"b": [400, 350]}}
MIXTURE = MixtureConfig(weights={"crawl": 2, "books": 1}, validation_fraction=0.1)


def packed(root: Path, packing: str) -> tuple[SmallRun, dict[str, bytes]]:
    root.mkdir()
    run = SmallRun(root, seed=5)
    run.write_tokens(corpus(SIZES))
    config = PackConfig(row_length=16, shard_tokens=160, buckets=100, packing=packing)
    run.pack(MIXTURE, config, byte_tokenizer(root / "tokenizer.json"))
    folder = root / "packed"
    return run, {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*"))
                 if p.is_file() and "_records" not in p.parts}


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_merged_parts_pack_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str) -> None:
    merged, files = packed(tmp_path / "merged", packing)
    monkeypatch.setattr(stages, "SLOTS", 10**9)
    direct, wanted = packed(tmp_path / "direct", packing)
    groups = [r for (stage, _), r in merged.records.items() if stage == "pack/merged"]
    assert 1 < len(groups) < N_PARTS / 2
    assert sum(r.counters["parts"] for r in groups) == N_PARTS
    assert not direct.outputs("pack/merged", "tokens")
    assert files == wanted
    assert len([name for name in files if name.endswith(".bin")]) > 16
    findings = list(verify_packed(Storage(str(tmp_path / "merged"))))
    assert findings
    assert [finding for finding in findings if finding.problem] == []


def test_a_groups_documents_stand_in_the_order_of_the_stream(tmp_path: Path) -> None:
    run, _ = packed(tmp_path / "run", "concat")
    tokens: dict[bytes, list[int]] = {}
    for parts in corpus(SIZES).values():
        for documents in parts.values():
            tokens |= {doc_id: list(ids) for doc_id, ids in documents}
    for index, path in zip(run.outputs("pack/merged", "index"), run.outputs("pack/merged", "tokens"), strict=True):
        table, flat = read_index(index), read_ids(path, np.dtype(np.uint16))
        starts, lengths = table["token_start"].to_numpy(), table["n_tokens"].to_numpy()
        assert starts.tolist() == (np.cumsum(lengths) - lengths).tolist()
        assert lengths.sum() == len(flat)
        for row in table.to_pylist():
            own = flat[row["token_start"] : row["token_start"] + row["n_tokens"]].tolist()
            first = row["doc_token_offset"]
            text = tokens[row["doc_id"]][first : first + row["n_tokens"]]
            assert own[: len(text)] == text
