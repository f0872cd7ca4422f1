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
    from curate.decontamination.config import DecontaminationConfig
    from curate.decontamination.standalone import BenchmarkTables, Contamination


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

    GPT-3's rule. Each part has the id, `keep`, `reason`, `cuts` (what matched: start, end, benchmark, item) and
    `pieces` (what stays), in UTF-8 bytes; rows in input order. OUT/report says which items the texts touch."""

    rules = {"ngram": ngram, "window": window, "min_piece": min_piece, "max_pieces": max_pieces,
             "max_documents": max_documents}
    config = _config(benchmarks, fields, item_id, rules)
    done = _decontaminate(config, files, out, (id_column, text_column))
    for error in done.failures:
        print(f"curate: {error}", file=sys.stderr)
    emit(form, done.facts(), lambda: _sentences(done))
    raise typer.Exit(1 if done.failures else 0)


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


class _Log:
    """An account kept on stderr."""

    def count(self, name: str, n: int = 1) -> None:
        """Nothing: the report counts items."""

    def report_damage(self, where: str, what: str) -> None:
        """Name a line that was skipped."""
        print(f"{where}: {what}", file=sys.stderr)


def _decontaminate(config: DecontaminationConfig, files: list[str], out: str, columns: tuple[str, str]
                   ) -> Contamination:
    from curate.decontamination.standalone import decontaminate_texts
    from curate.sources.columns import ColumnNames
    from pipelines.cli.texts import id_column_of, read_texts
    from pipelines.inputs import find_files, part_names

    sets = _read_benchmarks(config)
    paths = find_files(files)
    names = ColumnNames(id=columns[0], text=columns[1])
    parts: dict[str, Any] = {part: (id_column_of(path, names), ((r.ids, r.text) for r in read_texts(path, names)))
                             for path, part in zip(paths, part_names(paths), strict=True)}
    os.makedirs(out, exist_ok=True)
    return decontaminate_texts(config, sets, parts, out)


def _read_benchmarks(config: DecontaminationConfig) -> BenchmarkTables:
    from curate.decontamination.overlap import read_grams
    from curate.decontamination.report import read_benchmarks
    from curate.decontamination.standalone import BenchmarkTables

    paths = [b.path for b in config.benchmarks]
    items, item_grams = read_benchmarks(config, paths, _Silent())
    return BenchmarkTables(read_grams(config, paths, _Log()), items, item_grams)


class _Silent(_Log):
    """The same lines are read twice, and named once."""

    def report_damage(self, where: str, what: str) -> None:
        """Nothing."""


def _sentences(done: Contamination) -> str:
    from curate.decontamination.report import report_lines

    lines = [f"{done.documents:,} documents, {done.documents_contaminated:,} with cuts; {done.bytes / 1e6:,.1f} MB, "
             f"{done.bytes_kept / 1e6:,.1f} MB kept"]
    lines += [f"  {reason:<40} {n:,}" for reason, n in sorted(done.dropped.items())]
    return "\n".join([*lines, "", *report_lines(done.benchmarks)])
