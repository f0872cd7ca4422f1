"""What a run knows of one document: its fields, its history, rules, removed spans, duplicates, tokens and rows."""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.heuristics.rules import column_of
from curate.selection.config import SelectConfig
from curate.why import History, follow, shard_spans, tokens_of
from manifests.errors import InputError
from manifests.single_rows import read_one, read_rows
from manifests.stage_files import StageFile, StageFiles
from manifests.storage import open_read
from manifests.tables import read_table
from pipelines.asking.index import Index
from pipelines.asking.telling import with_draws

_MAX_COPIES: Final = 50
_SCAN_SECONDS: Final = 3.0
_DIFF_CHARACTERS: Final = 40_000
_COMPARED_LINES: Final = 1_000
_DIFF_LINES: Final = 200
_TOKENS: Final = 400


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document is. file: of extracted documents or exclusions; row: of it; is_extracted: which of the two."""

    file: StageFile
    row: int
    is_extracted: bool


def locate(files: StageFiles, index: Index, doc_id: bytes) -> Place:
    """Where a document is; of one of the pieces that decontamination made, its parent.

    Raises InputError where the run has no document of that id."""
    for entry, row in index.documents(doc_id):
        if read_one(files.path(entry.file), row, ["doc_id"])["doc_id"] == doc_id:
            return Place(entry.file, row, entry.kind == "documents")
    for file, row in index.clean(doc_id):
        parent = read_one(files.path(file), row, ["parent_id"])["parent_id"]
        if parent is not None and parent != doc_id:
            return locate(files, index, parent)
    raise InputError("no document of the run has this id", where=doc_id.hex())


def history_of(files: StageFiles, index: Index, place: Place, recipe: Mapping[str, Any]) -> History:
    """Every decision about a document."""
    return with_draws(follow(files, place.file, place.row, index), recipe)


def rule_rows(fields: Mapping[str, Any], history: History, select: SelectConfig) -> list[dict[str, Any]]:
    """JSON-ready: each rule that the run asked, with the document's value; `passes` is None where it has none.

    Args:
        fields: Of the extracted document.
        history: Holds external signals.
        select: The run's.
    """
    stored = dict(fields)
    for decision in history.decisions:
        stored |= decision.facts if decision.stage.startswith("signals") else {}
    rows = []
    for rule in select.rules.in_force if select.rules is not None else ():
        value = stored.get(column_of(rule.signal))
        asked = rule.page_types is None or stored.get("page_type") in rule.page_types
        passes = None if value is None or not asked else not bool(rule.fails(np.array([value], np.float32))[0])
        rows.append({"rule": rule.reason, "signal": rule.signal, "value": value, "threshold": rule.threshold,
                     "side": "at least" if rule.at_least is not None else "at most", "passes": passes,
                     "paper": rule.paper})
    return rows


def clean_spans(files: StageFiles, index: Index, doc_id: bytes) -> tuple[list[tuple[int, int]], list[dict[str, Any]]]:
    """(byte spans of the extracted text that were kept, in order; the clean documents that are made of them)."""
    spans: list[tuple[int, int]] = []
    rows = []
    for file, row in index.clean(doc_id):
        found = read_one(files.path(file), row, ["doc_id", "parent_id", "source", "n_bytes", "edits"])
        spans += [(edit["start"], edit["end"]) for edit in found["edits"] or []]
        rows.append({**found, "file": file, "row": row})
    return sorted(spans), rows


def copies_of(files: StageFiles, doc_id: bytes) -> tuple[list[dict[str, Any]], bool]:
    """(documents that were dropped as duplicates of one: doc_id, reason, similarity; whether all decisions were read).
    """
    end, wanted = time.monotonic() + _SCAN_SECONDS, pa.scalar(doc_id, pa.binary(16))
    found: list[dict[str, Any]] = []
    for file in files.of("dedup/decisions", "decisions"):
        if time.monotonic() > end or len(found) >= _MAX_COPIES:
            return found[:_MAX_COPIES], False
        of = read_table(files.path(file), ["duplicate_of"])["duplicate_of"]
        rows = pc.indices_nonzero(pc.fill_null(pc.equal(of, wanted), False)).to_pylist()
        if rows:
            found += read_rows(files.path(file), rows, ["doc_id", "reason", "similarity"]).to_pylist()
    return found[:_MAX_COPIES], True


def difference(kept: str, other: str) -> list[str]:
    """Lines of a unified diff of two texts, of which 40,000 characters and 1,000 lines are compared; 200 at most."""
    one, two = (text[:_DIFF_CHARACTERS].splitlines()[:_COMPARED_LINES] for text in (kept, other))
    lines = difflib.unified_diff(one, two, lineterm="", n=2)
    return [line for _, line in zip(range(_DIFF_LINES + 2), lines, strict=False)][2:]


def token_ids(files: StageFiles, clean: Mapping[str, Any]) -> tuple[int, np.ndarray]:
    """(tokens of a clean document, the first 400 of their ids); none where it is not encoded. clean: as `clean_spans`
    gives it."""
    index = tokens_of(files, clean["file"], clean["source"])
    payload = None if index is None else files.by_task("tokens", "tokens").get(index.task)
    if index is None or payload is None or index.n_rows <= 0:
        return 0, np.empty(0, np.uint16)
    table = read_table(files.path(index), ["doc_id", "token_start", "n_tokens"])
    at = pc.index(table["doc_id"], pa.scalar(clean["doc_id"], pa.binary(16))).as_py()
    if at < 0:
        return 0, np.empty(0, np.uint16)
    total = pc.max(pc.add(table["token_start"], table["n_tokens"])).as_py()
    start, n = table["token_start"][at].as_py(), table["n_tokens"][at].as_py()
    with open_read(files.path(payload)) as file:
        file.seek(0, 2)
        # Two or four bytes an id: the file holds them all and nothing else.
        dtype = np.dtype("<u4" if file.tell() >= 4 * total else "<u2")
        file.seek(start * dtype.itemsize)
        data = file.read(min(n, _TOKENS) * dtype.itemsize)
    return n, np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)


def packed_spans(files: StageFiles, index: Index, doc_id: bytes) -> list[dict[str, Any]]:
    """Where a clean document is in packed shards: shard, row, epoch, n_tokens, doc_token_offset, token_start."""
    paths = dict(shard_spans(files.storage))
    columns = ["row", "epoch", "n_tokens", "doc_token_offset", "token_start"]
    return [{"shard": shard, **row} for shard, rows in index.spans(doc_id) if shard in paths
            for row in read_rows(paths[shard], rows[:200].tolist(), columns).to_pylist()]
