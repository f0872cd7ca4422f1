"""`curate tokenizer train` and `curate tokenizer export`: a BPE of one's own texts, and its ranks for tiktoken."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import (
    OUTPUT,
    READS,
    Format,
    FormatOption,
    IdColumn,
    TextColumn,
    checked,
    emit,
    with_verb_options,
)
from pipelines.verb_options import VerbOptions

if TYPE_CHECKING:

    from tokenizer.bpe.train_config import TokenizerConfig

_STAGES = ("extract", "tokenizer/sample", "tokenizer/cutoffs", "tokenizer/counts", "tokenizer/words", "tokenizer")


@with_verb_options(READS)
def train_command(
    files: Annotated[list[str], typer.Argument(metavar="IN…", help="Parquet, JSONL or text files, folders, patterns.")],
    out: Annotated[str, typer.Option(*OUTPUT, metavar="FILE", help="tokenizer.json to write.")],
    vocab_size: Annotated[int, typer.Option(help="Entries: 256 bytes, merges, <|endoftext|> and special tokens.")],
    pattern: Annotated[str, typer.Option(help="gpt2, cl100k, o200k or llama: where text is cut first.")] = "gpt2",
    sample_bytes: Annotated[int | None, typer.Option(min=1, help=(
        "Train on so many bytes: the texts of lowest hash. The files are read twice then."))] = None,
    min_frequency: Annotated[int, typer.Option(min=1, help="Least count of a pair that becomes a merge.")] = 2,
    special_token: Annotated[list[str], typer.Option("--special-token", metavar="T", help=(
        "A token that no text is encoded to; repeatable. gpt1, chatml and fim stand for those of that preset."))] = [],  # noqa: B006
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    options: VerbOptions = VerbOptions(),  # noqa: B008 (frozen)
    form: FormatOption = Format.TEXT,
) -> None:
    """Train a byte-level BPE: curate tokenizer train texts.parquet --vocab-size 32768 --output tokenizer.json

    The merges, and the file, are those that tokenizers' BpeTrainer makes of the same texts. Memory grows with distinct
    pre-tokens alone."""
    import json

    from manifests.storage import replacing
    from pipelines.inputs import find_files
    from pipelines.verbs import verb_run
    from tokenizer.bpe.train_config import TokenizerConfig

    config = checked(TokenizerConfig, {"vocab_size": vocab_size, "pattern": pattern, "min_frequency": min_frequency,
                                       "sample_bytes": sample_bytes, "special_tokens": tuple(special_token)})
    paths = find_files(files)
    columns = {"id_column": id_column, "text_column": text_column}
    with verb_run("train", out, paths, {"tokenizer": config}, _STAGES, options, source=columns, folders=None) as done:
        trained = {role: done.path("tokenizer", "tokenizer", role) for role in ("tokenizer", "metrics")}
        with open(trained["metrics"], encoding="utf-8") as stream:
            metrics = json.load(stream)
        with replacing(out) as staged:
            shutil.copyfile(trained["tokenizer"], staged)
    facts = {"documents": metrics["sample_documents"], "bytes": metrics["sample_bytes"], "words": metrics["n_words"],
             "vocab_size": metrics["vocab_size"], "special_tokens": metrics["special_tokens"],
             "merges": metrics["n_merges"], "tokens": metrics["sample_tokens"],
             "bytes_per_token": metrics["bytes_per_token"]}
    emit(form, facts, lambda: _sentences(facts, config), done.failures)


def _sentences(facts: dict[str, Any], config: TokenizerConfig) -> str:
    lines = [f"{facts['documents']:,} texts, {facts['bytes'] / 1e6:,.1f} MB, {facts['words']:,} distinct pre-tokens",
             f"{facts['vocab_size']:,} entries, {facts['merges']:,} merges, {facts['bytes_per_token']} bytes a token"]
    if facts["vocab_size"] < config.vocab_size:
        lines.append(f"fewer than {config.vocab_size:,}: no other pair occurs {config.min_frequency} times")
    return "\n".join(lines)


def export_command(
    tokenizer: Annotated[str, typer.Argument(metavar="T", help="A tokenizer.json.")],
    tiktoken: Annotated[str, typer.Option("--tiktoken", metavar="FILE", help="Ranks file to write for tiktoken.")],
) -> None:
    """Write a tokenizer for other libraries: curate tokenizer export tokenizer.json --tiktoken tokenizer.tiktoken

    Prints the pattern that tiktoken.Encoding wants as pat_str, and the special tokens: a ranks file has neither."""
    import json

    from manifests.storage import open_read
    from tokenizer.bpe.ranks import pattern_of, special_tokens, tiktoken_ranks

    with open_read(tokenizer) as stream:
        data = stream.read()
    ranks = tiktoken_ranks(data, tokenizer)
    with open(tiktoken, "wb") as file:
        file.write(ranks)
    print(json.dumps({"pat_str": pattern_of(data, tokenizer), "special_tokens": special_tokens(data)}))
