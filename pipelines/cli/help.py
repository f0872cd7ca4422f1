"""Help by workflow: commands in groups, each with its whole summary, and examples in a block of their own.

A command's docstring begins `What it does: curate command ARGUMENTS`; several examples are parted by `; curate`. What
stands before the colon is the summary, what stands behind it the examples.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from typer.core import TyperGroup

from pipelines.cli.options import OLD_NAMES

_EXAMPLE: Final = re.compile(r"(?P<summary>[^\n]+?): (?P<examples>curate [^\n]+?)\.?(?P<rest>\n.*)?", re.DOTALL)
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Begin and run": ("init", "recipes", "recipe", "estimate", "run", "status", "remove", "verify"),
    "Look": ("report", "ui", "stats", "domains", "sample", "tune", "diff", "card"),
    "Ask": ("why", "trace"),
    "Single steps over files": ("extract", "filter", "classifier", "dedup", "decontaminate", "tokenizer", "mix", "pack",
                                "export"),
    "The installation": ("models", "kernels", "plugins"),
}
"""Commands by what a person is about to do; one that is in none is listed at the end."""


class GroupedHelp(TyperGroup):
    """The group of all commands, whose help shows them by workflow."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        _part_examples(self)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the groups."""
        listed = [name for names in GROUPS.values() for name in names]
        others = tuple(name for name in self.list_commands(ctx) if name not in listed)
        width = max(map(len, self.commands))
        for title, names in (*GROUPS.items(), ("Others", others)):
            rows = [(name.ljust(width), _summary(self.commands[name])) for name in names
                    if name in self.commands and not self.commands[name].hidden]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _summary(command: Any) -> str:
    return (command.help or "").strip().split("\n")[0].rstrip(".")


def _part_examples(group: Any) -> None:
    """Move the examples of every command's help into its epilogue."""
    for command in group.commands.values():
        found = _EXAMPLE.fullmatch((command.help or "").strip())
        if found is not None:
            command.help = f"{found['summary']}.{found['rest'] or ''}"
            lines = "\n".join(f"  {line}" for line in re.split(r"; (?=curate )", found["examples"]))
            command.epilog = f"\b\nExamples:\n{lines}"
        for parameter in command.params:
            if OLD_NAMES & set(parameter.opts):
                _hide_old_names(parameter)
        if hasattr(command, "commands"):
            _part_examples(command)


def _hide_old_names(option: Any) -> None:
    """Leave an option's old names out of help and of errors; they are still taken."""
    for method in ("get_help_record", "get_error_hint"):
        setattr(option, method, _with_names(option, getattr(option, method)))


def _with_names(option: Any, describe: Callable[..., Any]) -> Callable[..., Any]:
    def described(*context: Any) -> Any:
        every = option.opts
        option.opts = [name for name in every if name not in OLD_NAMES]
        try:
            return describe(*context)
        finally:
            option.opts = every

    return described
