"""The resolved recipe of a run, as fields, without loading what makes recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manifests.errors import InputError
from manifests.storage import Storage
from pipelines.yaml_text import parse_yaml

_LOCK = "recipe.lock.yaml"


def no_run(run: str) -> InputError:
    """The error of a folder that is there and no run."""
    return InputError("holds no recipe.lock.yaml: it is not a run", where=run, hint=(
        "`curate run RECIPE --output RUN` makes one; what a single command left is Parquet, and says why in "
        "OUT.decisions"))


def open_run(run: str) -> Storage:
    """A run's files. Raises InputError where there is no run at this path or URL."""
    storage = Storage(run)
    storage.must_exist()
    if not storage.exists(_LOCK):
        raise no_run(run)
    return storage


def locked_recipe(storage: Storage) -> Mapping[str, Any]:
    """The recipe's fields. Raises InputError where the lock file is damaged."""
    text = storage.read_bytes(_LOCK) or b""  # without the list of inputs, which may be long and is asked for nowhere
    lock = parse_yaml(text.partition(b"\ninputs:")[0], storage.path(_LOCK))
    if not isinstance(lock, dict) or not isinstance(lock.get("recipe"), dict):
        raise InputError("is damaged: it holds no recipe", where=storage.path(_LOCK))
    return dict(lock["recipe"])
