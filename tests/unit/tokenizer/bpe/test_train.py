"""From clean parts to tokenizer.json: the sample, the counts, the merges; the same bytes in every process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from manifests.errors import InputError, StageError
from manifests.hashing import document_id
from manifests.schema import DOCUMENTS
from manifests.tables import read_table, write_table
from tests.counted_words import count_texts
from tests.paths import ROOT
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer
from tokenizer.bpe import pretokenize
from tokenizer.bpe.counting import add_words, count_words, reference_counts
from tokenizer.bpe.sampling import Histogram, bins, byte_budgets, mixture_shares, sample_cutoffs, sample_histogram
from tokenizer.bpe.train import learn, train_tokenizer
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.encoding.character_classes import character_classes
from tokenizer.encoding.patterns import Pattern

WORDS = ["shore", "harbour", "wind", "salt", "rope", "gull", "tide", "keel", "anchor", "mast", "sail", "storm"]
CLEAN = pa.schema([DOCUMENTS.field(n) for n in ("doc_id", "text", "n_bytes")])


def text_of(i: int) -> str:
    """Ten to forty words, different for every i, the same in every process."""
    picks = hashlib.sha256(str(i).encode()).digest() + hashlib.sha256(f"b{i}".encode()).digest()
    return " ".join(WORDS[b % len(WORDS)] for b in picks[: 10 + picks[0] % 30]) + f". Number {i}!\n"


def size_of(texts: list[str]) -> int:
    return sum(len(t.encode()) for t in texts)


def write_clean(path: Path, texts: list[str], source: str = "a", group: int = 7) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = pa.array([document_id(source, path.stem, i) for i in range(len(texts))], pa.binary(16))
    table = pa.table([ids, pa.array(texts, pa.large_string()), pa.array([len(t.encode()) for t in texts], pa.int64())],
                     schema=CLEAN)
    write_table(str(path), CLEAN, [table.slice(i, group) for i in range(0, len(texts), group)])
    return str(path)


def train(root: Path, config: TokenizerConfig, parts: dict[str, list[str]], phases: Any = None) -> dict[str, Any]:
    """All five stages on parts named source/part; the metrics."""
    run = SmallRun(root)
    seen = {}
    for name, texts in parts.items():
        source = name.split("/")[0]
        seen[name] = source, [write_clean(root / "clean" / f"{name}.parquet", texts, source)]
        run.execute("tokenizer/sample", name, sample_histogram, config, {"documents": seen[name][1]}, source=source,
                    seed=1)
    run.execute("tokenizer/cutoffs", "cutoffs", sample_cutoffs, config,
                {"histograms": run.outputs("tokenizer/sample", "histogram")}, **({"phases": phases} if phases else {}))
    cutoffs = run.outputs("tokenizer/cutoffs", "cutoffs")
    for name, (source, documents) in seen.items():
        run.execute("tokenizer/counts", name, count_words, config, {"documents": documents, "cutoffs": cutoffs},
                    source=source, seed=1)
    for partition in range(config.word_partitions):
        run.execute("tokenizer/words", f"part-{partition:05d}", add_words, config,
                    {"counts": run.outputs("tokenizer/counts", "counts")}, partition=partition)
    run.execute("tokenizer", "tokenizer", train_tokenizer, config,
                {"words": run.outputs("tokenizer/words", "words"), "cutoffs": cutoffs})
    metrics: dict[str, Any] = json.loads((root / "tokenizer/metrics.json").read_text())
    return metrics | {"records": run.records}


def hugging_face(texts: list[str], vocab_size: int, min_frequency: int = 2) -> str:
    """tokenizer.json as `tokenizers` alone makes it from the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - 1, min_frequency=min_frequency, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=False)])
    return str(tokenizer.to_str(pretty=True))


