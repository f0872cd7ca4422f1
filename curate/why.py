"""Every decision a run took about one document, stage by stage, read from the tables the stages left.

A document is followed from its row of the extracted table: decisions lie in the same row of the tables of later stages,
so of each only the row group that holds it is read. What becomes of it behind the decisions, its rows of the clean
corpus and of packed shards, says a `Locator`: one that reads every table, or the look-ups that a run's index offers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from manifests.errors import InputError
from manifests.part_paths import part_name
from manifests.removals import DOCUMENTS as REMOVED
from manifests.schema import ID
from manifests.single_rows import read_one, read_rows
from manifests.stage_files import StageFile, StageFiles
from manifests.storage import Storage
from manifests.tables import read_table

_HEX_ID = re.compile(r"[0-9a-f]{32}")
_ORIGIN = ["doc_id", "source", "url", "origin_path", "origin_offset", "reason", "value", "threshold", "language",
           "language_score", "n_bytes"]
_DECISIONS: Final = (
    ("classifier/labels", "classifier/labels"), ("signals", "signals"), ("select", "select"),
    ("dedup", "dedup/decisions"), ("dedup/passages", "dedup/passage_decisions"),
    ("dedup", "dedup/marks"), ("dedup/passages", "dedup/cuts"),  # of 0.1.0
    ("dedup/substrings", "dedup/substrings"), ("decontaminate", "decontaminate"))
"""(what a person calls it, stage) in the order of the pipeline."""
_ROLES: Final = ("labels", "signals", "signal", "decisions", "marks")


@dataclass(frozen=True, slots=True)
class Decision:
    """What one stage did. verdict: kept, dropped, or a plain word; facts: what it measured, and against what."""

    stage: str
    verdict: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class History:
    """One document and everything that was decided about it, in the order of the stages."""

    doc_id: str
    source: str
    url: str | None
    origin_path: str
    origin_offset: int
    decisions: list[Decision] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {"doc_id": self.doc_id, "source": self.source, "url": self.url, "origin_path": self.origin_path,
                "origin_offset": self.origin_offset,
                "decisions": [{"stage": d.stage, "verdict": d.verdict, **d.facts} for d in self.decisions]}


class Locator(Protocol):
    """Where a document is behind the decisions."""

    def clean(self, doc_id: bytes) -> list[tuple[StageFile, int]]:
        """(file, row) of the rows of the clean corpus that are this document, or a part of it."""

    def spans(self, doc_id: bytes) -> list[tuple[str, npt.NDArray[np.int64]]]:
        """(shard, such as `train/000000`; rows of its spans) of a clean document."""


def explain(run: str, document: str) -> list[History]:
    """The histories of every document of a URL (an archive may hold it twice), or of one 32-digit doc_id.

    Every table is read; `pipelines.asking` answers the same from an index. Raises InputError where the run never saw
    it."""
    files = StageFiles(Storage(run))
    column, value = ("doc_id", bytes.fromhex(document)) if _HEX_ID.fullmatch(document) else ("url", document)
    histories = [follow(files, file, row, Scan(files)) for file, row in _find(files, column, value)]
    if not histories:
        raise InputError("no document or exclusion has this URL or id", where=document,
                         hint="URLs are compared as archived; `curate status` says which stages have run")
    return histories


def follow(files: StageFiles, file: StageFile, row: int, located: Locator) -> History:
    """The history of one document.

    Args:
        files: The run's.
        file: The file of extracted documents or of exclusions that holds it.
        row: Its row of that file.
        located: Finds it behind the decisions.
    Returns:
        Its history.
    """
    fields = read_one(files.path(file), row, _ORIGIN)
    history = History(fields["doc_id"].hex(), fields["source"], fields["url"], fields["origin_path"],
                      fields["origin_offset"])
    if "reason" in fields:
        facts = {k: fields.get(k) for k in ("reason", "value", "threshold", "language", "language_score")}
        history.decisions.append(Decision("extract", "dropped", facts))
        return history
    facts = {k: fields[k] for k in ("language", "language_score", "n_bytes")}
    history.decisions.append(Decision("extract", "kept", facts))
    for stage, folder in _DECISIONS:
        for decided in _of_part(files, folder, file.task):
            decision = read_one(files.path(decided), row)
            if stage == "dedup" and decision["duplicate_of"] is not None:
                decision["of_run"] = _earlier_run(files.storage, decision)
            name = f"signals/{decided.task.removesuffix(f'/{file.task}')}" if decided.role == "signal" else stage
            history.decisions.append(_decision(name, decision))
    history.decisions.extend(_removal(files.storage, fields["doc_id"]))
    history.decisions.extend(_clean_rows(files, located, fields["doc_id"]))
    return history


def _of_part(files: StageFiles, stage: str, task: str) -> Iterator[StageFile]:
    """The decisions of a stage about an extracted part; of signals, those of each plug-in."""
    for file in files.of(stage):
        if file.role in _ROLES and (file.task == task or (file.role == "signal" and file.task.endswith(f"/{task}"))):
            yield file


class Scan:
    """A locator that reads the tables themselves.

    Args:
        files: The run's.
    """

    def __init__(self, files: StageFiles) -> None:
        self._files = files

    def clean(self, doc_id: bytes) -> list[tuple[StageFile, int]]:
        wanted = pa.scalar(doc_id, ID)
        found = []
        for file in self._files.of("clean", "documents"):
            table = read_table(self._files.path(file), ["doc_id", "parent_id"])
            hits = pc.or_(pc.equal(table["doc_id"], wanted), pc.fill_null(pc.equal(table["parent_id"], wanted), False))
            found += [(file, int(row)) for row in pc.indices_nonzero(hits).to_pylist()]
        return found

    def spans(self, doc_id: bytes) -> list[tuple[str, npt.NDArray[np.int64]]]:
        found = []
        for shard, path in shard_spans(self._files.storage):
            rows = _places(read_table(path, ["doc_id"])["doc_id"], doc_id, ID)
            if rows:
                found.append((shard, np.asarray(rows, np.int64)))
        return found


def shard_spans(storage: Storage) -> list[tuple[str, str]]:
    """(shard, path of its spans) of every packed shard of a run, in order."""
    if not storage.exists("packed/manifest.parquet"):
        return []
    table = read_table(storage.path("packed/manifest.parquet"), ["path", "spans_path"])
    pairs = zip(table["path"].to_pylist(), table["spans_path"].to_pylist(), strict=True)
    return [(part_name(path.removesuffix(".bin")), storage.path(f"packed/{spans}")) for path, spans in pairs]


def _find(files: StageFiles, column: str, value: bytes | str) -> Iterator[tuple[StageFile, int]]:
    """(file, row) of every row of the extracted tables and exclusions that matches."""
    kind = ID if isinstance(value, bytes) else pa.string()
    for file in (*files.of("extract", "documents"), *files.of("extract", "exclusions")):
        for row in _places(read_table(files.path(file), [column])[column], value, kind):
            yield file, row


def _places(column: pa.ChunkedArray, value: bytes | str, kind: pa.DataType) -> list[int]:
    matches = pc.fill_null(pc.equal(column, pa.scalar(value, kind)), False)
    return [int(i) for i in pc.indices_nonzero(matches).to_pylist()]


def _earlier_run(storage: Storage, decision: dict[str, Any]) -> str | None:
    """The earlier run that a survivor is of, as the recipe names it, where it is of one."""
    number = decision["of_run"] if "of_run" in decision else _searched_run(storage, decision["duplicate_of"])
    if number is None:
        return None
    try:
        lock = yaml.safe_load(storage.read_bytes("recipe.lock.yaml") or b"")
        return str(lock["recipe"]["dedup"]["against"][number])
    except (yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"does not say which earlier run number {number} is: {error}",
                         where=storage.path("recipe.lock.yaml"), hint="put it back, or run the recipe again") from error


def _searched_run(storage: Storage, survivor: bytes) -> int | None:
    """The number of the earlier run that a survivor is of, in a run of 0.1.0, whose decisions do not hold it."""
    for path in storage.list("dedup/against"):
        parts = path.split("/")
        if parts[2].isdigit() and path.endswith(".parquet") and \
                _places(read_table(storage.path(path), ["doc_id"])["doc_id"], survivor, ID):
            return int(parts[2])
    return None


def _removal(storage: Storage, doc_id: bytes) -> Iterator[Decision]:
    if storage.exists(REMOVED):
        table = read_table(storage.path(REMOVED), ["doc_id", "request"])
        for row in table.filter(pc.equal(table["doc_id"], pa.scalar(doc_id, ID))).to_pylist():
            yield Decision("remove", "dropped", {"reason": "removed_on_request", "request": row["request"]})


def _decision(stage: str, row: dict[str, Any]) -> Decision:
    row.pop("doc_id")
    keep = row.pop("keep", None)
    edits = row.pop("edits", None)
    repeats = row.pop("removed_spans", row.pop("repeats", None)) if stage != "decontaminate" else None
    facts = {k: v.hex() if isinstance(v, bytes) else v for k, v in row.items()}
    if repeats:
        facts["repeated_passages"] = len(repeats)
        facts["repeated_bytes"] = sum(r["end"] - r["start"] for r in repeats)
        facts["first_in"] = sorted({r["duplicate_of"].hex() for r in repeats if r["duplicate_of"]})
    if edits is not None:
        facts["edited_spans"] = len(edits)
    if row.get("reason") == "not_selected":
        return Decision(stage, "not seen", {})
    return Decision(stage, "recorded" if keep is None else "kept" if keep else "dropped", facts)


def _clean_rows(files: StageFiles, located: Locator, doc_id: bytes) -> Iterator[Decision]:
    """What became of the document in the clean corpus and after it: a decision for each piece and each shard."""
    for file, row in located.clean(doc_id):
        piece = read_one(files.path(file), row, ["doc_id", "source", "n_bytes"])
        yield Decision("clean", "kept", {"doc_id": piece["doc_id"].hex(), "source": piece["source"],
                                         "n_bytes": piece["n_bytes"]})
        yield from _token_rows(files, file, row, piece)
        for shard, spans in located.spans(piece["doc_id"]):
            yield _packed(files.storage, shard, spans)


def tokens_of(files: StageFiles, clean: StageFile, source: str) -> StageFile | None:
    """The table of tokens of a file of clean documents, whose rows stand in its order."""
    name = clean.path.rpartition("/")[2].removesuffix(".parquet")
    return files.by_task("tokens", "index").get(f"{source}/{name}")


def _token_rows(files: StageFiles, clean: StageFile, row: int, piece: dict[str, Any]) -> Iterator[Decision]:
    """Where the rows of a table are not those of the clean documents, it is searched."""
    file = tokens_of(files, clean, piece["source"])
    if file is None:
        return
    path, columns = files.path(file), ["doc_id", "n_tokens"]
    found = read_rows(path, [row], columns).to_pylist() if row < file.n_rows else []
    if not found or found[0]["doc_id"] != piece["doc_id"]:
        table = read_table(path, columns)
        found = table.filter(pc.equal(table["doc_id"], pa.scalar(piece["doc_id"], ID))).to_pylist()
    for tokens in found:
        yield Decision("tokens", "encoded", {"n_tokens": tokens["n_tokens"]})


def _packed(storage: Storage, shard: str, spans: Sequence[int] | npt.NDArray[np.int64]) -> Decision:
    path = dict(shard_spans(storage))[shard]
    own = read_rows(path, list(spans), ["row", "epoch", "n_tokens"])
    rows = own["row"].to_pylist()
    facts = {"shard": shard, "rows": f"{rows[0]}-{rows[-1]}", "spans": len(own),
             "epochs": len(set(own["epoch"].to_pylist())), "n_tokens": pc.sum(own["n_tokens"]).as_py()}
    return Decision("packed", "packed", facts)

