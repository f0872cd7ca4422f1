"""`curate pack`: from token files to packed shards."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from manifests.errors import AbsentError, InputError, OwnershipError, RecipeError
from manifests.packing import PACKINGS
from pipelines.cli.options import OUTPUT, RUNS, Format, FormatOption, checked, emit, with_verb_options
from pipelines.verb_options import VerbOptions

if TYPE_CHECKING:
    from tokenizer.mixture.mixture import Plan
    from tokenizer.mixture.mixture_config import MixtureConfig
    from tokenizer.mixture.token_parts import TokenPart


_DEFAULTS: Final = {"row_length": 2048, "shard_tokens": 1 << 26, "buckets": 64, "packing": "concat"}


@with_verb_options(RUNS)
def pack_command(
    inputs: Annotated[list[str], typer.Argument(
        metavar="IN…", help="A run, or folders of token files; NAME=DIR says what a folder's source is called.")],
    out: Annotated[str, typer.Option(*OUTPUT, metavar="DIR", help="Folder of the dataset.")],
    tokenizer: Annotated[str | None, typer.Option(metavar="T", help="A tokenizer; a run has its own.")] = None,
    mixture: Annotated[str | None, typer.Option(
        metavar="YAML", help="The mixture's fields, as YAML or its file; the run's, or every source once.")] = None,
    row_length: Annotated[int | None, typer.Option(help="Tokens of a row.")] = None,
    shard_tokens: Annotated[int | None, typer.Option(help="Tokens of a shard, a multiple of row_length.")] = None,
    buckets: Annotated[int | None, typer.Option(help="Ranges of the shuffle hash.")] = None,
    packing: Annotated[str | None, typer.Option(help=f"How documents fill rows: {', '.join(PACKINGS)}.")] = None,
    pad_tail: Annotated[bool, typer.Option("--pad-tail", help="In concat, pad the tail that fills no row.")] = False,
    length_buckets: Annotated[str | None, typer.Option(metavar="MIN:MAX", help=(
        "Also list sequences of 2^i tokens for batches of one length each (manifests.length_loader)."))] = None,
    by_source: Annotated[bool, typer.Option("--by-source", help=(
        "A data set for every source, all of it once, to be mixed at train time (manifests.mixed)."))] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of shuffling; the run's, or 0.")] = None,
    options: VerbOptions = VerbOptions(),  # noqa: B008 (frozen)
    form: FormatOption = Format.TEXT,
) -> None:
    """Mix, shuffle and pack token files: curate pack runs/gpt3 --packing best_fit --output best-fit

    Without --mixture every source comes once, and documents are held out for validation as a recipe holds them out: one
    in two hundred, if those fill a row."""
    from pipelines.verb_inputs import refuse_decisions
    from tokenizer.packing.config import PackConfig

    folders = [folder for _, folder in map(_source_folder, inputs)]
    refuse_decisions("pack", _first_tables(folders), out)
    parts = find_tokens(inputs)
    lock = run_recipe(inputs[0]) if len(inputs) == 1 else {}
    if row_length is not None and row_length < 1:
        raise RecipeError("must be at least 1", where="--row-length")
    chosen = {"row_length": row_length, "shard_tokens": shard_tokens, "buckets": buckets,
              "packing": packing, "pad_tail": pad_tail or None}
    fields = {**_DEFAULTS, **lock.get("pack", {}), **{k: v for k, v in chosen.items() if v is not None}}
    if shard_tokens is None and fields["shard_tokens"] % fields["row_length"]:
        fields["shard_tokens"] = max(1, fields["shard_tokens"] // fields["row_length"]) * fields["row_length"]
    config = checked(PackConfig, fields)
    path = _tokenizer_of([_source_folder(text)[1] for text in inputs], tokenizer)
    number = seed if seed is not None else int(lock.get("seed", 0))
    amounts = mixture_of(mixture, lock, parts)
    if mixture is None and not lock:
        amounts = _with_validation(amounts, parts, number, config.row_length)
    if os.path.exists(os.path.join(out, "recipe.lock.yaml")):
        raise OwnershipError("holds a run", where=out, hint="choose another --output; `curate run` packs runs")
    recipe = {"seed": number, "pack": config, "tokenizer": {"path": path}}
    lengths = _lengths(length_buckets)
    if not by_source:
        plan = _pack(out, parts, {**recipe, "mixture": amounts}, lengths, options)
        print_mixture(plan, form, _splits(os.path.join(out, "packed", "manifest.parquet")))
        return
    plans = {}
    for name, mixture_of_one in each_source(amounts, parts).items():
        of_one = [part for part in parts if part.source == name]
        plans[name] = _pack(os.path.join(out, name), of_one, {**recipe, "mixture": mixture_of_one}, lengths, options)
    facts = _write_mixture(out, amounts, plans)
    lines = [f"{s['name']}: {s['rows']:,} rows, {s['tokens']:,} tokens, target share {s['weight']:.2%}"
             for s in facts["sources"]]
    emit(form, facts, lambda: "\n".join(lines))


def _lengths(text: str | None) -> tuple[int, int] | None:
    """The shortest and the longest bucket."""
    if text is None:
        return None
    low, _, high = text.partition(":")
    if not (low.isdigit() and high.isdigit()):
        raise RecipeError("must be MIN:MAX, such as 256:8192", where=f"--length-buckets {text}")
    return int(low), int(high)


def _pack(out: str, parts: list[TokenPart], recipe: dict[str, Any], lengths: tuple[int, int] | None,
          options: VerbOptions) -> Plan:
    """Pack token parts into OUT/packed, and say what became of the val split where it is too small."""
    from pipelines.verbs import files_source, verb_run
    from tokenizer.mixture.mix import read_plan

    packed = os.path.join(out, "packed")
    if os.path.lexists(packed) and not os.path.exists(f"{packed}/manifest.parquet"):
        raise OwnershipError("is there already, and is no packed dataset", where=packed,
                             hint="choose another --output, or move or delete it")
    of_source: dict[str, list[str]] = {}
    for part in parts:
        of_source.setdefault(part.source, []).extend((part.index, part.tokens))
    sources = {name: files_source(files, kind="tokens") for name, files in of_source.items()}
    stages = ["tokenizer", "mix", "pack", "packed", "packed/dataset"]
    with verb_run("pack", out, [], {**recipe, "sources": sources}, stages, options, folders=("packed",)) as done:
        plan = read_plan(done.path("mix/plan", "plan", "plan"))
        for name in done.storage.list("packed"):
            if not name.startswith("packed/_records/"):
                done.out.take(done.storage.path(name), name)
    if lengths is not None:
        from manifests.lengths import build_lengths

        for split, facts in build_lengths(packed, *lengths)["splits"].items():
            listed = ", ".join(f"{k:,} of {n}" for n, k in sorted(facts["sequences"].items(), key=lambda i: int(i[0])))
            print(f"{split}: sequences {listed} tokens; {facts['left_out_tokens']:,} tokens in none", file=sys.stderr)
    if plan.validation_fraction and "val" not in _splits(os.path.join(packed, "manifest.parquet")):
        held_out, named = sum(s.val_tokens for s in plan.sources), ", ".join(of_source)
        print(without_val(held_out, recipe["pack"].row_length, named), file=sys.stderr)
    return plan


def each_source(mixture: MixtureConfig, parts: list[TokenPart]) -> dict[str, MixtureConfig]:
    """A mixture for each source that a mixture uses: all of it, once."""
    from tokenizer.mixture.mixture_config import MixtureConfig

    there = {part.source for part in parts}
    return {name: MixtureConfig(epochs={name: 1.0}, validation_fraction=mixture.validation_fraction)
            for name, used in mixture.sources().items() if used and name in there}


def _write_mixture(out: str, mixture: MixtureConfig, plans: dict[str, Plan]) -> dict[str, Any]:
    """OUT/mixture.json: the data sets of the sources, and the shares that the mixture asks for, of the first phase."""
    from manifests.mixed import MIXTURE
    from manifests.storage import replacing

    _, amounts = mixture.stages()[0]
    tokens = {name: plan.total_tokens for name, plan in plans.items()}
    wanted = {name: amounts.weights.get(name) or amounts.tokens.get(name) or amounts.epochs.get(name, 0) * tokens[name]
              for name in plans}
    rows = {name: _splits(os.path.join(out, name, "packed", "manifest.parquet")).get("train", {}).get("n_rows", 0)
            for name in plans}
    facts = {"sources": [{"name": name, "path": name, "weight": wanted[name] / sum(wanted.values()),
                          "tokens": tokens[name], "rows": rows[name]} for name in plans]}
    with replacing(os.path.join(out, MIXTURE)) as staged, open(staged, "w", encoding="utf-8") as file:
        file.write(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return facts


def without_val(n_tokens: int, row_length: int, sources: str) -> str:
    """What a person is told where the val split is too small for a row."""
    if not n_tokens:
        return (f"{sources}: there is no val split, for no document was held out; a larger validation_fraction "
                "holds some out")
    return (f"{sources}: there is no val split: the {n_tokens:,} tokens that were held out fill no row of "
            f"{row_length:,}, and are dropped; a larger validation_fraction, a smaller row length or padding "
            "(--pad-tail) keeps them")


def _source_folder(text: str) -> tuple[str | None, str]:
    """(source, folder) of DIR or NAME=DIR."""
    name, sign, path = text.partition("=")
    return (name, path) if sign and not os.path.exists(text) else (None, text)


def _first_tables(folders: list[str]) -> list[str]:
    """One table of each folder, which tells what its tables hold."""
    from manifests.part_paths import files_in

    tables = ([path for path in files_in(folder) if path.endswith(".parquet")][:1]
              for folder in folders if os.path.isdir(folder))
    return [path for found in tables for path in found]


def find_tokens(texts: list[str]) -> list[TokenPart]:
    """Token parts of what was named: a run, or folders of token files."""
    from tokenizer.mixture.token_parts import find_parts

    return [part for source, folder in map(_source_folder, texts) for part in find_parts(folder, source)]


def _tokenizer_of(folders: list[str], given: str | None) -> str:
    """The tokenizer to name in the shards: the one given, or what the folders hold. InputError where there is none, or
    where a folder's tokens come from another: the shards would name the wrong tokenizer."""
    import hashlib

    from tokenizer.encoding.formats import read_tokenizer, tokenizer_files

    files = {folder: os.path.join(folder, "tokenizer", "tokenizer.json") for folder in folders}
    own = {folder: file for folder, file in files.items() if os.path.exists(file)}
    path = given or next(iter(own.values()), None)
    if path is None:
        raise AbsentError("there is no such tokenizer", where=files[folders[0]], hint="give --tokenizer")
    wanted = hashlib.sha256(read_tokenizer(tokenizer_files(path))).digest()
    for folder, file in own.items():
        if hashlib.sha256(read_tokenizer((file,))).digest() != wanted:
            raise InputError(f"holds tokens of another tokenizer than {path}", where=folder,
                             hint="encode all sources with one tokenizer, and pack with that")
    return path


