"""Which encoding is believed, and what is guessed where none is declared."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from curate.charsets.reading import page_as_utf8, text_as_utf8

SENTENCES = Path("../shared/data/langid/sentences.tsv.gz")
RUSSIAN = "Старая газета выходит каждую неделю, и читатели пишут в неё много писем."
JAPANESE = "昔の新聞の話を毎週書いている。読者からの手紙も多い。"
FRENCH = "Le journal paraît chaque semaine, à l'été comme à l'hiver."


def page(text: str, encoding: str, head: str = "") -> bytes:
    return f"<html><head>{head}</head><body><p>{text}</p></body></html>".encode(encoding)


def read(body: bytes, charset: str | None = None) -> tuple[str, str]:
    data, encoding = page_as_utf8(body, charset)
    return data.decode().partition("<p>")[2].partition("</p>")[0], encoding


def test_utf_8_is_the_very_bytes() -> None:
    for head in ("", "<meta charset=windows-1251>"):
        body = page(RUSSIAN, "utf-8", head)
        data, encoding = page_as_utf8(body, "koi8-r")
        assert data is body
        assert encoding == "utf-8"


@pytest.mark.parametrize(("mark", "codec", "encoding"), [
    (b"\xef\xbb\xbf", "utf-8", "utf-8"), (b"\xff\xfe", "utf-16-le", "utf-16le"),
    (b"\xfe\xff", "utf-16-be", "utf-16be")])
def test_a_byte_order_mark_comes_first(mark: bytes, codec: str, encoding: str) -> None:
    assert read(mark + page(RUSSIAN, codec, "<meta charset=koi8-r>"), "gbk") == (RUSSIAN, encoding)


def test_http_comes_before_the_page_and_the_page_before_a_guess() -> None:
    body = page(RUSSIAN, "cp1251", "<meta charset=koi8-r>")
    assert read(body, "windows-1251") == (RUSSIAN, "windows-1251")
    assert read(body, "no-such-label")[1] == "koi8-r"
    assert read(page(RUSSIAN, "cp1251", "<meta name=x content='charset=koi8-r'>")) == (RUSSIAN, "windows-1251")


def test_a_declaration_that_the_bytes_disprove_gives_way() -> None:
    assert read(page(FRENCH, "cp1252"), "utf-8") == (FRENCH, "windows-1252")
    assert read(page(RUSSIAN, "cp1251", "<meta charset=windows-1251>"), "utf-8") == (RUSSIAN, "windows-1251")


def test_one_bad_byte_does_not_disprove_an_encoding_of_pairs() -> None:
    body = page(JAPANESE[:3], "shift_jis", "<meta charset=shift_jis>") + b"\xff"
    assert read(body) == (JAPANESE[:3], "shift_jis")


def test_utf_8_that_the_end_cuts_or_a_byte_spoils_is_utf_8() -> None:
    body = page(RUSSIAN * 9, "utf-8", "<meta charset=windows-1251>")
    cut = body[: body.index(b"</p>") - 1]
    assert page_as_utf8(cut, "windows-1251").data.decode().endswith(RUSSIAN[:-1])
    cut = cut[:-1]
    data, encoding = page_as_utf8(cut, "windows-1251")
    assert (data.decode()[-1], encoding) == ("\ufffd", "utf-8")
    spoilt = page(RUSSIAN * 9, "utf-8").replace(b"\xd0\xb3", b"\xd0", 1)
    assert page_as_utf8(spoilt)[1] == "utf-8"


def test_few_pairs_that_are_valid_utf_8_are_what_is_declared() -> None:
    body = page("联通", "gbk", "<meta charset=gbk>").replace("联".encode("gbk"), "模".encode("gbk"))
    body = body.replace("通".encode("gbk"), "模".encode("gbk"))
    body.decode()  # valid UTF-8 by accident
    assert read(body) == ("模模", "gbk")
    assert read(body.replace(b"gbk", b"l2"))[1] == "utf-8"


def test_iso_2022_jp_is_known_by_its_escapes() -> None:
    body = page(JAPANESE, "iso2022_jp")
    assert read(body) == (JAPANESE, "iso-2022-jp")
    assert read(body.replace(b"\x1b(B<", b"\x1b(B\x1b$B\x1b(B<"), "iso-2022-jp") == (JAPANESE, "iso-2022-jp")
    assert read(page("x", "ascii", "<script>" + "x" * 9000 + "</script>").replace(b"<p>x", b"<p>" + JAPANESE.encode(
        "iso2022_jp")))[0] == JAPANESE


def test_utf_16_without_a_mark_is_known_by_its_nuls() -> None:
    for codec, encoding in (("utf-16-le", "utf-16le"), ("utf-16-be", "utf-16be")):
        assert read(page(RUSSIAN, codec)) == (RUSSIAN, encoding)
    assert read(page("a\0b", "utf-8"))[0] == "a\0b"


def test_encodings_that_must_not_be_decoded() -> None:
    assert page_as_utf8(page("~{<:Ky2;~}", "ascii"), "hz-gb-2312")[1] == "utf-8"  # no byte and no escape tells
    assert page_as_utf8(b"<p>\x1b$)C\x0e3*\x0f", "iso-2022-kr") == ("\ufffd".encode(), "replacement")


def test_a_text_declares_nothing() -> None:
    for head in ("<meta charset=koi8-r>", "<?xml version='1.0' encoding='koi8-r'?>"):
        assert text_as_utf8(page(RUSSIAN, "cp1251", head))[1] == "windows-1251"
    assert read(page(RUSSIAN, "cp1251", "<!-- <meta charset=koi8-r> -->")) == (RUSSIAN, "windows-1251")


def test_what_nothing_fits_is_windows_1252() -> None:
    body = b"<p>The baker\x92s price for a dozen of them has been \x80 5 since the spring.</p>"
    assert read(body) == ("The baker\u2019s price for a dozen of them has been € 5 since the spring.", "windows-1252")


@pytest.mark.skipif(not SENTENCES.exists(), reason="needs the sentences of ../shared/data/langid")
@pytest.mark.parametrize(("language", "codec"), [
    ("ja", "shift_jis"), ("ja", "euc_jp"), ("ko", "euc_kr"), ("zh", "gb18030"), ("ru", "koi8_r"), ("ru", "cp866"),
    ("uk", "koi8_u"), ("bg", "cp1251"), ("el", "iso8859_7"), ("he", "cp1255"), ("ar", "cp1256"), ("th", "cp874"),
    ("pl", "iso8859_2"), ("hu", "cp1250"), ("fr", "cp1252"), ("lt", "cp1257")])
def test_guesses(language: str, codec: str) -> None:
    lines = gzip.decompress(SENTENCES.read_bytes()).decode().splitlines()
    rows = [line.split("\t", 1) for line in lines]
    sentences = [text for code, text in rows if code == language][:20]
    right = 0
    for text in sentences:
        raw = text.encode(codec, "ignore")
        right += read(page("", "ascii").replace(b"<p>", b"<p>" + raw))[0] == raw.decode(codec)
    assert right >= 17
