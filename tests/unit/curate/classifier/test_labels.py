"""Which documents are positive, of which source, in which fold."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pyarrow as pa
import pytest

from curate.classifier.config import LabelsConfig
from curate.classifier.labels import folds, labels
from curate.classifier.links import LINKED_HOSTS, LINKED_URLS
from curate.classifier.sites import registered_domain
from curate.text.urls import url_keys
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tables import read_table, write_table

Run = Callable[..., TaskRecord]
Part = Callable[..., str]

PAGES = [
    ("https://www.liked.org/1?utm_source=x", "a"), ("http://liked.org/2", "b"), ("http://shop.com/linked", "c"),
    ("http://shop.com/other", "d"), ("http://medium.com/x", "e"), (None, "f"), ("no url", "g"), (None, "h")]


@pytest.fixture
def index(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("index")
    keys = sorted(url_keys(pl.Series(["liked.org/1", "shop.com/linked", "elsewhere.net"])).to_list())
    hosts = [("liked.org", 5), ("medium.com", 500), ("shop.com", 4)]
    write_table(str(folder / "urls.parquet"), LINKED_URLS, [pl.DataFrame(
        {"url_key": keys}, schema={"url_key": pl.UInt64}).to_arrow()])
    write_table(str(folder / "hosts.parquet"), LINKED_HOSTS, [pl.DataFrame(
        hosts, schema=["host", "n_links"], orient="row").to_arrow()])
    return {"urls": str(folder / "urls.parquet"), "hosts": str(folder / "hosts.parquet")}


def linked(source: str, *labels: str) -> dict[str, object]:
    return {"source": source, "labels": labels, "page_types": [], "min_page_type_score": 0.5}


def of_kinds(source: str, *kinds: str) -> dict[str, object]:
    return {"source": source, "labels": ["url", "host"], "page_types": kinds, "min_page_type_score": 0.6}


def _rows(storage: Storage, record: TaskRecord) -> pl.DataFrame:
    return pl.DataFrame(read_table(storage.path(record.output("labels").path)))


def test_pages_hosts_and_shared_hosts(run: Run, part: Part, storage: Storage, index: dict[str, str]) -> None:
    inputs = {"documents": part("crawl", "p", PAGES), **index}
    record = run("classifier/labels", "crawl/p", labels, LabelsConfig(), inputs, source="crawl",
                 derived=[linked("webtext", "url")])
    frame = _rows(storage, record)
    assert frame["label"].to_list() == ["url", "host", "url", None, None, None, None, None]
    assert frame["source"].to_list() == ["webtext", "crawl", "webtext", *["crawl"] * 5]
    assert record.counters == {"documents": 8, "label_host": 1, "label_url": 2, "source_crawl": 6, "source_webtext": 2}
    fold = frame["fold"].to_list()
    assert fold[0] == fold[1]  # www.liked.org and liked.org are one site
    assert fold[2] == fold[3]


def test_a_curated_source_is_positive_throughout_and_a_link_is_stronger(
        run: Run, part: Part, storage: Storage, index: dict[str, str]) -> None:
    config = LabelsConfig(min_host_links=4, shared_hosts=())
    record = run("classifier/labels", "books/p", labels, config, {"documents": part("books", "p", PAGES), **index},
                 source="books", curated=True, derived=[])
    assert _rows(storage, record)["label"].to_list() == ["url", "host", "url", "host", "host", *["curated"] * 3]
    assert set(_rows(storage, record)["source"]) == {"books"}


def test_a_page_goes_to_the_first_derived_source_that_it_fits(
        run: Run, part: Part, storage: Storage, index: dict[str, str]) -> None:
    path = part("crawl", "p", PAGES)
    table = read_table(path)
    kinds = ["forum", "forum", "product", "forum", "forum", "listing", None, "product"]
    scores = pa.array([0.9, 0.9, 0.9, 0.59, 0.6, 0.7, None, 0.8], pa.float32())
    for name, values in (("page_type", pa.array(kinds, pa.string())), ("page_type_score", scores)):
        table = table.set_column(table.column_names.index(name), table.schema.field(name), values)
    write_table(path, table.schema, [table])
    derived = [of_kinds("shops", "product"), linked("webtext", "url"), of_kinds("talk", "forum", "listing")]
    record = run("classifier/labels", "crawl/p", labels, LabelsConfig(), {"documents": path, **index}, source="crawl",
                 derived=derived)
    assert _rows(storage, record)["source"].to_list() == [
        "webtext", "talk", "shops", "crawl", "talk", "talk", "crawl", "shops"]


def test_without_dumps_there_are_folds_and_no_labels(run: Run, part: Part, storage: Storage) -> None:
    pages = [(None if i % 2 else f"http://site-{i % 40}.org/{i}", "text") for i in range(1000)]
    inputs = {"documents": part("crawl", "p", pages, 100)}
    record = run("classifier/labels", "crawl/p", labels, LabelsConfig(folds=4), inputs, source="crawl")
    frame = _rows(storage, record).with_columns(pl.Series("url", [url for url, _ in pages]))
    assert frame["label"].null_count() == 1000
    by_site = frame.drop_nulls("url").with_columns(pl.col("url").str.extract(r"//([^/]+)")).group_by("url")
    assert by_site.agg(pl.col("fold").n_unique())["fold"].max() == 1
    counts = frame.filter(pl.col("url").is_null())["fold"].value_counts()
    assert counts["fold"].sort().to_list() == [0, 1, 2, 3]
    assert min(counts["count"].to_list()) > 80  # of 125: spread evenly by doc_id


def test_an_empty_part_has_no_labels(run: Run, part: Part, storage: Storage, index: dict[str, str]) -> None:
    record = run("classifier/labels", "crawl/e", labels, LabelsConfig(), {"documents": part("crawl", "e", []), **index},
                 source="crawl", curated=True, derived=[linked("webtext", "url")])
    assert _rows(storage, record).height == 0


@pytest.mark.parametrize(("host", "site"), [
    ("news.bbc.co.uk", "bbc.co.uk"), ("bbc.co.uk", "bbc.co.uk"), ("a.b.example.com", "example.com"),
    ("anna.github.io", "anna.github.io"), ("x.anna.github.io", "anna.github.io"),
    ("anna.blogspot.com", "anna.blogspot.com"),
    ("co.uk", "co.uk"), ("localhost", "localhost"), ("8.8.8.8", "8.8.8.8"), ("[2001:db8::1]", "[2001:db8::1]"),
    ("www.x.unknowntld", "x.unknowntld"), ("straße.example.de", "example.de"), ("", "")])
def test_a_site_is_a_registered_domain(host: str, site: str) -> None:
    assert registered_domain(host) == site


def test_subdomains_share_a_fold_and_blogs_of_a_platform_need_not() -> None:
    hosts = [f"s{i}.example.co.uk" for i in range(40)] + [f"b{i}.blogspot.com" for i in range(40)]
    ids = pa.chunked_array([pa.array([bytes([i]) * 16 for i in range(80)], pa.binary(16))])
    by_domain, by_host = (folds(ids, pl.Series(hosts), 5, 0, way) for way in ("domain", "host"))
    assert len(set(by_domain[:40].tolist())) == 1
    assert len(set(by_domain[40:].tolist())) == 5
    assert len(set(by_host[:40].tolist())) == 5
