"""The scanner on small pages: what is a block, what parts two of them, and what is no text at all."""

from __future__ import annotations

import numpy as np
import pytest

from curate.extraction.blocks import write_blocks
from curate.extraction.page import B_DEPTH, B_LINK_BYTES, B_MASK, MAX_BLOCKS, MAX_DEPTH
from curate.extraction.scan import scan
from curate.extraction.vocabulary import CLASS_SHIFT, CLASSES, GROUPS


def whole_text(html: str) -> str:
    """The text of every block, as the extractor writes it."""
    page, n = scan(html.encode())
    room = np.empty(page.text.size + 16 * page.blocks.shape[0], np.uint8)
    return room[: write_blocks(page, np.ones(n, np.bool_), room)].tobytes().decode()


def names(mask: int) -> set[str]:
    found = {name for i, name in enumerate(GROUPS) if mask >> i & 1}
    return found | {name for i, name in enumerate(CLASSES) if mask >> (CLASS_SHIFT + i) & 1}


@pytest.mark.parametrize(("html", "text"), [
    ("", ""),
    ("   \n ", ""),
    ("just text", "just text"),
    ("<p>one\n  two\t three</p><p>four", "one two three\n\nfour"),
    ("<h1>Title</h1><div>a<div>b</div>c</div>", "Title\n\na\nb\nc"),
    ("a<br>b<br><br>c<br/>d", "a\nb\n\nc\nd"),
    ("<ul><li>one<li>two<ul><li>deep</ul><li>three</ul>after", "- one\n- two\n  - deep\n- three\n\nafter"),
    ("<ol><li>first<li><p>second</p><p>still second</p></ol>", "1. first\n\n2. second\n\nstill second"),
    ("<table><tr><th>Name<th>Age<tr><td>Ann<td>7</table>end", "Name\tAge\nAnn\t7\n\nend"),
    ("<pre>\ndef f():\n    return 1\n</pre>x", "def f():\n    return 1\n\nx"),
    ("<pre>one\n\ntwo</pre>", "one\n\ntwo"),
    ("<pre>a&#10;  b&lt;c</pre>", "a\n  b<c"),
    ("x<b>bold</b>y <i>it</i>, H<sub>2</sub>O", "xboldy it, H2O"),
    ("<p>日本語の文章です。</p><p>二番目の段落。</p>", "日本語の文章です。\n\n二番目の段落。"),
    ("<p>مرحبا بالعالم، كيف الحال؟</p>", "مرحبا بالعالم، كيف الحال؟"),
    ("<dl><dt>term<dd>meaning<dt>other<dd>sense</dl>", "term\nmeaning\nother\nsense"),
    ("<p>one<div>two</p>three", "one\n\ntwo\n\nthree"),
    ("<div><p>never closed<span></div>after", "never closed\n\nafter"),
    ("<table><tr><td><p>cell<td>next</table></p>out", "cell\n\nnext\n\nout"),
    ("a <  b and a<b && 3 <4", "a < b and a"),
])
def test_blocks_and_breaks(html: str, text: str) -> None:
    assert whole_text(html) == text


@pytest.mark.parametrize(("source", "text"), [
    ("&amp;&lt;&gt;&quot;&apos;", "&<>\"'"),
    ("&eacute;&Eacute &copy2026", "éÉ ©2026"),
    ("&#233;&#xE9;&#XE9 &#8364", "éé" + "é €"),
    ("&#128;&#151;", "€—"),  # windows-1252, as browsers read them
    ("&#0;&#xD800;&#x110000;&#99999999999;", "\ufffd" * 4),
    ("&nbsp;a&nbsp;&nbsp;b&#160;", "a b"),
    ("&notit; &notin; &bogus; & &; &#; &#x;", "¬it; ∉ &bogus; & &; &#; &#x;"),
    ("&nGt;" * 50, "≫\u20d2" * 50),  # three bytes of reference a code point of text, and one more
    ("&CounterClockwiseContourIntegral;", "∳"),
])
def test_character_references(source: str, text: str) -> None:
    assert whole_text(source) == text


