"""A person's form of an address and the archived one have one loose form; other pages have others."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipelines.asking.addresses import host_of, hosts_of_forms, loose_form, loose_forms


@pytest.mark.parametrize(("one", "other"), [
    ("https://www.Example.org:443/A/b/?utm_source=x&q=1&fbclid=3#frag", "example.org/a/b?q=1"),
    ("http://user:secret@example.org./", "example.org"),
    ("http://müller.de/é%7Ea", "https://xn--mller-kva.de/%C3%A9~A"),
    ("http://a.b/x?utm_source=a&utm_medium=b", "a.b/x"),
    ("  http://a.b/x//\n", "a.b/x"),
    ("http://a.b/%41", "a.b/a"),
])
def test_forms_of_one_page(one: str, other: str) -> None:
    assert loose_form(one) == loose_form(other)


@pytest.mark.parametrize(("one", "other"), [
    ("http://a.b/x", "http://a.b/y"), ("http://a.b:8080/", "http://a.b/"), ("http://a.b/?q=1", "http://a.b/?q=2"),
    ("http://www.com/", "http://com/"), ("http://a.b/%2f", "http://a.b//x"),
])
def test_other_pages_have_other_forms(one: str, other: str) -> None:
    assert loose_form(one) != loose_form(other)


def test_forms_of_many_urls_are_those_of_each() -> None:
    urls = ["http://www.a.example/x/", None, "https://b.example/%7e", "http://ü.example/"]
    forms = loose_forms(pa.array(urls, pa.string()))
    assert forms.to_pylist() == [None if url is None else loose_form(url) for url in urls]
    assert hosts_of_forms(forms).to_pylist() == [None if url is None else host_of(loose_form(url)) for url in urls]


def test_a_lone_surrogate_is_no_fault() -> None:
    assert loose_form("http://a.b/\ud800") == "a.b"
