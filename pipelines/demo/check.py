"""Compare what a run found with what the demo's web had planted.

    python -m pipelines.demo.check runs/demo runs/demo-web

The checker reads the run's tables alone, as any user could, and measures similarity and contamination again from the
texts instead of believing the decisions. The exit code is 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
from rich.table import Table
from rich.text import Text

from curate.sources.rows import ExtractReason
from manifests.errors import CurateError, InputError
from pipelines.demo.pages import Kind
from pipelines.demo.prose import jaccard
from pipelines.demo.questions import ngrams
from pipelines.terminal import console

SURE_JACCARD = 0.9
FALSE_JACCARD = 0.7
MIN_PAIRS = 100
MIN_FOREIGN_SHARE = 0.95
MAX_ENGLISH_SHARE = 0.02
MIN_TRAINING_ROWS = 500
_NOT_ENGLISH = (ExtractReason.LANGUAGE, ExtractReason.LANGUAGE_SCORE)
_ENGLISH = [Kind.ORIGINAL, Kind.EXACT, Kind.NEAR, Kind.CONTAMINATED, Kind.SPAM]
_MEANING = {Kind.ORIGINAL: "in the clean corpus, or survived by its copy", Kind.EXACT: "one of the pair removed",
            Kind.NEAR: f"one of the pair removed, of J >= {SURE_JACCARD}", Kind.SPAM: "not in the clean corpus",
            Kind.FOREIGN: "dropped for its language", Kind.MOJIBAKE: "not in the clean corpus",
            Kind.CONTAMINATED: "question cut", Kind.TRUNCATED: "no document made of the damaged record"}


@dataclass(frozen=True)
class KindCount:
    """Pages of one kind. expected: those that reached the rule meant for them; missed = expected - found."""

    kind: Kind
    planted: int
    reached_dedup: int
    expected: int
    found: int

    @property
    def missed(self) -> int:
        """Pages that should have been found and were not."""
        return self.expected - self.found


@dataclass(frozen=True)
class Goal:
    """One thing the demo promises, what was wanted, what was measured."""

    name: str
    wanted: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Report:
    """What `check` found. example_url: a page that dedup removed, to ask `curate why` about."""

    kinds: tuple[KindCount, ...]
    goals: tuple[Goal, ...]
    shards: tuple[str, ...]
    example_url: str

    @property
    def ok(self) -> bool:
        """Whether every goal is met."""
        return all(goal.met for goal in self.goals)


@dataclass(frozen=True)
class _Tables:
    """The run's tables. pages: truth, one row a page, with what became of it; texts: doc_id, text of all documents."""

    pages: pl.DataFrame
    texts: pl.DataFrame
    dedup: pl.DataFrame
    clean: pl.DataFrame
    questions: pl.DataFrame
    packed: pl.DataFrame


def check(run: Path, web: Path) -> Report:
    """Compare a finished run with the truth of its web. Raises InputError where either lacks a table."""
    tables = _load(run, web)
    left = _contaminated_urls(tables)
    kinds = tuple(_count(tables.pages, kind, left) for kind in Kind)
    goals = (*_duplicate_goals(tables, kinds), *_contamination_goals(tables, left), *_language_goals(tables.pages),
             *_archive_goals(tables.pages), *_packed_goals(tables.packed))
    shards = tuple(f"{run}/packed/{path}" for path in tables.packed["path"])
    removed = tables.pages.filter(pl.col("removed") & pl.col("kind").is_in([Kind.EXACT, Kind.NEAR]))
    example = (removed if len(removed) else tables.pages).sort("url")["url"][0]
    return Report(kinds, goals, shards, example)


def _table(path: Path, columns: list[str]) -> pl.DataFrame:
    if not path.is_file():
        raise InputError("is not there", where=str(path), hint="run `make demo`, which renders the web and runs on it")
    return pl.read_parquet(path, columns=columns)


def _outputs(run: Path, stage: str, role: str, columns: list[str]) -> pl.DataFrame:
    """Rows of all files of a stage that have a role, by the stage's manifest."""
    files = _table(run / stage / "manifest.parquet", ["role", "path"]).filter(pl.col("role") == role)
    return pl.concat([_table(run / path, columns) for path in files["path"]])


