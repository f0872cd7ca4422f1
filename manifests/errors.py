"""The errors of the project: each says what happened, where, and what to do next.

    CurateError                exit 1
    ├── RecipeError            exit 2   the recipe or the command line is wrong
    ├── InputError             exit 1   an input file cannot be read
    │   └── AbsentError        exit 2   an input or a run that was named does not exist
    ├── StageError             exit 1   a stage cannot produce what the recipe asks for
    ├── ShardError             exit 1   a packed shard or a table is damaged
    └── OwnershipError         exit 3   the output is in use, stale, or of another run
        └── DatasetMismatchError    exit 3   a checkpoint belongs to another dataset
"""

from __future__ import annotations

from collections.abc import Sequence


class CurateError(Exception):
    """Root of every error this project raises on purpose.

    what: one sentence. where: file, field or shard. hint: what to do next.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        advice = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.what}{advice}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments are lost by Exception's own pickling, and errors travel from workers.
        return _rebuild, (type(self), self.what, self.where, self.hint)


def _rebuild(kind: type[CurateError], what: str, where: str | None, hint: str | None) -> CurateError:
    return kind(what, where=where, hint=hint)


class RecipeError(CurateError):
    """The recipe or the command line is wrong; nothing was done."""

    exit_code = 2


class InputError(CurateError):
    """An input file is missing, unreadable or not what it claims to be."""


class AbsentError(InputError):
    """An input or a run that was named on the command line, or in a call, does not exist."""

    exit_code = 2


def no_input(failures: Sequence[InputError]) -> InputError:
    """One error for files of which none can be read. failures: at least one."""
    if len(failures) == 1:
        return failures[0]
    return InputError("no file can be read:" + "".join(f"\n  {error}" for error in failures))


class StageError(CurateError):
    """A stage cannot produce what the recipe asks for, such as a source that keeps nothing."""


class ShardError(CurateError):
    """A file of a finished dataset does not hold what its header or manifest says."""


class OwnershipError(CurateError):
    """The output folder is in use by another process, or holds another run."""

    exit_code = 3


class DatasetMismatchError(OwnershipError):
    """A checkpoint was made on another dataset than the one that is open."""
