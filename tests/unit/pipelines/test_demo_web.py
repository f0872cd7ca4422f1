"""The demo's web and its checker: what is planted is what is recorded, and the checker notices each kind of failure."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from manifests.errors import InputError
from manifests.hashing import document_id
from manifests.schema import DECONTAMINATION_DECISIONS
from pipelines.demo.chance import Chance
from pipelines.demo.check import Report, check, main
from pipelines.demo.edits import near_duplicate
from pipelines.demo.pages import MAX_PAGES_OF_QUESTION, Kind
from pipelines.demo.prose import Article, jaccard
from pipelines.demo.questions import ngrams, questions
from pipelines.demo.web import N_PARTS, render
from tests.paths import ROOT

N_PAGES = 300
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "web"
    render(out, N_PAGES)
    return out


@pytest.fixture(scope="module")
def truth(web: Path) -> Rows:
    rows: Rows = pq.read_table(web / "truth.parquet").to_pylist()
    return rows


def _members(path: Path) -> dict[str, bytes]:
    """Records that inflate by themselves, by target URL: each place with gzip's magic is tried."""
    data, found, place = path.read_bytes(), {}, 0
    while (place := data.find(b"\x1f\x8b\x08", place)) >= 0:
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            record = unpacker.decompress(data[place:])
        except zlib.error:
            record = b""
        if unpacker.eof and record.startswith(b"WARC/1.1"):
            head = record.partition(b"\r\n\r\n")[0].decode()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
            if fields["WARC-Type"] == "response":
                found[fields["WARC-Target-URI"]] = record
        place += 1
    return found


@pytest.fixture(scope="module")
def extracted(web: Path) -> dict[str, str]:
    """Main text by URL, as resiliparse finds it."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import detect_encoding

    texts = {}
    for path in sorted((web / "crawl").glob("*.gz")):
        for url, record in _members(path).items():
            _, http, body = record.split(b"\r\n\r\n", 2)
            if b"text/html" in http:
                charset = http.decode().partition("charset=")[2].split("\r\n")[0]
                charset = charset or body.decode("latin-1").partition('meta charset="')[2].partition('"')[0]
                texts[url] = extract_plain_text(body.decode(charset or detect_encoding(body) or "utf-8", "replace"),
                                                main_content=True)
    return texts


def test_the_same_bytes_in_another_process(web: Path, tmp_path: Path) -> None:
    """Nothing depends on the clock, the folder or Python's string hashing."""
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-m", "pipelines.demo.web", str(tmp_path / "again"), "--pages", str(N_PAGES)],
                   check=True, env=environment, cwd=ROOT)
    assert _digests(tmp_path / "again") == _digests(web)


