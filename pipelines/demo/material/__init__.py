"""Words and sentences that the demo's pages are made of: data, in YAML files beside this module."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def material(name: str) -> Any:
    """What `<name>.yaml` holds."""
    return yaml.safe_load(files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
