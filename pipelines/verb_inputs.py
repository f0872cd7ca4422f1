"""What a command is given: documents, and not the decisions about them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from manifests.errors import InputError, RecipeError
from manifests.storage import is_local, local_path
from manifests.tables import open_table
from pipelines.verb_files import DECISIONS, INDEX, REPORT

COMMANDS: Final = {"train": "tokenizer train", "encode": "tokenizer encode", "score": "classifier score",
                   "pack": "tokenizer encode"}
"""Words of a command whose verb is the last of them; and what comes before packing, which takes no documents."""
_MAGIC: Final = b"PAR1"


def refuse_decisions(verb: str, paths: Sequence[str], out: str) -> None:
    """Raise RecipeError where an input holds decisions and no texts, with the command that was meant."""
    for path in paths:
        command = decisions_of(path)
        if command is None:
            continue
        folder, words = os.path.dirname(path), f"curate {COMMANDS.get(verb, verb)}"
        documents = folder.removesuffix(DECISIONS)
        meant = (f"{words} {documents} --output {out}" if documents != folder and os.path.isdir(documents)
                 else f"{words} DOCUMENTS --decisions {folder or '.'} --output {out}")
        raise RecipeError(f"holds decisions of `curate {COMMANDS.get(command, command)}` and no documents", where=path,
                          hint=f"what was meant is `{meant}`")


def refuse_replaced(paths: Sequence[str], out: str) -> None:
    """Raise RecipeError where a command would put its output in the place of what it reads.

    What it reads would be lost, and after a kill while results are renamed the same command would read them instead.

    Args:
        paths: Its input files and folders of decisions.
        out: Its output, as of `target`.
    """
    ours = {os.path.realpath(f"{out}{beside}") for beside in ("", DECISIONS, REPORT, INDEX)}
    for path in paths:
        if not is_local(path):
            continue
        real = os.path.realpath(local_path(path))
        if real in ours or os.path.dirname(real) in ours:
            raise RecipeError("is what the command reads, and its output would take that place",
                              where=f"--output {out}: {path}", hint="give --output a folder of its own")


def decisions_of(path: str) -> str | None:
    """The command whose decisions a file holds; None where it holds anything else, or cannot be read."""
    from curate.documents.own_decisions import made_by

    if not is_local(path):
        return None
    try:
        with open(local_path(path), "rb") as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                return None
        with open_table(path) as file:
            return made_by(file.schema_arrow)
    except (InputError, OSError):  # named when it is read
        return None
