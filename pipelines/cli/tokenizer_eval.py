"""`curate tokenizer eval`: tokenizers compared on the same texts."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import InputError
from pipelines.cli.options import Format, FormatOption, IdColumn, TextColumn, emit, shows

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_BATCH_BYTES = 16 << 20


@shows("encoding texts")
def eval_command(
    files: Annotated[list[str], typer.Argument(metavar="IN…", help="Parquet, JSONL or text files, folders, patterns.")],
    tokenizers: Annotated[list[str], typer.Option("--tokenizer", metavar="T", help=(
        "A tokenizer, file or folder; repeatable, and the others are compared with the first."))],
    by: Annotated[str | None, typer.Option(metavar="COLUMN", help=(
        "Figures for each value of a column, such as language or source; `file` for each file."))] = None,
    tokens: Annotated[str | None, typer.Option("--tokens", metavar="FILE", help=(
        "Parquet file to write: how often each token of each tokenizer occurred."))] = None,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    form: FormatOption = Format.TEXT,
) -> None:
    """Compare tokenizers: curate tokenizer eval held-out.parquet --tokenizer own.json --tokenizer gpt2/ --by language

    Bytes and characters per token, fertility (tokens per word between white space), shares of unknown tokens and of
    tokens that are one byte of a character, and what of the vocabulary occurs. Give texts that none was trained on."""

    from manifests.tables import publish_table
    from pipelines.inputs import find_files
    from tokenizer.encoding.config import EncodeConfig
    from tokenizer.encoding.encode import Encoder
    from tokenizer.encoding.evaluate import NO_GROUP, TOKEN_COUNTS, evaluate
    from tokenizer.encoding.formats import read_tokenizer, tokenizer_files

    paths = find_files(files)
    encoders = {name: Encoder(read_tokenizer(tokenizer_files(name)), name) for name in dict.fromkeys(tokenizers)}
    evaluations = evaluate(encoders, _batches(paths, by, id_column, text_column), EncodeConfig())
    if by and by != "file" and set(evaluations[0].groups) <= {NO_GROUP}:
        raise InputError(f"have no value under {by!r} in any row", where=", ".join(paths[:3]),
                         hint="name a column for --by, or pass `--by file`")
    if tokens is not None:
        publish_table(tokens, (evaluation.token_counts() for evaluation in evaluations), TOKEN_COUNTS)
    facts = [evaluation.facts() if by else {**evaluation.facts(), "by": {}} for evaluation in evaluations]
    for fact in facts:
        if fact["encoder"] == "tokenizers":
            why = fact["encoder_distrusted"] or "the fast encoder does not take this tokenizer"
            print(f"{fact['tokenizer']}: {why}; tokenizers encoded", file=sys.stderr)
    emit(form, {"by": by, "tokenizers": facts}, lambda: _tables(facts, by))


def _name_damage(path: str, row: int, what: str) -> None:
    print(f"{path}: at {row}: {what}", file=sys.stderr)


def _batches(paths: list[str], by: str | None, id_column: str, text_column: str
             ) -> Iterator[tuple[pa.Array, pa.Array]]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from curate.documents.tables import read_rows
    from curate.sources.columns import ColumnNames
    from pipelines.cli.texts import id_column_of

    for path in paths:
        # The group's column is read instead of the URL's, which is not needed here.
        names = ColumnNames(id=id_column, text=text_column, url=by or "url")
        columns = names.model_copy(update={"id": id_column_of(path, names)})
        n = 0
        for rows in read_rows(path, columns, partial(_name_damage, path)):
            there = pc.is_valid(rows.text)
            texts: Any = rows.text.filter(there).cast(pa.large_string())
            names_of = pa.array([os.path.basename(path)] * len(rows)) if by == "file" else rows.urls
            groups: Any = names_of.filter(there) if by else pa.nulls(len(texts), pa.string())
            n += len(texts)
            ends = np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False))
            first = 0
            while first < len(texts):
                before = int(ends[first - 1]) if first else 0
                end = max(first + 1, int(np.searchsorted(ends, before + _BATCH_BYTES, "right")))
                yield texts.slice(first, end - first), groups.slice(first, end - first)
                first = end
        print(f"{path}: {n:,} texts", file=sys.stderr)


def _tables(facts: list[dict[str, Any]], by: str | None) -> str:
    head = (f"{'':<24}{'texts':>10}{'MB':>9}{'tokens':>14}{'bytes/token':>13}{'chars/token':>13}{'tokens/word':>13}"
            f"{'unknown':>9}{'part bytes':>12}{'tokens, to the first':>22}")
    lines = []
    for name in ["", *sorted({group for fact in facts for group in fact["by"]} if by else set())]:
        lines += ["", f"{by} {name}" if name else "all texts", head]
        rows = [(fact["tokenizer"], fact if not name else fact["by"][name]) for fact in facts]
        lines += [_row(tokenizer, row, rows[0][1]["tokens"]) for tokenizer, row in rows]
    columns = ("entries", "ordinary", "used", "unused", "coverage")
    lines += ["", f"{'vocabulary':<24}" + "".join(f"{column:>10}" for column in columns) + "  unused"]
    for fact in facts:
        lines.append(f"{_short(fact['tokenizer']):<24}{fact['vocab_size']:>10,}{fact['ordinary_tokens']:>10,}"
                     f"{fact['used_tokens']:>10,}{fact['unused_tokens']:>10,}{fact['coverage']:>10.2%}  "
                     + " ".join(map(repr, fact["unused_examples"][:4])))
    return "\n".join(lines[1:])


def _row(tokenizer: str, row: dict[str, Any], first: int) -> str:
    def number(value: float | None, form: str) -> str:
        return format(value, form) if value is not None else "-"
    return (f"{_short(tokenizer):<24}{row['documents']:>10,}{row['bytes'] / 1e6:>9,.1f}{row['tokens']:>14,}"
            f"{number(row['bytes_per_token'], '.3f'):>13}{number(row['characters_per_token'], '.3f'):>13}"
            f"{number(row['fertility'], '.3f'):>13}{number(row['unknown_share'], '.2%'):>9}"
            f"{number(row['partial_share'], '.2%'):>12}{number(row['tokens'] / first if first else None, '.3f'):>22}")


def _short(name: str) -> str:
    return name if len(name) <= 23 else "…" + name[-22:]
