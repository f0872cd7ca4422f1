"""`curate decontaminate`: benchmark text found in, and cut out of, files of one's own."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import RecipeError
from pipelines.cli.options import Format, FormatOption, IdColumn, TextColumn, TextFiles, checked, emit

if TYPE_CHECKING:
    import pyarrow as pa

    from curate.decontamination.config import DecontaminationConfig
    from pipelines.verbs import VerbRun


def decontaminate_command(
    files: TextFiles,
    benchmarks: Annotated[list[str], typer.Option(metavar="FILE", help=(
        "Evaluation set: JSON Lines, plain, .gz or .zst. Repeatable; folders and patterns too."))],
    out: Annotated[str, typer.Option("--out", metavar="OUT", help="Folder for one Parquet part per input file.")],
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
    form: FormatOption = Format.TEXT,
) -> None:
    """Cut evaluation sets out of texts: curate decontaminate pages.parquet --benchmarks gsm8k.jsonl --out decisions

    GPT-3's rule. Each part has the id, `keep`, `reason`, `removed_spans` (what matched: start, end, benchmark,
    item) and `pieces` (what stays), in UTF-8 bytes; rows in input order. OUT/report says which items the texts
    touch."""
    from pipelines.inputs import find_files
    from pipelines.verbs import verb_run

    rules = {"ngram": ngram, "window": window, "min_piece": min_piece, "max_pieces": max_pieces,
             "max_documents": max_documents}
    config = _config(benchmarks, fields, item_id, rules)
    paths = find_files(files)
    recipe = {"decontaminate": config.model_dump(mode="json")}
    with verb_run("decontaminate", out, paths, recipe, ["extract", "select", "decontaminate/"],
                  source={"id_column": id_column, "text_column": text_column}) as done:
        stages = ("decontaminate/index", "decontaminate/report_index")  # both read the benchmarks
        damages = [damage for stage in stages for record in done.view.tasks(stage) for damage in record.damage]
        for damage in dict.fromkeys(damages):
            print(f"{damage.where}: {damage.what}", file=sys.stderr)
        facts = _publish(done, out, (id_column, text_column))
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


def _publish(done: VerbRun, out: str, columns: tuple[str, str]) -> dict[str, Any]:
    """Write the decisions of every file and the report; returns what came of it."""
    from curate.decontamination.own_files import own_decisions, own_report
    from curate.sources.columns import ColumnNames
    from manifests.tables import publish_table, read_table
    from pipelines.cli.texts import id_column_of

    def write(name: str, table: pa.Table) -> None:
        publish_table(os.path.join(out, name), [table])

    documents = dict(done.outputs("extract", "documents"))
    for file, path in done.outputs("decontaminate", "decisions"):
        id_column = id_column_of(file.path, ColumnNames(id=columns[0], text=columns[1]))
        write(file.part, own_decisions(id_column, read_table(path), read_table(documents[file], ["record_id"])))
    report = [done.view.output("decontaminate/report", "report", role) for role in ("items", "benchmarks")]
    items, benchmarks = (read_table(done.storage.path(ref.paths[0])) for ref in report)
    write("report/items.parquet", own_report(items, list(documents.values())))
    write("report/benchmarks.parquet", benchmarks)
    counters = done.view.counters("decontaminate")
    return {"documents": counters["documents"], "documents_contaminated": counters["documents_contaminated"],
            "bytes": counters["bytes_in"], "bytes_kept": counters["bytes_kept"],
            "dropped": {name.removeprefix("dropped_"): n for name, n in counters.items()
                        if name.startswith("dropped_") and n},
            "benchmarks": benchmarks.to_pylist()}


def _sentences(facts: dict[str, Any]) -> str:
    from curate.decontamination.report import report_lines

    lines = [f"{facts['documents']:,} documents, {facts['documents_contaminated']:,} with removed spans; "
             f"{facts['bytes'] / 1e6:,.1f} MB, {facts['bytes_kept'] / 1e6:,.1f} MB kept"]
    lines += [f"  {reason:<40} {n:,}" for reason, n in sorted(facts["dropped"].items())]
    return "\n".join([*lines, "", *report_lines(facts["benchmarks"])])
