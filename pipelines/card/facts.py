"""What the papers of a dataset say, taken from a run: sizes, sources, languages, days, domains, steps, opt-outs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow.compute as pc

from manifests.removals import DOCUMENTS as REMOVED
from manifests.stage_files import DECIDING, StageFiles
from manifests.tables import read_table
from pipelines.asking.alarms import tokenizer_metrics
from pipelines.asking.counting import NO_HOST, domains, require_clean, stats
from pipelines.asking.fates import clean_tables
from pipelines.asking.lock import locked_recipe
from pipelines.locking import read_lock
from pipelines.totals import totals_of

_ALL: Final = 1 << 31
_SIZES: Final = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
                 (10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))
_OPT_OUT: Final = ("robots", "opted_out", "noindex", "noai", "tdm", "blocked", "blocklist")


def gather(files: StageFiles) -> dict[str, Any]:
    """The facts of a run that has a clean corpus; raises InputError where it has none."""
    require_clean(files)
    recipe = locked_recipe(files.storage)
    rows = stats(files)
    totals = {name: sum(int(row[name]) for row in rows) for name in ("documents", "bytes", "tokens")}
    every = [row for row in domains(files, _ALL) if row["domain"] != NO_HOST and row["documents"]]
    return {
        "name": str(recipe.get("name")), "seed": recipe.get("seed"), **totals, "by": rows,
        "languages": _summed(rows, "language"), "sources": _sources(files, recipe, rows),
        "domains": every, "funnel": _funnel(files), "extract": recipe.get("extract") or {},
        "opted_out": {reason: n for reason, n in _dropped(files, "extract").items()
                      if any(word in reason for word in _OPT_OUT)},
        "removed": _rows_of(files, REMOVED), "benchmarks": _benchmarks(files), "tokenizer": tokenizer_metrics(files),
        "recipe": recipe, "finished": _finished(files), "digest": _digest(files)}


def size_category(documents: int) -> str:
    """The Hugging Face hub's category of a number of documents."""
    return next((name for limit, name in _SIZES if documents < limit), "n>1B")


def _summed(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    sums: dict[str, dict[str, Any]] = {}
    for row in rows:
        total = sums.setdefault(row[key] or "", {key: row[key] or "", "documents": 0, "bytes": 0, "tokens": 0})
        for name in ("documents", "bytes", "tokens"):
            total[name] += row[name]
    return sorted(sums.values(), key=lambda total: -int(total["bytes"]))


def _sources(files: StageFiles, recipe: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each source of the recipe: its size, the days of its documents, what its files are, its part of the mixture."""
    days = _days(files)
    mixed = {row["name"]: row for row in _table(files, "packed/sources.parquet")}
    sizes = {total["source"]: total for total in _summed(rows, "source")}
    found = []
    for name, source in (recipe.get("sources") or {}).items():
        size = sizes.get(name, {"documents": 0, "bytes": 0, "tokens": 0})
        parent = source.get("from")
        files_of = source.get("files") or []
        found.append({
            "name": name, **{k: size[k] for k in ("documents", "bytes", "tokens")}, "kind": source.get("kind"),
            "derived_from": parent, "files": [files_of] if isinstance(files_of, str) else list(files_of),
            "commoncrawl": source.get("commoncrawl"), "curated": bool(source.get("curated")),
            "first_day": days.get(name, (None, None))[0], "last_day": days.get(name, (None, None))[1],
            "share": (mixed.get(name) or {}).get("realised_share"), "epochs": (mixed.get(name) or {}).get("epochs")})
    return found


def _days(files: StageFiles) -> dict[str, tuple[str, str]]:
    """First and last day of each source's documents, where they have days."""
    found: dict[str, tuple[str, str]] = {}
    for _, table in clean_tables(files, ["source", "date"]):
        if "date" not in table.column_names:
            continue
        for row in table.group_by("source").aggregate([("date", "min"), ("date", "max")]).to_pylist():
            if row["date_min"] is not None:
                first, last = row["date_min"].date().isoformat(), row["date_max"].date().isoformat()
                known = found.get(row["source"], (first, last))
                found[row["source"]] = (min(known[0], first), max(known[1], last))
    return found


def _funnel(files: StageFiles) -> list[dict[str, Any]]:
    found = []
    for stage in ("extract", *DECIDING):
        counters = files.counters(stage)
        if counters:
            dropped = {reason: n for reason, n in _dropped(files, stage).items() if n}
            kept = counters.get("kept", counters.get("documents", 0))
            found.append({"stage": stage, "kept": kept, "dropped": dropped})
    return found


def _dropped(files: StageFiles, stage: str) -> dict[str, int]:
    return {k.removeprefix("dropped_"): n for k, n in files.counters(stage).items()
            if k.startswith("dropped_") and k != "dropped_not_selected"}


def _benchmarks(files: StageFiles) -> list[dict[str, Any]]:
    return _table(files, "decontaminate/report/benchmarks.parquet")


def _table(files: StageFiles, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(files.storage.path(name)).to_pylist() if files.storage.exists(name) else []
    return rows


def _rows_of(files: StageFiles, name: str) -> int:
    return len(read_table(files.storage.path(name), ["doc_id"])) if files.storage.exists(name) else 0


def _finished(files: StageFiles) -> str:
    """Day on which the last task was done."""
    return max((of.last_at for _, _, of in totals_of(files.storage, read_lock(files.storage))), default="")[:10]


def _digest(files: StageFiles) -> str | None:
    from manifests.dataset import dataset_digest

    name = "packed/manifest.parquet"
    return dataset_digest(read_table(files.storage.path(name))) if files.storage.exists(name) else None


def parquet_patterns(files: StageFiles) -> dict[str, str]:
    """A pattern of the clean corpus's files for each source that it holds."""
    found: dict[str, str] = {}
    for file, table in clean_tables(files, ["source"]):
        for source in pc.unique(table["source"]).to_pylist():
            found.setdefault(source, "/".join(file.path.split("/")[:2]) + "/**/part-*.parquet")
    return dict(sorted(found.items()))
