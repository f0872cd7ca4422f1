"""What a run says at its end, what `status` says at any time, and what `--dry-run` says before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc
from rich.table import Table

from manifests.dataset import dataset_digest
from manifests.graph import Stage
from manifests.stage_files import StageFiles
from manifests.storage import Storage
from manifests.tables import read_table
from manifests.tasks import MANIFEST
from pipelines.asking.alarms import alarms
from pipelines.asking.lock import locked_recipe
from pipelines.planning import StagePlan
from pipelines.running import Result
from pipelines.status import group_of, is_off
from pipelines.terminal import console
from pipelines.totals import totals_of
from tokenizer.mixture.mixture_config import MixtureConfig

_SHOWN = 5
MUCH_UNUSED = 0.5
"""Share of the tokens that a mixture may leave unused before the end of a run says so."""

_SAID_ALREADY = ("mixture", "validation", "input")  # with the table of the mixture, and by name
FUNNEL = ("extract", "select", "dedup/decisions", "dedup/passage_decisions", "dedup/substrings", "decontaminate",
           "clean")


def summary(result: Result, out: str) -> dict[str, Any]:
    """JSON-ready facts of a finished call of `run`."""
    view = result.view
    facts: dict[str, Any] = {
        "run": out, "seconds": round(result.seconds, 1), "tasks_done": result.n_done,
        "pages": view.counters("extract").get("html_pages", 0),
        "failed": [{"task": task, "error": str(error)} for task, error in result.failed],
        "damage": [{"where": d.where, "what": d.what} for d in result.damage],
        "funnel": [funnel_row(stage, view.counters(stage)) for stage in FUNNEL if view.records(stage)],
        "peak_memory_bytes": max((view.records(s).peak_memory_bytes() for s in view.done_stages()), default=0),
    }
    storage = Storage(out)
    if result.n_done:
        files = StageFiles(storage)
        facts["warnings"] = [alarm.line() for alarm in alarms(files, locked_recipe(storage))
                             if alarm.subject not in _SAID_ALREADY]
    if view.tasks("packed/dataset"):
        facts["dataset"] = {**_dataset_facts(storage),
                            "val_too_small": bool(view.counters("pack/layout").get("val_too_small"))}
        facts["dataset"]["unused"] = unused(facts["dataset"]["sources"], view.section("mixture"))
    return facts


def funnel_row(stage: str, counters: dict[str, int]) -> dict[str, Any]:
    """What went into a stage, what came out, and what it dropped; what an earlier stage had dropped is left out."""
    dropped = {k.removeprefix("dropped_"): v for k, v in counters.items()
               if k.startswith("dropped_") and k != "dropped_not_selected"}
    kept = counters.get("kept", counters.get("documents", 0))
    return {"stage": stage, "documents": kept + sum(dropped.values()), "kept": kept, "dropped": dropped}


def _dataset_facts(storage: Storage) -> dict[str, Any]:
    manifest = read_table(storage.path("packed/manifest.parquet"))
    sources = read_table(storage.path("packed/sources.parquet"))
    splits = {}
    for split in sorted(set(manifest["split"].to_pylist())):
        rows = manifest.filter(pc.equal(manifest["split"], split))
        splits[split] = {k: int(pc.sum(rows[k]).as_py()) for k in ("n_rows", "n_tokens", "dropped_tokens")}
        splits[split]["shards"] = len(rows)
    return {"digest": dataset_digest(manifest), "splits": splits, "sources": sources.to_pylist()}


def unused(sources: Sequence[dict[str, Any]], mixture: MixtureConfig) -> dict[str, Any] | None:
    """What of the sources' tokens a mixture passes by, where it is most of them; None else, and where a number of
    tokens or passes was asked for.

    sources: rows of `sources.parquet`. Returns the tokens passed by, their share of all, and the source that is too
    small for its share, with its passes: the total shrinks until it needs no more."""
    if not mixture.weights or mixture.total_tokens is not None or mixture.phases:
        return None
    available = sum(row["available_tokens"] for row in sources)
    left = available - sum(min(row["selected_tokens"], row["available_tokens"]) for row in sources)
    if left <= MUCH_UNUSED * available:
        return None
    scarce = max(sources, key=lambda row: row["epochs"] / float(
        mixture.max_epochs_by_source.get(row["name"], mixture.max_epochs)))
    return {"tokens": left, "available_tokens": available, "share": left / available, "scarce_source": scarce["name"],
            "scarce_tokens": scarce["available_tokens"], "scarce_share": scarce["requested_weight"],
            "scarce_epochs": scarce["epochs"]}


def print_summary(facts: dict[str, Any]) -> None:
    """Print the summary of a run for a person."""
    terminal = console()
    table = Table("stage", "documents", "kept", "dropped by reason", box=None, pad_edge=False)
    for row in facts["funnel"]:
        reasons = "  ".join(f"{reason} {n:,}" for reason, n in sorted(row["dropped"].items(), key=lambda i: -i[1]) if n)
        table.add_row(row["stage"], f"{row['documents']:,}", f"{row['kept']:,}", reasons)
    terminal.print(table)
    if dataset := facts.get("dataset"):
        terminal.print(_source_table(dataset["sources"]))
        if (rest := dataset["unused"]) is not None:
            terminal.print(_unused_warning(rest), soft_wrap=True)
        if dataset["val_too_small"]:
            terminal.print("there is no val split: what was held out fills no row; a larger validation_fraction, a "
                           "smaller row_length or pack.pad_tail keeps it")
        for split, n in dataset["splits"].items():
            terminal.print(f"{split}: {n['n_tokens']:,} tokens in {n['n_rows']:,} rows, {n['shards']} shards; "
                           f"{n['dropped_tokens']:,} tokens of the tail dropped")
        terminal.print(f"dataset digest {dataset['digest']}")
    for name, key in (("input set aside", "failed"), ("damaged input", "damage")):
        for entry in facts[key][:_SHOWN]:
            terminal.print(f"{name}: {' '.join(str(v) for v in entry.values())}", soft_wrap=True)
        if len(facts[key]) > _SHOWN:
            terminal.print(f"… and {len(facts[key]) - _SHOWN} more of these; see the records under {facts['run']}")
    for warning in facts.get("warnings", ()):
        terminal.print(f"warning: {warning}", soft_wrap=True)
    terminal.print(f"{facts['run']}: {facts['tasks_done']} tasks done in {facts['seconds']} s, "
                   f"largest worker {facts['peak_memory_bytes'] / 1e6:,.0f} MB")
    if facts["tasks_done"] and facts.get("dataset"):
        terminal.print(f"to look at it: curate report {facts['run']} --open; curate sample {facts['run']} -n 5; "
                       f"curate ui {facts['run']} --open", soft_wrap=True)


def _unused_warning(rest: dict[str, Any]) -> str:
    return (f"warning: the mixture leaves {rest['share']:.0%} of {rest['available_tokens']:,} tokens unused: "
            f"{rest['scarce_source']} has {rest['scarce_tokens']:,} for {rest['scarce_share']:.1%} of the whole, and "
            f"is passed over {rest['scarce_epochs']:.2f} times already. Lower its weight in mixture.weights, let it be "
            "passed over more often (max_epochs), or find more of it; for a few archives of your own take the recipe "
            "`own`")


def _source_table(sources: Sequence[dict[str, Any]]) -> Table:
    table = Table("source", "target share", "actual share", "epochs", "tokens", "available tokens", box=None,
                  pad_edge=False)
    for row in sources:
        table.add_row(row["name"], f"{row['requested_weight']:.2%}", f"{row['realised_share']:.2%}",
                      f"{row['epochs']:.3f}", f"{row['selected_tokens']:,}", f"{row['available_tokens']:,}")
    return table


def plan_rows(plans: Sequence[tuple[Stage, StagePlan | None]]) -> list[dict[str, Any]]:
    """JSON-ready facts of a dry run: for each stage what is up to date, what is stale and why."""
    rows: list[dict[str, Any]] = []
    pending: set[str] = set()
    for stage, plan in plans:
        if plan is None:
            pending.add(stage.name)
            rows.append({"stage": stage.name, "up_to_date": None, "to_do": None,
                         "why": [f"after {name}" for name in stage.needs if name in pending]})
            continue
        if plan.stale:
            pending.add(stage.name)
        reasons = sorted({reason for _, reason in plan.stale})
        rows.append({"stage": stage.name, "up_to_date": len(plan.up_to_date), "to_do": len(plan.stale),
                     "why": reasons})
    return rows


def print_plan(rows: Sequence[dict[str, Any]], unused: Sequence[str] = ()) -> None:
    """Print a dry run for a person: what is to be done and why, and in a sentence each what is not and what follows.

    unused: stages that the recipe turns off, as of `turned_off`."""
    fresh = [row["stage"] for row in rows if row["up_to_date"] and not row["to_do"]]
    stale = [row for row in rows if row["to_do"]]
    later = list(dict.fromkeys(group_of(row["stage"]) for row in rows
                               if row["to_do"] is None and not is_off(row["stage"], unused)))
    terminal = console()
    if stale:
        table = Table("stage", "up to date", "to do", "why", box=None, pad_edge=False)
        for row in stale:
            table.add_row(row["stage"], str(row["up_to_date"]), str(row["to_do"]), "; ".join(row["why"][:_SHOWN]))
        terminal.print(table)
    if fresh:
        span = fresh[0] if len(fresh) == 1 else f"{len(fresh)} stages, {fresh[0]} to {fresh[-1]}"
        terminal.print(f"Up to date: {span}.", soft_wrap=True)
    if later:
        terminal.print(f"Then, as far as what they read comes out otherwise: {', '.join(later)}.", soft_wrap=True)
    if not stale and not later:
        terminal.print("Nothing is to be done.")


def stage_rows(storage: Storage, lock: dict[str, Any]) -> list[dict[str, Any]]:
    """JSON-ready facts of each stage of a run on disk: tasks that are done, bytes, seconds of work, damage.

    A stage that the recipe asks nothing of is done without a task. Of a run whose format is another, stages are those
    that its records name. lock: what its lock file holds."""
    return [{"stage": name, "tasks": of.tasks, "done": storage.exists(f"{folder}/{MANIFEST}"), "n_bytes": of.n_bytes,
             "seconds": round(of.seconds, 1), "damaged": of.damaged} for name, folder, of in totals_of(storage, lock)]
