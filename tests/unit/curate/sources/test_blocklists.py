"""Lists of domains, hosts, URLs and words against a plain reading of what they mean."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.sources.blocklists import ListFile, list_files, load_lists
from curate.sources.url_config import Blocklist, UrlRules, pattern_of
from curate.sources.url_rules import load_url_lists, url_reasons
from curate.text.urls import hosts_of
from manifests.errors import InputError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path / "cache"))


def reasons(rules: UrlRules, urls: Sequence[str | None], opted_out: tuple[str, ...] = ()) -> list[str | None]:
    column = pa.array(urls, pa.string())
    lists = load_url_lists(rules, opted_out, lambda _: ())
    found: list[str | None] = url_reasons(column, hosts_of(column), rules, lists).to_pylist()
    return found


def test_a_folder_as_the_university_of_toulouse_keeps_it(tmp_path: Path) -> None:
    for category, name, text in (
            ("adult", "domains", "Bad.example\n# a comment\n\nworse.example.org  \n0.0.0.0 hosts.example # line\n"),
            ("adult", "urls", "fine.example/bad/page\nhttps://www.fine.example/x?utm_source=a&id=2\n"),
            ("adult", "expressions", "(bad|worse)"), ("games", "domains", "bücher.example\nbad.example\n")):
        (tmp_path / "ut1" / category).mkdir(parents=True, exist_ok=True)
        (tmp_path / "ut1" / category / name).write_text(text)
    (tmp_path / "ut1/README").write_text("readme.example\n")
    words = tmp_path / "words.txt.gz"
    words.write_bytes(gzip.compress(b"casino\n"))
    rules = UrlRules(blocklists=(Blocklist(path=str(tmp_path / "ut1")),
                                 Blocklist(path=str(words), kind="words", category="spam")))
    assert reasons(rules, [
        "http://bad.example/", "https://a.b.BAD.example:8/x", "http://notbad.example/", "http://worse.example.org/",
        "http://example.org/", "http://fine.example/bad/page/#top", "http://fine.example/bad", "http://fine.example/x?id=2",
        "http://x.org/best-CASINO.html", "http://x.org/casinos", "http://xn--bcher-kva.example/", "http://hosts.example/",
        "http://readme.example/", "mailto:a@bad.example", None]) == [
        "blocklist_adult", "blocklist_adult", None, "blocklist_adult",
        None, "blocklist_adult", None, "blocklist_adult",
        "blocklist_spam", None, "blocklist_games", "blocklist_adult",
        None, "url_scheme", None]


def test_hosts_lists_hold_for_the_host_alone_and_opting_out_has_its_own_reason(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one.example\n")
    (tmp_path / "b.txt").write_text("two.example\n")
    rules = UrlRules(blocklists=(Blocklist(path=str(tmp_path / "a.txt"), kind="hosts"),))
    urls = ["http://one.example/", "http://www.one.example/", "http://www.two.example/x.pdf", "http://x.org/a.pdf"]
    assert reasons(rules, urls, (str(tmp_path / "b.txt"),)) == ["blocklist_a", None, "opted_out", "url_extension"]


def test_a_list_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing-there"):
        reasons(UrlRules(blocklists=(Blocklist(path=str(tmp_path / "nothing-there")),)), ["http://x.org/"])
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"a.example\n" * 1000)[:-20])
    with pytest.raises(InputError, match="damaged"):
        load_lists([ListFile(str(cut), "domains", "x")])


def test_a_table_is_built_once_for_a_content_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("a.example\n")
        load_lists([ListFile(str(tmp_path / name), "domains", "x")])
    assert len(list((tmp_path / "cache/blocklists").iterdir())) == 1
    (tmp_path / "two").write_text("b.example\n")
    load_lists([ListFile(str(tmp_path / "two"), "domains", "x")])
    assert len(list((tmp_path / "cache/blocklists").iterdir())) == 2


def test_an_empty_list_matches_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# nothing\n")
    entry = Blocklist(path=str(tmp_path / "empty"))
    assert pattern_of(entry.path) == entry.path
    table = load_lists(list(list_files(entry, [entry.path])))
    urls = pa.array(["http://x.org/", None])
    assert table.match(urls, hosts_of(urls)).to_pylist() == [None, None]


NAMES = st.lists(st.sampled_from(["a", "b", "ab", "c.d", "co"]), min_size=1, max_size=4).map(".".join)


@settings(max_examples=60, deadline=None)
@given(listed=st.lists(NAMES, max_size=12), exact=st.lists(NAMES, max_size=6), asked=st.lists(NAMES, max_size=20))
def test_domains_and_hosts_mean_what_they_say(tmp_path_factory: pytest.TempPathFactory, listed: list[str],
                                              exact: list[str], asked: list[str]) -> None:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "domains").write_text("\n".join(listed))
    (folder / "hosts").write_text("\n".join(exact))
    table = load_lists([ListFile(str(folder / "domains"), "domains", "below"),
                        ListFile(str(folder / "hosts"), "hosts", "alone")])
    hosts = pa.array(asked, pa.string())
    expected = ["below" if any(h == d or h.endswith(f".{d}") for d in listed) else "alone" if h in exact else None
                for h in asked]
    assert table.match(hosts, hosts).to_pylist() == expected
