"""`curate decontaminate`: benchmark text found in, and cut out of, files of one's own."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Container, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from manifests.errors import RecipeError
from pipelines.cli.options import (
    KEEPS,
    Format,
    FormatOption,
    IdColumn,
    OutFolder,
    TextColumn,
    TextFiles,
    checked,
    emit,
    kept_lines,
    with_verb_options,
)
from pipelines.verb_options import VerbOptions

if TYPE_CHECKING:
    from curate.decontamination.config import DecontaminationConfig
    from pipelines.verb_documents import Decided
    from pipelines.verbs import VerbFile, VerbRun


class DecontaminateCommand(TyperCommand):
    """The command, to which a shell may give what `bench/*.jsonl` stands for: several files behind one --benchmarks."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        flags = {name for option in self.params if getattr(option, "is_flag", False)
                 for name in (*option.opts, *option.secondary_opts)}
        return super().parse_args(ctx, spread(args, "--benchmarks", flags))


def spread(args: Sequence[str], option: str, flags: Container[str]) -> list[str]:
    """Arguments in which an option stands before each of the values that follow it.

    Only where an argument that is no option's came before: values and inputs could not be told apart otherwise, and
    the option then takes one.

    Args:
        args: As the shell gave them.
        option: The option of many values.
        flags: Options without a value.
    """
    made: list[str] = []
    rest, inputs = list(args), False
    while rest:
        word = rest.pop(0)
        made.append(word)
        if word == "--":
            return [*made, *rest]
        if not word.startswith("-"):
            inputs = True
        elif word not in flags and "=" not in word and rest:
            made.append(rest.pop(0))
            while word == option and inputs and rest and not rest[0].startswith("-"):
                made += [option, rest.pop(0)]
    return made


@with_verb_options(KEEPS)
def decontaminate_command(
    files: TextFiles,
    benchmarks: Annotated[list[str], typer.Option(metavar="FILE", help=(
        "Evaluation set: JSON Lines, plain, .gz or .zst. Repeatable; folders and patterns too."))],
    out: OutFolder,
    fields: Annotated[list[str], typer.Option(metavar="[NAME=]A,B", help=(
        "Fields that are an item's text, of every benchmark or of the one named; all text if unset. Repeatable.")),
    ] = [],  # noqa: B006 (typer copies it)
    item_id: Annotated[str | None, typer.Option(help="Field that names an item; its line number if unset.")] = None,
    ngram: Annotated[int, typer.Option(help="Words of an overlap that is cut out.")] = 13,
    window: Annotated[int, typer.Option(help="Characters cut on either side of an overlap.")] = 200,
    min_piece: Annotated[int, typer.Option(help="Pieces of fewer characters are not kept.")] = 200,
    max_pieces: Annotated[int, typer.Option(help="A document cut into more pieces is dropped.")] = 10,
    max_documents: Annotated[int, typer.Option(help="N-grams found in more documents are ignored.")] = 10,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    options: VerbOptions = VerbOptions(),  # noqa: B008 (frozen)
    form: FormatOption = Format.TEXT,
) -> None:
    """Cut evaluation sets out of texts: curate decontaminate pages.parquet --benchmarks gsm8k.jsonl --output clean

    GPT-3's rule. OUT gets a part for each file: what stays, one row a piece of a document that was cut, with all
    columns. OUT.decisions says of every row `keep`, `reason`, `removed_spans` (what matched: start, end, benchmark,
    item) and `pieces` (what stays), in UTF-8 bytes. OUT.report says which items the texts touch."""
    from curate.sources.columns import ColumnNames
    from pipelines.inputs import find_files
    from pipelines.verb_documents import write_documents
    from pipelines.verbs import verb_run

    rules = {"ngram": ngram, "window": window, "min_piece": min_piece, "max_pieces": max_pieces,
             "max_documents": max_documents}
    config = _config(benchmarks, fields, item_id, rules)
    paths = find_files(files)
    recipe = {"decontaminate": config.model_dump(mode="json")}
    with verb_run("decontaminate", out, paths, recipe, ["extract", "select", "decontaminate/"], options,
                  source={"id_column": id_column, "text_column": text_column}) as done:
        stages = ("decontaminate/index", "decontaminate/report_index")  # both read the benchmarks
        damages = [damage for stage in stages for record in done.view.tasks(stage) for damage in record.damage]
        for damage in dict.fromkeys(damages):
            print(f"{damage.where}: {damage.what}", file=sys.stderr)
        tally = write_documents(done, ColumnNames(id=id_column, text=text_column), partial(_decided, done),
                                lambda schema: ["doc_id", "parent_id", "group_id", "edits"])
        sets = _report(done)
        contaminated = done.view.counters("decontaminate").get("documents_contaminated", 0)
    facts = {**tally.facts(), "documents_contaminated": contaminated, "benchmarks": sets}
    emit(form, facts, lambda: _sentences(facts), done.failures)


def _config(patterns: list[str], fields: list[str], item_id: str | None, rules: dict[str, int]
            ) -> DecontaminationConfig:

    from curate.decontamination.config import DecontaminationConfig
    from pipelines.inputs import find_files

    paths = find_files(patterns)
    names = [os.path.basename(path).split(".")[0] for path in paths]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise RecipeError(f"two files are called {twice[0]!r}", where="--benchmarks", hint="rename one of them")
    chosen = dict(_selection(setting, names) for setting in fields)
    everywhere = chosen.get("", ("*",))
    sets = [{"name": name, "path": path, "fields": chosen.get(name, everywhere), "id_field": item_id}
            for name, path in zip(names, paths, strict=True)]
    return checked(DecontaminationConfig, {"benchmarks": sets, **rules})


def _selection(setting: str, names: list[str]) -> tuple[str, tuple[str, ...]]:
    """(benchmark or nothing, fields) of one --fields."""
    name, sign, listed = setting.rpartition("=")
    if sign and name not in names:
        raise RecipeError(f"no benchmark is called {name!r}", where="--fields", hint=f"one of: {', '.join(names)}")
    return name, tuple(f.strip() for f in listed.split(",") if f.strip())


def _decided(done: VerbRun, file: VerbFile, documents: str) -> Decided:
    """What was decided of one file's documents."""
    from manifests.tables import read_table
    from pipelines.verb_documents import Decided

    task = str(file.task)
    path = done.path("decontaminate", task, "decisions")
    rows = read_table(path, ["keep", "reason", "removed_spans", "pieces"])
    return Decided(rows, {"select": done.path("select", task, "decisions"), "decontaminate": path})


def _report(done: VerbRun) -> list[dict[str, Any]]:
    """Leave the report, by the user's ids; returns its benchmarks."""
    from curate.decontamination.own_report import own_report
    from manifests.tables import read_table
    from pipelines.verb_files import REPORT

    items, benchmarks = (read_table(done.path("decontaminate/report", "report", role))
                         for role in ("items", "benchmarks"))
    documents = [path for _, path in done.outputs("extract", "documents")]
    done.out.write("items.parquet", [own_report(items, documents)], beside=REPORT)
    done.out.write("benchmarks.parquet", [benchmarks], beside=REPORT)
    rows: list[dict[str, Any]] = benchmarks.to_pylist()
    return rows


def _sentences(facts: dict[str, Any]) -> str:
    from curate.decontamination.report import report_lines

    lines = [*kept_lines(facts), f"  {facts['documents_contaminated']:,} documents with removed spans"]
    return "\n".join([*lines, "", *report_lines(facts["benchmarks"])])
