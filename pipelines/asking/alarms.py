"""What a person must hear of a finished run: that a source is spent, that a rule drops half, that nothing was checked.

Each alarm says what is so, with its number, and what to change. Severity orders them: `alarm` is likely a mistake,
`note` is worth a look.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from manifests.stage_files import DECIDING, StageFiles
from manifests.tables import read_table
from pipelines.locking import read_lock
from pipelines.totals import totals_of

_UNUSED: Final = 0.5
_NEARLY: Final = 0.99  # of the tokens that are asked for: rows are whole
_DROPS: Final = 0.5
_FEW_SURVIVE: Final = 0.05
_MIN_DOCUMENTS: Final = 100


@dataclass(frozen=True, slots=True)
class Alarm:
    """subject: what it is about, such as `mixture`. severity: `alarm` or `note`. what: is so. advice: what to change,
    and where."""

    subject: str
    severity: str
    what: str
    advice: str

    def line(self) -> str:
        """In one line."""
        return f"{self.what}: {self.advice}"


def alarms(files: StageFiles, recipe: Mapping[str, Any]) -> list[Alarm]:
    """Everything worth saying of a run, the gravest first.

    Args:
        files: The run's.
        recipe: Its resolved recipe, as fields.
    """
    found = [*_mixture(files, recipe), *_validation(files, recipe), *_rules(files), *_selection(files),
             *_benchmarks(files), *_contamination(files), *_pieces(files), *_languages(files), *_input(files)]
    return sorted(found, key=lambda alarm: alarm.severity != "alarm")


def _mixture(files: StageFiles, recipe: Mapping[str, Any]) -> Iterator[Alarm]:
    name = "packed/sources.parquet"
    if not files.storage.exists(name):
        return
    rows = read_table(files.storage.path(name)).to_pylist()
    available = sum(row["available_tokens"] for row in rows)
    unused = sum(max(0, row["available_tokens"] - row["selected_tokens"]) for row in rows)
    capped = [row for row in rows if row["epochs"] and row["epochs"] >= _cap(recipe, row["name"]) - 1e-6]
    share = unused / max(1, available)
    wanted, selected = (recipe.get("mixture") or {}).get("total_tokens"), sum(row["selected_tokens"] for row in rows)
    if wanted and selected < _NEARLY * wanted:
        spent = ", ".join(row["name"] for row in capped) or "what there is"
        yield Alarm("total", "alarm",
                    f"the mixture has {selected:,} of the {wanted:,} tokens that mixture.total_tokens asks for, since "
                    f"{spent} reached max_epochs", "more documents, a larger mixture.max_epochs, or fewer tokens")
    if capped and share > _UNUSED:
        worst = max(capped, key=lambda row: row["requested_weight"])
        yield Alarm("mixture", "alarm",
                    f"{share:.0%} of the tokens are unused, since {worst['name']} reached max_epochs "
                    f"({worst['epochs']:.3g}) at {worst['selected_tokens']:,} tokens",
                    f"give {worst['name']} less weight under mixture.weights, more documents, or a larger "
                    f"mixture.max_epochs_by_source.{worst['name']}")
    drawn = [row for row in rows if row["selected_tokens"]]
    whole = len(drawn) == 1 and drawn[0]["epochs"] <= 1 + 1e-6  # one source, once: all of it is what was asked for
    for row in [] if whole else capped:
        yield Alarm("mixture", "note",
                    f"each document of {row['name']} is drawn {row['epochs']:.3g} times, all that max_epochs allows",
                    "mixture.max_epochs says how often; the source's tokens are what bounds the dataset's size")


def _cap(recipe: Mapping[str, Any], source: str) -> float:
    mixture = recipe.get("mixture") or {}
    cap = (mixture.get("max_epochs_by_source") or {}).get(source, mixture.get("max_epochs"))
    return float(cap) if cap is not None else float("inf")


def _validation(files: StageFiles, recipe: Mapping[str, Any]) -> Iterator[Alarm]:
    name = "packed/manifest.parquet"
    wanted = (recipe.get("mixture") or {}).get("validation_fraction")
    if wanted and files.storage.exists(name) and "val" not in read_table(
            files.storage.path(name), ["split"])["split"].to_pylist():
        yield Alarm("validation", "alarm", "there is no validation split, since what was held out fills no row",
                    "a larger mixture.validation_fraction, a smaller pack.row_length or pack.pad_tail keeps it")


def _rules(files: StageFiles) -> Iterator[Alarm]:
    for stage in ("extract", *DECIDING):
        counters = files.counters(stage)
        dropped = {k.removeprefix("dropped_"): n for k, n in counters.items()
                   if k.startswith("dropped_") and k != "dropped_not_selected"}
        seen = counters.get("kept", counters.get("documents", 0)) + sum(dropped.values())
        for reason, n in sorted(dropped.items()):
            if seen >= _MIN_DOCUMENTS and n > _DROPS * seen and reason != "pareto":
                yield Alarm("rules", "alarm", f"{reason} drops {n / seen:.0%} of what {stage} sees",
                            f"look at some: curate sample RUN --reason {reason}")


def _selection(files: StageFiles) -> Iterator[Alarm]:
    counters = files.counters("select")
    sources = sorted(k.removeprefix("documents_") for k in counters if k.startswith("documents_"))
    for source in sources:
        seen, kept = counters[f"documents_{source}"], counters.get(f"kept_{source}", 0)
        if seen >= _MIN_DOCUMENTS and kept < _FEW_SURVIVE * seen:
            yield Alarm("selection", "alarm",
                        f"selection keeps {kept:,} of {seen:,} documents of {source} ({kept / seen:.1%})",
                        "a smaller select.alpha keeps more: GPT-3's 9 is meant for far more crawl than a few archives")


def _benchmarks(files: StageFiles) -> Iterator[Alarm]:
    name = "decontaminate/report/benchmarks.parquet"
    if not files.storage.exists(name):
        return
    for row in read_table(files.storage.path(name)).to_pylist():
        if row["n_too_short"] >= row["n_items"]:
            yield Alarm("benchmarks", "alarm",
                        f"no item of the benchmark {row['benchmark']} is long enough to be looked for",
                        "give more of its fields, so that an item has 8 words or more")


def _contamination(files: StageFiles) -> Iterator[Alarm]:
    counters = files.counters("decontaminate")
    cut = counters.get("documents_contaminated", 0)
    if cut:
        n_bytes = counters.get("bytes_in", 0) - counters.get("bytes_kept", 0)
        yield Alarm("contamination", "note", f"contamination was cut out of {cut:,} documents ({n_bytes:,} bytes)",
                    "decontaminate/report says of which benchmarks' items")


def _pieces(files: StageFiles) -> Iterator[Alarm]:
    counters = files.counters("decontaminate")
    pieces, kept = counters.get("pieces", 0), counters.get("kept", 0)
    if pieces > kept > 0:
        yield Alarm("pieces", "note",
                    f"the clean corpus has {pieces:,} documents made of {kept:,}: decontamination split some",
                    "where documents are meant, count distinct parent_id, or doc_id where it is null")


def _languages(files: StageFiles) -> Iterator[Alarm]:
    counters = files.counters("extract")
    dropped = sum(counters.get(f"dropped_{reason}", 0)
                  for reason in ("language", "language_score", "no_language", "mixed_language"))
    seen = counters.get("candidates", 0)
    if seen >= _MIN_DOCUMENTS and dropped > _DROPS * seen:
        yield Alarm("languages", "alarm", f"{dropped / seen:.0%} of the documents are of other languages",
                    "extract.languages says which stay; curate report shows which went")


def _input(files: StageFiles) -> Iterator[Alarm]:
    damaged = sum(of.damaged for _, _, of in totals_of(files.storage, read_lock(files.storage)))
    if damaged:
        yield Alarm("input", "note",
                    f"{damaged:,} {'place' if damaged == 1 else 'places'} of the input could not be read",
                    "the records name each")


def alarm_rows(found: Sequence[Alarm]) -> list[dict[str, str]]:
    """JSON-ready."""
    return [{"severity": a.severity, "what": a.what, "advice": a.advice} for a in found]


def tokenizer_metrics(files: StageFiles) -> dict[str, Any]:
    """What training the tokenizer measured; nothing where the run has none."""
    try:
        found = json.loads(files.storage.read_bytes("tokenizer/metrics.json") or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
