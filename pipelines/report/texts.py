"""Texts that a report shows: duplicates beside what they repeat, matches of benchmarks, spans that were removed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.hashing import id_words, keyed_hash
from manifests.single_rows import read_one
from manifests.stage_files import StageFiles
from manifests.tables import one_array, read_table
from pipelines.report.flow import Flow
from pipelines.report.signals import text_of

_LARGEST: Final = 10
_MATCHES: Final = 3
_EDITED: Final = 6
_CHARACTERS: Final = 1_500
_LINES: Final = 40
_LONGEST: Final = 400

Spans = list[tuple[int, int]]


def duplicate_groups(files: StageFiles, flow: Flow) -> list[dict[str, Any]]:
    """The documents that most others repeat, each with one that repeats it and the lines that differ."""
    wanted = [doc_id for doc_id, _ in flow.groups.most_common(_LARGEST)]
    ids = pa.array(wanted, pa.binary(16))
    copies: dict[bytes, tuple[str, int, float | None]] = {}
    places: dict[bytes, tuple[str, int]] = {}
    for task in flow.tasks:
        decided = files.by_task("dedup/decisions", "decisions").get(task)
        if decided is None or not wanted:
            continue
        table = read_table(files.path(decided), ["doc_id", "duplicate_of", "similarity"])
        for row in pc.indices_nonzero(pc.is_in(table["doc_id"], ids)).to_pylist():
            places[table["doc_id"][row].as_py()] = (task, row)
        for row in pc.indices_nonzero(pc.is_in(table["duplicate_of"], ids)).to_pylist():
            similarity = table["similarity"][row].as_py()
            of = table["duplicate_of"][row].as_py()
            known = copies.get(of)
            # The copy that differs most says most.
            if known is None or (similarity or 1.0) < (known[2] or 1.0):
                copies[of] = (task, row, similarity)
    return [_group(files, doc_id, flow.groups[doc_id], places[doc_id], copies[doc_id])
            for doc_id in wanted if doc_id in places and doc_id in copies]


def _group(files: StageFiles, doc_id: bytes, n: int, place: tuple[str, int],
           copy: tuple[str, int, float | None]) -> dict[str, Any]:
    kept, other = text_of(files, *place), text_of(files, copy[0], copy[1])
    lines = difflib.unified_diff(kept["text"][:20_000].splitlines(), other["text"][:20_000].splitlines(),
                                 lineterm="", n=1)
    changed = [line[:300] for line in lines][2 : 2 + _LINES]
    return {"doc_id": doc_id.hex(), "url": kept["url"], "duplicates": n, "copy_url": other["url"],
            "copy": other["doc_id"].hex(), "similarity": copy[2], "diff": changed}


def contaminated(files: StageFiles, tasks: list[str]) -> list[dict[str, Any]]:
    """Some matches of every benchmark: the literal text that is its item's too, between what surrounds it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        decided = files.by_task("decontaminate", "decisions").get(task)
        if decided is None:
            continue
        spans = one_array(read_table(files.path(decided), ["removed_spans"])["removed_spans"])
        for row in pc.indices_nonzero(pc.greater(pc.fill_null(pc.list_value_length(spans), 0), 0)).to_pylist():
            for span in spans[row].as_py():
                own = found.setdefault(span["benchmark"], [])
                if len(own) < _MATCHES:
                    own.append(_match(files, task, row, span))
    return [match for _, matches in sorted(found.items()) for match in matches]


def _match(files: StageFiles, task: str, row: int, span: dict[str, Any]) -> dict[str, Any]:
    document = text_of(files, task, row)
    data = document["text"].encode()
    start, end = span["start"], span["end"]
    return {"benchmark": span["benchmark"], "item": span["item"], "doc_id": document["doc_id"].hex(),
            "url": document["url"], "before": _decoded(data[max(0, start - 120) : start]),
            "match": _decoded(data[start:end])[:600], "after": _decoded(data[end : end + 120])}


def edited(files: StageFiles, tasks: list[str]) -> list[dict[str, Any]]:
    """Some kept documents of which something was removed: their extracted text, in pieces that stay or go."""
    candidates: list[tuple[int, str, int]] = []
    documents = files.by_task("extract", "documents")
    for task, row, doc_id in _cut(files, tasks):
        key = int(keyed_hash(0, "sample", id_words(pa.array([doc_id], pa.binary(16))))[0])
        candidates = sorted([*candidates, (key, task, row)])[:_EDITED]
    found = []
    for _, task, row in candidates:
        document = read_one(files.path(documents[task]), row, ["doc_id", "url", "source", "text"])
        kept = _kept_spans(files, task, document["doc_id"])
        pieces = in_pieces(document["text"].encode(), kept, _CHARACTERS, _LONGEST)
        found.append({"doc_id": document["doc_id"].hex(), "url": document["url"], "source": document["source"],
                      "pieces": pieces})
    return found


def _cut(files: StageFiles, tasks: list[str]) -> Iterator[tuple[str, int, bytes]]:
    """(part, row, id) of the first documents of each part whose clean text is not the extracted one."""
    for task in tasks:
        wanted: list[bytes] = []
        for file in files.of_task("clean", "documents", task):
            table = read_table(files.path(file), ["doc_id", "parent_id", "edits"])
            edits = one_array(table["edits"])
            cut = pc.or_(table["parent_id"].is_valid(), pc.greater(pc.list_value_length(edits), 1))
            rows = table.filter(cut).slice(0, _EDITED)
            wanted += pc.coalesce(rows["parent_id"], rows["doc_id"]).to_pylist()
        if wanted:
            ids = read_table(files.path(files.by_task("extract", "documents")[task]), ["doc_id"])["doc_id"]
            for row in pc.indices_nonzero(pc.is_in(ids, pa.array(wanted, pa.binary(16)))).to_pylist():
                yield task, row, ids[row].as_py()


def _kept_spans(files: StageFiles, task: str, doc_id: bytes) -> Spans:
    """Byte spans of an extracted text that its clean documents are made of, in order."""
    spans: Spans = []
    wanted = pa.scalar(doc_id, pa.binary(16))
    for file in files.of_task("clean", "documents", task):
        table = read_table(files.path(file), ["doc_id", "parent_id", "edits"])
        own = pc.or_(pc.equal(table["doc_id"], wanted), pc.fill_null(pc.equal(table["parent_id"], wanted), False))
        for row in table.filter(own).to_pylist():
            spans += [(edit["start"], edit["end"]) for edit in row["edits"] or []]
    return sorted(spans)


def in_pieces(data: bytes, kept: Spans, budget: int, longest: int | None) -> list[dict[str, Any]]:
    """A text in pieces: `text`, and whether it was `kept`.

    Args:
        data: The text, in UTF-8.
        kept: Byte spans of it that stay, in order.
        budget: Characters to give, about; the last piece may be longer.
        longest: Characters of a piece, which is shortened in its middle; None for all.
    """
    bounds = np.array([0, *(edge for span in kept for edge in span), len(data)])
    found = []
    for i, (start, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        if start >= end or budget <= 0:
            continue
        text = _decoded(data[start:end])
        if longest is None:
            text = text[:budget]
        elif len(text) > longest:
            text = f"{text[: longest // 2]} … {text[-longest // 2 :]}"
        budget -= len(text)
        found.append({"kept": i % 2 == 1, "text": text})
    return found


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")
