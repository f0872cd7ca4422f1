"""Render the demo's web: WARC files, a Reddit dump that links to good pages, a curated source, a benchmark, the truth.

    python -m pipelines.demo.web runs/demo-web

Everything is made from documentation that is installed anyway, without a network, and the same again in the same
environment. What was planted is written to truth.parquet, one row a page, for `pipelines.demo.check`.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from pipelines.demo.archive import write_archive
from pipelines.demo.chance import Chance
from pipelines.demo.pages import Kind, Page, Plan, plan
from pipelines.demo.prose import reference
from pipelines.demo.templates import Link

N_PARTS = 8
SEED = 20240301
_WINDOW_LOG = 27
_CREATED = 1_700_000_000

_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("url", pa.string()), ("kind", pa.string()), ("of_url", pa.string()), ("jaccard", pa.float64()),
    ("items", pa.list_(pa.string())), ("language", pa.string()), ("charset", pa.string()), ("linked", pa.bool_()),
    ("part", pa.string()), ("neighbours", pa.list_(pa.string())), ("note", pa.string()), ("text", pa.large_string())]
TRUTH = pa.schema(_COLUMNS)
"""One row a page; url is unique. of_url, jaccard: the page it copies and their exact word-5-gram Jaccard. items: the
questions planted in it. part: its WARC file. neighbours: for a damaged record, the pages before and after it. text:
what an extractor should find."""


@dataclass(frozen=True)
class Rendered:
    """What was written. by_kind: pages of each kind."""

    out: Path
    n_pages: int
    by_kind: dict[str, int]
    n_questions: int
    n_links: int


def render(out: Path, n_pages: int = 3000, seed: int = SEED) -> Rendered:
    """Write crawl/part-*.warc.gz, reddit/RS_demo.zst, text/reference.jsonl.gz, benchmarks/demo_questions.jsonl.gz and
    truth.parquet under `out`; raises StageError where the environment has too little documentation."""
    chance = Chance(seed)
    planned = plan(chance, n_pages)
    for folder in ("crawl", "reddit", "text", "benchmarks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    parts = _deal(chance, planned)
    damaged = {page.url for page in planned.truncated}
    siblings: dict[str, list[Link]] = defaultdict(list)
    for pages in parts:
        for page in pages:
            siblings[page.host].append((page.url, page.title))
    for index, pages in enumerate(parts):
        write_archive(out / "crawl" / f"{_part(index)}.warc.gz", chance, pages, damaged, siblings)
    n_links = _write_reddit(out / "reddit" / "RS_demo.zst", chance, [page for pages in parts for page in pages])
    _write_lines(out / "text" / "reference.jsonl.gz", ({"id": a.origin, "text": a.text} for a in reference()))
    _write_lines(out / "benchmarks" / "demo_questions.jsonl.gz",
                 ({"id": q.item, "question": q.question, "answer": q.answer} for q in planned.questions))
    rows = list(_truth(parts))
    pq.write_table(pa.Table.from_pylist(rows, TRUTH), out / "truth.parquet", compression="zstd")
    by_kind = {str(kind): sum(row["kind"] == kind for row in rows) for kind in Kind}
    return Rendered(out, len(rows), by_kind, len(planned.questions), n_links)


def _part(index: int) -> str:
    return f"part-{index:05}"


def _deal(chance: Chance, planned: Plan) -> list[list[Page]]:
    """Pages of each archive. A damaged record lies in the middle of an archive, the later ones at the end of one."""
    shuffled = chance.shuffled("pages", planned.pages)
    parts = [shuffled[index::N_PARTS] for index in range(N_PARTS)]
    for number, page in enumerate(planned.truncated):
        pages = parts[number % N_PARTS]
        turn = number // N_PARTS
        if turn == 1:
            pages.append(page)
        else:
            pages.insert(len(pages) // (2 + turn), page)
    return parts


def _truth(parts: list[list[Page]]) -> Iterator[dict[str, object]]:
    for index, pages in enumerate(parts):
        for number, page in enumerate(pages):
            around = [*pages[max(0, number - 1) : number], *pages[number + 1 : number + 2]]
            yield {"url": page.url, "kind": str(page.kind), "of_url": page.of_url, "jaccard": page.jaccard,
                   "items": list(page.items), "language": page.language, "charset": page.charset,
                   "linked": page.linked, "part": _part(index), "note": page.note, "text": page.text,
                   "neighbours": [p.url for p in around] if page.kind is Kind.TRUNCATED else []}


def _write_lines(path: Path, rows: Iterator[dict[str, str]]) -> None:
    """JSON lines, gzip without name and time."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), 6, mtime=0))


def _write_reddit(path: Path, chance: Chance, pages: list[Page]) -> int:
    """Submissions in Pushshift's shape, zstd with a long window as its dumps have; returns the number of rows."""
    rows = [row for page in pages for row in _submissions(chance, page)]
    text = "".join(json.dumps(row) + "\n" for row in chance.shuffled("submissions", rows))
    parameters = zstandard.ZstdCompressionParameters.from_level(9, window_log=_WINDOW_LOG, enable_ldm=True)
    with path.open("wb") as file, zstandard.ZstdCompressor(compression_params=parameters).stream_writer(file) as packed:
        packed.write(text.encode())
    return len(rows)


def _submissions(chance: Chance, page: Page) -> Iterator[dict[str, object]]:
    """A good link to every linked page; now and then a second one written another way, a low score, or a self post."""
    created = _CREATED + chance.below("created", page.url, 10_000_000)
    subreddit = chance.one("subreddit", page.url, ("programming", "learnpython", "datascience", "books"))
    base: dict[str, object] = {"subreddit": subreddit, "is_self": False, "created_utc": created, "title": page.title}
    if page.linked:
        yield {**base, "url": page.url, "score": 3 + chance.below("score", page.url, 400)}
        if chance.happens("again", page.url, 10):
            yield {**base, "url": f"{page.url}/?utm_source=share", "score": 3 + chance.below("again", page.url, 40)}
    elif chance.happens("low", page.url, 15):
        yield {**base, "url": page.url, "score": chance.below("low score", page.url, 3)}
    elif chance.happens("self", page.url, 5):
        yield {**base, "url": f"https://www.reddit.com/r/books/comments/{created:x}/", "is_self": True, "score": 25}


def main() -> None:
    """Command line: render the web and say what was planted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="folder for the web, such as runs/demo-web")
    parser.add_argument("--pages", type=int, default=3000, help="how many pages")
    parser.add_argument("--seed", type=int, default=SEED, help="another web for every seed")
    arguments = parser.parse_args()
    done = render(arguments.out, arguments.pages, arguments.seed)
    kinds = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in done.by_kind.items())
    print(f"{done.out}: {done.n_pages} pages ({kinds}), {done.n_questions} questions, "
          f"{done.n_links} Reddit submissions")


if __name__ == "__main__":
    main()
