"""A crawl as a source of a run: the same documents from any server, any way in, and any mood the server is in."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.sources.cc_index import select_records
from curate.sources.commoncrawl import CommonCrawlSource, IndexSelection, numbers
from curate.sources.http_config import HttpConfig
from curate.sources.records import coalesce
from manifests.errors import CurateError, InputError, RecipeError
from pipelines.loading import load_recipe, validate
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, dry_run, run
from tests.unit.curate.sources.crawl_server import CRAWL, SEGMENT, Fault, Site, crawl_files, page, serve, write_files

FILES = crawl_files()
FAST = {"backoff_seconds": 0.001, "max_backoff_seconds": 0.01, "timeout_seconds": 0.3, "requests_per_second": 1000,
        "attempts": 4}
ARCHIVES = [f"{SEGMENT}/warc/CC-MAIN-20261020000000-20261020030000-{n:05d}.warc.gz" for n in range(3)]


def recipe(source: dict[str, Any], **http: Any) -> Recipe:
    return validate({
        "name": "crawl", "sources": {"crawl": source}, "classifier": None, "http": {**FAST, **http},
        "extract": {"identify_language": False}, "mixture": {"weights": {"crawl": 1}}})


def crawl(site: Site | Path | str, **fields: Any) -> dict[str, Any]:
    base = site.url if isinstance(site, Site) else str(site)
    return {"commoncrawl": {"crawl": CRAWL, "base_url": base, **({"archives": "all"} | fields)}}


def made(out: Path, source: dict[str, Any], **http: Any) -> Result:
    return run(recipe(source, **http), str(out), Settings(engine="inline", until="extract"))


def outputs(result: Result) -> list[tuple[str, str]]:
    """(path, digest) of all that `extract` made."""
    return sorted((o.path, o.digest) for r in result.view.tasks("extract") for o in r.outputs)


def documents(out: Path) -> list[dict[str, Any]]:
    paths = sorted((out / "extract/crawl").glob("*/part-*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Every archive of the crawl, from a server in good health."""
    out = tmp_path_factory.mktemp("healthy")
    with serve(FILES) as site:
        return out, made(out, crawl(site))


def test_a_crawl_is_what_its_files_are(healthy: tuple[Path, Result], tmp_path: Path) -> None:
    write_files(tmp_path / "mirror", FILES)
    local = made(tmp_path / "local", {"files": f"{tmp_path}/mirror/**/*[0-9].warc.gz"})
    found, wanted = documents(healthy[0]), documents(tmp_path / "local")
    assert len(found) == 36
    # A pattern's root is its last folder without a wildcard, which is the crawl's base here.
    assert {d["origin_path"] for d in found} == set(ARCHIVES)
    assert found == wanted
    assert outputs(healthy[1]) == outputs(local)
    mirrored = made(tmp_path / "mirrored", crawl(tmp_path / "mirror"))
    assert outputs(mirrored) == outputs(local)


