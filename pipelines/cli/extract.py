"""`curate extract`: documents from archives and text files of one's own, without a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import RecipeError
from pipelines.cli.options import (
    RUNS,
    Format,
    FormatOption,
    IdColumn,
    OutFolder,
    TextColumn,
    checked,
    emit,
    read_yaml,
    with_verb_options,
)
from pipelines.verb_options import VerbOptions

if TYPE_CHECKING:
    from curate.documents.config import ExtractConfig
    from pipelines.verbs import VerbRun


@with_verb_options(RUNS)
def extract_command(
    files: Annotated[list[str], typer.Argument(metavar="IN…", help=(
        "WARC, ARC, WACZ, WET, Parquet, JSONL or text files, or dumps; folders and patterns too."))],
    out: OutFolder,
    source: Annotated[str, typer.Option(metavar="NAME", help="Source that ids and rows of documents name.")] = "pages",
    kind: Annotated[str, typer.Option(metavar="KIND", help=(
        "What the files are, where their content does not say: arxiv, code, c4, …; see docs/sources.md."))] = "auto",
    languages: Annotated[str | None, typer.Option(metavar="CODES", help=(
        "Languages to keep, such as en or en,de; without it, all."))] = None,
    extractor: Annotated[str | None, typer.Option(metavar="NAME", help="HTML extractor; see docs/recipe.md.")] = None,
    config: Annotated[str | None, typer.Option(metavar="FILE", help=(
        "YAML with the fields of a recipe's `extract`."))] = None,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    options: VerbOptions = VerbOptions(),  # noqa: B008 (frozen)
    form: FormatOption = Format.TEXT,
) -> None:
    """Documents from archives: curate extract crawl/*.warc.gz --output documents --languages en

    Each input becomes OUT/part-NAME.parquet; OUT.decisions/part-NAME.parquet says of every record with a document in it
    whether it is kept, or why not. An input that cannot be read is named and the others are done; the exit code is then
    1."""

    from pipelines.inputs import find_files
    from pipelines.verbs import files_source, verb_run

    settings = _settings(config, languages, extractor)
    paths = find_files(files)
    named = (("id_column", id_column, "id"), ("text_column", text_column, "text"))
    columns = {name: value for name, value, usual in named if value != usual}
    fields = {"sources": {source: files_source(paths, kind=kind, **columns)},
              "mixture": {"weights": {source: 1}}, "extract": settings}
    with verb_run("extract", out, paths, fields, ["extract"], options, needs_one=False) as done:
        done.take("extract", "documents")
        _decisions(done)
        counters = done.view.counters("extract")
    facts = {"files": len(paths), "failed": [e.where for e in done.failures], **dict(sorted(counters.items()))}
    emit(form, facts, lambda: _sentences(facts), done.failures)


def _decisions(done: VerbRun) -> None:
    """Leave a decision for every record that has a document in it, in the order of the file."""
    import pyarrow as pa

    from curate.documents.own_decisions import decision_rows
    from manifests.tables import read_table
    from pipelines.verb_files import DECISIONS

    exclusions = dict(done.outputs("extract", "exclusions"))
    for file, documents in done.outputs("extract", "documents"):
        urls = read_table(documents, ["url"])
        n = len(urls)
        kept = pa.table({"url": urls["url"], "keep": pa.repeat(pa.scalar(True), n), "reason": pa.nulls(n, pa.string())})
        done.out.write(file.part, [decision_rows("extract", "id", documents, exclusions[file], kept)], beside=DECISIONS)


def _settings(file: str | None, languages: str | None, extractor: str | None) -> ExtractConfig:
    from curate.documents.config import ExtractConfig

    fields: dict[str, Any] = {"languages": None}
    if file is not None:
        given = read_yaml(file, "--config")
        if not isinstance(given, dict | None):
            raise RecipeError("must be a mapping of fields", where=f"--config {file}")
        fields |= given or {}
    if languages is not None:
        fields["languages"] = tuple(code.strip() for code in languages.split(",") if code.strip())
    if extractor is not None:
        fields["extractor"] = extractor
    return checked(ExtractConfig, fields, "extract", "docs/recipe.md lists the fields of `extract`")


def _sentences(facts: dict[str, Any]) -> str:
    lines = [f"{facts['files']:,} files, {len(facts['failed']):,} failed; {facts.get('candidates', 0):,} records",
             f"{facts.get('documents', 0):,} documents with {facts.get('text_bytes', 0) / 1e6:,.1f} MB of text"]
    return "\n".join([*lines, *(f"  {name:<32} {n:,}" for name, n in facts.items()
                                if name.startswith(("dropped_", "damaged", "normalised_", "mixed_")) and n)])