def _splits(manifest: str) -> dict[str, dict[str, Any]]:
    """Figures of each split, summed over its shards."""
    from manifests.tables import read_table

    rows = read_table(manifest).to_pylist()
    splits = {}
    for split in dict.fromkeys(row["split"] for row in rows):
        shards = [row for row in rows if row["split"] == split]
        counts = {name: sum(row[name] for row in shards) for name in (
            "n_rows", "n_tokens", "padding_tokens", "dropped_tokens", "truncated_documents")}
        used = sum(n for row in shards for _, n in row["tokens_by_source"])
        splits[split] = {"shards": len(shards), **counts, "utilisation": used / counts["n_tokens"]}
    return splits


def run_recipe(path: str) -> dict[str, Any]:
    """The resolved recipe of a run; empty for a folder that is none."""
    from manifests.storage import Storage
    from pipelines.locking import read_lock

    return dict((read_lock(Storage(path)) or {}).get("recipe", {}))


def mixture_of(text: str | None, lock: dict[str, Any], parts: list[TokenPart]) -> MixtureConfig:
    """The mixture: the given one, the run's, or every source once with nothing held out."""
    from pipelines.yaml_text import parse_yaml, read_yaml
    from tokenizer.mixture.mixture_config import MixtureConfig

    fields: Any = lock.get("mixture") or {
        "epochs": {part.source: 1.0 for part in parts}, "validation_fraction": 0.0}
    if text is not None:
        fields = read_yaml(text, "--mixture") if os.path.exists(text) else parse_yaml(text, "--mixture")
        if not isinstance(fields, dict):
            raise RecipeError("must be a mapping of fields, or a file of them", where="--mixture",
                              hint="such as '{weights: {crawl: 3, books: 1}}'")
    return checked(MixtureConfig, fields, "mixture")


