"""Every decision a run took about one document, stage by stage, read from the tables the stages left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from curate.heuristics.stages import FOLDERS
from manifests.errors import InputError
from manifests.removals import DOCUMENTS as REMOVED
from manifests.schema import ID
from manifests.storage import Storage
from manifests.tables import open_table, read_table

_HEX_ID = re.compile(r"[0-9a-f]{32}")
_ORIGIN = ["doc_id", "source", "url", "origin_path", "origin_offset"]
_DECISIONS = (("classifier/labels", "classifier/labels"), ("signals", "signals"), ("select", "select"),
              ("dedup", "dedup/decisions"), ("dedup/passages", "dedup/passage_decisions"),
              ("dedup", "dedup/marks"), ("dedup/passages", "dedup/cuts"),  # of 0.1.0
              ("dedup/substrings", "dedup/substrings"),
              ("decontaminate", "decontaminate"))


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


def explain(run: str, document: str) -> list[History]:
    """The histories of every document of a URL (an archive may hold it twice), or of one 32-digit doc_id.

    Raises InputError where the run never saw it."""
    storage = Storage(run)
    column, value = ("doc_id", bytes.fromhex(document)) if _HEX_ID.fullmatch(document) else ("url", document)
    histories = [_follow(storage, path, row, fields) for path, row, fields in _find(storage, column, value)]
    if not histories:
        raise InputError("no document or exclusion has this URL or id", where=document,
                         hint="URLs are compared as archived; `curate status` says which stages have run")
    return histories


def print_decisions(histories: list[History]) -> None:
    """Print histories for a person."""
    for history in histories:
        print(f"{history.doc_id}  {history.url or ''}")
        print(f"  from {history.origin_path} at {history.origin_offset}, source {history.source}")
        for decision in history.decisions:
            facts = "  ".join(f"{k}={_show(v)}" for k, v in decision.facts.items() if v is not None)
            print(f"  {decision.stage:<18} {decision.verdict:<9} {facts}")


def _show(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _find(storage: Storage, column: str, value: bytes | str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(path, row, fields) of every row of the extracted tables and exclusions that matches."""
    kind = ID if isinstance(value, bytes) else pa.string()
    for path in storage.list("extract"):
        if not path.endswith(".parquet") or PurePosixPath(path).name == "manifest.parquet":
            continue
        with open_table(storage.path(path)) as file:
            extra = [c for c in ("reason", "value", "threshold", "language", "language_score", "n_bytes")
                     if c in file.schema_arrow.names]
            table = file.read(columns=[*_ORIGIN, *extra], use_threads=False)
        for row in _places(table[column], value, kind):
            yield path, row, table.slice(row, 1).to_pylist()[0]


def _places(column: pa.ChunkedArray, value: bytes | str, kind: pa.DataType) -> list[int]:
    matches = pc.fill_null(pc.equal(column, pa.scalar(value, kind)), False)
    return [int(i) for i in pc.indices_nonzero(matches).to_pylist()]


def _follow(storage: Storage, path: str, row: int, fields: dict[str, Any]) -> History:
    doc_id = fields["doc_id"]
    history = History(doc_id.hex(), fields["source"], fields["url"], fields["origin_path"], fields["origin_offset"])
    if "reason" in fields:
        facts = {k: fields.get(k) for k in ("reason", "value", "threshold", "language", "language_score")}
        history.decisions.append(Decision("extract", "dropped", facts))
        return history
    facts = {k: fields[k] for k in ("language", "language_score", "n_bytes")}
    history.decisions.append(Decision("extract", "kept", facts))
    part = str(PurePosixPath(path).relative_to("extract").with_suffix(""))
    signals = {PurePosixPath(name).parts[1] for name in storage.list("signals")
               if name.endswith(f"/{part}.parquet") and len(PurePosixPath(name).parts) == 4}
    folders = [("signals", f"signals/{name}") for name in sorted(signals - FOLDERS)]  # of plug-ins
    for stage, folder in (_DECISIONS[0], *folders, *_DECISIONS[1:]):
        if storage.exists(f"{folder}/{part}.parquet"):
            table = read_table(storage.path(f"{folder}/{part}.parquet"))
            decision = table.slice(row, 1).to_pylist()[0]
            if stage == "dedup" and decision["duplicate_of"] is not None:
                decision["of_run"] = _earlier_run(storage, decision)
            history.decisions.append(_decision(stage, decision))
    history.decisions.extend(_removal(storage, doc_id))
    history.decisions.extend(_clean_rows(storage, doc_id, PurePosixPath(part).name))
    return history


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
        parts = PurePosixPath(path).parts
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


def _clean_rows(storage: Storage, doc_id: bytes, part: str) -> Iterator[Decision]:
    """What became of the document in the clean corpus and after it: a decision for each piece and each fragment."""
    wanted = pa.scalar(doc_id, ID)
    for path in storage.list("clean"):
        if PurePosixPath(path).stem != part or not path.endswith(".parquet"):
            continue
        table = read_table(storage.path(path), ["doc_id", "parent_id", "source", "n_bytes"])
        hits = pc.or_(pc.equal(table["doc_id"], wanted), pc.fill_null(pc.equal(table["parent_id"], wanted), False))
        for piece in table.filter(hits).to_pylist():
            yield Decision("clean", "kept", {"doc_id": piece["doc_id"].hex(), "source": piece["source"],
                                             "n_bytes": piece["n_bytes"]})
            yield from _token_rows(storage, piece["doc_id"], f"tokens/{piece['source']}/{part}.parquet")


def _token_rows(storage: Storage, doc_id: bytes, path: str) -> Iterator[Decision]:
    wanted = pa.scalar(doc_id, ID)
    if storage.exists(path):
        table = read_table(storage.path(path), ["doc_id", "n_tokens"])
        for row in table.filter(pc.equal(table["doc_id"], wanted)).to_pylist():
            yield Decision("tokens", "encoded", {"n_tokens": row["n_tokens"]})
    for spans in storage.list("packed"):
        if spans.endswith(".spans.parquet"):
            table = read_table(storage.path(spans), ["doc_id", "row", "epoch", "n_tokens"])
            own = table.filter(pc.equal(table["doc_id"], wanted))
            if len(own):
                rows = own["row"].to_pylist()
                shard = spans.removeprefix("packed/").removesuffix(".spans.parquet")
                facts = {"shard": shard, "rows": f"{rows[0]}-{rows[-1]}", "spans": len(own),
                         "epochs": len(set(own["epoch"].to_pylist())), "n_tokens": pc.sum(own["n_tokens"]).as_py()}
                yield Decision("packed", "packed", facts)
