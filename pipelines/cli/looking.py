"""`curate sample`, `domains`, `stats` and `diff`: what a run kept and dropped, and how two runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.answers import AnswerFormat, AnswerOption, RunFolder, answer, columns
from pipelines.cli.options import shows

if TYPE_CHECKING:
    from manifests.stage_files import StageFiles

Count = Annotated[int, typer.Option("-n", "--count", min=1, help="How many, at most.")]


def sample_command(
    run: RunFolder,
    stage: Annotated[str | None, typer.Option(help="Those that this stage dropped, such as select or dedup.")] = None,
    reason: Annotated[str | None, typer.Option(help="Those that were dropped for this reason.")] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Those that were kept; so it is without --stage and --reason."
                                       )] = False,
    source: Annotated[str | None, typer.Option(help="Only documents of this source.")] = None,
    near: Annotated[str | None, typer.Option(metavar="SIGNAL", help=(
        "Those nearest to the threshold of this signal's rule, on either side."))] = None,
    threshold: Annotated[float | None, typer.Option(help="With --near: the number, if not the recipe's.")] = None,
    count: Count = 20,
    seed: Annotated[int, typer.Option(min=0, help="Other documents for every seed.")] = 0,
    characters: Annotated[int, typer.Option(min=0, help="Of each text to show.")] = 600,
    form: AnswerOption = AnswerFormat.TEXT,
) -> None:
    """Documents to look at, with their texts: curate sample runs/gpt3 --reason near_duplicate -n 5"""
    from pipelines.asking.sampling import sample, sample_lines

    files = _files(run)
    if near is not None:
        from pipelines.asking.nearness import near_lines, nearest

        rows = nearest(files, near, threshold, count)
        answer(form, rows, lambda: rows, lambda: near_lines(rows))
        return
    rows = sample(files, stage, reason, kept, count, seed, source)
    answer(form, rows, lambda: rows, lambda: sample_lines(rows, characters))


def domains_command(
    run: RunFolder,
    by: Annotated[str, typer.Option(help="Order: pages that came in; documents, bytes or tokens that were kept."
                                    )] = "bytes",
    hosts: Annotated[bool, typer.Option("--hosts", help="Hosts, each for itself, instead of registered domains."
                                        )] = False,
    count: Count = 20,
    form: AnswerOption = AnswerFormat.TEXT,
) -> None:
    """Which domains the corpus is of: curate domains runs/gpt3 -n 50"""
    from pipelines.asking.counting import domains

    rows = domains(_files(run), count, by, hosts)
    head = ("domain", "pages", "documents", "MB", "tokens", "share of bytes")
    answer(form, rows, lambda: rows, lambda: columns([head, *(
        (row["domain"], f"{row['pages']:,}", f"{row['documents']:,}", _mb(row), f"{row['tokens']:,}",
         f"{row['share']:.2%}") for row in rows)]))


def stats_command(run: RunFolder, form: AnswerOption = AnswerFormat.TEXT) -> None:
    """Documents, bytes and tokens by source, language and kind of page: curate stats runs/gpt3"""
    from pipelines.asking.counting import stats

    rows = stats(_files(run))
    answer(form, rows, lambda: rows, lambda: columns(_stats_table(rows), left=3))


@shows("comparing {first} with {second}")
def diff_command(
    first: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder or URL.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The other.")],
    documents: Annotated[bool, typer.Option("--documents", help="Name documents that moved, too.")] = False,
    count: Count = 100,
    form: AnswerOption = AnswerFormat.TEXT,
) -> None:
    """How two runs differ: recipe, documents that moved, mixture: curate diff runs/before runs/after"""
    from pipelines.asking.comparing import compare, comparison_lines

    facts = compare(_files(first), _files(second), count if documents else 0)
    answer(form, facts, lambda: facts["documents"] if documents else facts["moves"], lambda: comparison_lines(facts))


def _files(run: str) -> StageFiles:
    from manifests.stage_files import StageFiles
    from pipelines.asking.lock import open_run

    return StageFiles(open_run(run))


def _stats_table(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    table = [("source", "language", "page type", "documents", "MB", "tokens")]
    table += [(row["source"], row["language"] or "", row["page_type"] or "", f"{row['documents']:,}", _mb(row),
               f"{row['tokens']:,}") for row in rows]
    total = {name: sum(row[name] for row in rows) for name in ("documents", "bytes", "tokens")}
    return [*table, ("all", "", "", f"{total['documents']:,}", _mb(total), f"{total['tokens']:,}")]


def _mb(row: dict[str, Any]) -> str:
    return f"{row['bytes'] / 1e6:,.1f}"
