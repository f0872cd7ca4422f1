"""The scanner against Lexbor, the parser under Resiliparse: the same words in the same order; and no bytes break it."""

from __future__ import annotations

import re
from collections import Counter

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.extract.html2text import extract_plain_text

from curate.extraction.extractors import extract_text
from curate.extraction.html import decode
from curate.extraction.page import B_END, B_START
from curate.extraction.scan import scan
from tests.paths import DATA

GOLD = DATA / "extraction/dev.parquet"
WORD = re.compile(r"\w+")
TAGS = ("p", "div", "ul", "ol", "li", "h2", "span", "b", "a", "section", "blockquote", "pre", "em", "dl",
        "dt", "dd", "article")


def scanned(html: str) -> list[str]:
    page, n = scan(html.encode())
    return WORD.findall("\n".join(page.text[b[B_START] : b[B_END]].tobytes().decode() for b in page.blocks[:n]))


def parsed(html: str) -> list[str]:
    return WORD.findall(extract_plain_text(html, preserve_formatting=True, main_content=False, list_bullets=False,
                                           alt_texts=False, links=False, form_fields=False, noscript=False))


token = st.one_of(
    st.sampled_from(["alpha ", " beta", "Gamma", "δέλτα ", "日本", "&amp;", "&lt;b&gt;", "&eacute;x", "<br>", "<hr>",
                     "<!-- c -->", "<script>s</script>", "<style>s</style>", "7 "]),
    st.sampled_from(TAGS).map(lambda t: f"<{t}>"), st.sampled_from(TAGS).map(lambda t: f"</{t}>"),
    st.sampled_from(TAGS).map(lambda t: f"<{t.upper()} class='x > y' id=z>"))


@settings(max_examples=300, deadline=None)
@given(st.lists(token, max_size=40))
def test_tag_soup_gives_the_words_of_a_whole_parser(tokens: list[str]) -> None:
    html = "<html><body>" + "".join(tokens) + "</body></html>"
    assert "".join(scanned(html)) == "".join(parsed(html))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(extract_text(data), str)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([
    "<", ">", "</", "<!--", "-->", "<a href=", "'", '"', "&", "&#", "&#x", ";", "p", "table", "<td", "<script",
    "</script", "=", "/", "\0", "\r\n", "<pre>", "é", "\ud800", " "]), max_size=60))
def test_broken_markup_is_read_and_is_valid_text(pieces: list[str]) -> None:
    text = extract_text("".join(pieces).encode("utf-8", "surrogatepass"))
    assert text.encode().decode() == text
    assert "\0" not in text


@pytest.mark.skipif(not GOLD.exists(), reason="the shared gold pages are not here")
def test_real_pages_have_the_words_that_a_whole_parser_finds() -> None:
    different = total = 0
    for row in pq.read_table(GOLD).slice(0, 100).to_pylist():
        html = decode(row["html"])
        ours, theirs = Counter(scanned(html)), Counter(parsed(html))
        different += (ours - theirs).total() + (theirs - ours).total()
        total += theirs.total()
    assert total > 50_000
    assert different / total < 0.01  # labels of form fields, which Resiliparse drops, are most of it
