"""`curate tokenizer`: what is done with tokenizers, on files of one's own."""

from __future__ import annotations

import typer

from pipelines.cli.chat import chat_command
from pipelines.cli.tokenizer_encode import encode_command
from pipelines.cli.tokenizer_eval import eval_command
from pipelines.cli.tokenizer_train import export_command, train_command

app = typer.Typer(no_args_is_help=True)


@app.callback()
def tokenizer() -> None:
    """Train, use, compare and export tokenizers, and pack dialogues with one."""


app.command("chat")(chat_command)
app.command("train")(train_command)
app.command("encode")(encode_command)
app.command("eval")(eval_command)
app.command("export")(export_command)
