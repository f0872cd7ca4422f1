"""`curate extract`: documents from archives and text files of one's own, without a recipe."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import CurateError, RecipeError
from pipelines.cli.options import Format, FormatOption, IdColumn, TextColumn, checked, emit, read_yaml

if TYPE_CHECKING:
    from curate.documents.config import ExtractConfig


def extract_command(
    files: Annotated[list[str], typer.Argument(metavar="IN…", help=(
        "WARC, ARC, WACZ, WET, Parquet, JSONL or text files; folders and patterns too."))],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder for the parts and exclusions/.")],
    source: Annotated[str, typer.Option(metavar="NAME", help="Source that ids and rows of documents name.")] = "pages",
    languages: Annotated[str | None, typer.Option(metavar="CODES", help=(
        "Languages to keep, such as en or en,de; without it, all."))] = None,
    extractor: Annotated[str | None, typer.Option(metavar="NAME", help="HTML extractor; see docs/recipe.md.")] = None,
    config: Annotated[str | None, typer.Option(metavar="FILE", help=(
        "YAML with the fields of a recipe's `extract`."))] = None,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    workers: Annotated[int | None, typer.Option(min=1, help="Files at a time; one a core by default.")] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Documents and exclusions from archives: curate extract crawl/*.warc.gz --out documents --languages en

    Each input becomes DIR/part-NAME.parquet and DIR/exclusions/part-NAME.parquet. An input that cannot be read is named
    and the others are done; the exit code is then 1."""

    from pipelines.verbs import files_source, verb_run

    settings = _settings(config, languages, extractor)
    paths, failures = _existing(files)
    n_files = len(paths) + len(failures)
    fields = {"sources": {source: files_source(paths, kind="auto", id_column=id_column, text_column=text_column)},
              "mixture": {"weights": {source: 1}}, "extract": settings}
    counters: dict[str, int] = {}
    if paths:
        n = min(workers or os.cpu_count() or 1, len(paths))
        with verb_run("extract", out, paths, fields, ["extract"], n, needs_one=False) as done:
            failures += done.failures
            done.publish(out, "extract", "documents")
            done.publish(os.path.join(out, "exclusions"), "extract", "exclusions")
            counters = done.view.counters("extract")
    facts = {"files": n_files, "failed": [e.where for e in failures], **dict(sorted(counters.items()))}
    emit(form, facts, lambda: _sentences(facts), failures)


def _existing(patterns: Sequence[str]) -> tuple[list[str], list[CurateError]]:
    """The files there are, and an error for each name that matches none."""
    from pipelines.inputs import find_files

    paths: dict[str, None] = {}
    failures: list[CurateError] = []
    for pattern in patterns:
        try:
            paths |= dict.fromkeys(find_files([pattern]))
        except CurateError as error:
            failures.append(error)
    return find_files(list(paths)) if paths else [], failures


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
