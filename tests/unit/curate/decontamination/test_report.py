"""The overlap report against a plain Python reading of it, through its stages and through `curate decontaminate`."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from curate.decontamination.config import DecontaminationConfig, OverlapReportConfig
from curate.decontamination.touches import ngram_of
from manifests.tables import read_table, write_table
from pipelines.cli.main import app
from tests.unit.curate.decontamination.test_decisions import (
    COMMON,
    QUESTION,
    benchmark_files,
    decisions,
    filler,
    overlaps,
    run_all,
    words,
)
from tests.unit.curate.graph_runs import GraphRun


def plain_report(run: GraphRun, parts: dict[str, tuple[list[str], list[bool]]], texts: dict[tuple[str, str], str],
                 ngrams: dict[str, int]) -> dict[tuple[str, str], tuple[int, int]]:
    """(documents, documents left) by (benchmark, item), from the decisions and every word of every text."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for (benchmark, item), text in texts.items():
        n = ngrams[benchmark]
        w = [x[0] for x in words(text)]
        grams = {tuple(w[i : i + n]) for i in range(len(w) - n + 1)}
        total = left = 0
        for part, (documents, keep) in parts.items():
            for document, selected, row in zip(documents, keep, decisions(run, part), strict=True):
                spans = overlaps(document, grams, n) if selected else []
                raw = [(len(document[:a].encode()), len(document[:b].encode())) for a, b in spans]
                total += bool(raw)
                left += any(p["start"] <= a and b <= p["end"] for a, b in raw for p in row["pieces"])
        found[benchmark, item] = (total, left)
    return found


def report(run: GraphRun) -> list[dict[str, Any]]:
    return run.rows("decontaminate/report", "report", "items")


def test_report_equals_the_plain_reading(tmp_path: Path) -> None:
    config = DecontaminationConfig(benchmarks=benchmark_files(tmp_path / "b"), max_documents=3, window=5, min_piece=20,
                                   report=OverlapReportConfig(listed_documents=2))
    half = " ".join(QUESTION.split()[:9])  # nine words: no 13-gram, but an overlap by the report's N
    a = [filler(1, 40), f"{filler(2, 40)} {QUESTION} {filler(3, 40)}", f"{filler(4, 30)} {half} {filler(5, 30)}", half]
    b = [f"{filler(20 + i, 30)} {COMMON}." for i in range(5)]
    parts = {"crawl/part-a": (a, [True, True, True, False]), "crawl/part-b": (b, [True] * 5)}
    run = run_all(tmp_path, parts, config)
    rows = report(run)
    texts = {("quiz", "q1"): QUESTION + "\nJupiter\nMars", ("quiz", "q2"): "too short", ("other", "0"): COMMON,
             ("other", "1"): QUESTION}
    ngrams = {row["benchmark"]: row["ngram"] for row in rows}
    assert ngrams == {"quiz": 8, "other": 13}
    wanted = plain_report(run, parts, texts, ngrams)
    assert {(r["benchmark"], r["item"]): (r["n_documents"], r["n_documents_left"]) for r in rows} == wanted
    status = {(r["benchmark"], r["item"]): r["status"] for r in rows}
    assert status == {("quiz", "q1"): "dirty", ("quiz", "q2"): "too_short", ("other", "0"): "dirty",
                      ("other", "1"): "cut"}
    by_item = {(r["benchmark"], r["item"]): r["documents"] for r in rows}
    assert [len(v) for v in by_item.values()] == [2, 0, 2, 1]
    listed = by_item["quiz", "q1"]
    assert [d["left"] for d in listed] == [True, False]  # what stays in training text is named first
    raw = a[2].encode()
    assert raw[listed[0]["start"] : listed[0]["end"]].decode() == " ".join(half.split()[:8])
    table = run.rows("decontaminate/report", "report", "benchmarks")
    assert [(r["benchmark"], r["n_items"], r["n_dirty"], r["n_cut"], r["n_too_short"]) for r in table] == [
        ("quiz", 2, 1, 0, 1), ("other", 2, 1, 1, 0)]


def test_report_does_not_depend_on_parts(tmp_path: Path) -> None:
    texts = [f"{filler(i, 30)} {QUESTION} {filler(i + 9, 30)}" for i in range(7)]
    made = []
    for name, size in (("one", 7), ("three", 3)):
        root = tmp_path / name
        config = DecontaminationConfig(benchmarks=benchmark_files(root / "b"), max_documents=2)
        parts = {f"crawl/p{i}": (texts[i : i + size], [True] * len(texts[i : i + size])) for i in range(0, 7, size)}
        rows = report(run_all(root, parts, config))
        made.append([(r["item"], r["status"], r["n_documents"], r["n_documents_left"]) for r in rows])
    assert made[0] == made[1]
    assert ("q1", "dirty", 7, 7) in made[0]  # in more than two documents, so no contamination by the rule: it stays