def _digests(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*")) if path.is_file()}


def test_truth_has_every_kind_and_unique_urls(truth: Rows) -> None:
    assert {row["kind"] for row in truth} == {str(kind) for kind in Kind}
    assert len({row["url"] for row in truth}) == len(truth) == pytest.approx(N_PAGES, rel=0.02)


def test_recorded_jaccard_is_that_of_the_texts(truth: Rows) -> None:
    texts = {row["url"]: row["text"] for row in truth}
    pairs = [row for row in truth if row["of_url"]]
    assert Counter(row["kind"] for row in pairs).keys() == {"exact_copy", "near_duplicate"}
    for row in pairs:
        assert row["jaccard"] == pytest.approx(jaccard(row["text"], texts[row["of_url"]]), abs=1e-12)
        assert row["url"].split("/")[2] != row["of_url"].split("/")[2], "a copy lies on another host"
    near = [row["jaccard"] for row in pairs if row["kind"] == "near_duplicate"]
    assert max(near) < 1.0
    assert min(near) < 0.85
    assert sum(value >= 0.9 for value in near) >= 0.6 * len(near)


def test_originals_are_unlike_each_other(truth: Rows) -> None:
    originals = [row["text"] for row in truth if row["kind"] in ("original", "contaminated")]
    worst = max(jaccard(a, b) for i, a in enumerate(originals[:60]) for b in originals[i + 1 : 60])
    assert worst < 0.5


def test_extraction_finds_what_the_truth_says(truth: Rows, extracted: dict[str, str]) -> None:
    kinds = ("original", "exact_copy", "near_duplicate", "contaminated", "foreign")
    good = [row for row in truth if row["kind"] in kinds]
    assert min(jaccard(extracted[row["url"]], row["text"]) for row in good if len(row["text"]) > 1500) > 0.95
    texts = {row["url"]: row for row in truth}
    for row in good:
        if row["of_url"]:
            measured = jaccard(extracted[row["url"]], extracted[texts[row["of_url"]]["url"]])
            assert measured == pytest.approx(row["jaccard"], abs=0.02)


def test_damaged_records_are_lost_and_their_neighbours_are_not(web: Path, truth: Rows) -> None:
    damaged = [row for row in truth if row["kind"] == "truncated"]
    whole = {url for path in (web / "crawl").glob("*.gz") for url in _members(path)}
    assert len(damaged) >= 3
    for row in damaged:
        assert row["url"] not in whole
        assert row["neighbours"]
        assert whole.issuperset(row["neighbours"])
    assert {row["url"] for row in truth} - {row["url"] for row in damaged} <= whole


def test_records_are_as_long_as_they_say(web: Path) -> None:
    from fastwarc.warc import ArchiveIterator

    for record in _members(web / "crawl" / "part-00000.warc.gz").values():
        for read in ArchiveIterator(io.BytesIO(record), parse_http=False):
            assert read.content_length == len(record.partition(b"\r\n\r\n")[2]) - 4  # two line ends close the record
            assert read.verify_block_digest()
            head, _, body = read.reader.read().partition(b"\r\n\r\n")
            assert int(head.decode().partition("Content-Length: ")[2].split("\r\n")[0]) == len(body)


def test_there_are_eight_parts(web: Path) -> None:
    assert len(list((web / "crawl").glob("part-*.warc.gz"))) == N_PARTS


def test_questions_share_no_ngram_and_stand_in_few_pages(web: Path, truth: Rows) -> None:
    items = questions(Chance(1), 40)
    counts = Counter(gram for item in items for gram in ngrams(item.question))
    assert set(counts.values()) == {1}
    assert min(len(item.question.split()) for item in items) >= 15
    lines = gzip.decompress((web / "benchmarks" / "demo_questions.jsonl.gz").read_bytes()).splitlines()
    planted = {item["id"]: item["question"] for item in map(json.loads, lines)}
    for name, question in planted.items():
        holders = [row for row in truth if name in row["items"]]
        assert 1 <= len(holders) <= MAX_PAGES_OF_QUESTION
        assert all(ngrams(question) <= ngrams(row["text"]) for row in holders)
        others = [row for row in truth if name not in row["items"]]
        assert all(ngrams(question).isdisjoint(ngrams(row["text"])) for row in others)


def test_answers_follow_from_the_questions() -> None:
    carried = next(item for item in questions(Chance(3), 1) if "carries" in item.question)
    a, b, c = (int(word) for word in carried.question.split() if word.isdigit())
    assert carried.answer == str(a - b - c)


def test_reddit_links_to_both_pages_of_every_pair(web: Path, truth: Rows) -> None:
    with (web / "reddit" / "RS_demo.zst").open("rb") as file:
        text = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(file).read().decode()
    rows = [json.loads(line) for line in text.splitlines()]
    linked = {row["url"] for row in rows if row["score"] >= 3 and not row["is_self"]}
    for row in truth:
        if row["of_url"] or row["kind"] == "contaminated":
            assert row["url"] in linked
            assert row["of_url"] is None or row["of_url"] in linked
        if row["kind"] in ("spam", "foreign", "mojibake"):
            assert row["url"] not in linked
    assert any(row["score"] < 3 for row in rows)
    assert any(row["is_self"] for row in rows)


@pytest.mark.parametrize("target", [0.95, 0.9, 0.75, 0.6])
def test_near_duplicates_stop_at_the_similarity_asked_for(truth: Rows, target: float) -> None:
    text = max((row["text"] for row in truth if row["kind"] == "original"), key=len)
    title, *paragraphs = text.split("\n")
    article = Article(title, tuple(paragraphs), "here/1")
    edited, similarity = near_duplicate(Chance(5), article, target)
    assert similarity == jaccard(article.text, edited.text)
    assert target <= similarity < target + 0.03
    assert edited != article


# The checker, on the tables of a run that does everything right, and of runs that each do one thing wrong.

def _perfect(truth: Rows) -> dict[str, Rows]:
    """Tables by name of the run that the truth asks for."""
    names = ("extract", "exclusions", "select", "dedup", "removed_spans", "clean")
    tables: dict[str, Rows] = {name: [] for name in names}
    ids = {row["url"]: document_id("crawl", row["part"], row["url"]) for row in truth}
    for row in truth:
        if row["kind"] == "truncated":
            continue
        if row["kind"] == "foreign":
            tables["exclusions"].append({"url": row["url"], "reason": "language"})
            continue
        name, kept = ids[row["url"]], row["kind"] not in ("spam", "mojibake")
        copy = bool(row["of_url"]) and row["jaccard"] >= 0.8
        tables["extract"].append({"doc_id": name, "url": row["url"], "text": row["text"]})
        tables["select"].append({"doc_id": name, "keep": kept})
        tables["dedup"].append({"doc_id": name, "keep": kept and not copy, "reason": "near_duplicate" if copy else None,
                                "duplicate_of": ids[row["of_url"]] if copy else None})
        cut = {"start": 0, "end": 1, "benchmark": "demo", "item": row["items"][0]} if row["items"] else None
        tables["removed_spans"].append({"doc_id": name, "removed_spans": [cut] if cut else []})
        if kept and not copy:
            text = "cut" if cut else row["text"]
            tables["clean"].append({"doc_id": name, "parent_id": None, "url": row["url"], "text": text})
    return tables


def _check(tables: dict[str, Rows], tmp_path: Path, web: Path, train_rows: int = 600) -> Report:
    run = tmp_path / "run"
    stages = {"extract": ("extract", "documents"), "exclusions": ("extract", "exclusions"),
              "select": ("select", "decisions"), "dedup": ("dedup/decisions", "decisions"),
              "removed_spans": ("decontaminate", "decisions"),
              "clean": ("clean", "documents")}
    manifests: dict[str, Rows] = {}
    known = {"doc_id": pa.binary(16), "duplicate_of": pa.binary(16), "parent_id": pa.binary(16),
             "removed_spans": DECONTAMINATION_DECISIONS.field("removed_spans").type, "keep": pa.bool_()}
    for name, (stage, role) in stages.items():
        place = f"{stage}/crawl/{role}-0.parquet"
        manifests.setdefault(stage, []).append({"role": role, "path": place})
        schema = pa.schema([(column, known.get(column, pa.large_string())) for column in tables[name][0]])
        (run / place).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(tables[name], schema), run / place)
    for stage, files in manifests.items():
        pq.write_table(pa.Table.from_pylist(files), run / stage / "manifest.parquet")
    (run / "packed").mkdir(exist_ok=True)
    pl.DataFrame({"split": ["train", "val"], "path": ["train/000000.bin", "val/000000.bin"], "n_rows": [train_rows, 9],
                  "row_length": [512, 512]}).write_parquet(run / "packed" / "manifest.parquet")
    return check(run, web)


