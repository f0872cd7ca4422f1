"""Dumps of wikis made here, broken in every way that costs a page, and real excerpts."""

from __future__ import annotations

import bz2
import gzip
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curate.sources.dump_options import MediaWikiOptions
from curate.sources.entries import Dump, Entry
from curate.sources.kinds import detect_kind
from curate.sources.mediawiki import read_mediawiki
from curate.sources.warc import Damage
from tests.paths import DATA

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="de">
  <siteinfo>
    <base>https://de.wikipedia.org/wiki/Wikipedia:Hauptseite</base>
    <namespaces>
      <namespace key="-2" case="first-letter">Medium</namespace><namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Diskussion</namespace>
      <namespace key="6" case="first-letter">Datei</namespace><namespace key="14">Kategorie</namespace>
    </namespaces>
  </siteinfo>
"""
TAIL = "</mediawiki>\n"


def page(title: str, text: str, ns: str | None = "0", more: str = "", number: int = 7) -> str:
    space = "" if ns is None else f"    <ns>{ns}</ns>\n"
    return (f"  <page>\n    <title>{title}</title>\n{space}    <id>{number}</id>\n{more}    <revision>\n"
            "      <id>1</id>\n"
            f"      <timestamp>2021-05-06T07:08:09Z</timestamp>\n      <model>wikitext</model>\n"
            f'      <text bytes="1" xml:space="preserve">{text}</text>\n    </revision>\n  </page>\n')


def read(path: Path, **options: Any) -> list[Entry | Damage]:
    return list(read_mediawiki(Dump(str(path), MediaWikiOptions(**options), 1 << 20, None, lambda name, n: None)))


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "dump"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def seen(entries: list[Entry | Damage]) -> list[str]:
    return [entry.what if isinstance(entry, Damage) else entry.reason or (entry.text or b"").decode()
            for entry in entries]


def test_an_article_has_its_title_address_date_and_sections(tmp_path: Path) -> None:
    text = "Die [[Ebbe]] &amp; die &lt;b&gt;Flut&lt;/b&gt;.\n[[Kategorie:Meer]]\n== Ursache ==\nDer Mond."
    (entry,) = read(write(tmp_path, HEAD + page("Ebbe und Flut", text) + TAIL))
    assert isinstance(entry, Entry)
    assert entry.text == b"# Ebbe und Flut\n\nDie Ebbe & die Flut.\n\n## Ursache\n\nDer Mond."
    assert entry.url == "https://de.wikipedia.org/wiki/Ebbe_und_Flut"
    assert (entry.id, entry.position, entry.columns) == ("7", 0, {"title": "Ebbe und Flut"})
    assert entry.date is not None
    assert entry.date.isoformat() == "2021-05-06T07:08:09+00:00"


def test_what_is_no_article_is_left_out_with_its_reason(tmp_path: Path) -> None:
    pages = [page("Diskussion:A", "x", "1"), page("Portal:B", "x", "100"), page("C", "x", "zero"),
             page("D", "#WEITERLEITUNG [[E]]"), page("E", "x", more='    <redirect title="F" />\n'),
             page("F", "x").replace("<model>wikitext", "<model>Scribunto"), page("G", "{{" * 9000), page("H", "{{x}}"),
             page("I", "Es bleibt.")]
    entries = read(write(tmp_path, HEAD + "".join(pages) + TAIL))
    assert seen(entries) == ["namespace", "unknown_namespace", "unknown_namespace", "redirect", "redirect",
                             "not_wikitext", "markup_unclosed", "", "# I\n\nEs bleibt."]
    assert [entry.value for entry in entries if isinstance(entry, Entry)][:1] == [1.0]


def test_a_dump_older_than_namespaces_in_pages_goes_by_titles(tmp_path: Path) -> None:
    entries = read(write(tmp_path, HEAD + page("Diskussion:A", "x", None) + page("A", "Wort.", None) + TAIL))
    assert seen(entries) == ["namespace", "# A\n\nWort."]


def test_options(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + page("A", "Eins.\n== B ==\nZwei.\n=== C ===\nDrei.\n== D ==\nVier.")
                 + page("Diskussion:A", "Rede.", "1") + TAIL)
    assert seen(read(path, title=False, headings="plain", skipped_sections=("b",))) == [
        "Eins.\n\nD\n\nVier.", "namespace"]
    assert seen(read(path, namespaces=(1,), headings="none")) == ["namespace", "Diskussion:A\n\nRede."]


def test_of_a_history_the_last_revision_counts(tmp_path: Path) -> None:
    revisions = "".join(f"<revision><timestamp>2021-01-0{n}T00:00:00Z</timestamp><text>Stand {n}. {'x ' * 2_000_000}"
                        f"</text></revision>" for n in (1, 2, 3))
    path = write(tmp_path, HEAD + f"<page><title>A</title><ns>0</ns><id>1</id>{revisions}</page>\n" + page("B", "Gut.")
                 + TAIL)
    tracemalloc.start()
    entries = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(entries[0], Entry)
    assert (entries[0].text or b"").startswith(b"# A\n\nStand 3. x x")
    assert seen(entries)[1] == "# B\n\nGut."
    assert peak < 80 << 20


@pytest.mark.parametrize("cut", ["stream", "last"])
def test_a_truncated_stream_of_a_multistream_dump_costs_its_pages_alone(tmp_path: Path, cut: str) -> None:
    parts = [HEAD, *("".join(page(f"{k}{n}", f"Text {k}{n}.") for n in range(5)) for k in "ABC"), TAIL]
    streams = [bz2.compress(part.encode()) for part in parts]
    broken = 2 if cut == "stream" else 3
    streams[broken] = streams[broken][: len(streams[broken]) // 2]
    entries = read(write(tmp_path, b"".join(streams[: broken + 1] if cut == "last" else streams)))
    titles = [entry.columns["title"] for entry in entries if isinstance(entry, Entry)]
    assert titles == [f"{k}{n}" for k in ("AC" if cut == "stream" else "AB") for n in range(5)]
    (damage, *_) = [entry for entry in entries if isinstance(entry, Damage)]
    assert f"(at byte {sum(map(len, streams[:broken]))})" in damage.what


def test_a_malformed_page_costs_itself(tmp_path: Path) -> None:
    pages = [page("A", "Gut."), page("B", "x").replace("</title>", "</titel>"), page("C", "a & b"),
             page("D", "x").replace("  </page>\n", ""), page("E", "Auch gut."), page("F", "\x01")]
    got = seen(read(write(tmp_path, HEAD + "".join(pages) + TAIL)))
    assert [text for text in got if text.startswith("#")] == ["# A\n\nGut.", "# E\n\nAuch gut."]
    assert len(got) == 6
    assert all("page cannot be read" in text for text in got if not text.startswith("#"))


def test_entities_of_a_bomb_are_never_expanded(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lol"}">' for n in range(20))
    text = f"<?xml version='1.0'?>\n<!DOCTYPE mediawiki [{bomb}]>\n{HEAD}{page('A', '&e19;')}{page('B', 'Gut.')}{TAIL}"
    path = write(tmp_path, text)
    assert detect_kind(str(path)) == "mediawiki"
    got = seen(read(path))
    assert "undefined entity" in got[0]
    assert got[1] == "# B\n\nGut."


def test_a_page_that_is_too_long_is_named_and_never_held(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + page("A", "lang " * 8_000_000) + page("B", "Gut.") + TAIL)
    tracemalloc.start()
    got = seen(read(path, max_page_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got == ["page is longer than 1048576 bytes", "# B\n\nGut."]
    assert peak < 30 << 20


@pytest.mark.parametrize("rest", [0, 40])
def test_a_file_that_ends_early_says_so(tmp_path: Path, rest: int) -> None:
    text = HEAD + page("A", "Gut.") + page("B", "Weg.")[:rest]
    got = seen(read(write(tmp_path, text)))
    assert got[0] == "# A\n\nGut."
    assert got[1].startswith("file ends")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_any_compression_and_encoding(tmp_path: Path, pack: Any, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n{HEAD}{page("Bär", "Ein Bär über Köln.")}{TAIL}'
    path = write(tmp_path, pack(text.encode(encoding)))
    assert detect_kind(str(path)) == "mediawiki"
    assert seen(read(path)) == ["# Bär\n\nEin Bär über Köln."]


@pytest.mark.skipif(not (DATA / "dumps").exists(), reason="needs the real excerpts of dumps")
def test_real_excerpts_give_every_page_once_and_no_markup() -> None:
    folder = DATA / "dumps" / "wikipedia"
    entries: list[Entry | Damage] = []
    for name in ("derived-enwiki-multistream.xml.bz2", "bgwiki-latest-pages-articles-shortened.xml.bz2",
                 "enwiki-table-markup.xml.bz2", "aawiki-20260101-pages-meta-current.xml.bz2"):
        assert detect_kind(str(folder / name)) == "mediawiki"
        entries += read(folder / name)
    assert not [entry for entry in entries if isinstance(entry, Damage)]
    counts = Counter(entry.reason for entry in entries if isinstance(entry, Entry))
    assert counts == {None: 28 + 1 + 5 + 1, "redirect": 13, "namespace": 2 + 505}
    texts = [(entry.text or b"").decode() for entry in entries if isinstance(entry, Entry) and entry.text]
    assert sum(map(len, texts)) > 400_000
    for mark in ("[[", "]]", "<ref", "{|", "|-", "'''", "{{cit", "__TOC__"):
        assert not [text for text in texts if mark in text], mark
    assert sum(text.count("$") for text in texts) > 100  # formulas
