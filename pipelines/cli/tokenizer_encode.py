"""`curate tokenizer encode`: texts of one's own to token files, and from there to `curate pack`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import RecipeError
from manifests.storage import is_local
from pipelines.cli.options import Format, FormatOption, IdColumn, TextColumn, emit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from tokenizer.files import Encoded


def encode_command(
    files: Annotated[list[str], typer.Argument(metavar="IN…", help="Parquet, JSONL or text files, folders, patterns.")],
    tokenizer: Annotated[str, typer.Option("--tokenizer", metavar="T", help=(
        "tokenizer.json, encoder.json with vocab.bpe, tiktoken ranks, or a folder of one of these."))],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the token parts.")],
    fast: Annotated[bool, typer.Option("--fast/--reference", help=(
        "Encode with gigatoken, checked against tokenizers; or with tokenizers alone."))] = True,
    check_fraction: Annotated[float, typer.Option(min=0.0, max=1.0, help=(
        "Share of texts that both encode; the first of a file always."))] = 1 / 512,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    form: FormatOption = Format.TEXT,
) -> None:
    """Encode files of texts: curate tokenizer encode texts.parquet --tokenizer tokenizer.json --out books

    DIR then holds an index part for each file (doc_id, token_start, n_tokens, group_id, id; rows in input order), the
    ids under tokens/ and the tokenizer under tokenizer/: what `curate pack DIR --out dataset` takes. Rows with one
    `group_id`, if there is such a column, are held out for validation together."""
    from dataclasses import asdict

    from pipelines.inputs import find_files, part_names
    from tokenizer.encoding.agreement import EncodeConfig
    from tokenizer.encoding.encode import load
    from tokenizer.files import TextFile, encode_files

    if not is_local(out):
        raise RecipeError("must be a local folder", where=f"--out {out}")
    paths = find_files(files)
    encoder = load(tokenizer)
    config = EncodeConfig(fast=fast, check_fraction=check_fraction)
    inputs = [TextFile(path, part, partial(_rows, path, (id_column, text_column)))
              for path, part in zip(paths, part_names(paths), strict=True)]
    result = encode_files(inputs, encoder, out, config, _say_done)
    if fast and result.by_reference:
        print(f"{tokenizer}: {_why(result, encoder.distrusted)}; tokenizers encoded all texts", file=sys.stderr)
    facts = {**asdict(result), "differing": [list(pair) for pair in result.differing],
             "vocab_size": encoder.vocab_size, "dtype": encoder.dtype.name, "tokenizer_sha256": encoder.sha256.hex(),
             "bytes_per_token": round(result.bytes / result.tokens, 4) if result.tokens else None}
    emit(form, facts, lambda: _sentence(facts))


def _rows(path: str, columns: tuple[str, str]) -> Iterator[tuple[pa.Array, pa.Array, pa.Array]]:
    from curate.sources.columns import ColumnNames
    from pipelines.cli.texts import id_column_of, read_texts

    # Groups are read in the place of URLs, which nothing here asks for.
    names = ColumnNames(id=columns[0], text=columns[1], url="group_id")
    for rows in read_texts(path, names.model_copy(update={"id": id_column_of(path, names)})):
        yield rows.ids, rows.text, rows.urls


def _say_done(path: str, n_rows: int) -> None:
    print(f"{path}: {n_rows:,} texts", file=sys.stderr)


def _why(result: Encoded, distrusted: str | None) -> str:
    if result.differing:
        path, name = result.differing[0]
        return f"the fast encoder gives other ids than tokenizers, first on {name!r} of {path}"
    return distrusted or "the fast encoder cannot be used"


def _sentence(facts: dict[str, Any]) -> str:
    per_token = f", {facts['bytes_per_token']:.3f} bytes a token" if facts["bytes_per_token"] else ""
    empty = f" ({facts['empty']:,} empty)" if facts["empty"] else ""
    return (f"{facts['documents']:,} texts{empty}, {facts['bytes'] / 1e6:,.1f} MB, {facts['tokens']:,} tokens "
            f"({facts['dtype']}){per_token}; {facts['checked_documents']:,} texts checked")
