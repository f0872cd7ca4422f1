"""Repeated passages through the stages, on files: what is cut is what the plain reading of the rule says."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from curate.dedup.substring_config import Occurrences, SubstringConfig
from pipelines.cli.main import app
from tests.unit.curate.dedup.substrings.substring_reference import Page, cuts, left, order, run_search

SIZE = 24


def corpus(seed: int, n_parts: int = 3) -> dict[str, list[Page]]:
    """Pages made of shared and own sentences, some of them periodic, some in letters of two to four bytes."""
    chance = random.Random(seed)
    letters = "abcdefgh éàß日本語😀 "
    shared = ["".join(chance.choices(letters, k=chance.randrange(5, 80))) for _ in range(12)]
    shared += ["-" * 70, "ab" * 30, "| 0 " * 20]
    parts = {}
    for part in range(n_parts):
        pages = []
        for _ in range(chance.randrange(3, 9)):
            own = ["".join(chance.choices(letters, k=chance.randrange(0, 60))) for _ in range(4)]
            # A passage that repeats itself within little more than one window has a single anchor.
            own.append((chance.choice("xyz") * chance.randrange(1, 5) + chance.choice("xyz")) * chance.randrange(9))
            text = "".join(chance.sample([*own, *chance.choices(shared, k=3)], chance.randrange(0, 7)))
            pages.append(Page(text, keep=chance.random() < 0.8, selected=chance.random() < 0.9,
                              quality=chance.choice([0.0, 0.5, 0.9]), edits=_edits(chance, text)))
        parts[f"crawl/part-{part}"] = pages
    return parts


def _edits(chance: random.Random, text: str) -> list[tuple[int, int, str | None]] | None:
    if chance.random() < 0.5:
        return None
    places = [0]
    for char in text:
        places.append(places[-1] + len(char.encode()))
    found: list[tuple[int, int, str | None]] = []
    bounds = sorted(chance.choices(places, k=6))
    for a, b, word in zip(bounds[::2], bounds[1::2], (None, chance.choice([None, "\n", "<email>"]), None), strict=True):
        if b > a:
            found.append((a, b, word))
    return found


def wanted(pages: list[Page], size: int, every: bool) -> dict[bytes, tuple[str, list[bytes | None]]]:
    """(text that is left, documents named), of each kept page."""
    ranked = order(pages)
    found = cuts([p.edited for p in ranked], size, every)
    return {p.doc_id: (left(p.edited, c), [None if o is None else ranked[o].doc_id for *_, o in c])
            for p, c in zip(ranked, found, strict=True)}


def spelled(page: Page, edits: list[dict[str, object]] | None) -> str:
    spans = None if edits is None else [(e["start"], e["end"], e["replacement"]) for e in edits]
    return Page(page.text, edits=spans).edited  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("every", [False, True])
def test_the_stages_cut_what_the_rule_says(tmp_path: Path, seed: int, every: bool) -> None:
    parts = corpus(seed)
    for pages in parts.values():  # a replaced span is cut whole or not at all, so the plain reading keeps to spans
        for page in pages:
            page.edits = page.edits and [(a, b, None) for a, b, _ in page.edits]
    config = SubstringConfig(min_bytes=SIZE, partitions=1 + seed % 4,
                             cut=Occurrences.ALL if every else Occurrences.REPEATS)
    run = run_search(tmp_path, parts, config)
    expected = wanted([p for pages in parts.values() for p in pages], SIZE, every)
    n_cuts = 0
    for part, pages in parts.items():
        decisions = run.rows("dedup/substrings", part)
        assert [m["doc_id"] for m in decisions] == [p.doc_id for p in pages]
        for page, row in zip(pages, decisions, strict=True):
            if page.doc_id not in expected:
                assert (row["keep"], row["reason"], row["removed_spans"]) == (False, "not_selected", None)
                continue
            text, named = expected[page.doc_id]
            assert spelled(page, row["edits"]) == text
            assert [r["duplicate_of"] for r in row["removed_spans"] or []] == named
            assert row["keep"] == (bool(text) or not named)
            assert row["reason"] == (None if row["keep"] else "repeated_text")
            n_cuts += len(named)
            if not named:
                spans = row["edits"] and [tuple(edit.values()) for edit in row["edits"]]
                assert spans == page.edits or page.edits == []
    assert n_cuts == run.total("dedup/substrings", "removed_spans") > 0


def test_replaced_spans_stay_whole(tmp_path: Path) -> None:
    shared = "a passage that stands in both of the documents"
    at = len("before ") + len(shared)
    pages = [Page(shared), Page(f"before {shared}me@example.org after", edits=[
        (0, at, None), (at, at + len("me@example.org"), "<email>"), (at + len("me@example.org"), at + 20, None)])]
    run = run_search(tmp_path, {"crawl/a": pages}, SubstringConfig(min_bytes=20, partitions=2))
    decided = zip(run.rows("dedup/substrings", "crawl/a"), pages, strict=True)
    first, second = sorted(decided, key=lambda pair: len(pair[0]["removed_spans"] or []))
    assert second[0]["removed_spans"][0]["duplicate_of"] == first[1].doc_id
    assert spelled(second[1], second[0]["edits"]) in ("before <email> after", "")


@pytest.mark.parametrize("seed", [3, 4])
def test_bytes_do_not_depend_on_partitions_or_row_groups(tmp_path: Path, seed: int) -> None:
    runs = []
    for number, (partitions, group) in enumerate([(1, 1), (5, 4), (17, 100)]):
        parts = corpus(seed)
        config = SubstringConfig(min_bytes=SIZE, partitions=partitions)
        runs.append(run_search(tmp_path / str(number), parts, config, group))
    for part in corpus(seed):
        assert len({run.bytes_of("dedup/substrings", part) for run in runs}) == 1


def test_what_is_left_of_a_document_decides_about_it(tmp_path: Path) -> None:
    passage = "".join(chr(97 + i % 26) + chr(97 + i // 26) for i in range(40))
    pages = [Page(passage, quality=0.9), Page(passage + "end", quality=0.1), Page(passage, quality=0.1), Page("short")]
    config = SubstringConfig(min_bytes=40, min_left_bytes=4, partitions=1)
    got = run_search(tmp_path, {"crawl/a": pages}, config).rows("dedup/substrings", "crawl/a")
    assert [m["reason"] for m in got] == [None, "repeated_text", "repeated_text", None]
    with pytest.raises(ValidationError, match="min_left_bytes must not exceed min_bytes"):
        SubstringConfig(min_bytes=40, min_left_bytes=41)


def test_nothing_is_cut_where_nothing_repeats(tmp_path: Path) -> None:
    pages = [Page(""), Page("x"), Page("no run of these bytes is found anywhere else in here", keep=False),
             Page("no run of these bytes is found anywhere else in here")]
    run = run_search(tmp_path, {"crawl/a": pages, "crawl/b": []}, SubstringConfig(min_bytes=16, partitions=2))
    assert [m["removed_spans"] for m in run.rows("dedup/substrings", "crawl/a")] == [None] * 4
    assert run.rows("dedup/substrings", "crawl/b") == []


def test_the_command_cuts_and_names_the_first(tmp_path: Path) -> None:
    passage = "Über den Wolken muß die Freiheit wohl grenzenlos sein. Alle Ängste, alle Sorgen bleiben darunter. "
    first = f"eins {passage}zwei"
    rows = [{"id": "a", "text": first}, {"id": "b", "text": f"drei {passage}vier"}, {"id": "c", "text": passage},
            {"id": "d", "text": None}]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(r) + "\n" for r in rows))
    out = tmp_path / "out"
    arguments = ["dedup", str(source), "--out", str(out), "--substrings", "--min-bytes", "60", "--format", "json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    decisions = pq.read_table(tmp_path / "out.decisions/part-in.parquet").to_pylist()
    assert [(m["keep"], m["reason"]) for m in decisions] == [
        (True, None), (True, None), (False, "repeated_text"), (True, None)]
    assert decisions[1]["removed_spans"] == [{"start": 4, "end": 5 + len(passage.encode()), "kind": "substring",
                                 "duplicate_of": "a"}]
    assert pq.read_table(out / "part-in.parquet")["text"].to_pylist() == [first, "dreivier", ""]
    facts = json.loads(result.stdout)
    assert facts["counters"]["removed_spans"] == 2
    assert facts["kept_bytes"] == len(first.encode()) + len("dreivier")
    assert sorted(p.name for p in out.iterdir()) == ["part-in.parquet"]
