"""A run in a browser, asked over HTTP: what it shows agrees with the run's tables, and is text."""

from __future__ import annotations

import http.client
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape, unescape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.stage_files import StageFiles
from manifests.storage import Storage
from manifests.tables import read_table
from pipelines import Run
from pipelines.asking.fates import fates_of, tasks_of
from pipelines.asking.lock import locked_recipe
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, run
from pipelines.ui.documents_of import difference
from pipelines.ui.frame import framed
from pipelines.ui.guard import HEADERS, Access
from pipelines.ui.recount import recount
from pipelines.ui.search import Conditions, search
from pipelines.ui.server import HOST, listen, server_of

Get = Callable[[str], tuple[int, str]]


@pytest.fixture(scope="module")
def folder(small_demo: tuple[Path, Result], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy: looking leaves an index beside the run."""
    copy = tmp_path_factory.mktemp("looked-at") / "run"
    shutil.copytree(small_demo[0], copy)
    return copy


@pytest.fixture(scope="module")
def files(folder: Path) -> StageFiles:
    return StageFiles(Storage(str(folder)))


@contextmanager
def serving(folder: Path) -> Iterator[Get]:
    """GET from a server of a run, as the browser that holds its cookie."""
    access = Access()
    with listen() as listening:
        port = listening.getsockname()[1]
        server = server_of(str(folder), access, port)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()

        def ask(path: str) -> tuple[int, str]:
            connection = http.client.HTTPConnection(HOST, port, timeout=60)
            connection.request("GET", path, headers={"cookie": f"curate_ui_{port}={access.session}"})
            answer = connection.getresponse()
            assert {name: answer.getheader(name) for name in HEADERS} == dict(HEADERS)
            return answer.status, answer.read().decode()

        yield ask
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def get(folder: Path) -> Iterator[Get]:
    """`serving` the run."""
    with serving(folder) as ask:
        yield ask


def test_every_place_answers(get: Get) -> None:
    for path in ("/", "/report", "/documents", "/thresholds", "/row", "/sql", "/find?q=example"):
        status, page = get(path)
        assert status == 200, path
        assert page.count("<script") == 2  # its own two files
        assert " style=" not in page
        assert not re.search(r"\son[a-z]+=", page)
        assert not re.search(r'(src|href|action)="(?!/|#)', page)
    for name in ("style.css", "report.js", "ui.js", "icon.svg"):
        assert get(f"/static/{name}")[0] == 200
    for path in ("/static/..%2fapp.py", "/nothing", "/document/00", f"/document/{'00' * 16}", "/row?shard=x&row=1",
                 "/row?shard=train/000000&row=99999999", "/row?shard=train/000000&row=-1", "/thresholds?rule-0=nan",
                 "/thresholds?alpha=0.3", "/find?q=nowhere.invalid"):
        assert get(path)[0] in (200, 404), path
    assert get(f"/document/{'00' * 16}")[0] == 404


def test_the_first_page_counts_as_the_run_does(get: Get, folder: Path) -> None:
    page = get("/")[1]
    for row in Run(str(folder)).funnel().to_pylist():
        for dropped in row["dropped"]:
            assert re.search(rf">{dropped['reason']}</a></td><td>{dropped['documents']:,}</td>", page), dropped


@pytest.mark.parametrize("wanted", [
    Conditions(), Conditions(fate="kept"), Conditions(fate="dropped"), Conditions(fate="select: pareto"),
    Conditions(fate="extract"), Conditions(source="crawl", language="en"), Conditions(page_type="article"),
    Conditions(domain="example"), Conditions(url="HTML"), Conditions(text="The ", fate="dedup/decisions"),
    Conditions(source="webtext", text="python")])
def test_searching_in_pages_finds_what_a_naive_search_does(files: StageFiles, wanted: Conditions) -> None:
    found, start = [], (0, 0)
    while True:
        page = search(files, wanted, start, n=17, seconds=60)
        assert len(page.rows) <= 17
        found += [row["doc_id"] for row in page.rows]
        if page.after is None:
            break
        assert page.after > start
        start = page.after
    assert len(set(found)) == len(found)
    assert sorted(found) == sorted(_naively(files, wanted))


def test_without_time_it_still_goes_on(files: StageFiles) -> None:
    found, start, n = 0, (0, 0), 0
    while True:
        page = search(files, Conditions(text="the"), start, n=1000, seconds=0)
        found, n = found + len(page.rows), n + 1
        if page.after is None:
            break
        start = page.after
    assert n > 3
    assert found == len(list(_naively(files, Conditions(text="the"))))


def _naively(files: StageFiles, wanted: Conditions) -> Iterator[str]:
    """doc_ids that fit, one document at a time."""
    for task in tasks_of(files):
        documents = read_table(files.path(files.by_task("extract", "documents")[task])).to_pylist()
        sources = read_table(files.path(files.by_task("select", "decisions")[task]), ["source"])["source"].to_pylist()
        fates = fates_of(files, task).to_pylist()
        rows = [{**d, **f, "source": s} for d, f, s in zip(documents, fates, sources, strict=True)]
        excluded = files.by_task("extract", "exclusions").get(task)
        rows += [] if excluded is None else read_table(files.path(excluded)).to_pylist()
        for row in rows:
            fate = "kept" if row["stage"] is None else f"{row['stage']}: {row['reason']}"
            host = re.sub(r"^[a-z]+://(www\.)?|[/?#].*$", "", (row["url"] or "").lower())
            if (wanted.fate in ("", fate, fate.partition(":")[0] if fate != "kept" else "kept", "dropped"
                                if fate != "kept" else "kept")
                    and all(getattr(wanted, name) in ("", row.get(name))
                            for name in ("source", "language", "page_type"))
                    and (not wanted.domain or host == wanted.domain or host.endswith(f".{wanted.domain}"))
                    and wanted.url.lower() in (row["url"] or "").lower()
                    and (not wanted.text or wanted.text.lower() in (row.get("text") or "").lower())):
                yield row["doc_id"].hex()


def test_a_recount_with_the_runs_own_numbers_is_the_run(files: StageFiles) -> None:
    counted = recount(files, locked_recipe(files.storage), {})
    counters = files.counters("select")
    assert counted.documents == counters["documents"]
    assert counted.kept == [counters["kept"]] * 2
    assert (counted.gained, counted.lost) == (0, 0)
    assert counted.by_score == [counters.get("dropped_pareto", 0)] * 2
    for rule in counted.rules:
        assert rule.first == [counters.get(f"dropped_{rule.rule.reason}", 0)] * 2


def test_a_recount_is_what_a_run_with_other_numbers_keeps(
        files: StageFiles, folder: Path, small_web: Path, recipe_of: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = locked_recipe(files.storage)
    rules = recount(files, recipe, {}).rules
    number = next(i for i, rule in enumerate(rules) if rule.rule.reason == "gopher_few_stop_words")
    counted = recount(files, recipe, {number: 4.0}, alpha=3.0)
    assert counted.gained or counted.lost
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    run(recipe_of(small_web, "select.alpha=3.0", "select.rules.thresholds.gopher_few_stop_words=4"), str(copy),
        Settings(engine="inline", until="select"))
    counters = StageFiles(Storage(str(copy))).counters("select")
    assert counted.kept[1] == counters["kept"]
    assert counted.by_score[1] == counters.get("dropped_pareto", 0)
    assert [rule.first[1] for rule in counted.rules] == [counters.get(f"dropped_{r.rule.reason}", 0) for r in rules]


def test_a_documents_page_tells_all_of_it(get: Get, files: StageFiles) -> None:
    cut = next(row for task in tasks_of(files) if task in files.by_task("decontaminate", "decisions")
               for row in read_table(files.path(files.by_task("decontaminate", "decisions")[task])).to_pylist()
               if row["keep"] and row["removed_spans"])
    status, page = get(f"/document/{cut['doc_id'].hex()}")
    assert status == 200
    assert re.findall(r'<section id="([a-z]+)">', page) == [
        "decisions", "rules", "text", "duplicates", "tokens", "archived"]
    assert "<del>" in page
    rows = re.findall(r'<a href="(/row\?[^"]+)">', page)
    assert rows
    status, packed = get(unescape(rows[0]))
    assert status == 200
    assert f"/document/{cut['doc_id'].hex()}" in packed or "/document/" in packed
    for child in set(re.findall(r"/document/([0-9a-f]{32})", packed)):
        assert get(f"/document/{child}")[0] == 200


def test_what_was_dropped_as_a_duplicate_stands_beside_what_was_kept(get: Get, files: StageFiles) -> None:
    near = next(row for file in files.of("dedup/decisions", "decisions")
                for row in read_table(files.path(file)).to_pylist() if row["reason"] == "near_duplicate")
    page = get(f"/document/{near['doc_id'].hex()}")[1]
    assert f"/document/{near['duplicate_of'].hex()}" in page
    assert '<pre class="diff">' in page
    assert f"/document/{near['doc_id'].hex()}" in get(f"/document/{near['duplicate_of'].hex()}")[1]


def test_the_archived_page_is_shown_as_text(get: Get, files: StageFiles) -> None:
    for role, n in (("documents", 1), ("exclusions", 1)):
        file = next(f for f in files.of("extract", role) if f.task.startswith("crawl/") and f.n_rows)
        for row in read_table(files.path(file)).slice(0, n).to_pylist():
            status, page = get(f"/document/{row['doc_id'].hex()}/archived")
            assert status == 200
            assert "&lt;html" in page
            assert page.lower().count("<html") == 1
            assert escape(row["url"]) in page
    own = next(f for f in files.of("extract", "documents") if f.task.startswith("reference/") and f.n_rows)
    table = read_table(files.path(own), ["doc_id"])
    status, page = get(f"/document/{table['doc_id'][0].as_py().hex()}/archived")
    assert (status, "no record of its own" in page) == (404, True)


def test_a_token_leads_to_its_document(get: Get, folder: Path) -> None:
    origin = Run(str(folder)).trace("train/000000", 1, 7)[0]
    page = get("/row?shard=train/000000&row=1&position=7")[1]
    assert "Token 7 is of document" in page
    assert f'/document/{origin.document["doc_id"].hex()}' in page
    assert page.count('id="chosen"') == 1


def test_sql_counts_what_the_tables_hold(get: Get, files: StageFiles) -> None:
    page = get("/sql?q=SELECT+count(*)+AS+n+FROM+clean")[1]
    assert f'<td class="number">{sum(f.n_rows for f in files.of("clean", "documents"))}</td>' in page
    page = get("/sql?q=COPY+clean+TO+%27/tmp/x.csv%27")[1]
    assert 'id="refused"' in page


def test_what_data_says_stays_text() -> None:
    page = framed("<script>alert(1)</script>\u202e", "/", "")
    assert "<script>alert" not in page
    assert "\u202e" not in page


def test_a_difference_is_short() -> None:
    assert difference("a\nb\nc", "a\nB\nc")[1:] == [" a", "-b", "+B", " c"]
    assert len(difference("x\n" * 9000, "y\n" * 9000)) <= 200
    assert difference("same", "same") == []


def test_a_damaged_run_costs_single_pages(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    files = StageFiles(Storage(str(copy)))
    whole = next(f for f in files.of("select", "decisions") if f.n_rows)
    pq.write_table(pa.table({"other": [1]}), files.path(whole))  # a table, and another one
    Path(files.path(files.of("dedup/decisions", "decisions")[0])).write_bytes(b"PAR1 and no more")
    (copy / "tokenizer/tokenizer.json").write_text("{")
    with serving(copy) as ask:
        answers = {path: ask(path) for path in ("/", "/documents", "/thresholds", "/report", "/sql?q=FROM+clean",
                                                "/row?shard=train/000000&row=0")}
    assert answers["/"][0] == 200
    for path, (status, page) in answers.items():
        assert status in (200, 404, 500), path
        assert "</html>" in page, path
    assert answers["/documents"][0] != 200
