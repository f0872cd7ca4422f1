"""Every export read back by the format's official reader (`make test-exports` builds their environment)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests import PackedDataset
from manifests.tables import read_table
from tests.paths import ROOT
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer, corpus
from tokenizer.export.formats import export_dataset
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

PYTHON = ROOT / "build/exports-venv/bin/python"
SIZES = {"crawl": {"p0": [30, 0, 55, 2, 17] * 6, "p1": [8, 9, 100]}, "books": {"p0": [400, 350, 15, 16, 31]}}
T = 16

pytestmark = [pytest.mark.exports, pytest.mark.timeout(600),
              pytest.mark.skipif(not PYTHON.exists(), reason="no environment of readers: run `make test-exports`")]


def make(root: Path, packing: str, wide: bool) -> None:
    run = SmallRun(root, seed=5)
    run.write_tokens(corpus(SIZES), np.uint32 if wide else np.uint16)
    pack = PackConfig(row_length=T, shard_tokens=8 * T, buckets=4, packing=packing)
    run.pack(MixtureConfig(weights={"crawl": 2, "books": 1}, validation_fraction=0.15), pack,
             byte_tokenizer(root / "tokenizer.json", 70_000 if wide else 257))


@pytest.fixture(scope="module", params=["concat", "best_fit", "pad", "wide"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    root = tmp_path_factory.mktemp(request.param)
    make(root, "concat" if request.param == "wide" else request.param, request.param == "wide")
    return root, 4 if request.param == "wide" else 2


def read_back(run: tuple[Path, int], form: str, zero_copy: bool = False) -> dict[str, Any]:
    """What the official reader finds in an export of the run."""
    root, token_bytes = run
    out = root / f"export-{form}{'-linked' * zero_copy}"
    export_dataset(str(root), form, str(out), zero_copy)
    script = Path(__file__).with_name("read_back.py")
    done = subprocess.run([PYTHON, script, form, out, str(T), str(token_bytes)], capture_output=True, text=True,
                          check=False, timeout=300)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
    return found


def rows(run: tuple[Path, int], split: str) -> list[list[int]]:
    return [row.tolist() for row in PackedDataset(run[0], split)]


def documents(run: tuple[Path, int], split: str, across_shards: bool) -> list[list[int]]:
    """Documents in the order of the rows, span by span; parts that follow one another joined."""
    found: list[list[int]] = []
    data = PackedDataset(run[0], split)
    last: tuple[Any, ...] = ()
    manifest = read_table(str(run[0] / "packed/manifest.parquet")).to_pylist()
    starts = {r["first_row"] for r in manifest if r["split"] == split}
    for row in range(len(data)):
        facts = data.documents(row)
        if row in starts and not across_shards:
            last = ()
        for k, doc_id in enumerate(facts.doc_ids):
            a, b = facts.cu_seqlens[k : k + 2].tolist()
            offset, epoch = int(facts.doc_token_offsets[k]), int(facts.epochs[k])
            if doc_id is None:
                last = last if across_shards and row in starts and a == 0 else ()
                continue
            if last == (doc_id, epoch, offset):
                found[-1] += data[row][a:b].tolist()
            else:
                found.append(data[row][a:b].tolist())
            last = (doc_id, epoch, offset + b - a)
    return found


def shards(run: tuple[Path, int], split: str) -> list[list[list[int]]]:
    """The documents of each shard."""
    sizes = [sum(n for _, n in r["tokens_by_source"])
             for r in read_table(str(run[0] / "packed/manifest.parquet")).to_pylist() if r["split"] == split]
    found: list[list[list[int]]] = [[]]
    for document in documents(run, split, across_shards=False):
        if sum(map(len, found[-1])) == sizes[len(found) - 1]:
            found.append([])
        found[-1].append(document)
    return found


@pytest.mark.parametrize("zero_copy", [False, True])
def test_megatron(run: tuple[Path, int], zero_copy: bool) -> None:
    found = read_back(run, "megatron", zero_copy)
    for split in ("train", "val"):
        assert found[split] == documents(run, split, across_shards=not zero_copy)


def test_olmo(run: tuple[Path, int]) -> None:
    found = read_back(run, "olmo")
    for split in ("train", "val"):
        assert found[split]["documents"] == documents(run, split, across_shards=False)
        stream = [t for d in found[split]["documents"] for t in d]
        # The reader cuts whole rows out of each file; ours differ in length, so compare what can be compared.
        assert all(len(row) == T for row in found[split]["rows"])
        assert found[split]["rows"][0] == stream[:T]


def test_datatrove(run: tuple[Path, int]) -> None:
    """Rows of T + 1 tokens out of each file, and in them each token's place in its document."""
    found = read_back(run, "datatrove")
    for split in ("train", "val"):
        expected = []
        for shard in shards(run, split):
            tokens = [t for document in shard for t in document]
            places = [k for document in shard for k in range(len(document))]
            for low in range(0, len(tokens) - T, T + 1):
                # A document that a row's start cuts counts from there.
                row = places[low : low + T + 1]
                begun = next((i for i, k in enumerate(row) if k == 0), len(row))
                expected.append([tokens[low : low + T + 1], [*range(begun), *row[begun:]]])
        assert found[split] == expected


@pytest.mark.parametrize(("form", "zero_copy"), [("mds", False), ("litdata", False), ("litdata", True)])
def test_rows(run: tuple[Path, int], form: str, zero_copy: bool) -> None:
    found = read_back(run, form, zero_copy)
    for split in ("train", "val"):
        assert found[split] == rows(run, split)


def test_hf(run: tuple[Path, int]) -> None:
    found = read_back(run, "hf")
    for split in ("train", "val"):
        data = PackedDataset(run[0], split)
        assert found[split][0] == rows(run, split)
        assert found[split][1] == [data.documents(i).cu_seqlens.tolist() for i in range(len(data))]
