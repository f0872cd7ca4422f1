"""A small web in files, and the real stage graph over it: links, labels, models, scores, decisions, clean texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tests.unit.curate.graph_runs import GraphRun, run_recipe

GOOD = ["river", "mountain", "history", "theory", "language", "music", "century", "science", "people", "essay",
        "argument", "evidence"]
BAD = ["buy", "cheap", "price", "cart", "discount", "shipping", "login", "click", "offer", "casino", "coupon", "deal"]
BOTH = ["the", "a", "of", "and", "to", "in", "is", "was", "for", "on", "with", "page", "site", "home"]
TO_SELECT = ("extract", *(f"classifier/{name}" for name in (
    "links", "link_index", "labels", "samples", "examples", "metrics", "scores")), "classifier", "signals/", "select/")


def page_text(good: bool, number: int) -> str:
    """Some forty words, mostly of one kind; the same for the same arguments."""
    own, other = (GOOD, BAD) if good else (BAD, GOOD)
    pick = [own, BOTH, own, BOTH, other if number % 5 == 0 else own]
    return " ".join(pick[i % 5][(number * 7 + i * i) % len(pick[i % 5])] for i in range(40))


def write_web(folder: Path) -> None:
    """Two crawl files (20 good hosts of 4 pages, which links name, and 40 bad ones), one of books, and the links."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = [{"url": f"http://good{i % 20}.org/{i}", "text": page_text(True, i)} for i in range(80)]
    pages += [{"url": f"http://bad{i % 40}.com/{i}", "text": page_text(False, i)} for i in range(160)]
    books = [{"text": page_text(True, i)} for i in range(200, 230)]
    links = [{"url": f"http://good{i % 20}.org/liked/{i}", "score": 5, "is_self": False} for i in range(180)]
    for name, rows in (("one", pages[::2]), ("two", pages[1::2]), ("books", books), ("links", links)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run_web(root: Path, files: Path, only: Sequence[str] = TO_SELECT, **fields: Any) -> GraphRun:
    """Run some stages over the web, going on where an earlier call in the same folder stopped.

    fields: of the recipe, beside its sources and links."""
    return run_recipe(root, {
        "seed": 7, "labels": {"folds": 3},
        "sources": {"books": {"files": f"{files}/books.jsonl", "kind": "table", "curated": True},
                    "crawl": {"files": [f"{files}/one.jsonl", f"{files}/two.jsonl"], "kind": "table"},
                    "webtext": {"from": "crawl", "labels": ["url"]}},
        "links": {"files": f"{files}/links.jsonl"},
        "classifier": {"buckets": 2000, "min_count": 1, "epochs": 20, "near_duplicates": None},
        "extract": {"identify_language": False, "signals": False}, **fields}, only)


def part_of(web: GraphRun, file: str) -> str:
    """The task of one of the web's files: `one`, `two` or `books`."""
    return next(record.task for record in web.view.tasks("extract")
                if record.task.split("/")[1].startswith(f"part-{file}-"))


def frame_of(web: GraphRun, stage: str, task: str, role: str = "decisions") -> pl.DataFrame:
    return pl.DataFrame(web.table(stage, task, role))
