"""`curate tokenizer`: what is done with tokenizers, on files of one's own."""

from __future__ import annotations

import typer

from curate.commands.chat import chat_command

app = typer.Typer(no_args_is_help=True)


@app.callback()
def tokenizer() -> None:
    """Pack dialogues with a tokenizer."""


app.command("chat")(chat_command)
