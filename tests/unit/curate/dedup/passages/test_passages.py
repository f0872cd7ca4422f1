"""Repeated passages through the stages: against plain Python, over parts and partitions, with edits, and on own
files."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curate.dedup.config import DedupRecipe
from manifests.errors import StageError
from manifests.schema import EDITS, SELECT_DECISIONS
from manifests.tables import read_table
from pipelines.cli.main import app
from tests.unit.curate.dedup.dedup_reference import Doc, prose, tables_of
from tests.unit.curate.graph_runs import GraphRun, recipe_of, run_graph

RANKS = {"books": 0, "crawl": 1}
HOME, COOKIES, LEGAL = "Home | About | Contact", "We use cookies, 12 of them!", "© 2024 Example Ltd. All rights kept"


def passages(root: Path, parts: dict[str, list[Doc]], config: DedupRecipe,
             select: dict[str, pa.Table] | None = None) -> GraphRun:
    """Deduplication of documents, then of passages, then the clean corpus. select: other decisions of selection."""
    recipe = recipe_of(list(RANKS), dedup=config.model_dump(mode="json"))
    tables = tables_of(parts)
    return run_graph(root, recipe, {**tables, "select": select or tables["select"]}, ["dedup", "clean"])


def decisions(run: GraphRun, parts: dict[str, list[Doc]]) -> list[dict[str, Any]]:
    return [row for part in parts for row in run.rows("dedup/passage_decisions", part)]


def cleaned(root: Path, parts: dict[str, list[Doc]]) -> dict[bytes, str]:
    rows = [row for part in parts for row in read_table(str(root / f"clean/{part}.parquet")).to_pylist()]
    return {row["doc_id"]: row["text"] for row in rows}


def config(**fields: Any) -> DedupRecipe:
    return DedupRecipe(partitions=3, max_removed_fraction=1.0, min_left_bytes=0, **fields)


def pages(seed: int, n: int = 40) -> dict[str, list[Doc]]:
    """Pages of lines that come back in some of them, over three parts and two sources."""
    chance = random.Random(seed)
    pool = [f"Line {chr(97 + i)} stays. Then more of {prose(i, 3)}! Or not" for i in range(25)]
    pool += ["", "--", HOME, COOKIES]
    docs = [Doc("\n".join(chance.choices(pool, k=chance.randrange(1, 9))), chance.choice(["books", "crawl"]),
                chance.choice([None, 0.5, chance.random()]), chance.random() < 0.9) for _ in range(n)]
    return {"books/part-a": [d for d in docs if d.source == "books"],
            "crawl/part-a": [d for d in docs if d.source == "crawl"][::2],
            "crawl/part-b": [d for d in docs if d.source == "crawl"][1::2]}


def in_order(parts: dict[str, list[Doc]]) -> list[Doc]:
    docs = [d for some in parts.values() for d in some if d.keep]
    return sorted(docs, key=lambda d: (RANKS[d.source], -(d.quality or 0.0), d.doc_id))


def plain(line: str) -> str:
    return "".join(c for c in line.lower() if c.isalnum() or c == " ").strip()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_first_paragraphs_stay_and_later_ones_go(tmp_path: Path, seed: int) -> None:
    parts = pages(seed)
    run = passages(tmp_path, parts, config(paragraphs={}, exact=False, near=False))
    clean_texts = cleaned(tmp_path, parts)
    seen: set[str] = set()
    for doc in in_order(parts):
        lines = [line for line in map(plain, doc.text.split("\n")) if line]
        fresh = [line for i, line in enumerate(lines) if line not in seen and line not in lines[:i]]
        seen.update(lines)
        got = clean_texts.get(doc.doc_id, "")
        assert [line for line in map(plain, got.split("\n")) if line] == fresh
        assert got == got.strip("\n") or not fresh
    decided = {row["doc_id"]: row for row in decisions(run, parts)}
    first = {plain(line): doc.doc_id for doc in reversed(in_order(parts)) for line in doc.text.split("\n")}
    for doc in in_order(parts):
        for span in decided[doc.doc_id]["removed_spans"] or ():
            text = doc.text.encode()[span["start"] : span["end"]].decode()
            assert span["duplicate_of"] == first[next(filter(None, map(plain, text.split("\n"))))]
            assert span["kind"] == "paragraph"


@pytest.mark.parametrize("fields", [{"paragraphs": {}}, {"sentences": {}}, {"paragraphs": {}, "sentences": {}},
                                    {"paragraphs": {}, "sentences": {}, "bloom": {"ngram": 4, "min_ngram": 2}}])
def test_no_sentence_leaves_the_corpus(tmp_path: Path, fields: dict[str, Any]) -> None:
    parts = pages(7, 60)
    passages(tmp_path, parts, config(**fields, exact=False, near=False))
    before = {s for doc in in_order(parts) for s in sentences(doc.text)}
    assert before == {s for text in cleaned(tmp_path, parts).values() for s in sentences(text)}
    assert sum(map(len, cleaned(tmp_path, parts).values())) < 0.7 * sum(len(d.text) for d in in_order(parts))


def sentences(text: str) -> set[str]:
    return {plain(line) for line in text.replace("!", ".").replace(".", "\n").split("\n")} - {""}


def test_partitions_change_nothing(tmp_path: Path) -> None:
    parts = pages(3)
    some = config(paragraphs={"report_pages": 2}, sentences={}, bloom={"ngram": 3, "min_ngram": 2, "filters": 2})
    one, other = passages(tmp_path / "a", parts, some), passages(
        tmp_path / "b", parts, some.model_copy(update={"partitions": 7}))
    for part in parts:
        for stage, role in (("dedup/passage_decisions", "decisions"), ("dedup/passage_decisions", "boilerplate"),
                            ("clean", "documents")):
            assert one.bytes_of(stage, part, role) == other.bytes_of(stage, part, role)


def test_three_sentences_and_no_fewer(tmp_path: Path) -> None:
    a, b, c, d = "The first one. ", "A second, longer one! ", "Is this the third? ", "Number four."
    docs = [Doc(a + b + c + d, quality=0.9), Doc("New. " + a + b + "Other. " + c),
            Doc("Odd. " + (a + b + c).upper() + "Even."), Doc(a + b + c + d, quality=0.1)]
    parts = {"crawl/part-a": docs}
    passages(tmp_path, parts, config(sentences={}, exact=False, near=False))
    texts = cleaned(tmp_path, parts)
    assert texts[docs[0].doc_id] == docs[0].text
    assert texts[docs[1].doc_id] == docs[1].text
    assert texts[docs[2].doc_id] == "Odd. Even."
    assert docs[3].doc_id not in texts


def test_a_text_of_one_sentence_over_and_over(tmp_path: Path) -> None:
    parts = {"crawl/part-a": [Doc("Again and again. " * 7)]}
    passages(tmp_path, parts, config(sentences={}))
    (text,) = cleaned(tmp_path, parts).values()
    assert text.count("again") == 4  # three that stay, three that go, one that is no span


def test_edits_of_selection_are_made_first(tmp_path: Path) -> None:
    """A line that selection cuts is no first occurrence, and what replaced personal data counts as it reads."""
    parts = {"crawl/part-a": [Doc("BAD same line here\nkept one of a", quality=0.9),
                              Doc("same line here\nmail x@y.z now\nlast", quality=0.5),
                              Doc("other\nmail a@b.c now", quality=0.4)]}
    table = tables_of(parts)["select"]["crawl/part-a"]
    edits = [[{"start": 19, "end": 32, "replacement": None}],
             [{"start": 0, "end": 20, "replacement": None}, {"start": 20, "end": 25, "replacement": "MAIL"},
              {"start": 25, "end": 34, "replacement": None}],
             [{"start": 0, "end": 11, "replacement": None}, {"start": 11, "end": 16, "replacement": "MAIL"},
              {"start": 16, "end": 20, "replacement": None}]]
    index = SELECT_DECISIONS.get_field_index("edits")
    edited = table.set_column(index, SELECT_DECISIONS.field("edits"), pa.array(edits, EDITS))
    passages(tmp_path, parts, config(paragraphs={}), {"crawl/part-a": edited})
    texts = [cleaned(tmp_path, parts).get(d.doc_id) for d in parts["crawl/part-a"]]
    assert texts == ["kept one of a", "same line here\nmail MAIL now\nlast", "other"]


def test_too_little_left_is_a_reason_with_values(tmp_path: Path) -> None:
    parts = {"crawl/part-a": [Doc(f"{LEGAL}\n{prose(1, 60)}", quality=0.9),
                              Doc(f"short\n{LEGAL}\n{COOKIES}", quality=0.1), Doc("never cut", quality=0.05)]}
    run = passages(tmp_path, parts, config(paragraphs={}).model_copy(update={"min_left_bytes": 100}))
    rows = decisions(run, parts)
    assert [(r["keep"], r["reason"], r["value"], r["threshold"]) for r in rows] == [
        (True, None, None, None), (False, "too_little_left", len(f"short\n{COOKIES}"), 100.0), (True, None, None, None)]
    assert run.total("dedup/passage_decisions", "dropped_too_little_left") == 1
    assert run.total("dedup/passage_decisions", "documents_crawl") == 3
    assert run.total("dedup/passage_decisions", "kept_crawl") == 2


def test_a_document_of_seen_n_grams_is_dropped_and_a_filter_may_not_be_too_large(tmp_path: Path) -> None:
    one, two = prose(1, 60), prose(2, 60)
    parts = {"books/part-a": [Doc(one, "books"), Doc(two, "books")],
             "crawl/part-a": [Doc(f"{one}\n{prose(4, 5)}\n{two}"), Doc(f"{prose(3, 60)}\n{one}")]}
    run = passages(tmp_path, parts, config(bloom={"ngram": 5, "min_ngram": 5}))
    rows = decisions(run, parts)
    assert [r["reason"] for r in rows] == [None, None, "mostly_seen", None]
    assert rows[2]["value"] == pytest.approx(112 / 113)
    assert rows[2]["threshold"] == 0.8
    assert run.total("dedup/bloom", "grams") == 56 * 6 + 1
    assert cleaned(tmp_path, parts)[parts["crawl/part-a"][1].doc_id] == prose(3, 60)
    with pytest.raises(StageError, match="more than max_filter_bytes"):
        passages(tmp_path / "x", parts, config(bloom={"max_filter_bytes": 1024, "false_positive_rate": 1e-9}))


def test_boilerplate_of_hosts(tmp_path: Path) -> None:
    paths = []
    for n in range(2):
        rows = [{"id": f"{n}-{i}", "text": f"{HOME if i % 2 else 'Menu'}\n{prose(100 * n + i, 30)}\n{COOKIES}",
                 "url": f"http://site{i % 2}.org/{n}/{i}"} for i in range(12)]
        paths.append(tmp_path / f"f{n}.jsonl")
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "dedup.yaml").write_text("{exact: false, near: false, paragraphs: {report_pages: 12}}")
    done = CliRunner().invoke(app, ["dedup", *map(str, paths), "--config", str(tmp_path / "dedup.yaml"), "--out",
                                    str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0
    rows = pq.read_table(tmp_path / "out.report/boilerplate.parquet").to_pylist()
    assert sorted((r["host"], r["n_pages"], r["n_occurrences"], r["text"], r["id"], r["url"]) for r in rows) == sorted(
        (f"site{i}.org", 12, 12, text, f"0-{i}", f"http://site{i}.org/0/{i}")
        for i, texts in enumerate((("Menu", COOKIES), (HOME, COOKIES))) for text in texts)


def test_own_files_keep_all_their_columns(tmp_path: Path) -> None:
    first, second = tmp_path / "a.parquet", tmp_path / "b.jsonl"
    body = prose(1, 50)
    pq.write_table(pa.table({"id": [1, 2], "text": pa.array([f"{body}\n{LEGAL}", body], pa.string()),
                             "tags": [["x", "y"], None], "n": pa.array([7, None], pa.int16())}), first)
    rows: list[Any] = [{"id": "k", "text": f"{LEGAL}\n{prose(2, 50)}\n{COOKIES}", "meta": {"a": 1}, "odd": 1},
                       {"id": "l", "text": prose(3, 50), "meta": {"b": "é"}, "odd": "one",
                        "when": "2024-01-01 00:00:00"}]
    second.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:1], "no object", *rows[1:]]), encoding="utf-8")
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["dedup", str(first), str(second), "--paragraphs", "--out", str(out),
                                      "--format", "json"])
    assert result.exit_code == 0, result.output
    kept = pq.read_table(out / "part-a.parquet")
    assert pa.schema(list(kept.schema)[:4]) == pa.schema([
        ("id", pa.int64()), ("text", pa.string()), ("tags", pa.list_(pa.string())), ("n", pa.int16())])
    assert kept.column_names[4:] == ["doc_id", "group_id", "edits"]
    assert kept.select(range(4)).to_pylist() == [{"id": 1, "text": f"{body}\n{LEGAL}", "tags": ["x", "y"], "n": 7}]
    other = pq.read_table(out / "part-b.parquet").to_pylist()
    assert [r["text"] for r in other] == [f"{prose(2, 50)}\n{COOKIES}", prose(3, 50)]
    assert [(r["id"], r["odd"], r["when"]) for r in other if r["id"]] == [
        ("k", "1", None), ("l", '"one"', "2024-01-01 00:00:00")]
    assert [r["meta"] for r in other if r["id"]] == [{"a": 1, "b": None}, {"a": None, "b": "é"}]
    spans = pq.read_table(tmp_path / "out.decisions/part-b.parquet").to_pylist()[0]["removed_spans"]
    assert spans == [{"start": 0, "end": len(LEGAL.encode()) + 1, "kind": "paragraph", "duplicate_of": "1"}]
    dropped = pq.read_table(tmp_path / "out.decisions/part-a.parquet").to_pylist()[1]
    assert (dropped["keep"], dropped["reason"], dropped["duplicate_of"]) == (False, "too_little_left", None)
    facts = json.loads(result.stdout)
    assert facts["dropped"] == {"too_little_left": 1}
    assert facts["kept_bytes"] == sum(len((r["text"] or "").encode()) for r in [*kept.to_pylist(), *other])


def test_substrings_are_searched_in_what_paragraphs_leave(tmp_path: Path) -> None:
    path, passage = tmp_path / "in.jsonl", prose(9, 30)
    texts = [f"{LEGAL}\n{prose(1, 20)} {passage} {prose(2, 20)}", f"{LEGAL}\n{prose(3, 20)} {passage} {prose(4, 20)}"]
    path.write_text("".join(json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(texts)))
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["dedup", str(path), "--paragraphs", "--substrings", "--out", str(out)])
    assert result.exit_code == 0, result.output
    spans = pq.read_table(tmp_path / "out.decisions/part-in.parquet").to_pylist()[1]["removed_spans"]
    assert [(s["kind"], s["duplicate_of"]) for s in spans] == [("paragraph", "0"), ("substring", "0")]
    assert texts[1].encode()[spans[1]["start"] : spans[1]["end"]].decode().strip(" w") == passage.strip("w")
    first, second = pq.read_table(out / "part-in.parquet")["text"].to_pylist()
    assert first == texts[0]
    assert passage not in second
    assert second.startswith(prose(3, 20))
    assert second.endswith(prose(4, 20)[1:])


@pytest.mark.parametrize("rule", [{"paragraphs": {}}, {"sentences": {}}, {"bloom": {"ngram": 3, "min_ngram": 3}}])
def test_sources_that_are_not_named_lose_no_line_and_cost_no_other_one(tmp_path: Path, rule: dict[str, Any]) -> None:
    line = "The tide rose fast. It fell slowly. Nobody knew why it did so."
    parts = {"books/part-a": [Doc(f"{line}\nA book that says so.\n{line}", source="books")],
             "crawl/part-a": [Doc(f"{line}\nOne page is here for all."), Doc(f"{line}\nAnother page lies there too.")]}
    left = {}
    for sources in (None, ("crawl",)):
        passages(tmp_path / str(sources), parts, config(exact=False, near=False, passage_sources=sources, **rule))
        files = [tmp_path / str(sources) / f"clean/{part}.parquet" for part in parts]
        left[sources] = [sum(text.count("Nobody") for text in read_table(str(f))["text"].to_pylist()) for f in files]
    assert left[None][0] < 2
    assert left[None][1] == 0
    assert left["crawl",] == [2, 1]