@pytest.mark.parametrize(("lengths", "wanted"), [
    ([3] * 100, 8), ([50] * 100, 13), ([*range(1, 101)], 8), ([10] * 5 + [40] * 95, 10), ([], 13), ([0, 0, 11], 11)])
def test_ngram_is_a_clipped_percentile(lengths: list[int], wanted: int) -> None:
    assert ngram_of(np.array(lengths, np.int64), OverlapReportConfig()) == wanted


def leaks(chance: random.Random, n: int) -> list[str]:
    return [" ".join(f"leak{chance.randrange(10**6)}" for _ in range(chance.randrange(13, 30))) for _ in range(n)]


def test_command_cuts_every_planted_leak(tmp_path: Path) -> None:
    chance = random.Random(5)
    items = leaks(chance, 40)
    (tmp_path / "set.jsonl").write_text("".join(
        json.dumps({"q": t, "n": 1, "a": ["yes", "no"]}) + "\n" for t in items))
    short = " ".join(items[0].split()[:12])
    texts = [f"{filler(i, 120)} {short if i == 41 else items[i] if i < 40 else ''} {filler(100 + i, 120)}"
             for i in range(50)]
    ids = [f"d{i}" for i in range(50)]
    write_table(str(tmp_path / "in.parquet"), pa.schema([("doc_id", pa.string()), ("text", pa.string())]),
                [pa.table({"doc_id": ids, "text": texts}).slice(i, 20) for i in range(0, 50, 20)])
    (tmp_path / "more.jsonl").write_text("".join(json.dumps({"id": 7 + i, "text": items[i]}) + "\n" for i in range(3)))
    out = tmp_path / "out"
    result = CliRunner().invoke(app, [
        "decontaminate", str(tmp_path / "in.parquet"), str(tmp_path / "more.jsonl"), "--benchmarks",
        str(tmp_path / "set.jsonl"), "--fields", "q", "--out", str(out), "--format", "json"], catch_exceptions=False)
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert (facts["documents"], facts["documents_contaminated"]) == (53, 43)
    assert facts["dropped"] == {"no_piece_left": 3}
    part = read_table(f"{out}.decisions/part-in.parquet")
    assert part.column_names == ["id", "doc_id", "keep", "reason", "value", "threshold", "removed_spans", "pieces"]
    assert part["id"].to_pylist() == ids
    kept = read_table(str(out / "part-in.parquet"))
    assert kept.column_names == ["doc_id", "text", "parent_id", "group_id", "edits"]
    assert set(kept["doc_id"].to_pylist()) == set(ids)  # a column of the user's own, that is no id of documents
    pieces = [raw[p["start"] : p["end"]].decode() for raw, row in zip((t.encode() for t in texts), part.to_pylist(),
                                                                      strict=True) for p in row["pieces"]]
    assert kept["text"].to_pylist() == pieces
    for i, (text, row) in enumerate(zip(texts, part.to_pylist(), strict=True)):
        assert bool(row["removed_spans"]) == (i < 40)
        raw = text.encode()
        for cut in row["removed_spans"]:  # every cut is confirmed by its words in its item, thirteen or more
            assert f" {raw[cut['start'] : cut['end']].decode()} " in f" {items[int(cut['item'])]} "
            assert raw[cut["start"] : cut["end"]].decode().count(" ") >= 12
        stays = "|".join(raw[p["start"] : p["end"]].decode() for p in row["pieces"])
        assert row["keep"]
        assert i >= 40 or items[i] not in stays
    assert [m["id"] for m in read_table(f"{out}.decisions/part-more.parquet").to_pylist()] == ["7", "8", "9"]
    assert sorted(p.name for p in out.iterdir()) == ["part-in.parquet", "part-more.parquet"]
    statuses = read_table(f"{out}.report/items.parquet")["status"].to_pylist()
    assert statuses == ["cut"] * 40  # the twelve words of the first that stay are fewer than its N


def test_command_equals_the_stages(tmp_path: Path) -> None:
    config = DecontaminationConfig(benchmarks=benchmark_files(tmp_path / "b"), max_documents=3)
    texts = [f"{filler(i, 60)} {QUESTION if i % 3 else COMMON} {filler(i + 1, 60)}" for i in range(9)]
    run = run_all(tmp_path, {"crawl/p": (texts, [True] * 9)}, config)
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    arguments = ["decontaminate", str(tmp_path / "p.jsonl"), "--out", str(tmp_path / "out"), "--max-documents", "3"]
    for benchmark in config.benchmarks:
        arguments += ["--benchmarks", benchmark.path, "--fields", f"{benchmark.name}={','.join(benchmark.fields)}"]
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0
    own, rows = read_table(str(tmp_path / "out.decisions/part-p.parquet")).to_pylist(), decisions(run, "crawl/p")
    spans = [span for row in rows for span in row["removed_spans"]]
    numbered = [{**s, "item": "0"} if s["benchmark"] == "quiz" else s for s in spans]  # there is no --item-id
    assert [span for row in own for span in row["removed_spans"]] == numbered
    assert [row["pieces"] for row in own] == [row["pieces"] for row in rows]