def _load(run: Path, web: Path) -> _Tables:
    truth = _table(web / "truth.parquet", ["url", "kind", "of_url", "jaccard", "items", "neighbours", "language"])
    documents = _outputs(run, "extract", "documents", ["doc_id", "url", "text"])
    exclusions = _outputs(run, "extract", "exclusions", ["url", "reason"])
    select = _outputs(run, "select", "decisions", ["doc_id", "keep"]).rename({"keep": "selected"})
    dedup = _outputs(run, "dedup/decisions", "decisions", ["doc_id", "keep", "reason", "duplicate_of"])
    removed = _outputs(run, "decontaminate", "decisions", ["doc_id", "removed_spans"])
    clean = _outputs(run, "clean", "documents", ["doc_id", "parent_id", "url", "text"])
    n_removed = removed.select("doc_id", n_removed_spans=pl.col("removed_spans").list.len())
    marked = dedup.select("doc_id", unique="keep", removed=pl.col("duplicate_of").is_not_null())
    pages = (truth.join(documents.drop("text").unique("url", keep="first", maintain_order=True), on="url", how="left")
             .join(exclusions.unique("url", keep="first", maintain_order=True), on="url", how="left")
             .join(select, on="doc_id", how="left").join(marked, on="doc_id", how="left")
             .join(n_removed, on="doc_id", how="left")
             .with_columns(in_clean=pl.col("url").is_in(clean["url"].drop_nulls().unique().to_list()),
                           extracted=pl.col("doc_id").is_not_null())
             .with_columns(pl.col("selected", "unique", "removed").fill_null(False),
                           pl.col("n_removed_spans").fill_null(0)))
    partner = pages.select(of_url="url", of_selected="selected", of_unique="unique")
    questions = pl.read_ndjson((web / "benchmarks" / "demo_questions.jsonl.gz").read_bytes())
    packed = _table(run / "packed" / "manifest.parquet", ["split", "path", "n_rows", "row_length"])
    return _Tables(pages.join(partner, on="of_url", how="left"), documents.select("doc_id", "text"), dedup, clean,
                   questions, packed)


def _contaminated_urls(tables: _Tables) -> set[str]:
    """URLs of clean documents in which a 13-gram of a question is left."""
    grams = {gram for question in tables.questions["question"] for gram in ngrams(question)}
    return {url for url, text in tables.clean.select(pl.col("url").fill_null(""), "text").iter_rows()
            if not grams.isdisjoint(ngrams(text))}


def _count(pages: pl.DataFrame, kind: Kind, left: set[str]) -> KindCount:
    """What became of the pages of one kind; the rule of each kind is in _MEANING."""
    own = pages.filter(pl.col("kind") == kind)
    both = pl.col("selected") & pl.col("of_selected")
    one_gone = ~(pl.col("unique") & pl.col("of_unique"))
    rules: dict[Kind, tuple[pl.Expr, pl.Expr]] = {
        Kind.ORIGINAL: (pl.col("selected"), pl.col("in_clean") | pl.col("removed")),
        Kind.EXACT: (both, one_gone),
        Kind.NEAR: (both & (pl.col("jaccard") >= SURE_JACCARD), one_gone),
        Kind.CONTAMINATED: (pl.col("unique"), (pl.col("n_removed_spans") > 0) & ~pl.col("url").is_in(list(left))),
        Kind.FOREIGN: (pl.lit(True), pl.col("reason").eq_missing(ExtractReason.LANGUAGE)),
        Kind.TRUNCATED: (pl.lit(True), ~pl.col("extracted"))}
    expected, found = rules.get(kind, (pl.lit(True), ~pl.col("in_clean")))
    due = own.filter(expected)
    return KindCount(kind, len(own), int(own["selected"].sum()), len(due), len(due.filter(found)))


def _duplicate_goals(tables: _Tables, kinds: tuple[KindCount, ...]) -> list[Goal]:
    goals = []
    sure = tables.pages.filter((pl.col("kind") == Kind.NEAR) & (pl.col("jaccard") >= SURE_JACCARD))
    for count in kinds:
        if count.kind in (Kind.EXACT, Kind.NEAR):
            planted = count.planted if count.kind is Kind.EXACT else len(sure)
            enough = MIN_PAIRS if planted >= MIN_PAIRS else (planted * 3 + 3) // 4  # a smaller demo plants fewer
            name = count.kind.replace("_", " ")
            goals.append(Goal(f"{name} pairs that reach dedup", f">= {enough}", str(count.expected),
                              count.expected >= enough))
            goals.append(Goal(f"{name} pairs found", "all", f"{count.found} of {count.expected}", count.missed == 0))
    removed, false = _false_removals(tables)
    goals.append(Goal(f"removed with J < {FALSE_JACCARD} to the survivor", "0", f"{false} of {removed}", false == 0))
    return goals


def _false_removals(tables: _Tables) -> tuple[int, int]:
    """(removed documents, those not like their named survivor), similarity measured again from the texts."""
    pairs = (tables.dedup.filter(pl.col("duplicate_of").is_not_null())
             .join(tables.texts, on="doc_id", how="left")
             .join(tables.texts.rename({"text": "survivor"}), left_on="duplicate_of", right_on="doc_id", how="left"))
    texts = pairs.select(pl.col("text").fill_null(""), pl.col("survivor").fill_null("."))
    return len(pairs), sum(jaccard(text, survivor) < FALSE_JACCARD for text, survivor in texts.iter_rows())