def test_the_file_is_that_of_tokenizers(tmp_path: Path) -> None:
    texts = [text_of(i) for i in range(200)]
    metrics = train(tmp_path, TokenizerConfig(vocab_size=320), {"a/p0": texts[:90], "b/p1": texts[90:]})
    data = (tmp_path / "tokenizer/tokenizer.json").read_bytes()
    assert data.decode() == hugging_face(texts, 320)
    tokenizer = Tokenizer.from_str(data.decode())
    assert tokenizer.get_vocab_size() == metrics["vocab_size"] == 320
    assert tokenizer.token_to_id("<|endoftext|>") == metrics["end_of_text_id"] == 319
    assert sorted(i for t, i in tokenizer.get_vocab().items() if len(t) == 1) == list(range(256))
    n_tokens = sum(len(tokenizer.encode(t).ids) for t in texts)
    assert (metrics["sample_documents"], metrics["sample_bytes"]) == (200, size_of(texts))
    assert metrics["sample_tokens"] == n_tokens
    assert metrics["bytes_per_token"] == round(size_of(texts) / n_tokens, 4) > 1.5
    assert tokenizer.decode(tokenizer.encode("Grüße 😀 <x>").ids) == "Grüße 😀 <x>"
    assert metrics["sha256"] == hashlib.sha256(data).hexdigest()


def test_a_sample_too_small_for_the_vocabulary(tmp_path: Path) -> None:
    metrics = train(tmp_path, TokenizerConfig(vocab_size=50_000), {"a/p0": ["ab ab ab", "cd"]})
    assert metrics["requested_vocab_size"] == 50_000
    assert metrics["vocab_size"] == 256 + metrics["n_merges"] + 1 < 300
    assert metrics["end_of_text_id"] == metrics["vocab_size"] - 1


def test_same_bytes_in_two_processes_and_however_parts_and_partitions_are(tmp_path: Path) -> None:
    code = ("import sys; from pathlib import Path\n"
            "from tests.unit.tokenizer.bpe.test_train import *\n"
            "train(Path(sys.argv[1]), TokenizerConfig(vocab_size=400), {'a/p0': [text_of(i) for i in range(150)]})")
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True,
                       cwd=ROOT)
    texts = [text_of(i) for i in range(150)]
    config = TokenizerConfig(vocab_size=400, word_partitions=3)
    train(tmp_path / "c", config, {"a/p0": texts[100:], "a/p1": texts[:50], "a/p2": texts[50:100], "a/p3": []})
    for file in ("tokenizer.json", "metrics.json"):
        first = (tmp_path / "a/tokenizer" / file).read_bytes()
        assert [(tmp_path / n / "tokenizer" / file).read_bytes() for n in ("b", "c")] == [first, first]


def test_the_sample_is_the_lowest_hashes_that_fit() -> None:
    order = np.array([int.from_bytes(hashlib.sha256(f"h{i}".encode()).digest()[:8], "little") for i in range(5000)],
                     np.uint64)
    sizes = np.arange(5000) % 700 + 1
    assert (np.argsort(bins(order), kind="stable") == np.lexsort((np.arange(5000), bins(order)))).all()
    assert (np.diff(bins(np.sort(order)).astype(np.int64)) >= 0).all()
    seen = Histogram()
    for part in np.array_split(np.arange(5000), 9):
        seen.add(bins(order[part]), sizes[part])
    ranked = sizes[np.argsort(order)]
    for budget in (0, 10_000, 300_000, int(sizes.sum()) - 1):
        end, n_documents, n_bytes = seen.cutoff(budget)
        taken = bins(order) < end
        assert (int(taken.sum()), int(sizes[taken].sum())) == (n_documents, n_bytes)
        assert order[taken].max(initial=0) < order[~taken].min()
        assert 0 <= budget - n_bytes <= max(budget / 500, 701)
        assert n_bytes == ranked[:n_documents].sum()
    assert seen.cutoff(int(sizes.sum()))[1] == seen.cutoff(None)[1] == 5000


