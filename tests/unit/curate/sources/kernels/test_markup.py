"""How hard a page is to parse, against a reading of it byte by byte."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.sources.kernels.markup import _FLAT, _RAW, Markup, measure_markup

_SPACES = " \t\n\x0b\x0c\r"
PARTS = st.lists(st.sampled_from((
    "<", ">", "</", "<!", "<!--", "-->", "--", "-", "!", "?", "/", "=", '"', "'", " ", "\n", "a", "div", "<div", "<p>",
    "<br/>", "</div>", "<script>", "</script", "</SCRIPT >", "<title>", "</title>", "<b x=1 y='2 3' z>", 'q="<i>"',
    "<!doctype html>", "text " * 20, "é")), max_size=30).map("".join)


@settings(max_examples=500, deadline=None)
@given(PARTS)
def test_pages_are_measured_as_byte_by_byte(page: str) -> None:
    assert measure_markup(page.encode()) == plain_measure(page.encode().decode("latin-1"))


def test_a_quotation_that_never_ends_takes_the_rest_of_the_page() -> None:
    assert measure_markup(b"<div><b x='>" + b"<i>" * 100) == Markup(2, 2, 1)
    assert measure_markup(b"<div><b x='" + b"<i>" * 100 + b"' y><i>") == Markup(3, 3, 2)


def plain_measure(page: str) -> Markup:
    n_tags = depth = deepest = most = i = 0
    n_open: dict[str, int] = {}
    while i + 1 < len(page):
        following = page[i + 1]
        if page[i] != "<":
            i += 1
        elif following in "!?":
            i = plain_comment(page, i + 2)
        elif following == "/" and page[i + 2 : i + 3].isalpha() and page[i + 2].isascii():
            name, i = plain_name(page, i + 2)
            if n_open.get(name):
                n_open[name] -= 1
                depth -= 1
        elif following.isalpha() and following.isascii():
            name, i = plain_name(page, i + 1)
            count, i = plain_attributes(page, i)
            n_tags, most = n_tags + 1, max(most, count)
            if name in _RAW:
                i = plain_raw(page, i, name)
            elif name not in _FLAT:
                n_open[name] = n_open.get(name, 0) + 1
                depth += 1
                deepest = max(deepest, depth)
        else:
            i += 1
    return Markup(n_tags, deepest, most)


def plain_name(page: str, i: int) -> tuple[str, int]:
    start = i
    while i < len(page) and page[i] not in ">/" + _SPACES:
        i += 1
    return "".join(c.lower() if c.isascii() else c for c in page[start:i]), i


def plain_comment(page: str, i: int) -> int:
    end = page.find("-->", i + 2) + 3 if page.startswith("--", i) else page.find(">", i) + 1
    return end if end > i else len(page) + (not page.startswith("--", i))


def plain_raw(page: str, i: int, name: str) -> int:
    while i + 1 < len(page):
        if page.startswith("</", i) and plain_name(page, i + 2)[0] == name:
            return i
        i += 1
    return len(page)


def plain_attributes(page: str, i: int) -> tuple[int, int]:
    count, quote, inside, value = 0, "", False, False
    while i < len(page):
        c = page[i]
        i += 1
        if quote:
            if c == quote:
                quote, inside, value = "", False, False
        elif c == ">":
            break
        elif value and c in "\"'":
            quote = c
        elif c == "=":
            value, inside = True, False
        elif c in _SPACES or (c == "/" and not value):
            if inside:
                inside, value = False, False
        elif not inside:
            inside = True
            count += not value
    return count, i