def _with_validation(amounts: MixtureConfig, parts: list[TokenPart], seed: int, row_length: int) -> MixtureConfig:
    """A mixture that holds out what a recipe would by default, unless that does not fill a row: then it is said."""
    from tokenizer.mixture.mixture_config import MixtureConfig
    from tokenizer.mixture.token_parts import count_parts

    fraction = MixtureConfig.model_fields["validation_fraction"].default
    held_out = sum(counts.val_tokens for counts in count_parts(parts, seed, fraction).values())
    if held_out < row_length + 1:
        print(f"no validation split: {fraction:.1%} of the documents are {held_out:,} tokens, and a row is "
              f"{row_length:,}; --mixture '{{validation_fraction: 0.05, …}}' holds out more", file=sys.stderr)
        return amounts
    return amounts.model_copy(update={"validation_fraction": fraction})


def print_mixture(plan: Plan, form: Format, splits: dict[str, dict[str, Any]] | None = None) -> None:
    """The plan of a mixture on stdout, and what was packed of it. truncated_documents: added up over shards, so a
    document that is cut in two of them counts in both."""
    facts = {**json.loads(plan.to_json()), **({"splits": splits} if splits else {})}
    lines = [plan.table(), *(
        f"{split}: {own['n_rows']:,} rows in {own['shards']:,} shards, {own['utilisation']:.2%} used; "
        f"{own['truncated_documents']:,} documents truncated, {own['dropped_tokens']:,} tokens dropped"
        for split, own in (splits or {}).items())]
    emit(form, facts, lambda: "\n".join(lines))
