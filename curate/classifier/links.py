"""What Reddit's readers recommended: links of one dump, then one sorted index of pages and hosts.

The index is what documents are matched with: pages by the xxh3-64 of their normal form (`curate.text.urls`), hosts by
how many distinct pages of theirs were linked. Two distinct pages share a key once in 2**64.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import polars as pl
import pyarrow as pa

from curate.classifier.config import LinksConfig
from curate.sources.reddit import read_submissions
from curate.text.urls import normalise_urls, url_keys
from manifests.tables import read_row_groups, read_table
from manifests.tasks import Work


def _field(name: str, kind: pa.DataType, comment: str) -> pa.Field[Any]:
    return pa.field(name, kind, nullable=False, metadata={"comment": comment})


LINKS = pa.schema([
    _field("url_key", pa.uint64(), "xxh3-64 of the URL's normal form"),
    _field("host", pa.string(), "lower-case host without www. and port"),
    _field("score", pa.int64(), "up-votes less down-votes of the submission"),
])
LINKED_URLS = pa.schema([LINKS.field("url_key")])
LINKED_HOSTS = pa.schema([LINKS.field("host"), _field("n_links", pa.int64(), "distinct linked pages of the host")])

_INDEX_ROWS = 1 << 20


class LinkReason(StrEnum):
    """Why a submission's link does not count."""

    SELF_POST = "self_post"
    LOW_SCORE = "low_score"
    NO_SCORE = "no_score"
    BEFORE_SINCE = "before_since"
    AFTER_UNTIL = "after_until"
    NO_DATE = "no_date"
    NOT_HTTP = "not_http"
    IGNORED_HOST = "ignored_host"


def links(config: LinksConfig, work: Work) -> None:
    """Stage classifier/links, one task a dump: the outbound links that enough readers voted for.

    Input `dump` (.zst, .gz or plain JSONL). Output `links` (LINKS, file order, repetitions kept). Broken lines are
    named as damage; counters: submissions, links, dropped_<LinkReason>, and undated where days are limited."""
    work.write("links", LINKS, _accepted(config, work))


def _accepted(config: LinksConfig, work: Work) -> Iterator[pa.Table]:
    for rows in read_submissions(work.input("dump"), work.report_damage):
        if not rows.height:
            continue
        judged = judge_submissions(rows, config)
        reasons = judged["reason"].value_counts(sort=False)
        for reason, n in sorted((str(r), int(n)) for r, n in reasons.iter_rows() if r is not None):
            work.count(f"dropped_{reason}", n)
        good = judged.filter(pl.col("reason").is_null())
        work.count("submissions", judged.height)
        if config.days.limited:
            work.count("undated", rows["created_utc"].null_count())
        work.count("links", good.height)
        keyed = good.with_columns(url_keys(good["url"]).alias("url_key"))
        yield keyed.select("url_key", "host", "score").to_arrow().cast(LINKS)


def judge_submissions(rows: pl.DataFrame, config: LinksConfig) -> pl.DataFrame:
    """Columns url (normal form), host, score and reason (LinkReason, null where the link counts) of submissions."""
    urls = normalise_urls(rows["url"])
    ignored = "|".join(host.lower().replace(".", r"\.") for host in config.ignored_hosts)
    host_ignored = pl.col("host").str.contains(rf"^(?:.*\.)?(?:{ignored})$") if ignored else pl.lit(False)
    first, end = config.days.first(), config.days.end()
    created = pl.col("created_utc")
    early = created < first.timestamp() if first else pl.lit(False)
    late = created >= end.timestamp() if end else pl.lit(False)
    undated = created.is_null() if config.days.limited and config.undated == "drop" else pl.lit(False)
    return pl.DataFrame({"url": urls["url"], "host": urls["host"], "score": rows["score"],
                         "is_self": rows["is_self"], "created_utc": rows["created_utc"]}).with_columns(
        pl.when(pl.col("is_self").fill_null(False)).then(pl.lit(str(LinkReason.SELF_POST)))
        .when(pl.col("score").is_null()).then(pl.lit(str(LinkReason.NO_SCORE)))
        .when(pl.col("score") < config.min_score).then(pl.lit(str(LinkReason.LOW_SCORE)))
        .when(early.fill_null(False)).then(pl.lit(str(LinkReason.BEFORE_SINCE)))
        .when(late.fill_null(False)).then(pl.lit(str(LinkReason.AFTER_UNTIL)))
        .when(undated).then(pl.lit(str(LinkReason.NO_DATE)))
        .when(pl.col("url").is_null()).then(pl.lit(str(LinkReason.NOT_HTTP)))
        .when(host_ignored).then(pl.lit(str(LinkReason.IGNORED_HOST)))
        .otherwise(None).alias("reason")).drop("is_self", "created_utc")


def link_index(config: LinksConfig, work: Work) -> None:
    """Stage classifier/link_index, one task: the distinct linked pages and hosts of all dumps, sorted.

    Input `links` (manifest). Outputs `urls` (LINKED_URLS, ascending) and `hosts` (LINKED_HOSTS, by host). Counters:
    links, urls, hosts. Memory is 8 bytes a link and the host names once a file; 45 million links fit in 2 GiB."""
    distinct = pl.DataFrame(schema={"url_key": pl.UInt64, "host": pl.String})
    for path in work.inputs("links", role="links"):
        for table in read_row_groups(path, ["url_key", "host"]):
            work.count("links", len(table))
            distinct = pl.concat([distinct, pl.DataFrame(table)])
        distinct = distinct.unique(subset="url_key", keep="first", maintain_order=True)
    urls = distinct.select(pl.col("url_key").sort())
    hosts = distinct.group_by("host").agg(pl.len().cast(pl.Int64).alias("n_links")).sort("host")
    work.count("urls", urls.height)
    work.count("hosts", hosts.height)
    for role, schema, frame in (("urls", LINKED_URLS, urls), ("hosts", LINKED_HOSTS, hosts)):
        work.write(role, schema, (part.to_arrow().cast(schema) for part in frame.iter_slices(_INDEX_ROWS)),
                   name=f"{work.task.name}.{role}.parquet")


def read_linked_hosts(path: str, min_links: int) -> pl.DataFrame:
    """Hosts with at least `min_links` distinct linked pages: one column `host`."""
    table = pl.DataFrame(read_table(path))
    return table.filter(pl.col("n_links") >= min_links).select("host")
