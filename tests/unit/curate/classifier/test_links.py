"""From submissions to the index of linked pages and hosts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from curate.classifier.config import LinksConfig
from curate.classifier.links import LinkReason, judge_submissions, link_index, links, read_linked_hosts
from curate.sources.reddit import SUBMISSION_SCHEMA, read_submissions
from curate.text.urls import normalise_urls, url_keys
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tables import read_table
from tests.paths import DATA

Run = Callable[..., TaskRecord]

SUBMISSIONS = [
    {"url": "http://good.org/a/?utm_source=r", "score": 3, "is_self": False},
    {"url": "https://www.good.org/a", "score": 9, "is_self": False},
    {"url": "https://good.org/b", "score": 4},
    {"url": "http://good.org/c", "score": 2, "is_self": False},
    {"url": "http://good.org/d", "score": 99, "is_self": True},
    {"url": "http://good.org/e", "is_self": False},
    {"url": "http://i.imgur.com/x.png", "score": 5, "is_self": False},
    {"url": "http://notimgur.com/", "score": 5, "is_self": False},
    {"url": "ftp://good.org/a", "score": 5, "is_self": False},
    {"score": 5, "is_self": False},
]


def _dump(path: Path, lines: Sequence[object]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "broken\n", encoding="utf-8")
    return str(path)


def test_every_submission_is_a_link_or_has_a_reason(tmp_path: Path, run: Run) -> None:
    record = run("classifier/links", "dump", links, LinksConfig(), {"dump": _dump(tmp_path / "d", SUBMISSIONS)})
    assert record.counters == {
        "submissions": 10, "links": 4, "damaged": 1, "dropped_low_score": 1, "dropped_self_post": 1,
        "dropped_no_score": 1, "dropped_ignored_host": 1, "dropped_not_http": 2}
    assert record.damage[0].where.endswith(":11")


def test_an_empty_ignore_list_ignores_nothing() -> None:
    rows = pl.DataFrame({"url": ["http://reddit.com/r/a"], "score": [3], "is_self": [False], "created_utc": [None]},
                        schema=SUBMISSION_SCHEMA)
    assert judge_submissions(rows, LinksConfig(ignored_hosts=()))["reason"].to_list() == [None]
    assert judge_submissions(rows, LinksConfig())["reason"].to_list() == [LinkReason.IGNORED_HOST]


@pytest.mark.parametrize("undated", ["keep", "drop"])
def test_links_are_taken_of_the_days_that_are_asked_for(tmp_path: Path, run: Run, undated: str) -> None:
    times = [1388534399, 1388534400, "1514764799", 1514764800.0, None, "once"]
    lines = [{"url": f"http://good.org/{n}", "score": 5, "created_utc": time} for n, time in enumerate(times)]
    config = LinksConfig.model_validate({"since": "2014-01-01", "until": "2017-12-31", "undated": undated})
    record = run("classifier/links", "dump", links, config, {"dump": _dump(tmp_path / "d", lines)})
    kept = {"links": 4} if undated == "keep" else {"links": 2, "dropped_no_date": 2}
    assert record.counters == {"submissions": 6, "damaged": 1, "undated": 2, "dropped_before_since": 1,
                               "dropped_after_until": 1, **kept}


def test_whole_numbers_are_times_on_the_fast_path(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_text('{"url": "http://a.org", "score": 3, "created_utc": 1388534400}\n')
    (rows,) = read_submissions(str(path), lambda where, what: pytest.fail(what))
    assert rows["created_utc"].to_list() == [1388534400.0]


def test_the_index_counts_distinct_pages_of_all_dumps(tmp_path: Path, run: Run, storage: Storage) -> None:
    more = [{"url": "http://good.org/c", "score": 5}, {"url": "http://other.net", "score": 5}]
    dumps = [_dump(tmp_path / "one", SUBMISSIONS), _dump(tmp_path / "two", more)]
    records = [run("classifier/links", dump[-3:], links, LinksConfig(), {"dump": dump}) for dump in dumps]
    paths = [record.output("links").path for record in records]
    record = run("classifier/link_index", "index", link_index, LinksConfig(), {"links": paths})
    hosts = read_table(storage.path(record.output("hosts").path))
    assert hosts.to_pylist() == [{"host": "good.org", "n_links": 3}, {"host": "notimgur.com", "n_links": 1},
                                 {"host": "other.net", "n_links": 1}]
    keys = read_table(storage.path(record.output("urls").path))["url_key"].to_pylist()
    pages = ["good.org/a", "good.org/b", "good.org/c", "notimgur.com", "other.net"]
    assert keys == sorted(url_keys(pl.Series(pages)).to_list())
    assert record.counters == {"links": 6, "urls": 5, "hosts": 3}
    assert read_linked_hosts(storage.path(record.output("hosts").path), 2)["host"].to_list() == ["good.org"]
    turned = run("classifier/link_index", "index", link_index, LinksConfig(), {"links": paths[::-1]})
    assert [o.digest for o in turned.outputs] == [o.digest for o in record.outputs]


def test_no_dumps_give_an_empty_index(run: Run, storage: Storage) -> None:
    record = run("classifier/link_index", "index", link_index, LinksConfig(), {})
    assert [read_table(storage.path(o.path)).num_rows for o in record.outputs] == [0, 0]


@pytest.mark.skipif(not (DATA / "webtext").is_dir(), reason="the shared Reddit dumps are not on this machine")
def test_a_real_dump_loses_exactly_what_it_should(run: Run, storage: Storage) -> None:
    path = str(DATA / "webtext/RS_2005-2008.zst")
    record = run("classifier/links", "real", links, LinksConfig(ignored_hosts=()), {"dump": path})
    table = read_table(storage.path(record.output("links").path))
    rows = pl.concat(list(read_submissions(path, lambda where, what: pytest.fail(f"{where}: {what}"))))
    planted = rows.filter(pl.col("url").str.contains("low=1", literal=True))  # rows made to be dropped
    assert planted.height > 1000
    real = rows.filter(~pl.col("url").str.contains("low=1", literal=True))
    normal = normalise_urls(real["url"])["url"].drop_nulls()
    assert Counter(table["url_key"].to_pylist()) == Counter(url_keys(normal).to_list())
    assert table["score"].to_numpy().min() >= 3
