"""The extractors on pages of our own."""

from __future__ import annotations

import importlib.util

import numpy as np
import pyarrow.parquet as pq
import pytest

from curate.extraction.extractors import extract_text, extractor
from curate.extraction.features import F_COVERED, F_WORDS, block_features
from curate.extraction.scan import scan
from curate.extraction.vocabulary import load_vocabulary
from manifests.errors import InputError
from scripts.extraction_model.disguises import DISGUISES, disguised
from scripts.extraction_model.score import agreement, mean_agreement, words_of
from tests.paths import DATA

GOLD = DATA / "extraction/dev.parquet"
FORUMS = DATA / "extraction/wcxb-dev.parquet"
BODY = (
    "The ferry to the island leaves twice a day, and in winter only when the wind allows it. Most of those who live "
    "there have stopped looking at the timetable, because the captain sends word the evening before.",
    "In the harbour stands a shed with a stove. Anyone who waits may light it, and whoever lights it brings wood the "
    "next time; that is the only rule, and nobody remembers it having been broken.",
    "This spring the shed was painted. The colour was voted on, twice, and the second vote was closer than the first. "
    "It is green now, as it was before, and the painter says that it was the best job he ever had.")
CODE = "def fare(age):\n    if age < 6:\n        return 0\n    return 4"
PAGE = f"""<!doctype html><html><head><title>A green shed | The Island Post</title>
<script>track("no")</script></head><body>
<div class="header"><a href="/">The Island Post</a></div>
<div class="nav"><ul><li><a href="/news">News</a><li><a href="/sport">Sport</a>
<li><a href="/weather">Weather</a></ul></div>
<div id="main"><div class="article"><h1>A green shed</h1><p>{BODY[0]}</p><p>{BODY[1]}</p>
<ul><li>The first ferry leaves at seven, and it takes four cars.</li>
<li>The last one leaves at five, without cars.</li></ul>
<pre>{CODE.replace("<", "&lt;")}</pre>
<table><tr><th>Passenger</th><th>Fare in crowns</th></tr>
<tr><td>Adults and children over six</td><td>4</td></tr></table>
<p>{BODY[2]}</p></div></div>
<div class="sidebar"><h4>Popular</h4><ul><li><a href="/1">Ten boats</a><li><a href="/2">Fog again</a></ul></div>
<div class="footer">Copyright 2020 The Island Post. All rights reserved. <a href="/privacy">Privacy policy</a></div>
</body></html>"""


def test_an_article_is_kept_and_what_stands_around_it_is_not() -> None:
    text = extract_text(PAGE.encode())
    assert all(paragraph in text.split("\n\n") for paragraph in BODY)
    assert "A green shed" in text
    for noise in ("Sport", "Ten boats", "Privacy", "rights reserved", "track"):
        assert noise not in text


def test_lists_and_code_keep_their_form() -> None:
    text = extract_text(PAGE.encode())
    assert ("- The first ferry leaves at seven, and it takes four cars.\n"
            "- The last one leaves at five, without cars.") in text
    assert CODE in text


def test_a_page_in_another_script_and_encoding() -> None:
    paragraphs = [
        "港の小屋にはストーブがある。待つ人は誰でも火をつけてよいが、次に来る時には薪を持ってくる。" * 2,
        "この春、小屋は塗り直された。色は二度の投票で決められ、二度目の投票は接戦であった。" * 2]
    html = "<html><body><div class=post>" + "".join(f"<p>{p}</p>" for p in paragraphs) + "</div></body></html>"
    for encoding in ("utf-8", "euc-jp", "shift_jis"):
        assert extract_text(html.encode(encoding), charset=encoding) == "\n\n".join(paragraphs)


@pytest.mark.parametrize("html", [b"", b" \n", b"<html></html>", b"<script>var a;</script>", b"\0", b"<", b"\xff\xfe"])
def test_a_page_without_text(html: bytes) -> None:
    assert extract_text(html) == ""


def test_a_long_page_is_read_in_time_that_grows_with_its_length() -> None:
    html = ("<div><p>" + BODY[0] + "</p>") * 20_000 + "<!--" * 100_000 + "<a href='" * 100_000 + "&" * 1_000_000
    assert BODY[0] in extract_text(html.encode())


@pytest.mark.parametrize("name", ["blocks", "resiliparse"])
def test_every_extractor_finds_the_article(name: str) -> None:
    assert BODY[1] in extractor(name)(PAGE.encode(), None).text


def test_an_extractor_that_is_not_installed_says_how_to_get_it() -> None:
    if importlib.util.find_spec("trafilatura"):
        assert BODY[1] in extractor("trafilatura")(PAGE.encode(), None).text
        return
    with pytest.raises(InputError, match=r"curate-corpus\[trafilatura\]"):
        extractor("trafilatura")


@pytest.mark.skipif(not GOLD.exists(), reason="the shared gold pages are not here")
def test_the_shipped_model_fits_the_features_and_the_pages_it_was_trained_on() -> None:
    rows = pq.read_table(GOLD, columns=["html", "gold"]).to_pylist()[::8]
    pairs = [(words_of(extract_text(row["html"])), words_of(row["gold"])) for row in rows]
    assert mean_agreement([agreement(found, gold) for found, gold in pairs]).f1 > 0.9  # 0.69 of any block


@pytest.mark.skipif(not FORUMS.exists(), reason="the shared gold pages are not here")
def test_the_shipped_model_keeps_the_replies_of_the_threads_it_was_trained_on() -> None:
    rows = pq.read_table(FORUMS, columns=["html", "gold"], filters=[("page_type", "=", "forum")]).to_pylist()[::9]
    pairs = [(words_of(extract_text(row["html"])), words_of(row["gold"])) for row in rows]
    assert mean_agreement([agreement(found, gold, 1) for found, gold in pairs]).f1 > 0.75  # 0.43 of articles alone


@pytest.mark.parametrize("disguise", DISGUISES)
def test_an_article_is_found_whatever_its_script(disguise: str) -> None:
    found = extract_text(disguised(PAGE, disguise).encode())
    for paragraph in BODY:
        assert DISGUISES[disguise](paragraph)[:60] in found
    assert DISGUISES[disguise]("The Island Post") not in found.split("\n")


def test_ideographs_are_counted_by_twos_and_pairs_of_them_found_in_the_title() -> None:
    html = "<title>水と火山の話</title><h1>水と火山の話</h1><p>これは海の上の島の話です。abc</p>"
    page, n = scan(html.encode())
    features, _ = block_features(page, n, load_vocabulary())
    assert np.expm1(features[:, F_WORDS]).round().tolist() == [3, 7]
    assert features[:, F_COVERED].round(2).tolist() == [1, pytest.approx(1 / 6, abs=0.01)]
