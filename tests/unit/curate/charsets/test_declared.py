"""Declarations in pages: the prescan beside html5lib's, and what only a parser comes to."""

from __future__ import annotations

import json
import lzma
import time
from pathlib import Path

import pytest

from curate.charsets.declared import PRESCAN_BYTES, declared_encoding
from curate.charsets.decoders import encoding_of

PADDING = b"<p>" + b"x" * PRESCAN_BYTES + b"</p>"


def test_the_prescan_beside_html5libs() -> None:
    """Pages of less than 1,024 bytes in which a parser comes to nothing else than the prescan."""
    cases = json.loads(lzma.decompress(Path(__file__).with_name("prescan.json.xz").read_bytes()))
    n_declared = 0
    for head, name in cases:
        expected = encoding_of(name)
        if expected is not None and expected.startswith("utf-16"):
            expected = "utf-8"
        expected = "windows-1252" if expected == "x-user-defined" else expected
        assert declared_encoding(head.encode("latin-1")) == expected, head
        n_declared += expected is not None
    assert n_declared > 400


@pytest.mark.parametrize(("head", "encoding"), [
    (b"<meta charset=koi8-r>", "koi8-r"),
    (b"<meta\x0ccharset = 'Windows-1251' >", "windows-1251"),
    (b"<meta/charset=koi8-r>", "koi8-r"),
    (b"<!--><meta charset=koi8-r>-->", "koi8-r"),
    (b"<!-- <meta charset=koi8-r> --><meta charset=gbk>", "gbk"),
    (b"<meta data-charset=koi8-r><meta charset=gbk>", "gbk"),
    (b"<meta name=description content='charset=koi8-r'><meta charset=gbk>", "gbk"),
    (b"<meta charset=no-such><meta charset=gbk>", "gbk"),
    (b"<meta charset=gbk charset=koi8-r>", "gbk"),
    (b"<p title='<meta charset=koi8-r>'><meta charset=gbk>", "gbk"),
    (b"<meta http-equiv=content-type content='text/html; charset charset = \"l2\"'>", "iso-8859-2"),
    (b"<meta content='text/html; charset=l2;x' http-equiv=Content-Type>", "iso-8859-2"),
    (b"<meta content='text/html; charset=\"l2' http-equiv=Content-Type>", None),
    (b"<meta charset=utf-16le>", "utf-8"),
    (b"<meta charset=x-user-defined>", "windows-1252"),
    (b"<meta charset=hz-gb-2312>", "replacement"),
    (b"<?xml version='1.0' encoding='Shift_JIS'?><html>", "shift_jis"),
    (b"<?xml version='1.0' encoding='Shift_JIS'?><meta charset=gbk>", "gbk"),
    (b"<?xml version='1.0'?><p encoding='gbk'>", None),
    ("<?xml version='1.0'?>".encode("utf-16-le"), "utf-16le"),
    ("<?xml version='1.0'?>".encode("utf-16-be"), "utf-16be"),
    (b"<meta charset=gbk", None),
    (b"", None),
])
def test_what_counts_as_a_declaration(head: bytes, encoding: str | None) -> None:
    assert declared_encoding(head) == encoding


@pytest.mark.parametrize(("late", "encoding"), [
    (b"<meta charset=gbk>", "gbk"),
    (b"<meta charset=no-such http-equiv=content-type content='text/html; charset=gbk'>", "gbk"),
    (b"<!-- <meta charset=koi8-r> --><meta charset=gbk>", "gbk"),
    (b"<script>'<meta charset=koi8-r>'</script ><meta charset=gbk>", "gbk"),
    (b"<SCRIPT src=x>a</scriptx><meta charset=koi8-r></Script><meta charset=gbk>", "gbk"),
    (b"<title><meta charset=koi8-r></title><style><meta charset=koi8-r></style><meta charset=gbk>", "gbk"),
    (b"<textarea><meta charset=koi8-r></textarea><noscript><meta charset=gbk></noscript>", "gbk"),
    (b"<script><meta charset=gbk>", None),
    (b"<plaintext><meta charset=gbk>", None),
    (b"<p title='", None),
])
def test_what_a_parser_comes_to_after_the_prescan(late: bytes, encoding: str | None) -> None:
    assert declared_encoding(PADDING + late) == encoding
    assert declared_encoding(b"<meta charset=big5>" + PADDING + late) == "big5"


def test_a_declaration_that_the_prescan_sees_half_of_counts() -> None:
    for cut in range(1, 20):
        page = b" " * (PRESCAN_BYTES - cut) + b"<meta charset=koi8-r><p>"
        assert declared_encoding(page) == "koi8-r"


@pytest.mark.parametrize("pattern", [
    b"<!--", b"<script>", b"<meta ", b"<meta charset=x>", b"<p a='", b"<", b"</", b"<!"])
def test_hostile_pages_take_linear_time(pattern: bytes) -> None:
    declared_encoding(pattern)
    start = time.process_time()
    declared_encoding(pattern * (4_000_000 // len(pattern)))
    assert time.process_time() - start < 2
