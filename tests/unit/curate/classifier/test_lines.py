"""The classifier's lines against a plain Python reading of their definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.classifier.lines import classifier_lines
from curate.text.unicode import KIND, LOWER, PUNCTUATION, SPACE, TABLE_SIZE

_UNSPACED = ((0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x3040, 0x3100), (0x3400, 0x4DC0),
             (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x110000))


def reference(text: str, max_bytes: int) -> str:
    """Tokens one by one, then as many characters as fit."""
    line, gap = "", False
    for char in text:
        c = ord(char)
        kind = KIND[c] if c < TABLE_SIZE else 0
        if kind == SPACE or c < 0x20 or 0x7F <= c < 0xA0:
            gap = True
            continue
        alone = kind == PUNCTUATION or any(a <= c < b for a, b in _UNSPACED)
        piece = (" " if line and (gap or alone) else "") + (chr(LOWER[c]) if c < TABLE_SIZE else char)
        if len((line + piece).encode()) > max_bytes:
            break
        line += piece
        gap = alone
    return line


TEXTS = st.text(max_size=40) | st.text("aA .,_\0\n\u3042\u4e2d\u00e9\u023a\U0001f600", max_size=40)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, max_size=6), st.integers(0, 60))
def test_lines_are_the_reference(texts: list[str], max_bytes: int) -> None:
    lines = classifier_lines(pa.array(texts, pa.large_string()), max_bytes).to_pylist()
    assert lines == [reference(text, max_bytes) for text in texts]
    assert classifier_lines(pa.array(lines, pa.large_string()), max_bytes).to_pylist() == lines


@pytest.mark.parametrize(("text", "line"), [
    ("Hello,\n\tWORLD\0!", "hello , world !"),
    ("__label__positive </s>", "_ _ label _ _ positive < / s >"),
    ("日本語 text", "日 本 語 text"),
    ("Straße ÉTÉ", "straße été"),
    (" \r\n ", ""), (None, "")])
def test_examples(text: str | None, line: str) -> None:
    assert classifier_lines(pa.array([text], pa.string()), 100).to_pylist() == [line]


def test_slices_and_chunks_are_read_where_they_stand() -> None:
    texts = pa.chunked_array([pa.array(["One", "Two"], pa.large_string()), pa.array(["THREE"], pa.large_string())])
    assert classifier_lines(texts.slice(1), 100).to_pylist() == ["two", "three"]
    assert classifier_lines(texts.slice(3), 100).to_pylist() == []
