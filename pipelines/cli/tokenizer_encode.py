"""`curate tokenizer encode`: texts of one's own to token files, and from there to `curate pack`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import OUTPUT, READS, Format, FormatOption, IdColumn, TextColumn, emit, with_verb_options
from pipelines.verb_options import VerbOptions

if TYPE_CHECKING:
    from pipelines.verbs import VerbRun


@with_verb_options(READS)
def encode_command(
    files: Annotated[list[str], typer.Argument(metavar="IN…", help="Parquet, JSONL or text files, folders, patterns.")],
    tokenizer: Annotated[str, typer.Option("--tokenizer", metavar="T", help=(
        "tokenizer.json, encoder.json with vocab.bpe, tiktoken ranks, or a folder of one of these."))],
    out: Annotated[str, typer.Option(*OUTPUT, metavar="DIR", help="Folder of the token parts.")],
    fast: Annotated[bool, typer.Option("--fast/--reference", help=(
        "Encode with gigatoken, checked against tokenizers; or with tokenizers alone."))] = True,
    check_fraction: Annotated[float, typer.Option(min=0.0, max=1.0, help=(
        "Share of texts that both encode; the first of a file always."))] = 1 / 512,
    id_column: IdColumn = "id",
    text_column: TextColumn = "text",
    options: VerbOptions = VerbOptions(),  # noqa: B008 (frozen)
    form: FormatOption = Format.TEXT,
) -> None:
    """Encode files of texts: curate tokenizer encode texts.parquet --tokenizer tokenizer.json --output books

    DIR then holds an index part for each file (doc_id, token_start, n_tokens, group_id, id; rows in input order), the
    ids under tokens/ and the tokenizer under tokenizer/: what `curate pack DIR --output dataset` takes. Rows with one
    `group_id`, if there is such a column, are held out for validation together."""
    from pipelines.inputs import find_files
    from pipelines.verbs import verb_run
    from tokenizer.encoding.encode import load

    paths = find_files(files)
    encoder = load(tokenizer)
    encoder.eot_id  # noqa: B018 (refuses a tokenizer that nothing can be packed with)
    recipe = {"tokenizer": {"path": tokenizer}, "encode": {"fast": fast, "check_fraction": check_fraction}}
    with verb_run("encode", out, paths, recipe, ["extract", "tokenizer", "tokenizer/check", "tokens"], options,
                  source={"id_column": id_column, "text_column": text_column}, folders=("tokens", "tokenizer")) as done:
        n_empty = _leave(done)
        differing = _differing(done)
        counters = {**done.view.counters("tokenizer/check"), **done.view.counters("tokens")}
    by_reference = not fast or bool(differing or counters["encoder_fallback"])
    if fast and by_reference:
        print(f"{tokenizer}: {_why(differing, encoder.distrusted)}; tokenizers encoded all texts", file=sys.stderr)
    facts = {"documents": counters["documents"], "empty": n_empty, "bytes": counters["bytes"],
             "tokens": counters["tokens"], "checked_documents": counters.get("checked_documents", 0),
             "reference_documents": counters["reference_documents"], "by_reference": by_reference,
             "differing": differing, "vocab_size": encoder.vocab_size, "dtype": encoder.dtype.name,
             "tokenizer_sha256": encoder.sha256.hex(),
             "bytes_per_token": round(counters["bytes"] / counters["tokens"], 4) if counters["tokens"] else None}
    emit(form, facts, lambda: _sentence(facts), done.failures)


def _leave(done: VerbRun) -> int:
    """Leave ids, tokenizer and the indexes, with the rows' own ids. Returns how many texts are empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from manifests.schema import TOKENS
    from manifests.tables import read_table

    done.out.take(done.path("tokenizer", "tokenizer", "tokenizer"), "tokenizer/tokenizer.json")
    indexes, documents = (dict(done.outputs(*of)) for of in (("tokens", "index"), ("extract", "documents")))
    schema = TOKENS.append(pa.field("id", pa.string(), nullable=False))
    n_empty = 0
    for file, tokens in done.outputs("tokens", "tokens"):
        done.out.take(tokens, f"tokens/{os.path.splitext(file.part)[0]}.tokens")
        index = read_table(indexes[file])
        n_empty += pc.sum(pc.equal(index["n_tokens"], 0)).as_py() or 0
        table = index.append_column("id", read_table(documents[file], ["record_id"])["record_id"]).cast(schema)
        done.out.write(file.part, [table])
        print(f"{file.path}: {len(table):,} texts", file=sys.stderr)
    return n_empty


def _differing(done: VerbRun) -> list[list[str]]:
    """(file, id) of the checked texts on which the encoders differ."""
    import pyarrow.compute as pc

    from manifests.tables import read_table

    if not done.view.counters("tokenizer/check").get("differing_documents"):
        return []
    documents = dict(done.outputs("extract", "documents"))
    listed = []
    for file, path in done.outputs("tokenizer/check", "differences"):
        table = read_table(documents[file], ["doc_id", "record_id"])
        bad = pc.is_in(table["doc_id"], value_set=read_table(path, ["doc_id"])["doc_id"].combine_chunks())
        listed += [[file.path, name] for name in table.filter(bad)["record_id"].to_pylist()]
    return listed


def _why(differing: list[list[str]], distrusted: str | None) -> str:
    if differing:
        path, name = differing[0]
        return f"the fast encoder gives other ids than tokenizers, first on {name!r} of {path}"
    return distrusted or "the fast encoder cannot be used"


def _sentence(facts: dict[str, Any]) -> str:
    per_token = f", {facts['bytes_per_token']:.3f} bytes a token" if facts["bytes_per_token"] else ""
    empty = f" ({facts['empty']:,} empty)" if facts["empty"] else ""
    return (f"{facts['documents']:,} texts{empty}, {facts['bytes'] / 1e6:,.1f} MB, {facts['tokens']:,} tokens "
            f"({facts['dtype']}){per_token}; {facts['checked_documents']:,} texts checked")
