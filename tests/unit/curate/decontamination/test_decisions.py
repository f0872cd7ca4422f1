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
from curate.decontamination.kernels.overlaps import cut, gram_table, scan
from curate.decontamination.overlap import build_index, find
from curate.text.strings import string_buffers
from curate.text.unicode import KIND, LETTER, LOWER, PUNCTUATION, SPACE, TABLE_SIZE
from manifests.errors import InputError
from tests.paths import DATA
from tests.unit.curate.dedup.dedup_reference import Doc, tables_of
from tests.unit.curate.graph_runs import GraphRun, recipe_of, run_graph

UNSPACED = ((0x0E00, 0x0EFF), (0x3040, 0x30FF), (0x4E00, 0x9FFF))  # of the scripts in these tests
Word = tuple[str, int, int]  # lower-cased without punctuation, start and end in characters


def words(text: str) -> list[Word]:
    found: list[Word] = []
    run, first, last = "", 0, 0
    for i, char in enumerate([*text, " "]):
        c = ord(char)
        kind = KIND[c] if c < TABLE_SIZE else 0
        alone = kind == LETTER and any(a <= c <= b for a, b in UNSPACED)
        if (kind == SPACE or alone) and run:
            found.append((run, first, last))
            run = ""
        if alone:
            found.append((char, i, i + 1))
        elif kind == SPACE:
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


def run_all(root: Path, parts: dict[str, tuple[list[str], list[bool]]], config: DecontaminationConfig) -> GraphRun:
    """Decontamination and its report by the stage graph. parts: texts, and whether deduplication kept them."""
    tables: dict[str, dict[str, pa.Table]] = {"extract": {}, "select": {}}
    for part, (texts, keep) in parts.items():
        docs = [Doc(text, keep=kept) for text, kept in zip(texts, keep, strict=True)]
        for stage, table in tables_of({part: docs}).items():
            tables[stage] |= table
    fields = config.model_dump(mode="json")
    return run_graph(root, recipe_of(["crawl"], dedup=OFF, decontaminate=fields), tables, ["decontaminate"])


OFF = {"exact": False, "near": False}


def decisions(run: GraphRun, part: str) -> list[dict[str, Any]]:
    return run.rows("decontaminate", part)


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
    whole, halves, lost, unselected, empty = decisions(run, "crawl/part-a")
    assert (whole["keep"], whole["removed_spans"]) == (True, [])
    assert whole["pieces"] == [{"start": 0, "end": len(a[0].encode())}]
    assert (empty["keep"], empty["pieces"]) == (True, [{"start": 0, "end": 0}])
    assert (unselected["keep"], unselected["reason"], unselected["pieces"]) == (False, "not_selected", [])
    assert (lost["keep"], lost["reason"], lost["pieces"]) == (False, "no_piece_left", [])
    raw = split.encode()
    assert [(c["benchmark"], c["item"], raw[c["start"] : c["end"]].decode()) for c in halves["removed_spans"]] == [
        ("quiz", "q1", QUESTION)]
    kept, _ = pieces_of(split, overlaps(split, grams_of([QUESTION], 13), 13), 200, 200)
    assert [raw[p["start"] : p["end"]].decode() for p in halves["pieces"]] == kept
    assert len(kept) == 2
    first, *common = decisions(run, "crawl/part-b")
    assert (first["keep"], first["reason"], first["pieces"]) == (False, "too_many_pieces", [])
    assert len(first["removed_spans"]) == 11
    assert all(m["keep"] and not m["removed_spans"] for m in common)  # eleven documents share it


def test_counters_account_for_every_document(tmp_path: Path) -> None:
    config = DecontaminationConfig(benchmarks=benchmark_files(tmp_path / "b"), min_piece=10, window=10)
    texts = [f"{filler(i, 30)} {QUESTION} {filler(i + 1, 30)}" for i in range(4)]
    run = run_all(tmp_path, {"crawl/p": (texts, [True, True, True, False]), "crawl/q": ([], [])}, config)
    total = {name: run.total("decontaminate", name) for name in (
        "documents", "kept", "dropped_not_selected", "dropped_no_piece_left", "documents_contaminated", "pieces")}
    assert total == {"documents": 4, "kept": 3, "dropped_not_selected": 1, "dropped_no_piece_left": 0,
                     "documents_contaminated": 3, "pieces": 6}
    assert run.total("decontaminate/index", "damaged") == 2
    assert run.total("decontaminate/index", "items_too_short[quiz]") == 1
    assert run.total("decontaminate/frequent", "items_touched[other]") == 1
    items = run.rows("decontaminate/frequent", "frequent", "items")
    assert [(i["benchmark"], i["item"], i["n_grams_found"]) for i in items] == [("other", "1", 5), ("quiz", "q1", 5)]


@pytest.mark.parametrize(("n_documents", "cut_out"), [(10, True), (11, False)])
def test_ten_documents_are_contaminated_and_eleven_share_a_phrase(
        tmp_path: Path, n_documents: int, cut_out: bool) -> None:
    config = DecontaminationConfig(benchmarks=benchmark_files(tmp_path / "b"))
    texts = [f"{filler(i, 70)} {COMMON} {COMMON}" for i in range(n_documents)]
    parts = {"crawl/p": (texts[:5], [True] * 5), "crawl/q": (texts[5:], [True] * (n_documents - 5))}
    run = run_all(tmp_path, parts, config)
    assert [bool(row["removed_spans"]) for row in decisions(run, "crawl/p")] == [cut_out] * 5


def test_wrong_fields_and_unreadable_files_stop_the_run(tmp_path: Path) -> None:
    files = benchmark_files(tmp_path / "b")
    (tmp_path / "torn.jsonl.gz").write_bytes(Path(files[0].path).read_bytes()[:40])
    for benchmark in (Benchmark(name="x", path=files[0].path, fields=("question",)),
                      Benchmark(name="x", path=str(tmp_path / "torn.jsonl.gz"), fields=("query",))):
        with pytest.raises(InputError, match=benchmark.path):
            run_all(tmp_path, {"crawl/p": (["a"], [True])}, DecontaminationConfig(benchmarks=(benchmark,)))


def test_without_benchmarks_there_is_nothing_to_decide(tmp_path: Path) -> None:
    run = run_all(tmp_path, {"crawl/p": (["a", "b"], [True, False])}, DecontaminationConfig())
    assert not run.view.tasks("decontaminate")


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
