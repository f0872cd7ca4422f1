"""Two runs beside each other: what their recipes say, what became of their documents, what their data is made of.

Documents are compared part by part, by id: ids are made of source, file and place, so a page has the same one in both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from manifests.records import differences
from manifests.single_rows import read_rows
from manifests.stage_files import StageFiles
from manifests.tables import read_table
from pipelines.asking.fates import exclusions_of, fates_of, named, tasks_of
from pipelines.asking.lock import locked_recipe

ABSENT: Final = "not in the run"
_TOKENIZER: Final = ("vocab_size", "pattern", "bytes_per_token", "sha256")
_MOVED: Final = pa.schema([("doc_id", pa.binary(16)), ("kind", pa.string()), ("row", pa.int64()),
                           ("before", pa.string()), ("after", pa.string())])


def compare(first: StageFiles, second: StageFiles, n_documents: int = 0) -> dict[str, Any]:
    """What differs between two runs.

    Args:
        first: Files of the one.
        second: Files of the other.
        n_documents: How many documents that moved are named.
    Returns:
        JSON-ready: `recipe`, fields that differ; `fates`, documents by what became of them in both; `moves`, how many
        went from which fate to which; `documents`, some that moved; `mixture` and `tokenizer` of both.
    """
    fates: list[Counter[str]] = [Counter(), Counter()]
    moves: Counter[tuple[str, str]] = Counter()
    documents: list[dict[str, Any]] = []
    for task in sorted({*tasks_of(first), *tasks_of(second)}):
        tables = [_fates(files, task) for files in (first, second)]
        for counter, table in zip(fates, tables, strict=True):
            counter.update({row["values"]: row["counts"] for row in pc.value_counts(table["fate"]).to_pylist()})
        moved = _moved(*tables)
        moves.update((row["before"], row["after"]) for row in moved.select(["before", "after"]).to_pylist())
        if len(documents) < n_documents:
            documents += _documents(first, second, task, moved, n_documents - len(documents))
    return {
        "recipe": [{"field": field, "before": a, "after": b}
                   for field, a, b in differences(_recipe(first), _recipe(second))],
        "fates": [{"fate": fate, "before": fates[0][fate], "after": fates[1][fate]}
                  for fate in sorted({*fates[0], *fates[1]}, key=lambda f: (-max(fates[0][f], fates[1][f]), f))],
        "moves": [{"before": a, "after": b, "documents": n}
                  for (a, b), n in sorted(moves.items(), key=lambda item: (-item[1], item[0]))],
        "documents": documents, "mixture": _mixture(first, second), "tokenizer": _tokenizer(first, second)}


def _recipe(files: StageFiles) -> Mapping[str, Any]:
    return {k: v for k, v in locked_recipe(files.storage).items() if k not in ("http", "s3")}


def _fates(files: StageFiles, task: str) -> pa.Table:
    """doc_id, kind, row and fate of everything in a part; no row where the run has no such part."""
    tables = []
    if task in files.by_task("extract", "documents"):
        for kind, fates in (("documents", fates_of(files, task)), ("exclusions", exclusions_of(files, task))):
            tables.append(pa.table({"doc_id": fates["doc_id"], "kind": pa.array([kind] * len(fates), pa.string()),
                                    "row": fates["row"], "fate": named(fates)}))
    empty = pa.table({"doc_id": pa.array([], pa.binary(16)), "kind": pa.array([], pa.string()),
                      "row": pa.array([], pa.int64()), "fate": pa.array([], pa.string())})
    return pa.concat_tables([empty, *tables])


def _moved(first: pa.Table, second: pa.Table) -> pa.Table:
    """Documents whose fates differ, in the order of the first run, then those that only the second has."""
    position = pc.index_in(first["doc_id"], second["doc_id"].combine_chunks())
    after = pc.fill_null(second["fate"].take(position), ABSENT)
    own = pa.table([first["doc_id"], first["kind"], first["row"], first["fate"], after], schema=_MOVED)
    known = pc.is_in(second["doc_id"], first["doc_id"].combine_chunks()).to_numpy(zero_copy_only=False)
    new = second.filter(pa.array(~known))
    added = pa.table([new["doc_id"], new["kind"], new["row"], pa.array([ABSENT] * len(new), pa.string()), new["fate"]],
                     schema=_MOVED)
    both = pa.concat_tables([own, added])
    return both.filter(pc.not_equal(both["before"], both["after"]))


def _documents(first: StageFiles, second: StageFiles, task: str, moved: pa.Table, n: int) -> list[dict[str, Any]]:
    rows = []
    for row in moved.slice(0, n).to_pylist():
        files = second if row["before"] == ABSENT else first
        found = read_rows(files.path(files.by_task("extract", row["kind"])[task]), [row["row"]], ["url", "source"])
        rows.append({"doc_id": row["doc_id"].hex(), **found.to_pylist()[0], "before": row["before"],
                     "after": row["after"]})
    return rows


def _mixture(*runs: StageFiles) -> list[dict[str, Any]]:
    tables: list[dict[str, dict[str, Any]]] = []
    for files in runs:
        name = "packed/sources.parquet"
        there = files.storage.exists(name)
        rows = read_table(files.storage.path(name)).to_pylist() if there else []
        tables.append({row["name"]: row for row in rows})
    facts = ("available_tokens", "selected_tokens", "epochs", "realised_share")
    return [{"source": source, **{f"{fact}_{side}": table.get(source, {}).get(fact)
                                  for fact in facts for side, table in zip(("before", "after"), tables, strict=True)}}
            for source in sorted({*tables[0], *tables[1]})]


def _tokenizer(*runs: StageFiles) -> list[dict[str, Any]]:
    metrics = [json.loads(files.storage.read_bytes("tokenizer/metrics.json") or b"{}") for files in runs]
    return [{"fact": fact, "before": metrics[0].get(fact), "after": metrics[1].get(fact)}
            for fact in _TOKENIZER if any(fact in m for m in metrics)]


def comparison_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """A comparison for a person."""
    yield "recipe" if facts["recipe"] else "recipe: the same"
    for row in facts["recipe"]:
        yield f"  {row['field']}: {_short(row['before'])} -> {_short(row['after'])}"
    yield "documents"
    for row in facts["fates"]:
        change = row["after"] - row["before"]
        yield f"  {row['fate']:<44} {row['before']:>12,} {row['after']:>12,} {change:>+10,}"
    yield "moved" if facts["moves"] else "moved: none"
    for row in facts["moves"]:
        yield f"  {row['documents']:>9,}  {row['before']} -> {row['after']}"
    for row in facts["documents"]:
        yield f"  {row['doc_id']}  {row['url'] or '(no URL)'}"
        yield f"    {row['before']} -> {row['after']}"
    if facts["mixture"]:
        yield "mixture: available tokens, drawn tokens, epochs, actual share"
    for row in facts["mixture"]:
        pairs = [_pair(row, "available_tokens", ",d"), _pair(row, "selected_tokens", ",d"), _pair(row, "epochs", ".3f"),
                 _pair(row, "realised_share", ".2%")]
        yield f"  {row['source']:<16} {'   '.join(pairs)}"
    for row in facts["tokenizer"]:
        same = row["before"] == row["after"]
        yield f"tokenizer {row['fact']}: {row['before']}" + ("" if same else f" -> {row['after']}")


def _pair(row: Mapping[str, Any], fact: str, form: str) -> str:
    a, b = (row[f"{fact}_{side}"] for side in ("before", "after"))
    texts = ["none" if value is None else format(value, form) for value in (a, b)]
    return texts[0] if texts[0] == texts[1] else " -> ".join(texts)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:60] + "…"
