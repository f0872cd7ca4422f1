"""`curate tokenizer chat`: dialogues, comparisons and prompts as packed shards with loss on the answers."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import InputError, RecipeError
from manifests.packing import ROW_PACKINGS
from manifests.storage import is_local
from pipelines.cli.options import OUTPUT, Format, FormatOption, checked, emit, shows

if TYPE_CHECKING:
    from tokenizer.chat.chat import ChatConfig, ChatCounts
    from tokenizer.chat.chat_dataset import ChatFile

_CONTEXT_ROLES = ("system", "developer", "user", "tool", "function", "ipython", "text")  # nobody expects these learned


@shows("packing dialogues into {out}")
def chat_command(
    files: Annotated[list[str], typer.Argument(metavar="IN…", help="JSONL files, plain, gzip or zstd; patterns too.")],
    tokenizer: Annotated[str, typer.Option("--tokenizer", metavar="T", help="A tokenizer: file or folder.")],
    out: Annotated[str, typer.Option(*OUTPUT, metavar="DIR", help="Folder of the packed dataset.")],
    row_length: Annotated[int, typer.Option(help="Tokens of a row; dialogues of as many or more are too long.")] = 2048,
    shard_tokens: Annotated[int, typer.Option(help="Tokens that are packed together and held in memory.")] = 1 << 24,
    packing: Annotated[str, typer.Option(help=f"How dialogues fill rows: {', '.join(ROW_PACKINGS)}.")] = "best_fit",
    template: Annotated[str, typer.Option(metavar="NAME|FILE", help=(
        "chatml, qwen, qwen3, llama3, mistral, plain; `tokenizer` for the tokenizer's own; or a file of one, in Jinja "
        "or a tokenizer_config.json."))] = "chatml",
    template_variable: Annotated[list[str], typer.Option("--template-variable", metavar="NAME=VALUE", help=(
        "What the template may read beside messages and tools, as YAML; repeatable."))] = [],  # noqa: B006
    learn: Annotated[list[str], typer.Option("--learn", metavar="ROLE", help=(
        "Role to learn; repeatable. `prompt`: answers within prompts too; `undesirable`: those that a label calls "
        "so."))] = ["assistant"],  # noqa: B006 (typer copies it)
    learn_eot: Annotated[bool, typer.Option(help="Learn the end-of-text token behind a learned last turn.")] = True,
    long: Annotated[str, typer.Option(help=(
        "A dialogue longer than a row: drop, truncate or split."))] = "drop",
    task: Annotated[str | None, typer.Option(help=(
        "The lines are of a task of GPT-1's: classification, entailment, similarity or choices."))] = None,
    auxiliary_weight: Annotated[float, typer.Option(help="Weight of a task's texts in the loss.")] = 0.5,
    validation_fraction: Annotated[float, typer.Option(help="Share of lines that are held out.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Decides which lines are held out.")] = 0,
    source: Annotated[str, typer.Option(metavar="NAME", help="Source that ids and tables name.")] = "dialogues",
    id_column: Annotated[str, typer.Option(help="Key of the ids; `doc_id` where it is absent.")] = "id",
    form: FormatOption = Format.TEXT,
) -> None:
    """Pack dialogues with loss on the answers: curate tokenizer chat sft.jsonl --tokenizer tokenizer.json --output sft

    A line is {"messages": [...]}, ShareGPT's {"conversations"}, Alpaca's {"instruction", "input", "output"}, {"prompt",
    "completion"}, with a "label" KTO's, {"prompt", "chosen", "rejected"}, {"prompt", "completions": [best, ...]},
    {"prompt"} or {"text"}. DIR is opened by manifests.PackedDataset; what was left out is in DIR/exclusions."""
    from dataclasses import asdict

    from tokenizer.chat.chat import ChatConfig
    from tokenizer.chat.chat_dataset import pack_dialogues

    if not is_local(out):
        raise RecipeError("must be a local folder", where=f"--output {out}")
    fields: dict[str, Any] = {
        "row_length": row_length, "shard_tokens": shard_tokens, "packing": packing, "template": template,
        "template_variables": _variables(template_variable), "learned_roles": tuple(learn), "learn_eot": learn_eot,
        "long": long, "task": task, "auxiliary_weight": auxiliary_weight,
        "validation_fraction": validation_fraction, "seed": seed}
    config = checked(ChatConfig, fields)
    counts = pack_dialogues(config, _files(files), tokenizer, out, source, id_column)
    facts = asdict(counts) | _sizes(out)
    _warn(counts, config, out)
    emit(form, facts, lambda: _sentence(facts, config))


def _variables(texts: list[str]) -> dict[str, Any]:
    from pipelines.yaml_text import parse_yaml

    variables: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise RecipeError("must be NAME=VALUE", where=f"--template-variable {text}")
        variables[name] = parse_yaml(value, f"--template-variable {text}")
    return variables


def _warn(counts: ChatCounts, config: ChatConfig, out: str) -> None:
    """What a person must know of what became of the lines, on stderr."""
    for reason, n in sorted(counts.left_out.items()):
        print(f"{n:,} lines left out: {reason}; see {os.path.join(out, 'exclusions')}", file=sys.stderr)
    if counts.template_error is not None:
        print(f"the template refuses dialogues, the first with {counts.template_error!r}", file=sys.stderr)
    if counts.missing_markers:
        print(f"the tokenizer has no special token {', '.join(counts.missing_markers)}: the template's markers are "
              "text, which a dialogue can spell", file=sys.stderr)
    odd = {role: n for role, n in counts.turns.items() if role not in (*_CONTEXT_ROLES, *config.learned_roles)}
    if odd and config.task is None:  # the texts of a task are learned as language
        listed = ", ".join(f"{n:,} turns of {role!r}" for role, n in sorted(odd.items()))
        print(f"not learned, since --learn does not name their roles: {listed}", file=sys.stderr)
    for n, became in ((counts.truncated, "truncated"), (counts.split, "divided over rows")):
        if n:
            print(f"{n:,} dialogues longer than a row were {became}", file=sys.stderr)


def _files(patterns: list[str]) -> list[ChatFile]:
    """Inputs by content: anything but JSON Lines is an InputError."""
    from curate.sources.kinds import KINDS, detect_kind
    from pipelines.inputs import find_files, part_names
    from tokenizer.chat.chat_dataset import ChatFile

    paths = find_files(patterns)
    for path in paths:
        if not os.path.getsize(path):
            raise InputError("is empty", where=path, hint="leave it out, or make it again")
        kind = KINDS[detect_kind(path)]
        if not kind.objects:
            raise InputError(f"is {kind.what}, not JSON Lines of dialogues", where=path)
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    return [ChatFile(path, os.path.relpath(os.path.abspath(path), root), part)
            for path, part in zip(paths, part_names(paths), strict=True)]


def _sizes(out: str) -> dict[str, Any]:
    from manifests.tables import read_table

    rows = read_table(os.path.join(out, "manifest.parquet"), ["split", "n_rows", "n_tokens", "padding_tokens"])
    table = rows.to_pylist()
    return {"rows": {s: sum(r["n_rows"] for r in table if r["split"] == s) for s in ("train", "val")},
            "tokens": sum(r["n_tokens"] for r in table), "padding_tokens": sum(r["padding_tokens"] for r in table)}


def _sentence(facts: dict[str, Any], config: ChatConfig) -> str:
    used = 1 - facts["padding_tokens"] / max(1, facts["tokens"])
    return (f"{facts['lines']:,} lines, {facts['dialogues']:,} dialogues in {facts['rows']['train']:,} rows of "
            f"{config.row_length:,} tokens and {facts['rows']['val']:,} held out; {used:.1%} of the tokens are "
            f"dialogues', {facts['learned_tokens']:,} are learned")