def test_any_fsspec_address_will_do(healthy: tuple[Path, Result], tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name, data in FILES.items():
        memory.pipe_file(f"/mirror/{name}", data)
    assert outputs(made(tmp_path, crawl("memory://mirror/"))) == outputs(healthy[1])
    memory.rm("/mirror", recursive=True)


@pytest.mark.parametrize("faults", [
    [Fault(status=503), Fault(status=403), Fault(status=429)],
    [Fault(cut=9_000, how="reset"), Fault(cut=7_000, how="reset")],
    [Fault(cut=9_000), Fault(cut=0), Fault(cut=12_000)],
    [Fault(cut=9_000, how="length"), Fault(cut=11_000, how="length")],
    [Fault(cut=20_000, how="stall")],
    [Fault(pause=0.02)],
    [Fault(cut=9_000), Fault(version='"2"')],
], ids=["busy", "reset", "truncated", "wrong length", "stalled", "slow", "other replica"])
def test_a_failing_server_gives_the_documents_of_a_healthy_one(faults: list[Fault], healthy: tuple[Path, Result],
                                                                tmp_path: Path) -> None:
    with serve(FILES) as site:
        for name in [f"crawl-data/{CRAWL}/warc.paths.gz", *ARCHIVES]:
            site.faults[name] = list(faults)
        result = made(tmp_path, crawl(site))
        assert not any(site.faults[name] for name in ARCHIVES)
    assert result.exit_code == 0
    assert not result.damage
    assert outputs(result) == outputs(healthy[1])


@pytest.mark.parametrize("kind", ["auto", "warc"])
def test_files_named_by_address_are_fetched_with_the_same_retries(kind: str, tmp_path: Path) -> None:
    import json

    table = pa.table({"id": ["a", "b"], "text": [page("a"), page("b")]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    files = {"x/pages.warc.gz": FILES[ARCHIVES[0]]}
    if kind == "auto":
        files |= {"x/table.parquet": sink.getvalue().to_pybytes(),
                  "x/lines.jsonl": "\n".join(map(json.dumps, table.to_pylist())).encode()}
    write_files(tmp_path / "mirror", files)
    local = made(tmp_path / "local", {"files": f"{tmp_path}/mirror/x/*", "kind": kind})
    with serve(files) as site:
        for name in files:
            site.faults[name] = [Fault(status=503), Fault(cut=100, how="reset"), Fault(status=429)]
        source = {"files": [f"{site.url}/{name}" for name in files], "kind": kind}
        found = made(tmp_path / "run", source)
        assert not any(site.faults.values())
        assert all(agent.startswith("curate/") for _, _, agent in site.requests)
        with pytest.raises(RecipeError, match="lists no files"):
            made(tmp_path / "none", {"files": f"{site.url}/x/*.warc.gz"})
    assert outputs(found) == outputs(local)
    assert found.exit_code == 0


def test_an_archive_that_cannot_be_had_is_set_aside_and_named(healthy: tuple[Path, Result], tmp_path: Path) -> None:
    with serve(FILES) as site:
        site.faults[ARCHIVES[1]] = [Fault(cut=9_000, how="reset")] + [Fault(status=503)] * 100
        result = made(tmp_path, crawl(site))
        assert result.exit_code == 1
        ((shard, error),) = result.failed
        assert "00001" in shard
        assert error.where == f"{site.url}/{ARCHIVES[1]}"
        assert "503" in error.what
        kept = {(path, digest) for path, digest in outputs(result)}
        assert kept == {o for o in outputs(healthy[1]) if "-00001-" not in o[0]}
        assert not list(tmp_path.glob("extract/crawl/*-00001-*"))
        site.faults.clear()
        again = made(tmp_path, crawl(site))
    assert (again.exit_code, again.n_done) == (0, 1)
    assert outputs(again) == outputs(healthy[1])


def test_a_damaged_archive_loses_the_same_pages_over_http(tmp_path: Path) -> None:
    broken = bytearray(FILES[ARCHIVES[0]])
    for place in (len(broken) // 3, len(broken) // 2):
        broken[place : place + 40] = bytes(40)
    files = {**FILES, ARCHIVES[0]: bytes(broken)}
    write_files(tmp_path / "mirror", files)
    with serve(files) as site:
        site.faults[ARCHIVES[0]] = [Fault(cut=len(broken) // 2, how="reset")]
        remote = made(tmp_path / "remote", crawl(site, archives=0))
    local = made(tmp_path / "local", crawl(tmp_path / "mirror", archives=0))
    assert remote.damage
    assert remote.damage == local.damage
    assert outputs(remote) == outputs(local)
    assert 8 <= len(documents(tmp_path / "remote")) < 12


def test_going_on_asks_for_nothing_again(tmp_path: Path) -> None:
    with serve(FILES) as site:
        first = made(tmp_path / "run", crawl(site, archives="0,2"))
        assert first.n_done == 2
        source = crawl(site, archives="0,2")
    again = made(tmp_path / "run", source)  # the server is gone
    assert again.n_done == 0
    assert outputs(again) == outputs(first)
    assert all(not p.stale for _, p in dry_run(recipe(source), str(tmp_path / "run"), "extract") if p is not None)
    changed = made(tmp_path / "run", source, attempts=2, contact="someone@example.org")
    assert changed.n_done == 0  # how files are fetched makes nothing stale


def test_wet_texts(tmp_path: Path) -> None:
    with serve(FILES) as site:
        made(tmp_path, crawl(site, kind="wet", archives="1"))
    found = documents(tmp_path)
    assert [d["url"] for d in found] == [f"http://site{n % 4}.example/1/{n}" for n in range(12)]
    assert {d["origin_path"] for d in found} == {ARCHIVES[1].replace("/warc/", "/wet/").replace(".gz", ".wet.gz")}


@pytest.mark.parametrize("index", [
    {"parts": "all", "languages": ["eng"]},
    {"parts": "1", "statuses": None, "mimes": None},
    {"parts": "0-1", "url_pattern": r"^http://site[13]\.example/[02]/"},
], ids=["language", "all of a part", "pattern"])
def test_chosen_pages_are_those_of_the_whole_archives(index: dict[str, Any], healthy: tuple[Path, Result],
                                                      tmp_path: Path) -> None:
    with serve(FILES) as site:
        for name in ARCHIVES:
            site.faults[name] = [Fault(status=503), Fault(cut=100, how="reset")]
        result = made(tmp_path / "http", crawl(site, archives=None, index=index))
        assert not any(f"bytes={0}-" == r for name in ARCHIVES for r in site.asked(name))  # ranges, never whole files
    assert result.exit_code == 0
    found = documents(tmp_path / "http")
    whole = {d["doc_id"]: d for d in documents(healthy[0])}
    assert found == [whole[d["doc_id"]] for d in found]
    assert {d["url"] for d in found} == expected_urls(index)
    write_files(tmp_path / "mirror", FILES)
    local = made(tmp_path / "local", crawl(tmp_path / "mirror", archives=None, index=index))
    assert outputs(local) == outputs(result)


def expected_urls(index: dict[str, Any]) -> set[str]:
    """What a selection should take, from how `crawl_server` makes pages."""
    pages = [(a, n, f"http://site{n % 4}.example/{a}/{n}") for a in range(3) for n in range(12)]
    if index["parts"] == "1":
        return set(sorted(url for _, _, url in pages)[18:])
    good = [(a, n, url) for a, n, url in pages if n not in (5, 6)]
    if "languages" in index:
        return {url for _, n, url in good if n % 5 in (2, 3)}
    return {url for a, n, url in good if n % 4 in (1, 3) and a in (0, 2)}


def test_a_selection_is_kept_and_only_what_changed_is_made_again(tmp_path: Path) -> None:
    with serve(FILES) as site:
        def source(pattern: str) -> dict[str, Any]:
            return crawl(site, archives=None, index={"parts": "all", "url_pattern": pattern})

        first = made(tmp_path / "run", source(r"/[01]/[0-4]$"))
        assert first.n_done == 2
        wider = made(tmp_path / "run", source(r"/[01]/[0-4]$|/1/7$"))
        assert wider.n_done == 1
        last = source(r"/[01]/[0-4]$|/1/7$")
    assert made(tmp_path / "run", last).n_done == 0  # the server is gone


def test_a_limit_takes_the_first_rows(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    files = sorted(str(p) for p in tmp_path.rglob("*subset=warc/*.parquet"))
    rows = [r for f in files for r in pq.read_table(f).to_pylist()]
    selection = IndexSelection(files=tuple(files), statuses=None, mimes=None, limit=20)
    found = select_records(selection, files, HttpConfig()).to_pylist()
    wanted = sorted((r["warc_filename"], r["warc_record_offset"], r["warc_record_length"]) for r in rows[:20])
    assert [(r["archive"], r["offset"], r["length"]) for r in found] == wanted


def test_one_index_row_twice_is_one_record(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    files = sorted(str(p) for p in tmp_path.rglob("*subset=warc/*.parquet"))
    selection = IndexSelection(files=tuple(files))
    once = select_records(selection, files, HttpConfig())
    assert select_records(selection, files * 2, HttpConfig()).equals(once)


def test_an_index_that_points_beyond_the_archive_sets_it_aside(tmp_path: Path) -> None:
    with serve({**FILES, ARCHIVES[2]: FILES[ARCHIVES[2]][:20_000]}) as site:
        result = made(tmp_path, crawl(site, archives=None, index={"parts": "all"}))
    ((shard, error),) = result.failed
    assert "00002" in shard
    assert "fewer bytes" in error.what


def test_an_index_that_points_into_a_record_costs_that_record(tmp_path: Path) -> None:
    write_files(tmp_path / "mirror", FILES)
    (index,) = (tmp_path / "mirror").rglob("part-00000.c000*")
    table = pq.read_table(index)
    offsets = table["warc_record_offset"].to_pylist()
    offsets[0] += 1
    pq.write_table(table.set_column(5, table.schema.field(5), pa.array(offsets, pa.int32())), index)
    source = crawl(tmp_path / "mirror", archives=None, index={"files": [str(index)], "statuses": None, "mimes": None})
    result = made(tmp_path / "run", source)
    assert result.exit_code == 0
    assert len(result.damage) == 1
    assert len(documents(tmp_path / "run")) == 17


@pytest.mark.parametrize(("bad", "what"), [
    (b"no index at all", "not a readable Parquet"), (b"", "not a readable Parquet")])
def test_a_broken_index_is_named(bad: bytes, what: str, tmp_path: Path) -> None:
    name = next(n for n in FILES if "subset=warc/part-00001" in n)
    with serve({**FILES, name: bad}) as site, pytest.raises(InputError, match=what) as caught:
        made(tmp_path, crawl(site, archives=None, index={"parts": "all"}))
    assert caught.value.where == f"{site.url}/{name}"


@pytest.mark.parametrize(("fields", "what"), [
    ({"archives": "0-5"}, "there is no file 5: .* lists 3"),
    ({"archives": "2-1"}, "backwards"),
    ({"archives": "first"}, "no number or range"),
    ({"archives": None}, "either `archives`"),
    ({"index": {"parts": "0"}}, "either `archives`"),
    ({"archives": None, "index": {}}, "either `files` or `parts`"),
    ({"archives": None, "index": {"parts": "0", "languages": ["en"]}}, "should match pattern"),
    ({"archives": None, "index": {"parts": "0", "url_pattern": "("}}, "url_pattern"),
    ({"archives": None, "index": {"parts": "4"}}, "there is no file 4"),
    ({"archives": None, "index": {"parts": "0"}, "kind": "wet"}, "WARC files only"),
    ({"archives": None, "index": {"parts": "0", "languages": ["xxx"]}}, "no page of the index"),
    ({"crawl": "../etc"}, "should match pattern"),
    ({"crawl": "CC-MAIN-1999-01"}, "404"),
])
def test_what_a_recipe_cannot_ask_for(fields: dict[str, Any], what: str, tmp_path: Path) -> None:
    with serve(FILES) as site, pytest.raises(CurateError, match=what) as caught:
        made(tmp_path / "run", crawl(site, **fields))
    assert isinstance(caught.value, InputError if what == "404" else RecipeError)
    assert not (tmp_path / "run").exists()


def test_a_list_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "https://other.example/x", "a/../b"):
        with serve({f"crawl-data/{CRAWL}/warc.paths.gz": name.encode()}) as site, \
                pytest.raises(InputError, match="no plain relative path"):
            made(tmp_path, crawl(site))


def test_one_kind_of_source_at_a_time() -> None:
    with pytest.raises(RecipeError, match="needs one of `files`"):
        recipe({**crawl("x"), "files": "*.warc"})
    with pytest.raises(RecipeError, match="needs one of `files`"):
        recipe({})
    assert CommonCrawlSource(crawl=CRAWL, archives=[3, "5-7"]).archives == "3,5-7"


def test_the_packaged_recipe_reads_a_crawl(tmp_path: Path) -> None:
    with serve(FILES) as site:
        sets = [f"base_url={site.url}", f"crawl={CRAWL}", "archives=1-2", "extract.identify_language=false",
                "http.backoff_seconds=0", "http.requests_per_second=1000"]
        result = run(load_recipe("commoncrawl", sets), str(tmp_path), Settings(engine="inline", until="extract"))
    assert {d["origin_path"] for d in documents(tmp_path)} == set(ARCHIVES[1:])
    assert result.exit_code == 0


def test_numbers() -> None:
    assert numbers("0-3, 7,2", 100) == [0, 1, 2, 3, 7]
    assert numbers("all", 3) == [0, 1, 2]
    assert numbers("5", 0) == [5]


@given(st.lists(st.tuples(st.integers(0, 1 << 34), st.integers(1, 1 << 24)), max_size=60))
def test_ranges_cover_their_records_and_little_else(pairs: list[tuple[int, int]]) -> None:
    places = sorted(pairs)
    groups = list(coalesce(places))
    assert [p for _, _, group in groups for p in group] == places
    for start, end, group in groups:
        assert start == group[0][0]
        assert end == max(offset + length for offset, length in group)
        assert len(group) == 1 or end - start <= 8 << 20
        reach = group[0][0] + group[0][1]
        for offset, length in group[1:]:
            assert offset - reach <= 1 << 16
            reach = max(reach, offset + length)


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_a_run_opens_no_more_connections_than_it_may(healthy: tuple[Path, Result], tmp_path: Path) -> None:
    for allowed in (1, 2):  # with two the server sees two at once, so that one is no accident of slow workers
        with serve(FILES) as site:
            for name in ARCHIVES:
                site.faults[name] = [Fault(pause=0.1)]
            result = run(recipe(crawl(site), max_connections=allowed), str(tmp_path / str(allowed)),
                         Settings(workers=2, until="extract"))
            assert site.most_open == allowed
        assert outputs(result) == outputs(healthy[1])
    shutil.rmtree(tmp_path)
