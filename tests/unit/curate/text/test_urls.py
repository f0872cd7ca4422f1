"""The normal form of URLs: which strings are one page, and which are not."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest
import xxhash

from curate.text.urls import bare_host, hosts_of, normalise_urls, url_keys

SAME = [
    ("http://www.Example.COM:80/a/b/?utm_source=x&id=3&fbclid=1#top", "example.com/a/b?id=3"),
    ("https://example.com/a/b?id=3", "example.com/a/b?id=3"),
    (" HTTP://user:secret@example.com. \n", "example.com"),
    ("https://example.com:443//", "example.com"),
    ("https://example.com:8443/", "example.com:8443"),
    ("https://bücher.de/ä b?", "xn--bcher-kva.de/%C3%A4%20b"),
    ("https://straße.de/", "xn--strae-oqa.de"),  # as browsers ask for it: another host than strasse.de
    ("https://a_b.BÜCHER。de/", "a_b.xn--bcher-kva.de"),
    ("https://☃.net/", "xn--n3h.net"),
    ("http://x.com/%7euser/%2f%e4%C3?a=1&&b", "x.com/~user/%2F%E4%C3?a=1&b"),
    ("http://x.com/100%", "x.com/100%"),
    ("http://x.com/?b=2&a=1", "x.com?b=2&a=1"),
    ("http://x.com/?ncidx=1&ncid=5&gclid=", "x.com?ncidx=1"),
    ("http://x.com?UTM_Medium=a#f?g", "x.com"),
    ("http://x.com/A?q=a%26b", "x.com/A?q=a%26b"),
    ("http://[::1]:80/x", "[::1]/x"),
    ("http://www.com/", "www.com"),
    ("http://x.com/a\nb", "x.com/ab"),
]
NO_URLS = ["", "self", "ftp://x.com/a", "http:///nohost", "http://x.com:port/", "mailto:a@b.c", "/r/books", "http://"]


@pytest.mark.parametrize(("url", "normal"), SAME)
def test_normal_form(url: str, normal: str) -> None:
    assert normalise_urls(pl.Series([url]))["url"].to_list() == [normal]


def test_strings_that_are_no_web_address_have_no_normal_form() -> None:
    frame = normalise_urls(pl.Series([*NO_URLS, None], dtype=pl.String))
    assert frame.rows() == [(None, None)] * (len(NO_URLS) + 1)
    assert url_keys(frame["url"]).null_count() == len(frame)


def test_a_normal_form_is_stable() -> None:
    first = normalise_urls(pl.Series([url for url, _ in SAME]))["url"]
    again = normalise_urls("http://" + first)["url"]
    assert again.to_list() == first.to_list()


def test_order_and_nulls_are_kept_for_a_sliced_column() -> None:
    urls = pl.Series(["http://a.b", None, "x", "http://c.d/ü"]).to_arrow().slice(1)
    assert normalise_urls(urls)["url"].to_list() == [None, None, "c.d/%C3%BC"]
    assert normalise_urls(urls.slice(0, 0)).height == 0


def test_keys_are_xxh3_of_the_normal_form() -> None:
    keys = url_keys(pl.Series(["example.com/ä", None]))
    assert keys.to_list() == [xxhash.xxh3_64_intdigest("example.com/ä".encode()), None]


def test_hosts_are_those_of_the_normal_form() -> None:
    urls = [url.strip() for url, _ in SAME]
    hosts = hosts_of(pa.array(urls)).to_pylist()
    assert hosts[0] == "www.example.com"
    assert [bare_host(host) for host in hosts] == normalise_urls(pl.Series(urls))["host"].to_list()
