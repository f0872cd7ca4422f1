"""What every command over files may be told. Light, for the command line reads it to show its help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class VerbOptions:
    """How a command over files runs, which rows it reads and what it writes.

    apply: whether it writes the documents that are kept, or its decisions alone. decisions: folders of earlier
    decisions about the same rows. ignore_keep: whether rows are read whose `keep` is false. engine: inline or ray; None
    for what the other options ask for. address: of a Ray cluster. workers: tasks at a time. keep_work: whether the work
    folder stays. quiet, verbose, progress: what a person sees meanwhile, as of `showing.shown`."""

    apply: bool = True
    decisions: tuple[str, ...] = ()
    ignore_keep: bool = False
    engine: str | None = None
    address: str | None = None
    workers: int | None = None
    keep_work: bool = False
    quiet: bool = False
    verbose: bool = False
    progress: bool = True

    @property
    def runs_on(self) -> str:
        """The engine: this process, unless Ray, a cluster or several workers are asked for."""
        several = self.address is not None or (self.workers or 1) > 1
        return self.engine or ("ray" if several else "inline")

    def source(self) -> dict[str, Any]:
        """The fields of the source that say which rows are read."""
        return {"decisions": list(self.decisions), "ignore_keep": self.ignore_keep}
