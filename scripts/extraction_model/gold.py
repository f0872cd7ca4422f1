"""Pages with human gold text, as training data: which blocks are main content, and which pages share a site."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import xxhash

from curate.extraction.extracted import Content
from curate.extraction.facts import PAGE_FACTS
from curate.extraction.features import N_FEATURES, fill_features
from curate.extraction.html import decode
from curate.extraction.page import B_END, B_START, N_NODES, Page
from curate.extraction.scan import scan
from curate.extraction.vocabulary import Vocabulary, load_vocabulary
from scripts.extraction_model.alignment import matched_words
from scripts.extraction_model.disguises import DISGUISES, disguised
from scripts.extraction_model.score import GRAM_WORDS, words_of
from scripts.extraction_model.variants import learnt_blocks, variants_of

_LINK: Final = re.compile(
    rb"""<link[^>]{0,200}?rel=["']?canonical["']?[^>]{0,200}?href=["']?(https?://[^"'\s>]+)"""
    rb"""|property=["']og:url["'][^>]{0,200}?content=["'](https?://[^"'\s>]+)""", re.IGNORECASE)
_HOST: Final = re.compile(rb"https?://([A-Za-z0-9.-]+)")
# Hosts that pages of every site link to; a page without an address is grouped by the one it links to most otherwise.
_EVERYWHERE: Final = frozenset((
    "facebook.com", "twitter.com", "google.com", "addthis.com", "digg.com", "linkedin.com", "youtube.com",
    "pinterest.com", "w3.org", "reddit.com", "stumbleupon.com", "del.icio.us", "delicious.com",
    "feedburner.com", "googleapis.com", "doubleclick.net", "amazon.com", "wordpress.org", "gmpg.org", "wp.com",
    "purl.org", "ogp.me", "flickr.com", "technorati.com"))
_SECOND_LEVEL: Final = frozenset(("co", "com", "org", "net", "gov", "ac", "edu", "or", "ne"))


_NO_BLOCKS: Final = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
N_SEEN: Final = 3
"""One page of so many is seen in disguise as well."""
POLICY_OF_SET: Final = {
    "wcxb": Content.AUTO, "dragnet": Content.ARTICLE, "cleaneval": Content.EVERYTHING}
"""What each set counts as text: dragnet leaves readers' comments out, CleanEval keeps all that is the page's own."""


@dataclass(frozen=True, slots=True)
class View:
    """A page as the trees see it: as it is, in a disguise, or with other class names."""

    page: Page  # without its HTML and its text
    x: npt.NDArray[np.float32]  # [blocks, N_FEATURES]
    facts: npt.NDArray[np.float32]  # [len(PAGE_FACTS)]
    alike: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]  # of repeats.put_repeats


@dataclass(frozen=True, slots=True)
class GoldPage:
    """A page, its blocks and what a person took to be its main content."""

    page_id: str
    dataset: str
    kind: str | None  # of page, where the set says it
    url: str
    site: str
    words: list[list[str]]  # [blocks]
    gold: list[str]
    labels: npt.NDArray[np.float64]  # [blocks]: share of a block's words that are in the gold text
    learnt: npt.NDArray[np.bool_]  # [blocks]: whether trees learn from a block
    views: dict[str, View]  # "": the page as it is; its disguises that keep its blocks, and its variants


