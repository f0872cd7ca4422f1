"""Pages without text in their markup: what their data holds."""

from __future__ import annotations

import json
from html import escape

import pytest

from curate.extraction.extracted import Content, Format
from curate.extraction.extractors import extract_text, extractor
from curate.extraction.state import state_html

POSTS = ("The <b>second</b> valve of the pump leaks, and I do not know what to do about it. Any ideas?",
         "Take it apart and look at the ring. If it is worn, a new one costs next to nothing.")
SHELL = "<html><head><title>Pump</title></head><body><div id=app></div>{}</body></html>"
DISCOURSE = json.dumps({"topic": json.dumps({"posts": [{"username": f"user{i}", "cooked": f"<p>{p}</p>"}
                                                       for i, p in enumerate(POSTS)]})})
DATA = (
    f'<div data-preloaded="{escape(DISCOURSE)}"></div>',
    '<script id="__NEXT_DATA__" type="application/json">' + json.dumps(
        {"props": {"pageProps": {"thread": [{"body": p, "id": "0a9f"} for p in POSTS], "note": "Log in to reply."}}})
    + "</script>",
    "<script>window.__INITIAL_STATE__ = " + json.dumps({"a": {"posts": list(POSTS)}}) + ";</script>",
    '<script type="application/ld+json">' + json.dumps({"@type": "Article", "articleBody": "\n".join(POSTS)})
    + "</script>",
)


@pytest.mark.parametrize("data", DATA)
def test_the_text_of_a_page_that_scripts_would_build(data: str) -> None:
    text = extract_text(SHELL.format(data).encode())
    assert "valve of the pump leaks, and I do not know" in text
    assert POSTS[1] in text
    assert "Log in" not in text
    assert "user0" not in text


def test_a_page_with_text_keeps_its_own() -> None:
    article = "".join(f"<p>{p}</p>" for p in POSTS * 3)
    page = SHELL.format(f"<article><h1>Pump</h1>{article}</article>" + DATA[3].replace("valve", "data"))
    assert "valve" in extract_text(page.encode())
    assert "data" not in extract_text(page.encode())


@pytest.mark.parametrize("data", [
    "", '<script type="application/json">{"a": </script>',
    '<script type="application/json">' + "[" * 100_000 + "</script>",
    '<script type="application/json">{"src": "https://example.com/a b c d e f g h i j k l m n."}</script>',
    '<div data-page="&quot;no object&quot;"></div>'])
def test_data_without_prose_is_no_text(data: str) -> None:
    assert state_html(SHELL.format(data).encode()) is None
    assert extract_text(SHELL.format(data).encode()) == ""


def test_it_is_written_in_the_form_that_is_asked_for() -> None:
    data = json.dumps({"body": f"<h2>Pump</h2><p>{POSTS[1]}</p>"})
    page = SHELL.format(f'<script type="application/json">{data}</script>').encode()
    assert extractor("blocks", Content.AUTO, Format.MARKDOWN)(page, None).text == f"## Pump\n\n{POSTS[1]}"
