"""Books made here, as Project Gutenberg and as EPUB have them, some broken, and real ones."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from curate.sources.dump_options import EpubOptions
from curate.sources.entries import Dump, Entry, NoOptions
from curate.sources.epub import read_epub
from curate.sources.gutenberg import read_gutenberg, without_notes
from curate.sources.kinds import detect_kind
from curate.sources.warc import Damage
from tests.paths import DATA

BODY = "CHAPTER I\n\nThe tide rose.\n\n    A line of verse,\n    and another.\n\n[Footnote 1: So it did.]"
NEW = ("\ufeffThe Project Gutenberg EBook of Tides, by A. Moon\n\nTitle: Tides\n       Of the Sea\n\nAuthor: A. "
       "Moon\n\n"
       "Release Date: May 8, 2007  [eBook #3261]\n\n***START OF THE PROJECT GUTENBERG EBOOK TIDES***\n\n\n"
       "Produced by B. Sun and\nthe Proofreaders\n\n\n" + BODY
       + "\n\n\nEnd of Project Gutenberg's Tides, by A. Moon\n\n*** END OF THIS PROJECT GUTENBERG EBOOK TIDES ***\n"
         "\n*** START: FULL LICENSE ***\nThe licence.\n")
OLD = ("The Project Gutenberg Etext of Tides, by A. Moon\n\n"
       "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nLawyers.\n*END*THE SMALL PRINT! FOR PUBLIC "
       "DOMAIN ETEXTS*Ver.04.29.93*END*\n\n" + BODY
       + "\n\nEnd of The Project Gutenberg Etext of Tides\n")


def text_of(path: Path) -> list[Entry | Damage]:
    return list(read_gutenberg(Dump(str(path), NoOptions(), 1 << 20, None, lambda name, n: None)))


@pytest.mark.parametrize(("book", "encoding"), [
    (NEW, "utf-8"), (NEW.replace("\n", "\r\n"), "utf-8"), (OLD, "latin-1"),
    (NEW.replace("*START", "* START").replace("OF THE P", "OF THIS P"), "utf-8")])
def test_a_book_is_what_lies_between_the_marks(tmp_path: Path, book: str, encoding: str) -> None:
    path = tmp_path / "book"
    path.write_bytes(book.encode(encoding))
    assert detect_kind(str(path)) == "gutenberg"
    (entry,) = text_of(path)
    assert isinstance(entry, Entry)
    assert (entry.text or b"").decode() == BODY
    assert entry.columns["author"] == "A. Moon"
    assert entry.columns["title"] in ("Tides", "Tides Of the Sea")
    if book.startswith("\ufeff"):
        assert entry.url == "https://www.gutenberg.org/ebooks/3261"
        assert entry.date is not None
        assert entry.date.isoformat() == "2007-05-08T00:00:00+00:00"


def test_notes_on_the_transcription_are_no_part_of_a_book() -> None:
    notes = "Transcriber's note:\n\n      The pages were\n      rearranged.\n\n      So was the cover.\n\n"
    inner = BODY + "\n\n[Transcriber's Note: sic]\n\nIt fell." * 20
    assert without_notes(f"{notes}\n{inner}\n\nErrata noted by transcriber:\n\n  _a full stop_\n") == inner
    assert without_notes(f"{inner}\n\n\n  [Transcriber\u2019s Notes]\n\n- 199.png: a comma.") == inner
    far = inner + "\n\nTranscriber's Notes\n\n" + "It rose and it fell.\n" * 1000
    assert without_notes(far) == far.strip()


def test_a_text_without_marks_is_left_out_and_one_that_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Just a text of Project Gutenberg.")
    assert detect_kind(str(tmp_path / "a")) == "text"
    (entry,) = text_of(tmp_path / "a")
    assert isinstance(entry, Entry)
    assert entry.reason == "no_marks"
    (tmp_path / "b").write_text(NEW + "x" * (3 << 20))
    (entry,) = text_of(tmp_path / "b")
    assert isinstance(entry, Entry)
    assert entry.reason == "text_too_long"


OPF = """<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>Tides</dc:title><dc:creator>A. Moon</dc:creator><dc:identifier>urn:x</dc:identifier><dc:rights>CC0</dc:rights>
<dc:date>2011-09-01</dc:date></metadata><manifest>%s</manifest><spine>%s</spine></package>"""
CONTAINER = ('<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
             'full-path="OPS/book.opf"/></rootfiles></container>')
NAVIGATION = "<nav epub:type='toc'><ol><li><a href='two.xhtml'>Two</a></li></ol></nav>"
ONE = ("<h1>One</h1><h2>Contents</h2><table><tr><td><a href='one.xhtml#a'>I</a></td><td>x</td></tr><tr><td>"
       "<a href='two.xhtml'>II</a></td></tr><tr><td><a href='#c'>III</a></td></tr></table><p>It rose<a "
       "epub:type='noteref' "
       "href='notes.xhtml#n1'>1</a> fast<a class='fnanchor' href='#f2'>[2]</a>.<span class='pagenum'>[7]</span></p>"
       "<div class='footnote'><p><a id='f2' href='#r2'>[2]</a> Very fast.</p></div>")
TWO = "<h1>Two</h1><p>It fell.</p><pre>  a\n   verse</pre>"
NOTES = "<aside epub:type='footnote' id='n1'><p>1. The <i>tide</i>.</p></aside>"


def epub(pages: dict[str, str], spine: list[str], more: dict[str, str] | None = None) -> bytes:
    use = {"nav": ' properties="nav"'}
    items = "".join(f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"{use.get(name, "")}/>'
                    for name in {**pages, "gone": ""})
    order = "".join(f'<itemref idref="{name}"{" linear=" + chr(34) + "no" + chr(34) if name == "notes" else ""}/>'
                    for name in spine)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("OPS/book.opf", OPF % (items, order))
        for name, page in pages.items():
            archive.writestr(f"OPS/{name}.xhtml",
                             f"<html xmlns='http://www.w3.org/1999/xhtml'><body>{page}</body></html>")
        for name, data in (more or {}).items():
            archive.writestr(name, data)
    return sink.getvalue()


def book_of(folder: Path, data: bytes, limit: int = 1 << 20) -> list[Entry | Damage]:
    path = folder / "book"
    path.write_bytes(data)
    return list(read_epub(Dump(str(path), EpubOptions(max_book_bytes=limit), 1 << 20, None, lambda name, n: None)))


PAGES = {"two": TWO, "one": ONE, "nav": NAVIGATION, "notes": NOTES}


def test_chapters_in_order_with_notes_at_their_places(tmp_path: Path) -> None:
    data = epub(PAGES, ["nav", "one", "two", "notes"])
    (entry,) = book_of(tmp_path, data)
    assert detect_kind(str(tmp_path / "book")) == "epub"
    assert isinstance(entry, Entry)
    assert (entry.text or b"").decode() == (
        "One\n\nIt rose [The tide.] fast [Very fast.].\n\n\nTwo\n\nIt fell.\n\n  a\n   verse")
    assert entry.columns == {"title": "Tides", "author": "A. Moon", "licence": "CC0"}
    assert entry.id == "urn:x"


def test_notes_that_numbers_lead_to_without_a_word_of_what_they_are(tmp_path: Path) -> None:
    page = ("<p>It rose<a href='#footnote-1' id='footnote-1-backlink'>[1]</a> and fell.<span class='lnum'>10</span></p>"
            "<p>See <a href='#notes'>the notes</a>, <a href='#n-2'>2</a>.</p><p id='n-2'>Two.</p><aside id='notes'>"
            "<article id='footnote-1'><p>[<a href='#footnote-1-backlink'>1</a>] Fast.</p></article></aside>")
    (entry,) = book_of(tmp_path, epub({"one": page}, ["one"]))
    assert isinstance(entry, Entry)
    assert (entry.text or b"").decode() == "It rose [Fast.] and fell.\n\nSee the notes, 2.\n\nTwo."


def test_missing_encrypted_and_broken_chapters_are_named(tmp_path: Path) -> None:
    held = ('<encryption xmlns="x"><EncryptedData xmlns="y"><CipherData><CipherReference URI="OPS/two.xhtml"/>'
            "</CipherData></EncryptedData></encryption>")
    data = bytearray(epub({**PAGES, "three": "<p>Lost words.</p>"}, ["one", "gone", "two", "three"],
                          {"META-INF/encryption.xml": held}))
    data[data.index(b"Lost words")] ^= 0xFF
    entries = book_of(tmp_path, bytes(data))
    assert [entry.what[:34] for entry in entries if isinstance(entry, Damage)] == [
        "OPS/gone.xhtml: chapter is missing", "OPS/two.xhtml: chapter is encrypte", "OPS/three.xhtml: chapter is "
            "broken"]
    assert isinstance(entries[-1], Entry)
    assert (entries[-1].text or b"").startswith(b"One")


@pytest.mark.parametrize("fault", ["container", "bomb", "cut"])
def test_a_book_that_cannot_be_opened_is_named(tmp_path: Path, fault: str) -> None:
    data = epub(PAGES, ["one"])
    if fault == "cut":
        data = data[:300]
    elif fault == "container":
        data = data.replace(b"META-INF/container.xml", b"META-INF/container.xmx")
    else:
        data = data.replace(b"<package xmlns=", b'<!DOCTYPE p [<!ENTITY a "b">]><package xmlns=')
    (entry,) = book_of(tmp_path, data)
    assert isinstance(entry, Damage)
    assert entry.what.startswith("EPUB cannot be read")


def test_a_book_that_unpacks_to_too_much_is_left_out(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("OPS/book.opf", OPF % ("", ""))
        archive.writestr("OPS/one.xhtml", "x" * (5 << 20))
    (entry,) = book_of(tmp_path, sink.getvalue())
    assert isinstance(entry, Entry)
    assert entry.reason == "too_large"


@pytest.mark.skipif(not (DATA / "dumps").exists(), reason="needs the real excerpts of dumps")
def test_real_books_have_no_licence_and_all_their_chapters() -> None:
    folder = DATA / "dumps" / "gutenberg"
    texts: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        kind = detect_kind(str(path))
        assert kind == ("epub" if path.suffix == ".epub" else "gutenberg"), path.name
        read, options = (read_epub, EpubOptions()) if kind == "epub" else (read_gutenberg, NoOptions())
        (entry,) = read(Dump(str(path), options, 1 << 24, None, lambda name, n: None))
        assert isinstance(entry, Entry)
        texts[path.name] = (entry.text or b"").decode()
    for name, text in texts.items():
        assert "PROJECT GUTENBERG EBOOK" not in text, name
        assert "www.gutenberg.org/license" not in text, name
        assert len(text) > 20_000, name
    alice = texts["pg11.epub"]
    places = [alice.find(f"CHAPTER {number}.\n") for number in [
        "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]]
    assert places == sorted(places)
    assert -1 not in places
    assert "Contents" not in alice
    assert "Son of man, [Line 20. Cf. Ezekiel 2:1.]\n" in texts["epub3-wasteland.epub"]
    assert "[1]" not in texts["epub3-regime-anticancer-arabic.epub"]
    for name in ("21937-8.txt", "24675-8.txt", "28885-alice.epub"):
        assert "transcriber" not in texts[name][:200].lower() + texts[name][-200:].lower(), name
