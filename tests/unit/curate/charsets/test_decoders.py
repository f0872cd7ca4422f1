"""Every decoder against the digests of what an implementation of the Encoding Standard makes of the same bytes."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from curate.charsets.decoders import REPLACEMENT, Decoded, encoding_of, to_utf8

_GOLDEN: Final[dict[str, list[str]]] = json.loads(
    lzma.decompress(Path(__file__).with_name("golden.json.xz").read_bytes()))
_LABELS: Final = [line.split("\t") for line in Path("curate/charsets/labels.tsv").read_text().splitlines()[1:]]
_ENCODINGS: Final = sorted({encoding for _, encoding in _LABELS} - {REPLACEMENT})
_SYNTAX: Final = (0x0A, 0x1B, 0x24, 0x28, 0x42, 0x40, 0x4A, 0x49, 0x30, 0x39, 0x5C, 0x7E, 0x61, 0x80, 0x8E, 0x8F, 0xA0,
                  0xFF, 0xD8, 0xDC)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


def block(encoding: str, prefix: bytes, suffix: bytes = b"") -> str:
    """Of a prefix and any byte, as `scripts/encodings/oracle.mjs` has it."""
    return digest(to_utf8(b"".join(prefix + bytes([byte]) + suffix + b"\n" for byte in range(256)), encoding).data)


def test_labels() -> None:
    assert len(_LABELS) == 228
    for label, encoding in _LABELS:
        assert encoding_of(f"\n {label.upper()}\t") == encoding
    assert encoding_of(None) is None
    for label in ("", "utf8 8", "\xa0utf-8", "cp949", "utf-7", "iso-8859-12"):
        assert encoding_of(label) is None


@pytest.mark.parametrize("encoding", _ENCODINGS)
def test_every_sequence_of_two_bytes(encoding: str) -> None:
    if len(_GOLDEN[encoding]) == 1:
        assert [digest(to_utf8(bytes(range(256)), encoding).data)] == _GOLDEN[encoding]
    else:
        assert [block(encoding, bytes([lead])) for lead in range(256)] == _GOLDEN[encoding]


def test_every_sequence_of_three_and_four_bytes() -> None:
    assert [block("euc-jp", bytes([0x8F, lead])) for lead in range(256)] == _GOLDEN["euc-jp of three bytes"]
    digits, others = range(0x30, 0x3A), range(0x81, 0xFF)
    tails = [bytes([b, c, d, 10]) for b in digits for c in others for d in digits]
    got = [digest(to_utf8(b"".join(bytes([lead]) + tail for tail in tails), "gb18030").data) for lead in others[::7]]
    assert got == _GOLDEN["gb18030 of four bytes"][::7]


def test_every_state_of_iso_2022_jp() -> None:
    assert [block("iso-2022-jp", b"\x1b$B" + bytes([lead]), b"\x1b(B") for lead in range(256)] == (
        _GOLDEN["iso-2022-jp in jis0208"])
    for state, mark in (("roman", b"J"), ("katakana", b"I")):
        assert [block("iso-2022-jp", b"\x1b(" + mark, b"\x1b(B")] == _GOLDEN[f"iso-2022-jp in {state}"]


def xorshift() -> Iterator[int]:
    state = 2463534242
    while True:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        yield state


def test_random_strings_that_end_anywhere() -> None:
    drawn = xorshift()
    for encoding in _ENCODINGS:
        digests = []
        for _ in range(8):
            texts = []
            for _ in range(64):
                words = [next(drawn) for _ in range(next(drawn) % 24)]
                raw = bytes(word >> 8 & 0xFF if word % 3 else _SYNTAX[(word >> 8) % len(_SYNTAX)] for word in words)
                texts.append(to_utf8(raw, encoding).data)
            digests.append(digest(b"\n".join(texts)))
        assert digests == _GOLDEN[f"{encoding}, random"], encoding


def test_errors_are_counted() -> None:
    assert to_utf8("é".encode() + b"\xff\xef\xbf\xbd", "utf-8") == Decoded("é\ufffd\ufffd".encode(), 1, 2)
    assert to_utf8(b"a\x81 \xff", "gbk").n_errors == 2
    assert to_utf8(b"\x1b$B0l\x7f\x1b(B.", "iso-2022-jp") == Decoded("一\ufffd.".encode(), 1, 1)
    assert to_utf8(b"<p>x", REPLACEMENT).data == "\ufffd".encode()
    assert to_utf8(b"", REPLACEMENT).data == b""