def test_the_sample_spans_parts_and_follows_the_mixture(tmp_path: Path) -> None:
    texts = [text_of(i) for i in range(900)]
    parts = {"a/p0": texts[:300], "a/p1": texts[300:600], "b/p0": texts[600:]}
    budget = size_of(texts) // 5
    config = TokenizerConfig(vocab_size=300, sample_bytes=budget)
    whole = train(tmp_path / "corpus", config, parts)
    assert 0.97 * budget < whole["sample_bytes"] <= budget
    assert whole["sample_bytes_by_source"]["a"] == pytest.approx(2 * whole["sample_bytes_by_source"]["b"], rel=0.05)
    documents = [r.counters["documents"] for (s, _), r in whole["records"].items() if s == "tokenizer/counts"]
    assert min(documents) > 30
    assert sum(documents) == whole["sample_documents"]
    mixed = train(tmp_path / "mixed", config, parts, phases=[{"weights": {"a": 1, "b": 3}}])
    assert mixed["sample_bytes_by_source"]["b"] == pytest.approx(3 * mixed["sample_bytes_by_source"]["a"], rel=0.05)
    half = train(tmp_path / "half", config.model_copy(update={"sample_bytes": budget // 2}), parts)
    assert half["sample_documents"] < whole["sample_documents"]  # and each of them is in the larger sample:
    words = [pa.concat_tables(read_table(str(p)) for p in sorted((tmp_path / n / "tokenizer/words").glob("part*")))
             for n in ("half", "corpus")]
    larger = dict(zip(*words[1].to_pydict().values(), strict=True))
    assert all(larger[word] >= n for word, n in zip(*words[0].to_pydict().values(), strict=True))


def test_shares_of_the_mixture() -> None:
    available = {"a": 4000, "b": 1000, "c": 0}
    assert mixture_shares([{"weights": {"a": 1.0, "b": 3.0, "x": 9.0}}], available) == \
        pytest.approx({"a": 1.0, "b": 3.0, "c": 0.0})
    assert mixture_shares([{"epochs": {"a": 0.5, "b": 4.0}}], available) == pytest.approx(
        {"a": 500.0, "b": 1000.0, "c": 0.0})
    phases = [{"share": 3.0, "weights": {"a": 50, "b": 50}}, {"share": 1.0, "weights": {"b": 7}}]
    assert mixture_shares(phases, available) == pytest.approx({"a": 1.5, "b": 2.5, "c": 0.0})
    assert mixture_shares([{"tokens": {"a": 10, "b": 30}}], available) == {"a": 10.0, "b": 30.0, "c": 0.0}
    assert byte_budgets(2000, {"a": 1.0, "b": 3.0, "c": 1.0}, available) == {"a": 1000, "b": None, "c": None}
    assert byte_budgets(2000, {"a": 1.0, "b": 0.0}, {"a": 4000, "b": 1000}) == {"a": 2000, "b": 0}
    assert byte_budgets(5000, {"a": 1.0, "b": 0.0}, {"a": 4000, "b": 1000}) == {"a": None, "b": None}
    assert byte_budgets(None, {"a": 1.0}, {"a": 4000}) == {"a": None}


def test_a_document_beyond_the_sample_is_left_out(tmp_path: Path) -> None:
    metrics = train(tmp_path, TokenizerConfig(vocab_size=300, sample_bytes=1000), {"a/p0": ["x" * 5000, "ab ab ab"]})
    assert (metrics["sample_documents"], metrics["sample_bytes"]) == (1, 8)
    assert metrics["records"]["tokenizer/sample", "a/p0"].counters["oversize_documents"] == 1
    whole = train(tmp_path, TokenizerConfig(vocab_size=300, sample_bytes=None), {"a/p0": ["x" * 5000, "ab ab ab"]})
    assert whole["sample_bytes"] == 5008


def test_counts_that_do_not_fit_are_written_out(tmp_path: Path) -> None:
    """Every row group has too many words for the least budget; the words come out as if they had all been held."""
    texts = [" ".join(f"w{i}x{k}" for k in range(4000)) for i in range(12)]
    parts = {"a/p0": texts}
    spilled = train(tmp_path / "a", TokenizerConfig(vocab_size=400, count_memory_bytes=1 << 20), parts)
    held = train(tmp_path / "b", TokenizerConfig(vocab_size=400), parts)
    counters = [m["records"]["tokenizer/counts", "a/p0"].counters for m in (spilled, held)]
    assert counters[0]["spills"] >= 1
    assert counters[1].get("spills", 0) == 0
    assert counters[0]["words"] > counters[1]["words"]
    assert counters[0]["pretokens"] == counters[1]["pretokens"]
    for path in [*sorted((tmp_path / "a/tokenizer").rglob("words/part*")), tmp_path / "a/tokenizer/tokenizer.json"]:
        assert path.read_bytes() == Path(str(path).replace("/a/tokenizer", "/b/tokenizer")).read_bytes()


def test_rare_words_are_left_out_and_counted(tmp_path: Path) -> None:
    texts = ["aa aa aa bb bb cc"]
    metrics = train(tmp_path, TokenizerConfig(vocab_size=300, min_word_count=2), {"a/p0": texts})
    records = [r for (stage, _), r in metrics["records"].items() if stage == "tokenizer/words"]
    total = {n: sum(r.counters[n] for r in records) for n in ("words", "rare_words", "rare_pretokens")}
    assert total == {"words": 2, "rare_words": 2, "rare_pretokens": 2}  # "aa" at the start, " cc"
    assert metrics["bytes_per_token"] == round((3 * 2 + 3 * 2) / metrics["sample_tokens"], 4)


def test_cuts_unlike_those_of_tokenizers_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["naïve café, naïve café", "plain"] * 20
    wrong = character_classes().copy()
    wrong[ord("é")] = character_classes()[ord("!")]
    monkeypatch.setattr(pretokenize, "character_classes", lambda: wrong)
    metrics = train(tmp_path, TokenizerConfig(vocab_size=270), {"a/p0": texts})
    assert metrics["records"]["tokenizer/counts", "a/p0"].counters["reference_counts"] == 1
    assert (tmp_path / "tokenizer/tokenizer.json").read_text() == hugging_face(texts, 270)
    monkeypatch.undo()
    metrics = train(tmp_path, TokenizerConfig(vocab_size=270), {"a/p0": texts})
    assert metrics["records"]["tokenizer/counts", "a/p0"].counters["reference_counts"] == 0


def test_threads_count_what_one_counts() -> None:
    arrays = [pa.array([text_of(i), "é 中文  \n"], pa.large_string()) for i in range(100)]
    tables = [count_texts(arrays, Pattern.CL100K, threads).sort_by("word") for threads in (1, 3)]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(reference_counts(pa.concat_arrays(arrays), Pattern.CL100K).sort_by("word"))
    assert pc.sum(tables[0]["n"]).as_py() > len(tables[0])


@pytest.mark.parametrize("pattern", Pattern)
def test_the_pattern_is_in_the_file(pattern: Pattern) -> None:
    text = "I'll pay 12345.67 to HTTPServer's owner's\r\n\n  naïve café!!\n"
    trained = learn(TokenizerConfig(vocab_size=300, pattern=pattern.value),
                    count_texts([pa.array([text * 9], pa.large_string())], pattern))
    pieces = Tokenizer.from_str(trained.data.decode()).pre_tokenizer.pre_tokenize_str(text)
    cuts = {Pattern.GPT2: "12345", Pattern.CL100K: "123", Pattern.O200K: "123", Pattern.LLAMA: "1"}
    assert cuts[pattern] in [p.strip("Ġ") for p, _ in pieces]
    assert ("ĠHTTPServer's" in [p for p, _ in pieces]) == (pattern is Pattern.O200K)


def test_an_existing_tokenizer_is_taken_as_it_is(tmp_path: Path) -> None:
    given = Path(byte_tokenizer(tmp_path / "given.json"))
    run = SmallRun(tmp_path)
    config = TokenizerConfig(path=str(given))
    run.execute("tokenizer", "tokenizer", train_tokenizer, config, {"existing": [str(given)]})
    metrics = json.loads((tmp_path / "tokenizer/metrics.json").read_text())
    assert (tmp_path / "tokenizer/tokenizer.json").read_bytes() == given.read_bytes()
    assert (metrics["requested_vocab_size"], metrics["vocab_size"], metrics["bytes_per_token"]) == (None, 257, None)
    given.write_text("not json")
    with pytest.raises(InputError, match=r"not a tokenizer\.json"):
        run.execute("tokenizer", "tokenizer", train_tokenizer, config, {"existing": [str(given)]})


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no text to train"):
        train(tmp_path, TokenizerConfig(), {"a/p0": []})


def test_config() -> None:
    with pytest.raises(ValidationError, match="needs at least 257 entries: 256 bytes and the end-of-text token"):
        TokenizerConfig(vocab_size=256)
    assert TokenizerConfig(vocab_size=257).vocab_size == 257
    with pytest.raises(ValidationError):
        TokenizerConfig(vocabulary=5)  # type: ignore[call-arg]
