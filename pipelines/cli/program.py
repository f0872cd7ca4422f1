"""The program `curate`, whatever is installed: the command line, or a line that says how to get it.

`pip install curate-corpus` is what a trainer installs: it reads datasets with four libraries. The program comes with it
and needs the extra `pipeline`, so this module imports nothing else before it has looked.
"""

from __future__ import annotations

import sys

from manifests.version import DISTRIBUTION, VERSION

_OWN = ("curate", "manifests", "pipelines", "tokenizer")


def main() -> None:
    """Entry point of `curate` and `python -m curate`. Exits with 2 where a library of the command line is missing."""
    if sys.argv[1:] == ["--version"]:
        print(f"curate {VERSION}")
        return
    try:
        from pipelines.cli.main import main as command_line

        command_line()
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] in _OWN:
            raise
        print(f"curate: needs the library {missing!r}, which this installation lacks: "
              f"pip install '{DISTRIBUTION}[pipeline]'", file=sys.stderr)
        sys.exit(2)