def test_command_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"q": "one two three"}\n')
    (tmp_path / "in.jsonl").write_text('{"id": "a", "text": "b"}\n')
    base = ["decontaminate", str(tmp_path / "in.jsonl"), "--benchmarks", str(tmp_path / "set.jsonl"), "--out",
            str(tmp_path / "out")]
    for extra, words_of_it in ((["--fields", "x"], "no text in the fields x"), (["--ngram", "0"], "--ngram"),
                               (["--fields", "other=q"], "no benchmark is called 'other'")):
        result = CliRunner().invoke(app, [*base, *extra])
        assert result.exception is not None
        assert words_of_it in str(result.exception)


def test_command_names_files_that_cannot_be_read_and_does_the_others(tmp_path: Path) -> None:
    benchmarks = benchmark_files(tmp_path / "b")
    (tmp_path / "good.jsonl").write_text(json.dumps({"id": "a", "text": f"é {QUESTION}"}) + "\n")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "empty.jsonl").write_bytes(b"")
    arguments = ["decontaminate", *(str(tmp_path / n) for n in ("torn.parquet", "empty.jsonl", "good.jsonl")), "--out",
                 str(tmp_path / "out")]
    for benchmark in benchmarks:
        arguments += ["--benchmarks", benchmark.path]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert all(f"curate: {tmp_path / name}: " in result.stderr for name in ("torn.parquet", "empty.jsonl"))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["part-good.parquet"]
    part = read_table(str(tmp_path / "out.decisions/part-good.parquet"))
    assert part["removed_spans"].to_pylist()[0][0]["start"] == 3  # bytes: one character and a space
    for name in ("removed_spans", "pieces"):
        assert b"UTF-8 bytes, not" in part.schema.field(name).metadata[b"comment"].replace(b" of the text", b"")


CHINESE = "小明有十七只羊卖掉了九只之后又在星期天早上的集市上买了四只请问他现在一共还有多少只羊"


def decontaminate(folder: Path, documents: list[str], benchmarks: dict[str, list[str]], code: int = 0) -> Any:
    lines = [json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(documents)]
    (folder / "d.jsonl").write_text("".join(lines), encoding="utf-8")
    arguments = []
    for name, items in benchmarks.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"q": q}) + "\n" for q in items), encoding="utf-8")
        arguments += ["--benchmarks", str(folder / f"{name}.jsonl")]
    result = CliRunner().invoke(app, ["decontaminate", str(folder / "d.jsonl"), *arguments, "--out",
                                      str(folder / "out")])
    assert result.exit_code == code, result.output
    return result


def test_a_question_in_a_script_without_spaces_is_cut(tmp_path: Path) -> None:
    documents = [f"{'旧报纸的故事每周一篇' * 40}{CHINESE}。{'读者来信也很多' * 40}", "旧报纸的故事每周一篇。" * 20]
    decontaminate(tmp_path, documents, {"zh": [CHINESE]})
    rows = read_table(str(tmp_path / "out.decisions/part-d.parquet")).to_pylist()
    assert [bool(row["removed_spans"]) for row in rows] == [True, False]
    span = rows[0]["removed_spans"][0]
    assert documents[0].encode()[span["start"] : span["end"]].decode() == CHINESE
    (row,) = read_table(str(tmp_path / "out.report/benchmarks.parquet")).to_pylist()
    assert (row["ngram"], row["n_too_short"], row["n_cut"]) == (13, 0, 1)


def test_a_benchmark_that_cannot_be_looked_for_is_named_and_never_clean(tmp_path: Path) -> None:
    result = decontaminate(tmp_path, [filler(1, 99)], {"short": ["What is it?", "Name a colour"], "good": [QUESTION]})
    assert "benchmark short cannot be looked for: none of its 2 items has 8 words" in result.stderr
    short, good = read_table(str(tmp_path / "out.report/benchmarks.parquet")).to_pylist()
    if short["benchmark"] != "short":
        short, good = good, short
    assert (short["clean_share"], good["clean_share"]) == (None, 1.0)
    assert result.stdout.splitlines()[-1].endswith(" -") or result.stdout.splitlines()[-2].endswith(" -")


@pytest.mark.parametrize("content", ["", "\n\n", " \n"])
def test_an_empty_benchmark_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "empty.jsonl").write_text(content)
    (tmp_path / "d.jsonl").write_text('{"id": "0", "text": "some text"}\n')
    result = CliRunner().invoke(app, ["decontaminate", str(tmp_path / "d.jsonl"), "--benchmarks",
                                      str(tmp_path / "empty.jsonl"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "benchmark empty has no item" in result.output or "empty" in str(result.exception)