def test_a_perfect_run_meets_every_goal(truth: Rows, web: Path, tmp_path: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    report = _check(_perfect(truth), tmp_path, web)
    assert [goal for goal in report.goals if not goal.met] == []
    assert all(count.missed == 0 for count in report.kinds)
    planted = Counter(row["kind"] for row in truth)
    assert {str(count.kind): count.planted for count in report.kinds} == planted
    assert main([str(tmp_path / "run"), str(web)]) == 0
    printed = capsys.readouterr().out
    assert "train/000000.bin" in printed
    assert f"curate why {tmp_path / 'run'} https://" in printed.replace("\n", "")


def _keep_a_copy(tables: dict[str, Rows]) -> None:
    row = next(row for row in tables["dedup"] if row["duplicate_of"])
    row.update(keep=True, reason=None, duplicate_of=None)


def _remove_another_page(tables: dict[str, Rows]) -> None:
    kept = [row for row in tables["dedup"] if row["keep"]]
    kept[0].update(keep=False, reason="near_duplicate", duplicate_of=kept[1]["doc_id"])


def _leave_a_question(tables: dict[str, Rows]) -> None:
    row = next(row for row in tables["clean"] if row["text"] == "cut")
    row["text"] = next(document["text"] for document in tables["extract"] if document["doc_id"] == row["doc_id"])


def _miss_a_cut(tables: dict[str, Rows]) -> None:
    next(row for row in tables["removed_spans"] if row["removed_spans"])["removed_spans"] = []


def _let_foreign_pages_in(tables: dict[str, Rows]) -> None:
    for row in tables["exclusions"][:3]:
        row["reason"] = "text_too_short"


def _drop_english_pages(tables: dict[str, Rows]) -> None:
    for row in tables["extract"][:12]:
        tables["exclusions"].append({"url": row["url"], "reason": "language_score"})


def _lose_a_page(tables: dict[str, Rows]) -> None:
    tables["exclusions"].pop()


FAILURES: dict[Callable[[dict[str, Rows]], None], str] = {
    _keep_a_copy: "pairs found", _remove_another_page: "removed with J", _leave_a_question: "13-gram",
    _miss_a_cut: "planted questions cut", _let_foreign_pages_in: "foreign pages dropped",
    _drop_english_pages: "English pages dropped", _lose_a_page: "without a trace"}


@pytest.mark.parametrize(("spoil", "goal"), FAILURES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_each_failure_misses_its_goal(spoil: Callable[[dict[str, Rows]], None], goal: str, truth: Rows, web: Path,
                                      tmp_path: Path) -> None:
    tables = _perfect(truth)
    spoil(tables)
    report = _check(tables, tmp_path, web)
    missed = [g.name for g in report.goals if not g.met]
    assert any(goal in name for name in missed), missed
    assert not report.ok


def test_lost_neighbours_of_damaged_records_are_noticed(truth: Rows, web: Path, tmp_path: Path) -> None:
    tables = _perfect(truth)
    neighbour = next(row["neighbours"][0] for row in truth if row["neighbours"])
    for name in ("extract", "exclusions"):
        tables[name] = [row for row in tables[name] if row["url"] != neighbour]
    missed = [goal.name for goal in _check(tables, tmp_path, web).goals if not goal.met]
    assert "pages next to damaged records that survive" in missed


def test_too_few_rows_are_noticed(truth: Rows, web: Path, tmp_path: Path) -> None:
    missed = [goal.name for goal in _check(_perfect(truth), tmp_path, web, train_rows=499).goals if not goal.met]
    assert missed == ["training rows of 512 tokens"]


def test_a_missing_table_is_named(web: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"extract/manifest\.parquet: is not there"):
        check(tmp_path, web)
