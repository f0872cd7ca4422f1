"""`curate tokenizer train` and `curate tokenizer export`: a BPE of one's own texts, and its ranks for tiktoken."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import Format, FormatOption, IdColumn, TextColumn, checked, emit

if TYPE_CHECKING:
    import pyarrow as pa

    from tokenizer.bpe.train import Trained
    from tokenizer.bpe.train_config import TokenizerConfig


def train_command(
    files: Annotated[list[str], typer.Argument(metavar="IN…", help="Parquet, JSONL or text files, folders, patterns.")],
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="tokenizer.json to write.")],
    vocab_size: Annotated[int, typer.Option(help="Entries: 256 bytes, merges, and <|endoftext|> as the last id.")],
    pattern: Annotated[str, typer.Option(help="gpt2, cl100k, o200k or llama: where text is cut first.")] = "gpt2",
    sample_bytes: Annotated[int | None, typer.Option(min=1, help=(
        "Train on so many bytes: the texts of lowest hash. The files are read twice then."))] = None,
    min_frequency: Annotated[int, typer.Option(min=1, help="Least count of a pair that becomes a merge.")] = 2,
    workers: Annotated[int, typer.Option(min=1, help="Threads that count.")] = 1,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    form: FormatOption = Format.TEXT,
) -> None:
    """Train a byte-level BPE: curate tokenizer train texts.parquet --vocab-size 32768 --out tokenizer.json

    The merges, and the file, are those that tokenizers' BpeTrainer makes of the same texts. Memory grows with distinct
    pre-tokens alone."""

    config = _config(vocab_size, pattern, min_frequency, sample_bytes)
    seen = {"documents": 0, "bytes": 0}
    trained = _train(files, (id_column, text_column), config, workers, seen)
    folder = os.path.dirname(os.path.abspath(out))
    os.makedirs(folder, exist_ok=True)
    part = f"{out}.part"
    with open(part, "wb") as stream:
        stream.write(trained.data)
    os.replace(part, out)
    facts = {**seen, "words": trained.n_words, "vocab_size": trained.n_merges + 257, "merges": trained.n_merges,
             "tokens": trained.n_tokens, "bytes_per_token": round(trained.n_bytes / trained.n_tokens, 4)}
    emit(form, facts, lambda: _sentences(facts, config))


def _config(vocab_size: int, pattern: str, min_frequency: int, sample_bytes: int | None) -> TokenizerConfig:
    from tokenizer.bpe.train_config import TokenizerConfig

    return checked(TokenizerConfig, {"vocab_size": vocab_size, "pattern": pattern, "min_frequency": min_frequency,
                                     "sample_bytes": sample_bytes})


def _train(files: list[str], columns: tuple[str, str], config: TokenizerConfig, workers: int,
           seen: dict[str, int]) -> Trained:
    import pyarrow as pa
    import pyarrow.compute as pc

    from pipelines.inputs import find_files
    from tokenizer.bpe.counting import count_texts
    from tokenizer.bpe.patterns import Pattern
    from tokenizer.bpe.sampling import Histogram, bins
    from tokenizer.bpe.train import learn
    from tokenizer.bpe.words import text_hashes

    paths = find_files(files)
    end = None
    if config.sample_bytes is not None:
        histogram = Histogram()
        for texts in _texts(paths, columns):
            histogram.add(bins(text_hashes(texts)), pc.binary_length(texts).to_numpy())
        end = histogram.cutoff(config.sample_bytes)[0]

    def sampled() -> Iterator[pa.Array]:
        for texts in _texts(paths, columns):
            chosen = texts if end is None else texts.filter(pa.array(bins(text_hashes(texts)) < end))
            seen["documents"] += len(chosen)
            seen["bytes"] += int(pc.sum(pc.binary_length(chosen)).as_py() or 0)
            yield chosen

    return learn(config, count_texts(sampled(), Pattern(config.pattern), workers))


def _texts(paths: list[str], columns: tuple[str, str]) -> Iterator[pa.Array]:
    """large_string arrays of the texts of all files, nulls left out."""
    import pyarrow as pa

    from curate.sources.columns import ColumnNames
    from pipelines.cli.texts import id_column_of, read_texts

    names = ColumnNames(id=columns[0], text=columns[1])
    for path in paths:
        n = 0
        for rows in read_texts(path, ColumnNames(id=id_column_of(path, names), text=columns[1])):
            text: Any = rows.text
            n += len(text)
            yield text.drop_null().cast(pa.large_string())
        print(f"{path}: {n:,} texts", file=sys.stderr)


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
