"""Decontamination against a plain Python reading of GPT-3's rule, alone and through its stages."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from curate.decontamination.config import Benchmark, DecontaminationConfig
from curate.decontamination.decisions import decisions_stage, frequent_stage
from curate.decontamination.kernels.overlaps import cut, gram_table, scan
from curate.decontamination.overlap import build_index, find, hits_stage, index_stage
from curate.text.strings import string_buffers
from curate.text.unicode import KIND, LOWER, PUNCTUATION, SPACE, TABLE_SIZE
from manifests.errors import InputError
from manifests.hashing import document_id
from manifests.records import TaskRecord
from manifests.schema import DEDUP_MARKS, STAGE_MANIFEST
from manifests.storage import Storage
from manifests.tables import read_table, write_table
from manifests.tasks import InputRef, StageTask, execute
from tests.paths import DATA

Word = tuple[str, int, int]  # lower-cased without punctuation, start and end in characters


def words(text: str) -> list[Word]:
    found: list[Word] = []
    run, first, last = "", 0, 0
    for i, char in enumerate([*text, " "]):
        c = ord(char)
        kind = KIND[c] if c < TABLE_SIZE else 0
        if kind == SPACE:
            if run:
                found.append((run, first, last))
            run = ""
        elif kind != PUNCTUATION:
            first = i if not run else first
            run, last = run + (chr(LOWER[c]) if c < TABLE_SIZE else char), i + 1
    return found


def overlaps(text: str, grams: set[tuple[str, ...]], n: int) -> list[tuple[int, int]]:
    w = words(text)
    return [(w[i][1], w[i + n - 1][2]) for i in range(len(w) - n + 1) if tuple(x[0] for x in w[i : i + n]) in grams]


def grams_of(texts: Sequence[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(x[0] for x in words(t)[i : i + n]) for t in texts for i in range(len(words(t)) - n + 1)}


def pieces_of(text: str, spans: list[tuple[int, int]], window: int, shortest: int) -> tuple[list[str], int]:
    """(pieces that stay, pieces made), by marking every character that goes."""
    gone = [False] * len(text)
    for start, end in spans:
        for i in range(max(0, start - window), min(len(text), end + window)):
            gone[i] = True
    made, run = [], ""
    for char, out in [*zip(text, gone, strict=True), ("", True)]:
        if out and run:
            made.append(run)
        run = "" if out else run + char
    return [p for p in made if len(p) >= shortest], len(made)


def filler(seed: int, n_words: int) -> str:
    return " ".join(f"wort{i}ü" for i in np.random.default_rng(seed).integers(0, 10_000, n_words))


QUESTION = "Which of these Planets, if any, does turn the fastest around its own axis every single day"
TEXTS = [
    "", "short", QUESTION, f"{filler(1, 80)} {QUESTION.upper()}!! {filler(2, 80)}", filler(3, 100),
    f"«Which» of, -- these planets if\n\nany does turn  the fastest around its own axis: every single day "
    f"{filler(4, 9)}",
    f"{filler(5, 4)} 日本語 {QUESTION} 😀 {filler(6, 300)} {QUESTION}", "ÀÉÎ ǅ ß İ \U000f0001 \u2003 x" * 9]


@pytest.mark.parametrize("n", [1, 8, 13])
def test_hits_equal_the_plain_reading(n: int) -> None:
    wanted = grams_of([QUESTION, TEXTS[7]], n)
    hits = find(pa.array(TEXTS), build_index([QUESTION, TEXTS[7]], n), window=7).to_pylist()
    got = [(h["row"], h["char_start"], h["char_end"]) for h in hits]
    assert got == [(row, a, b) for row, text in enumerate(TEXTS) for a, b in overlaps(text, wanted, n)]
    assert got
    for h in hits:
        text = TEXTS[h["row"]]
        raw = text.encode()
        assert raw[h["byte_start"] : h["byte_end"]].decode() == text[h["char_start"] : h["char_end"]]
        low, high = max(0, h["char_start"] - 7), h["char_end"] + 7
        assert raw[h["cut_start"] : h["cut_end"]].decode() == text[low:high]
        assert h["n_chars"] == len(text)


def test_texts_of_fewer_words_have_no_grams() -> None:
    assert len(build_index(["one two three", "", "..."], 4).grams) == 0
    assert len(find(pa.array(TEXTS), build_index([], 13))) == 0


def test_many_hits_outgrow_the_first_buffer() -> None:
    text = "a " * 5000
    assert len(find(pa.array([text]), build_index(["a a a"], 3))) == 4998


def test_table_holds_every_gram() -> None:
    grams = np.unique(np.random.default_rng(0).integers(1, 2**63, 5000).astype(np.uint64) << np.uint64(13))
    slots, bits = gram_table(grams)
    assert set(slots[slots != 0].tolist()) == set(grams.tolist())
    assert len(slots) >= 2 * len(grams)
    assert 0 < sum(int(word).bit_count() for word in bits) <= len(grams)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_equal_the_plain_reading(seed: int) -> None:
    chance = random.Random(seed)
    alphabet = ["leak one two", "é", "日本", "x", "filler", "\n", "a b c d e"]
    texts = ["".join(chance.choice(alphabet) + chance.choice(["", " "]) for _ in range(chance.randrange(90)))
             for _ in range(12)]
    window, shortest = chance.choice([0, 3, 20]), chance.choice([0, 1, 15])
    grams = grams_of(["leak one two"], 3)
    _, rows, places, n_chars = scan(
        *string_buffers(pa.array(texts)), 3, build_index(["leak one two"], 3).table, window)
    ends = np.searchsorted(rows, np.arange(len(texts)), side="right").astype(np.int64)
    n_bytes = np.array([len(t.encode()) for t in texts], np.int64)
    spans, bounds, made = cut(places, ends, n_chars, n_bytes, window, shortest)
    for i, text in enumerate(texts):
        got = [text.encode()[a:b].decode() for a, b in spans[bounds[i] : bounds[i + 1]]]
        assert (got, made[i]) == pieces_of(text, overlaps(text, grams, 3), window, shortest)


class Run:
    """A run folder in which the stages of decontamination are called on files."""

    def __init__(self, root: Path, config: DecontaminationConfig) -> None:
        self.root, self.config, self.records = root, config, dict[str, list[TaskRecord]]()

    def stage(self, name: str, function: Any, shards: Sequence[str], inputs: dict[str, Sequence[str]]) -> None:
        done = []
        for shard in shards:
            refs = {k: InputRef(tuple(p.replace("*", shard) for p in v), "") for k, v in inputs.items()}
            task = StageTask(name, 1, shard, self.config, {}, refs, {})
            done.append(execute(Storage(str(self.root)), task, function))
        self.records[name] = done
        rows = [{"task": r.identity.task, "role": o.role, "path": o.path, "n_bytes": o.n_bytes, "n_rows": o.n_rows,
                 "xxh3": o.digest} for r in done for o in r.outputs]
        write_table(str(self.root / name / "manifest.parquet"), STAGE_MANIFEST,
                    [pa.Table.from_pylist(rows, schema=STAGE_MANIFEST)])

    def total(self, name: str, counter: str) -> int:
        return sum(r.counters.get(counter, 0) for r in self.records[name])

    def decisions(self, shard: str) -> list[dict[str, Any]]:
        return read_table(str(self.root / f"decontaminate/decisions/{shard}.parquet")).to_pylist()  # type: ignore[no-any-return]


def write_part(root: Path, shard: str, texts: Sequence[str], keep: Sequence[bool]) -> None:
    ids = pa.array([document_id("t", shard, i) for i in range(len(texts))], pa.binary(16))
    documents = pa.table({"doc_id": ids, "text": pa.array(texts, pa.large_string()),
                          "n_bytes": pa.array([len(t.encode()) for t in texts], pa.int64())})
    n = len(texts)
    decisions = pa.table({"doc_id": ids, "keep": pa.array(keep, pa.bool_()), "reason": pa.nulls(n, pa.string()),
                      "duplicate_of": pa.nulls(n, pa.binary(16)), "similarity": pa.nulls(n, pa.float32()),
                      "cluster_id": pa.nulls(n, pa.binary(16))})
    for folder, table, schema in (("extract", documents, documents.schema),
                                  ("dedup/decisions", decisions, DEDUP_MARKS)):
        path = root / folder / f"{shard}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(str(path), schema, [table.slice(i, 3) for i in range(0, n, 3)])


def run_all(root: Path, parts: dict[str, tuple[list[str], list[bool]]], config: DecontaminationConfig) -> Run:
    for shard, (texts, keep) in parts.items():
        write_part(root, shard, texts, keep)
    run = Run(root, config)
    index, part = ["decontaminate/index/manifest.parquet"], {"documents": ["extract/*.parquet"],
                                                             "decisions": ["dedup/decisions/*.parquet"]}
    run.stage("decontaminate/index", index_stage, ["all"], {"benchmarks": [b.path for b in config.benchmarks]})
    run.stage("decontaminate/hits", hits_stage, list(parts), {**part, "index": index})
    run.stage("decontaminate/frequent", frequent_stage, ["all"], {
        "gram_counts": ["decontaminate/hits/manifest.parquet"], "index": index})
    run.stage("decontaminate/decisions", decisions_stage, list(parts), {
        **part, "index": index, "hits": ["decontaminate/hits/*.parquet"],
        "frequent": ["decontaminate/frequent/manifest.parquet"]})
    return run


def benchmark_files(root: Path) -> tuple[Benchmark, ...]:
    root.mkdir(parents=True, exist_ok=True)
    quiz = [{"name": "q1", "query": QUESTION, "extra": {"choices": ["Jupiter", "Mars"]}},
            {"name": "q2", "query": "too short"}]
    lines = [*map(json.dumps, quiz), "{broken", "", "[1]"]
    (root / "quiz.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    other = json.dumps({"text": COMMON}) + "\n" + json.dumps({"text": QUESTION})
    (root / "other.jsonl.zst").write_bytes(zstandard.compress(other.encode()))
    quiz_fields = ("query", "extra.choices")
    return (Benchmark(name="quiz", path=str(root / "quiz.jsonl.gz"), fields=quiz_fields, id_field="name"),
            Benchmark(name="other", path=str(root / "other.jsonl.zst"), fields=("text",)))


COMMON = "all rights reserved no part of this page may be copied in any form without our consent"


def test_stages_follow_the_rule(tmp_path: Path) -> None:
    config = DecontaminationConfig(benchmarks=benchmark_files(tmp_path / "b"))
    split = f"{filler(1, 80)} {QUESTION}. {filler(2, 80)}"
    shattered = " ".join([filler(s, 120) + " " + QUESTION for s in range(11)])
    a = [filler(9, 50), split, f"{filler(3, 9)} {QUESTION}", split, ""]
    b = [shattered, *[f"{filler(20 + i, 60)} {COMMON}" for i in range(11)]]
    parts = {"crawl/part-a": (a, [True, True, True, False, True]), "crawl/part-b": (b, [True] * 12)}
    run = run_all(tmp_path, parts, config)
    whole, halves, lost, unselected, empty = run.decisions("crawl/part-a")
    assert (whole["keep"], whole["cuts"], whole["pieces"]) == (True, [], [{"start": 0, "end": len(a[0].encode())}])
    assert (empty["keep"], empty["pieces"]) == (True, [{"start": 0, "end": 0}])
    assert (unselected["keep"], unselected["reason"], unselected["pieces"]) == (False, "not_selected", [])
    assert (lost["keep"], lost["reason"], lost["pieces"]) == (False, "no_piece_left", [])
    raw = split.encode()
    assert [(c["benchmark"], c["item"], raw[c["start"] : c["end"]].decode()) for c in halves["cuts"]] == [
        ("quiz", "q1", QUESTION)]
    kept, _ = pieces_of(split, overlaps(split, grams_of([QUESTION], 13), 13), 200, 200)
    assert [raw[p["start"] : p["end"]].decode() for p in halves["pieces"]] == kept
    assert len(kept) == 2
    first, *common = run.decisions("crawl/part-b")
    assert (first["keep"], first["reason"], first["pieces"]) == (False, "too_many_pieces", [])
    assert len(first["cuts"]) == 11
    assert all(m["keep"] and not m["cuts"] for m in common)  # eleven documents share it, so it is no leak


def test_counters_account_for_every_document(tmp_path: Path) -> None:
    config = DecontaminationConfig(benchmarks=benchmark_files(tmp_path / "b"), min_piece=10, window=10)
    texts = [f"{filler(i, 30)} {QUESTION} {filler(i + 1, 30)}" for i in range(4)]
    run = run_all(tmp_path, {"crawl/p": (texts, [True, True, True, False]), "crawl/q": ([], [])}, config)
    total = {name: run.total("decontaminate/decisions", name) for name in (
        "documents", "kept", "dropped_not_selected", "dropped_no_piece_left", "documents_contaminated", "pieces")}
    assert total == {"documents": 4, "kept": 3, "dropped_not_selected": 1, "dropped_no_piece_left": 0,
                     "documents_contaminated": 3, "pieces": 6}
    assert run.total("decontaminate/index", "damaged") == 2
    assert run.total("decontaminate/index", "items_too_short[quiz]") == 1
    assert run.total("decontaminate/frequent", "items_touched[other]") == 1
    items = read_table(str(tmp_path / "decontaminate/frequent/items.parquet")).to_pylist()
    assert [(i["benchmark"], i["item"], i["n_grams_found"]) for i in items] == [("other", "1", 5), ("quiz", "q1", 5)]


@pytest.mark.parametrize(("n_documents", "cut_out"), [(10, True), (11, False)])
def test_ten_documents_are_a_leak_and_eleven_a_phrase(tmp_path: Path, n_documents: int, cut_out: bool) -> None:
    config = DecontaminationConfig(benchmarks=benchmark_files(tmp_path / "b"))
    texts = [f"{filler(i, 70)} {COMMON} {COMMON}" for i in range(n_documents)]
    run_all(tmp_path, {"crawl/p": (texts[:5], [True] * 5), "crawl/q": (texts[5:], [True] * (n_documents - 5))}, config)
    decisions = Run(tmp_path, config).decisions("crawl/p")
    assert [bool(m["cuts"]) for m in decisions] == [cut_out] * 5


def test_wrong_fields_and_unreadable_files_stop_the_run(tmp_path: Path) -> None:
    files = benchmark_files(tmp_path / "b")
    (tmp_path / "torn.jsonl.gz").write_bytes(Path(files[0].path).read_bytes()[:40])
    for benchmark in (Benchmark(name="x", path=files[0].path, fields=("question",)),
                      Benchmark(name="x", path=str(tmp_path / "none.jsonl"), fields=("text",)),
                      Benchmark(name="x", path=str(tmp_path / "torn.jsonl.gz"), fields=("query",))):
        config = DecontaminationConfig(benchmarks=(benchmark,))
        with pytest.raises(InputError, match=benchmark.path):
            Run(tmp_path, config).stage("decontaminate/index", index_stage, ["all"], {"benchmarks": [benchmark.path]})


def test_without_benchmarks_every_kept_document_stays(tmp_path: Path) -> None:
    run_all(tmp_path, {"crawl/p": (["a", "b"], [True, False])}, DecontaminationConfig())
    assert [m["keep"] for m in Run(tmp_path, DecontaminationConfig()).decisions("crawl/p")] == [True, False]


def test_real_benchmarks_are_found_in_a_text_that_holds_them(tmp_path: Path) -> None:
    root = DATA
    path = root / "benchmarks/gsm8k.jsonl.gz"
    if not path.exists():
        pytest.skip(f"real evaluation sets are not here: {path}")
    with gzip.open(path) as stream:
        questions = [json.loads(line)["context"] for line in stream][:200]
    index = build_index(questions)
    hits = find(pa.array([f"before {q}\n\nafter" for q in questions]), index)
    long = [i for i, q in enumerate(questions) if len(words(q)) >= 13]
    assert np.unique(hits["row"].to_numpy()).tolist() == long
    assert len(find(pa.array([filler(1, 5000)]), index)) == 0
