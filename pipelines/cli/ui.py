"""`curate ui`: a run in a browser."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from pipelines.cli.answers import RunFolder

_NEEDED = ("starlette", "uvicorn")


def ui_command(
    run: RunFolder,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens on this machine; 0 for a free port."
                                      )] = 0,
) -> None:
    """Look at a run in a browser: documents, thresholds, SQL: curate ui runs/gpt3 --open

    It listens on this machine alone, changes nothing, and lets in who has the address that it prints. Ctrl-C ends it.
    """
    from manifests.errors import InputError

    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise InputError(f"needs {', '.join(missing)}", where="curate ui", hint="pip install 'curate-corpus[ui]'")
    from pipelines.ui.server import serve

    serve(run, port, open_page, lambda address: print(f"{address}\nCtrl-C ends it", flush=True))