@pytest.mark.parametrize("html", [
    "a<script>var x = '<p>no</p>';</script>b", "a<style>p{}</style>b", "a<!-- no > no -->b", "a<!-->b",
    "a<!doctype html>b", "a<?xml version='1'?>b", "a<![CDATA[no]]>b", "a</ no>b", "a</>b",
    "a<textarea>no<p></textarea>b", "a<select><option>no</select>b", "a<svg><path/><text>no</text></svg>b",
    "a<SCRIPT>no</ScRiPt >b", "a<iframe>no</iframe>b", "a<title>no</title>b",
    "a<span title='x > y' data-x=\"</span>\">b</span>", "a<span\ttitle=x>b", "a<script/>no</script>b",
    "a<noscript><iframe>no</noscript>b", "a<b/>b", "a<img src=x alt=no>b"])
def test_what_is_no_text(html: str) -> None:
    assert whole_text(html).replace("\n", "") == "ab"


@pytest.mark.parametrize(("html", "group"), [
    ("<noscript>text</noscript>", "inert"), ("<template><p>text</template>", "inert"),
    ("<button>text</button>", "button"), ("<details><p>text</details>", "details")])
def test_what_may_be_hidden_is_text_of_a_kind_of_its_own(html: str, group: str) -> None:
    page, n = scan(f"a{html}b".encode())
    assert n == 3
    assert group in names(page.blocks[1, B_MASK])
    assert group not in names(page.blocks[2, B_MASK])


def test_what_react_shows_later_is_not_hidden() -> None:
    page, _ = scan(b"<div hidden id='S:0'>a</div><div id='S:1' hidden>b</div><div hidden>c</div>")
    assert ["hidden" in names(mask) for mask in page.blocks[:3, B_MASK]] == [False, False, True]


@pytest.mark.parametrize("html", [
    "a<p", "a<!-- never closed <p>b", "a<script>never closed", "a<span title='never closed>b"])
def test_a_page_that_stops_early(html: str) -> None:
    assert whole_text(html) == "a"


def test_links_are_counted_to_where_they_end() -> None:
    page, n = scan(b"<a href=/x>link <div>in div</div></a> out <a name=y>anchor</a><td><a href=z>cell<td>next")
    linked = {bytes(page.text[b[0] : b[1]]): b[B_LINK_BYTES] for b in page.blocks[:n]}
    assert linked == {b"link": 4, b"in div": 5, b"out anchor": 0, b"cell": 4, b"next": 0}


def test_what_a_block_stands_in() -> None:
    page, n = scan(b"<body class=home><nav id=topMenu><ul><li>a</ul></nav><div class='mainmenu post-body'><p>b</div>"
                   b"<footer>c</footer><div style='Display : NONE'>d</div><div hidden>e</div>f")
    found = [names(int(mask)) for mask in page.blocks[:n, B_MASK]]
    assert {"nav", "list", "item", "navigation", "header"} <= found[0]
    assert {"paragraph", "content", "navigation"} <= found[1]
    assert "nav" not in found[1]
    assert found[2] == {"footer"}
    assert found[3] == found[4] == {"hidden"}
    assert found[5] == set()


def test_depth_is_bounded_and_what_follows_is_read() -> None:
    page, n = scan(b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000 + b"<p>after")
    assert [bytes(page.text[b[0] : b[1]]) for b in page.blocks[:n]] == [b"deep", b"after"]
    assert page.blocks[0, B_DEPTH] > MAX_DEPTH
    assert page.blocks[1, B_DEPTH] == 2


def test_blocks_are_bounded_and_no_text_is_lost() -> None:
    page, n = scan(b"<p>x" * (MAX_BLOCKS + 1000))
    assert n == MAX_BLOCKS
    assert sum(bytes(page.text[b[0] : b[1]]).count(b"x") for b in page.blocks[:n]) == MAX_BLOCKS + 1000