def _contamination_goals(tables: _Tables, left: set[str]) -> list[Goal]:
    planted = tables.pages.filter(pl.col("kind") == Kind.CONTAMINATED)
    reached = planted.filter("unique")
    cut = len(reached.filter(pl.col("n_removed_spans") > 0))
    return [Goal("planted questions cut", "all", f"{cut} of {len(reached)} pages", cut == len(reached) > 0),
            Goal("clean documents with a question's 13-gram", "0", str(len(left)), not left)]


def _language_goals(pages: pl.DataFrame) -> list[Goal]:
    foreign = _share(pages.filter(pl.col("kind") == Kind.FOREIGN), [ExtractReason.LANGUAGE])
    english = _share(pages.filter(pl.col("kind").is_in(_ENGLISH)), _NOT_ENGLISH)
    return [Goal("foreign pages dropped as such", f">= {MIN_FOREIGN_SHARE:.0%}", f"{foreign:.1%}",
                 foreign >= MIN_FOREIGN_SHARE),
            Goal("English pages dropped for their language", f"<= {MAX_ENGLISH_SHARE:.0%}", f"{english:.2%}",
                 english <= MAX_ENGLISH_SHARE)]


def _share(pages: pl.DataFrame, reasons: Sequence[str]) -> float:
    """Share of pages that extraction excluded for one of these reasons."""
    return len(pages.filter(pl.col("reason").is_in(list(reasons)))) / len(pages)


def _archive_goals(pages: pl.DataFrame) -> list[Goal]:
    seen = pages.filter(pl.col("extracted") | pl.col("reason").is_not_null())
    damaged = pages.filter(pl.col("kind") == Kind.TRUNCATED)
    around = damaged["neighbours"].explode().drop_nulls().unique()
    survivors = around.is_in(seen["url"].to_list()).sum()
    undamaged = pages.filter(pl.col("kind") != Kind.TRUNCATED)
    lost = len(undamaged) - len(seen.filter(pl.col("kind") != Kind.TRUNCATED))
    return [Goal("pages next to damaged records that survive", "all", f"{survivors} of {len(around)}",
                 survivors == len(around) > 0),
            Goal("undamaged pages without a trace", "0", f"{lost} of {len(undamaged)}", lost == 0)]


def _packed_goals(packed: pl.DataFrame) -> list[Goal]:
    rows = dict(packed.group_by("split").agg(pl.col("n_rows").sum()).iter_rows())
    length = packed["row_length"][0] if len(packed) else 0
    train, val = rows.get("train", 0), rows.get("val", 0)
    enough = train >= MIN_TRAINING_ROWS
    return [Goal(f"training rows of {length} tokens", f">= {MIN_TRAINING_ROWS}", str(train), enough),
            Goal("validation rows", ">= 1", str(val), val >= 1)]


def _program() -> str:
    """How a person calls `curate` here: by its name where the shell finds this environment's, else by its path."""
    own = Path(sys.executable).parent / "curate"
    found = shutil.which("curate")
    if found is None or Path(found).resolve() != own.resolve():
        return os.path.relpath(own)
    return "curate"


def show(report: Report, run: Path, print_line: Callable[..., None]) -> None:
    """Print the two tables, where the shards are, and what to try next."""
    kinds = Table("planted kind", "planted", "reached dedup", "expected", "found", "missed", "found means")
    for count in report.kinds:
        kinds.add_row(count.kind.replace("_", " "), *map(str, (count.planted, count.reached_dedup, count.expected,
                                                               count.found, count.missed)), _MEANING[count.kind])
    goals = Table("goal", "wanted", "measured", "")
    for goal in report.goals:
        met = Text("met", "green") if goal.met else Text("MISSED", "bold red")
        goals.add_row(goal.name, goal.wanted, goal.measured, met)
    print_line(kinds)
    print_line(goals)
    plain = partial(print_line, sep="\n  ", soft_wrap=True)
    plain("packed shards:", *report.shards)
    program = _program()
    plain("to try next:", f"{program} report {run} --open", f"{program} why {run} {report.example_url}",
          f"{program} trace {run} train/000000 0", f"{program} ui {run} --open")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: print the comparison; exit code 0 if every goal is met, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="folder of the run, such as runs/demo")
    parser.add_argument("web", type=Path, help="folder of the rendered web, such as runs/demo-web")
    arguments = parser.parse_args(argv)
    try:
        report = check(arguments.run, arguments.web)
    except CurateError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    show(report, arguments.run, console().print)
    return 0 if report.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
