"""Edits of plug-ins against what Python's slices give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.selection.plugin_edits import plugin_spans
from manifests.errors import StageError
from manifests.plugins import Loaded, Plugin

CHANGES = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("replacement", pa.string())]))
Changes = Sequence[tuple[int, int, str]]


class Fixed:
    """Says what it is told of each text, and keeps what it was given."""

    def __init__(self, found: Any) -> None:
        self.found = found
        self.given: list[str] = []

    def changes(self, texts: pa.LargeStringArray) -> Any:
        self.given = texts.to_pylist()
        return self.found


def loaded(found: Any) -> Loaded:
    from importlib.metadata import EntryPoint

    point = EntryPoint("fixed", "tests:Fixed", "curate.edits")
    return Loaded(Plugin("edits", "fixed", "tests", "1.0", point), Fixed(found), "select/a/b")


def column(changes: Sequence[Changes | None]) -> pa.Array:
    return pa.array([None if spans is None else [
        {"start": a, "end": b, "replacement": word} for a, b, word in spans] for spans in changes], CHANGES)


def applied(text: str, changes: Changes) -> str:
    data, out, at = text.encode(), b"", 0
    for start, end, replacement in changes:
        out += data[at:start] + replacement.encode()
        at = end
    return (out + data[at:]).decode()


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, Changes]:
    """A text and changes of it, at borders of characters, in order and apart."""
    text = draw(st.text("aä€😀 ", max_size=12))
    borders = [len(text[:n].encode()) for n in range(len(text) + 1)]
    cuts = sorted(draw(st.lists(st.sampled_from(borders), max_size=6)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    return text, [(a, b, draw(st.sampled_from(["", "x", "€"]))) for a, b in spans if b > a]


@settings(max_examples=200)
@given(st.lists(st.tuples(edited(), st.booleans()), min_size=1, max_size=8))
def test_changes_are_applied(documents: list[tuple[tuple[str, Changes], bool]]) -> None:
    texts = pa.array([text for (text, _), _ in documents], pa.large_string())
    keep = pa.array([kept for _, kept in documents])
    plugin = loaded(column([changes for (_, changes), kept in documents if kept]))
    spans, n_changed = plugin_spans(plugin, texts, keep)
    assert plugin.object.given == [text for (text, _), kept in documents if kept]
    assert spans.texts(texts).to_pylist() == [
        applied(text, changes) if kept else text for (text, changes), kept in documents]
    assert n_changed == sum(bool(changes) for (_, changes), kept in documents if kept)
    assert spans.array().to_pylist() is not None
    assert (np.diff(spans.bounds) >= 0).all()


def test_a_null_leaves_a_text_as_it_is() -> None:
    texts = pa.array(["one", "two"], pa.string())
    spans, n_changed = plugin_spans(loaded(column([None, [(0, 1, "T")]])), texts, pa.array([True, True]))
    assert spans.texts(texts).to_pylist() == ["one", "Two"]
    assert n_changed == 1


@pytest.mark.parametrize(("found", "message"), [
    (column([[]]), "changes of 1 texts for 2 texts"),
    (pa.array([1, 2]), "returned int64, not list<struct"),
    ("text", "returned str, not list<struct"),
    (pa.array([[{"start": None, "end": 1, "replacement": ""}], []], CHANGES), "without a start or an end"),
    (column([[(2, 1, "")], []]), "bytes 2 to 1"),
    (column([[(-1, 1, "")], []]), "bytes -1 to 1"),
    (column([[(0, 2, "")], []]), "byte 2, inside a character"),
])
def test_what_are_no_changes(found: Any, message: str) -> None:
    with pytest.raises(StageError, match=message) as caught:
        plugin_spans(loaded(found), pa.array(["a€", "b"], pa.large_string()), pa.array([True, True]))
    assert str(caught.value).startswith("select/a/b: edit plug-in 'fixed' (tests 1.0)")