def read_gold(path: Path, disguises: Sequence[str] = tuple(DISGUISES)) -> list[GoldPage]:
    """The pages of a Parquet file with the columns id, url, html (bytes) and gold, and dataset or page_type.

    A file without the column dataset is WCXB's."""
    tables = load_vocabulary()
    pages = []
    for batch in pq.ParquetFile(path).iter_batches(64):
        for row in batch.to_pylist():
            html = decode(row["html"])
            page, n = scan(html.encode("utf-8", "replace"), tables)
            words = [words_of(page.text[b[B_START] : b[B_END]].tobytes().decode()) for b in page.blocks[:n]]
            views = {"": view_of(page, n, tables)}
            seen = xxhash.xxh3_64_intdigest(row["id"].encode()) % N_SEEN == 0
            for name in disguises if seen else ():
                other, found = scan(disguised(html, name).encode("utf-8", "replace"), tables)
                if found == n:
                    views[name] = view_of(other, n, tables)
            kind, gold, labels = row.get("page_type"), words_of(row["gold"]), aligned_labels(words, row["gold"])
            learnt = np.ones(n, np.bool_)
            if n:
                views |= variants_of(views[""], kind)
            if n and kind == "forum":
                learnt = learnt_blocks(views[""], words, labels, len(gold))
            pages.append(GoldPage(
                row["id"], row.get("dataset", "wcxb").split("-")[0], kind, row["url"] or "",
                site_of(row["url"], row["html"], row["id"]), words, gold, labels, learnt, views))
    return pages


def view_of(page: Page, n: int, tables: Vocabulary) -> View:
    """What the trees see of a scanned page of n blocks."""
    x, facts = np.zeros((n, N_FEATURES), np.float32), np.zeros(len(PAGE_FACTS), np.float32)
    alike = fill_features(page, n, tables, x, facts) if n else _NO_BLOCKS
    nothing = page.html[:0]
    small = Page(nothing, nothing, page.state.copy(), page.blocks[:n].copy(), page.stack[:0],
                 page.nodes[: page.state[N_NODES]].copy())
    return View(small, x, facts, alike)


def aligned_labels(blocks: Sequence[Sequence[str]], gold: str) -> npt.NDArray[np.float64]:
    """The share of each block's words that an alignment with the gold text pairs; of 4-grams where both are long."""
    wanted = words_of(gold)
    matched = matched_words([w for words in blocks for w in words], wanted)
    if matched is None:
        return block_labels(blocks, wanted, {" ".join(words_of(line)) for line in gold.split("\n")})
    ends = np.cumsum([0, *map(len, blocks)])
    return np.array([matched[a:b].mean() if b > a else 0.0 for a, b in pairwise(ends)])


def block_labels(blocks: Sequence[Sequence[str]], gold: Sequence[str], gold_lines: set[str]) -> npt.NDArray[np.float64]:
    """The share of each block's 4-grams that the gold text has.

    A block of fewer than four words is in where it is a whole line of the gold text, or as far as 4-grams across its
    neighbours cover it."""
    known = {tuple(gold[i : i + GRAM_WORDS]) for i in range(len(gold) - GRAM_WORDS + 1)}
    flat = [w for words in blocks for w in words]
    hits = np.array([tuple(flat[i : i + GRAM_WORDS]) in known for i in range(len(flat))], np.bool_)
    covered = np.zeros(len(flat) + GRAM_WORDS, np.bool_)
    for k in range(GRAM_WORDS):
        covered[k : k + len(flat)] |= hits
    labels = np.zeros(len(blocks))
    start = 0
    for i, words in enumerate(blocks):
        end = start + len(words)
        if len(words) >= GRAM_WORDS:
            labels[i] = hits[start : end - GRAM_WORDS + 1].mean()
        elif words:
            labels[i] = 1.0 if " ".join(words) in gold_lines else covered[start:end].mean()
        start = end
    return labels


def site_of(url: str | None, html: bytes, page_id: str) -> str:
    """What groups the pages of a site: the registered domain of the address.

    Where the address is not known it is the page's canonical one, else the domain it links to most."""
    if not url and (link := _LINK.search(html)):
        url = (link.group(1) or link.group(2)).decode("latin-1")
    if url:
        return _registered(_host(url)) or page_id
    linked = Counter(_registered(m.decode()) for m in _HOST.findall(html))
    return next((site for site, _ in linked.most_common() if site not in _EVERYWHERE), page_id)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _registered(host: str) -> str:
    """The registered domain, near enough for grouping: the last two labels, three below `.co.uk` and its like."""
    parts = host.lower().strip(".").split(".")
    deep = len(parts) > 2 and len(parts[-1]) == 2 and parts[-2] in _SECOND_LEVEL
    return ".".join(parts[-3 if deep else -2 :])
