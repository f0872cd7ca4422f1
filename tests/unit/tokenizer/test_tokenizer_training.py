"""Sampling and training: stateless, bounded, and the same bytes in every process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer

from manifests.errors import InputError, StageError
from manifests.hashing import document_id
from manifests.schema import DOCUMENTS
from manifests.tables import read_table, write_table
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer
from tokenizer.train import TokenizerConfig, sample_documents, train_tokenizer

WORDS = ["shore", "harbour", "wind", "salt", "rope", "gull", "tide", "keel", "anchor", "mast", "sail", "storm"]
CLEAN = pa.schema([DOCUMENTS.field(n) for n in ("doc_id", "text", "n_bytes")])


def text_of(i: int) -> str:
    """Ten to forty words, different for every i, the same in every process."""
    picks = hashlib.sha256(str(i).encode()).digest() + hashlib.sha256(f"b{i}".encode()).digest()
    return " ".join(WORDS[b % len(WORDS)] for b in picks[: 10 + picks[0] % 30]) + f". Number {i}!\n"


def write_clean(path: Path, texts: list[str], source: str = "a", group: int = 7) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = pa.array([document_id(source, path.stem, i) for i in range(len(texts))], pa.binary(16))
    table = pa.table([ids, pa.array(texts, pa.large_string()), pa.array([len(t.encode()) for t in texts], pa.int64())],
                     schema=CLEAN)
    write_table(str(path), CLEAN, [table.slice(i, group) for i in range(0, len(texts), group)])
    return str(path)


def train(root: Path, config: TokenizerConfig, parts: dict[str, list[str]]) -> dict[str, Any]:
    """Both stages; the metrics."""
    run = SmallRun(root)
    for name, texts in parts.items():
        path = write_clean(root / "clean/a" / f"{name}.parquet", texts)
        run.execute("tokenizer/sample", f"a/{name}", sample_documents, config, {"documents": [path]},
                    source="a", seed=1)
    run.execute("tokenizer", "tokenizer", train_tokenizer, config,
                {"sample": run.outputs("tokenizer/sample", "sample")})
    metrics: dict[str, Any] = json.loads((root / "tokenizer/metrics.json").read_text())
    return metrics


def test_trained_tokenizer(tmp_path: Path) -> None:
    texts = [text_of(i) for i in range(200)]
    metrics = train(tmp_path, TokenizerConfig(vocab_size=320), {"p0": texts[:90], "p1": texts[90:]})
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer/tokenizer.json"))
    assert tokenizer.get_vocab_size() == metrics["vocab_size"] == 320
    assert tokenizer.token_to_id("<|endoftext|>") == metrics["end_of_text_id"] == 319
    assert sorted(i for t, i in tokenizer.get_vocab().items() if len(t) == 1) == list(range(256))
    n_tokens = sum(len(tokenizer.encode(t).ids) for t in texts)
    n_bytes = sum(len(t.encode()) for t in texts)
    assert (metrics["sample_documents"], metrics["sample_bytes"]) == (200, n_bytes)
    assert metrics["bytes_per_token"] == round(n_bytes / n_tokens, 4)
    assert metrics["bytes_per_token"] > 1.5
    assert tokenizer.decode(tokenizer.encode("Grüße 😀 <x>").ids) == "Grüße 😀 <x>"
    digest = hashlib.sha256((tmp_path / "tokenizer/tokenizer.json").read_bytes()).hexdigest()
    assert metrics["sha256"] == digest


def test_a_sample_too_small_for_the_vocabulary(tmp_path: Path) -> None:
    metrics = train(tmp_path, TokenizerConfig(vocab_size=50_000), {"p0": ["ab ab ab", "cd"]})
    assert metrics["requested_vocab_size"] == 50_000
    assert metrics["vocab_size"] == 256 + metrics["n_merges"] + 1 < 300
    assert metrics["end_of_text_id"] == metrics["vocab_size"] - 1


def test_same_bytes_in_two_processes(tmp_path: Path) -> None:
    code = ("import sys; from pathlib import Path\n"
            "from tests.unit.tokenizer.test_tokenizer_training import *\n"
            "train(Path(sys.argv[1]), TokenizerConfig(vocab_size=400), {'p0': [text_of(i) for i in range(150)]})")
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True,
                       cwd=Path(__file__).resolve().parents[3])
    for file in ("tokenizer.json", "metrics.json"):
        assert (tmp_path / "a/tokenizer" / file).read_bytes() == (tmp_path / "b/tokenizer" / file).read_bytes()


def test_the_sample_is_the_lowest_hashes_that_fit(tmp_path: Path) -> None:
    texts = [text_of(i) for i in range(40)]
    path = write_clean(tmp_path / "clean/a/p.parquet", texts)
    run = SmallRun(tmp_path)
    full = run.execute("tokenizer/sample", "a/all", sample_documents, TokenizerConfig(), {"documents": [path]},
                       source="a", seed=1)
    rows = read_table(run.storage.path(full.output("sample").path))
    assert rows["text"].to_pylist() == texts
    ranked = sorted(zip(rows["order"].to_pylist(), texts, strict=True))
    for budget in (0, 500, 1500):
        record = run.execute("tokenizer/sample", f"a/{budget}", sample_documents, TokenizerConfig(),
                             {"documents": [path]}, source="a", seed=1, sample_bytes=budget)
        expected, used = set(), 0
        for _, text in ranked:
            used += len(text.encode())
            if used > budget:
                break
            expected.add(text)
        found = read_table(run.storage.path(record.output("sample").path))["text"].to_pylist()
        assert found == [t for t in texts if t in expected]
        assert record.counters["sampled_bytes"] == sum(len(t.encode()) for t in found)


def test_the_sample_spans_parts(tmp_path: Path) -> None:
    """A budget smaller than either part takes documents of both."""
    texts = [text_of(i) for i in range(60)]
    budget = sum(len(t.encode()) for t in texts) // 4
    config = TokenizerConfig(vocab_size=300, sample_bytes=budget)
    metrics = train(tmp_path, config, {"p0": texts[:30], "p1": texts[30:]})
    assert 0.5 * budget < metrics["sample_bytes"] <= budget


def test_a_document_beyond_the_budget_is_left_out(tmp_path: Path) -> None:
    config = TokenizerConfig(vocab_size=300, sample_bytes=1000)
    metrics = train(tmp_path, config, {"p0": ["x" * 5000, "ab ab ab"]})
    assert (metrics["sample_documents"], metrics["sample_bytes"]) == (1, 8)


def test_an_existing_tokenizer_is_taken_as_it_is(tmp_path: Path) -> None:
    given = Path(byte_tokenizer(tmp_path / "given.json"))
    metrics = train(tmp_path, TokenizerConfig(path=str(given)), {"p0": ["abc"]})
    assert (tmp_path / "tokenizer/tokenizer.json").read_bytes() == given.read_bytes()
    assert (metrics["requested_vocab_size"], metrics["vocab_size"], metrics["bytes_per_token"]) == (None, 257, 1.0)
    given.write_text("not json")
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        train(tmp_path, TokenizerConfig(path=str(given)), {"p0": ["abc"]})


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no text to train"):
        train(tmp_path, TokenizerConfig(), {"p0": []})


def test_config() -> None:
    with pytest.raises(ValidationError, match="needs at least 257 entries: 256 bytes and the end-of-text token"):
        TokenizerConfig(vocab_size=256)
    assert TokenizerConfig(vocab_size=257).vocab_size == 257
    with pytest.raises(ValidationError):
        TokenizerConfig(vocabulary=5)  # type: ignore[call-arg]
