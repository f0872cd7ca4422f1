"""Every number of a report, JSON-ready: what `report.json` holds and the page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import yaml

from manifests.stage_files import DECIDING, StageFiles
from manifests.tables import read_table
from pipelines.asking.alarms import alarm_rows, alarms, tokenizer_metrics
from pipelines.asking.counting import domain_sums, most, stats
from pipelines.asking.lock import locked_recipe
from pipelines.asking.sampling import dropped_samples, sample
from pipelines.locking import read_lock
from pipelines.report.flow import Flow, read_flow
from pipelines.report.signals import signal_facts
from pipelines.report.texts import contaminated, duplicate_groups, edited
from pipelines.report.vocabulary import vocabulary
from pipelines.totals import totals_of

_FUNNEL: Final = ("extract", *DECIDING)
_SAMPLES: Final = 8
_CHARACTERS: Final = 1_200


def gather(files: StageFiles, run: str) -> dict[str, Any]:
    """The facts of a run.

    Args:
        files: The run's.
        run: What the run is called on the page.
    Returns:
        JSON-ready facts, a group for each section.
    """
    recipe = locked_recipe(files.storage)
    flow = read_flow(files)
    clean = bool(files.of("clean", "documents"))
    tasks = None if len(flow.tasks) == flow.n_parts else flow.tasks
    by_source = stats(files, tasks) if clean else []
    domains_in, domains_out = most(domain_sums(files, tasks=tasks), 25, ("pages", "bytes"))
    return {
        "run": run, "recipe_name": recipe.get("name"),
        "read": {"parts": len(flow.tasks), "of_parts": flow.n_parts, "documents": flow.read,
                 "of_documents": flow.n_documents},
        "alarms": alarm_rows(alarms(files, recipe)),
        "funnel": funnel(files), "fates": _fates(flow), "stats": by_source,
        "signals": signal_facts(files, flow.tasks),
        "languages": _sides(flow.languages), "page_types": _sides(flow.kinds),
        "domains_in": domains_in, "domains_out": domains_out if clean else [],
        "duplicates": {"sizes": _sizes(flow.groups), "largest": duplicate_groups(files, flow)},
        "contamination": {"benchmarks": _benchmarks(files), "matches": contaminated(files, flow.tasks)},
        "tokenizer": {**tokenizer_metrics(files), **vocabulary(files)},
        "mixture": _table(files, "packed/sources.parquet"), "shards": _shards(files),
        "stages": _stages(files), "samples": _samples(files, clean, tasks), "edited": edited(files, flow.tasks),
        "recipe": yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True), "versions": _versions(files)}


def funnel(files: StageFiles) -> list[dict[str, Any]]:
    """What each stage saw, kept, and dropped by reason."""
    rows = []
    for stage in _FUNNEL:
        counters = files.counters(stage)
        if counters:
            dropped = {k.removeprefix("dropped_"): n for k, n in counters.items()
                       if k.startswith("dropped_") and k != "dropped_not_selected" and n}
            kept = counters.get("kept", counters.get("documents", 0))
            rows.append({"stage": stage, "documents": kept + sum(dropped.values()), "kept": kept, "dropped": dropped})
    return rows


def _fates(flow: Flow) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"source": source, "fate": fate, "documents": n, "bytes": n_bytes}
        for (source, fate), (n, n_bytes) in flow.fates.items()]
    return sorted(rows, key=lambda row: (str(row["source"]), -row["documents"], str(row["fate"])))


def _sides(counts: Mapping[str, list[int]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"name": name, "kept": kept, "dropped": dropped} for name, (kept, dropped) in counts.items()]
    return sorted(rows, key=lambda row: (-row["kept"] - row["dropped"], row["name"]))[:60]


def _sizes(groups: Counter[bytes]) -> list[dict[str, int]]:
    """Groups of duplicates by size, the kept document included, in powers of two."""
    sizes: Counter[int] = Counter()
    for n in groups.values():
        sizes[1 << n.bit_length()] += 1
    return [{"up_to": size, "groups": n} for size, n in sorted(sizes.items())]


def _benchmarks(files: StageFiles) -> list[dict[str, Any]]:
    return _table(files, "decontaminate/report/benchmarks.parquet")


def _table(files: StageFiles, name: str) -> list[dict[str, Any]]:
    if not files.storage.exists(name):
        return []
    rows: list[dict[str, Any]] = read_table(files.storage.path(name)).to_pylist()
    return rows


def _shards(files: StageFiles) -> list[dict[str, Any]]:
    splits: dict[str, dict[str, int]] = {}
    for row in _table(files, "packed/manifest.parquet"):
        total = splits.setdefault(row["split"], {"shards": 0, "rows": 0, "tokens": 0, "dropped_tokens": 0})
        total["shards"] += 1
        for name, column in (("rows", "n_rows"), ("tokens", "n_tokens"), ("dropped_tokens", "dropped_tokens")):
            total[name] += row[column]
    return [{"split": split, **total} for split, total in sorted(splits.items())]


def _stages(files: StageFiles) -> list[dict[str, Any]]:
    """Time, memory and output of each stage, in the order in which they were begun."""
    found = [(name, of) for name, _, of in totals_of(files.storage, read_lock(files.storage)) if of.tasks]
    return [{"stage": name, "tasks": of.tasks, "seconds": of.seconds, "peak_memory_bytes": of.peak_memory_bytes,
             "bytes_out": of.n_bytes, "damaged": of.damaged}
            for name, of in sorted(found, key=lambda pair: pair[1].first_at)]


def _samples(files: StageFiles, clean: bool, tasks: list[str] | None) -> dict[str, list[dict[str, Any]]]:
    kept = sample(files, n=_SAMPLES, tasks=tasks) if clean else []
    stages = [stage for stage in ("select", "dedup", "decontaminate", "extract") if files.of(
        {"dedup": "dedup/decisions"}.get(stage, stage))]
    dropped = dropped_samples(files, stages, _SAMPLES // 2, tasks)
    return {"kept": [_short(row) for row in kept], "dropped": [_short(row) for row in dropped]}


def _short(row: dict[str, Any]) -> dict[str, Any]:
    text = row["text"]
    return {**row, "text": text if text is None or len(text) <= _CHARACTERS else text[:_CHARACTERS] + "…"}


def _versions(files: StageFiles) -> dict[str, Any]:
    text = (files.storage.read_bytes("recipe.lock.yaml") or b"").partition(b"\nversions:")[2].partition(b"\ninputs:")[0]
    try:
        found = yaml.safe_load(b"versions:" + text)
    except yaml.YAMLError:
        return {}
    versions = found.get("versions") if isinstance(found, dict) else None
    return dict(versions) if isinstance(versions, dict) else {}
